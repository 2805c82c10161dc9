//! Builds the path of a request from its parameters: who shares which upstream, bucket and door.
//!
//! The first path begins with nothing. Every later one follows another, which goes on serving what it began: it takes over
//! what that one learned, and the connections of every upstream that stays as it is. All that can fail is done first, so that
//! a path that cannot be built has changed nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use prometheus::{IntGauge, Registry};

use super::account::Told;
use super::admit::Door;
use super::lane::{Bucket, Lane};
use super::lasting::{Lasting, Learned, Owner};
use super::names::Names;
use super::route::{self, Share, Table};
use super::shared::{Drain, Shared};
use super::sign::{KeyError, Signer};
use super::trace::Tracer;
use super::tunnel::Tunnels;
use super::upstream::{self, HeaderCase, TlsError, Upstream};
use super::{Params, Proxy};
use crate::clock;
use crate::dns::Resolver;
use crate::tls::Expiries;

/// What the path needs from around it.
pub struct Surroundings<'a> {
    /// Where metrics are registered.
    pub registry: &'a Registry,
    /// Where redrive listens.
    pub own: SocketAddr,
    /// Which requests are logged.
    pub told: Told,
    /// The longest pause inside a body.
    pub body_idle: Duration,
    /// How header names are written to the upstream.
    pub header_case: HeaderCase,
    /// Whether and when the process ends.
    pub drain: Drain,
    /// Who finds the upstreams' addresses.
    pub resolver: &'a Resolver,
    /// Where the ends of our certificates are told.
    pub expiries: &'a Expiries,
    /// Whether clients come over TLS.
    pub is_secure: bool,
}

/// Why the path cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An upstream's TLS cannot be set up.
    #[error("upstream {authority} cannot be used")]
    Tls {
        /// The upstream.
        authority: String,
        /// What is missing or unreadable.
        #[source]
        source: Box<TlsError>,
    },
    /// There is no API key.
    #[error("the API key cannot be used")]
    Key(#[from] KeyError),
    /// Metrics are registered twice.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// An upstream with its connections, and what they are made by.
#[derive(Clone)]
pub(super) struct Pooled {
    target: upstream::Params,
    header_case: HeaderCase,
    pub(super) upstream: Arc<Upstream>,
}

impl Proxy {
    /// Builds everything; connects to nothing yet.
    ///
    /// # Errors
    /// When an upstream's TLS cannot be set up, or the API key cannot be read.
    pub fn build(params: &Params, around: &Surroundings<'_>) -> Result<Arc<Self>, BuildError> {
        let lasting = Arc::new(Lasting::register(around.registry)?);
        let tunnels = Tunnels::new(lasting.families.gauges.tunnels.clone());
        let shared = Shared::new(params, around, tunnels);
        let signer = Signer::new(&params.sign)?;
        Self::assemble(params, around, lasting, shared, signer, &[])
    }

    /// Builds the path by other parameters, to be used from now on in this one's place: it shares what was learned, what is counted,
    /// and the connections of the upstreams that stay as they are. Reads the files that TLS towards the others needs, and that
    /// of another API key, and blocks for as long as that takes.
    ///
    /// # Errors
    /// When an upstream's TLS cannot be set up, or the API key cannot be read; then nothing has changed.
    pub fn follow(
        &self,
        params: &Params,
        around: &Surroundings<'_>,
    ) -> Result<Arc<Self>, BuildError> {
        let shared = self.shared.follow(params, around);
        let lasting = Arc::clone(&self.lasting);
        let signer = self.signer.follow(&params.sign)?;
        Self::assemble(params, around, lasting, shared, signer, &self.pools)
    }

    fn assemble(
        params: &Params,
        around: &Surroundings<'_>,
        lasting: Arc<Lasting>,
        shared: Shared,
        signer: Arc<Signer>,
        before: &[Pooled],
    ) -> Result<Arc<Self>, BuildError> {
        let open = &lasting.families.gauges.upstream_connections;
        let pools = pools(params, around, before, open)?;
        let waiting = params.routes.iter().map(|route| route.pace.max_waiting);
        lasting.crowd.set_limit(waiting.max().unwrap_or(0));
        let limit = i64::try_from(params.replay.max_total).unwrap_or(i64::MAX);
        lasting.families.gauges.replay_limit_bytes.set(limit);

        let mut learned = lasting.learned();
        let shown = (learned.buckets.in_use(), learned.doors.in_use());
        learned.begin();
        let lanes = lanes(params, &lasting, &mut learned, &pools, &signer);
        let names = params.routes.iter().map(|route| route.name.as_str());
        learned.end(&lasting.families, names);
        let (buckets, doors) = (learned.buckets.in_use(), learned.doors.in_use());
        drop(learned);

        for label in shown.0.iter().map(|it| it.label()) {
            if !buckets.iter().any(|it| it.label() == label) {
                lasting.budgets.forget(label);
            }
        }
        for label in shown.1.iter().map(|it| it.label()) {
            if !doors.iter().any(|it| it.label() == label) {
                lasting.paces.forget(label);
            }
        }
        let default = lanes.last().expect("the default route is always there");
        let targets = params.routes.iter().map(|route| &route.upstream);
        Ok(Arc::new(Self {
            table: Table::new(params.routes.iter().zip(lanes.iter().cloned()).collect()),
            default: Arc::clone(default),
            lanes,
            buckets,
            doors,
            pools,
            names: Names::new(around.own, targets),
            signer,
            shared,
            told: around.told,
            tracer: Tracer::new(around.is_secure),
            gauges: lasting.families.gauges.clone(),
            lasting,
        }))
    }
}

/// Every route at work, in their order.
fn lanes(
    params: &Params,
    lasting: &Lasting,
    learned: &mut Learned,
    pools: &[Pooled],
    signer: &Arc<Signer>,
) -> Vec<Arc<Lane>> {
    let now = clock::now();
    let signed = params.routes.last().map(|default| &default.upstream);
    // The default route comes last in the table and first here, so that what is shared is labelled with its name.
    let routes = params.routes.iter().rev();
    let mut lanes: Vec<_> = routes
        .map(|route| {
            let is_signed = signed.is_some_and(|signed| is_same_host(&route.upstream, signed));
            let signer = is_signed.then(|| Arc::clone(signer));
            Arc::new(lane(route, lasting, learned, pools, signer, now))
        })
        .collect();
    lanes.reverse();
    lanes
}

/// A route at work, with what it learned before.
fn lane(
    route: &route::Params,
    lasting: &Lasting,
    learned: &mut Learned,
    pools: &[Pooled],
    signer: Option<Arc<Signer>>,
    now: Instant,
) -> Lane {
    let owner = |share| match share {
        Share::Own => Owner::route(&route.upstream, &route.name),
        Share::Upstream => Owner::upstream(&route.upstream),
    };
    let bucket = learned.buckets.renew(&owner(route.budget_share), |before| {
        let gauges = lasting.budgets.of(&route.name);
        match before {
            Some(bucket) => bucket.follow(route.budget, gauges, now),
            None => Bucket::new(route.budget, gauges, now),
        }
    });
    let door = learned.doors.renew(&owner(route.pace_share), |before| {
        let gauges = lasting.paces.of(&route.name);
        match before {
            Some(door) => door.follow(route.pace, gauges, now),
            None => Door::new(route.pace, Arc::clone(&lasting.crowd), gauges, now),
        }
    });
    let past = learned.past(route);
    let counted = learned.counted(&lasting.families, &route.name);
    let pool = pools.iter().find(|pool| pool.target == route.upstream);
    Lane {
        index: past.index,
        name: route.name.clone(),
        deadline: route.deadline.clone(),
        policy: Arc::new(route.retry.clone()),
        target: route.upstream.clone(),
        authority: HeaderValue::try_from(route.upstream.authority.as_str())
            .expect("authorities are visible ASCII"),
        upstream: Arc::clone(&pool.expect("every target has its pool").upstream),
        signer,
        bucket,
        door,
        metrics: Arc::clone(&counted.metrics),
        notices: Arc::clone(&past.notices),
        pulse: Arc::clone(&counted.pulse),
        recent: Arc::clone(&lasting.recent),
    }
}

/// Whether both lead to one server, in the same way: what is secret to one is not told to another, nor in the clear.
fn is_same_host(one: &upstream::Params, other: &upstream::Params) -> bool {
    one.scheme == other.scheme && one.authority == other.authority
}

/// The upstreams of all routes: those that stay as they are, and new ones.
fn pools(
    params: &Params,
    around: &Surroundings<'_>,
    before: &[Pooled],
    open: &IntGauge,
) -> Result<Vec<Pooled>, BuildError> {
    let header_case = around.header_case;
    let mut pools: Vec<Pooled> = Vec::new();
    for target in params.routes.iter().map(|route| &route.upstream) {
        let is_it = |pool: &&Pooled| pool.target == *target && pool.header_case == header_case;
        if pools.iter().any(|pool| is_it(&pool)) {
            continue;
        }
        let pool = match before.iter().find(is_it) {
            Some(pool) => pool.clone(),
            None => {
                let expiry = around.expiries.place();
                let resolver = around.resolver.clone();
                let upstream = Upstream::new(target, header_case, open.clone(), resolver, &expiry);
                let upstream = upstream.map_err(|source| BuildError::Tls {
                    authority: target.authority.to_string(),
                    source: Box::new(source),
                })?;
                Pooled {
                    target: target.clone(),
                    header_case,
                    upstream: Arc::new(upstream),
                }
            }
        };
        pools.push(pool);
    }
    Ok(pools)
}
