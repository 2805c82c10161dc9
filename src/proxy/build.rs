//! Builds the path of a request from its parameters: who shares which upstream, bucket and door.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Gauge, GaugeVec, IntGauge, Opts, Registry};

use super::account::Told;
use super::admit::{Crowd, Door};
use super::lane::{Bucket, Lane};
use super::metrics::{Families, PaceFamilies, RouteMetrics};
use super::names::Names;
use super::notice::Notices;
use super::pulse::Pulse;
use super::replay::Memory;
use super::route::{self, Share, Table};
use super::shared::{Drain, Shared};
use super::trace::Tracer;
use super::tunnel::Tunnels;
use super::upstream::{self, HeaderCase, TlsError, Upstream};
use super::{Params, Proxy};
use crate::clock;
use crate::tls::Expiries;

/// What the path needs from around it.
pub struct Surroundings<'a> {
    /// Where metrics are registered.
    pub registry: &'a Registry,
    /// The port that clients reach redrive on.
    pub own_port: u16,
    /// Which requests are logged.
    pub told: Told,
    /// The longest pause inside a body.
    pub body_idle: Duration,
    /// How header names are written to the upstream.
    pub header_case: HeaderCase,
    /// Whether and when the process ends.
    pub drain: Drain,
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
    /// Metrics are registered twice.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// What routes to the same upstream share.
struct Site {
    target: upstream::Params,
    upstream: Arc<Upstream>,
    bucket: Option<Arc<Bucket>>,
    door: Option<Arc<Door>>,
}

/// The gauges of one bucket a label.
struct BucketGauges {
    tokens: GaugeVec,
    capacity: GaugeVec,
}

impl Proxy {
    /// Builds everything; connects to nothing yet.
    ///
    /// # Errors
    /// When an upstream's TLS cannot be set up.
    pub fn build(params: &Params, around: Surroundings<'_>) -> Result<Arc<Self>, BuildError> {
        let families = Families::register(around.registry)?;
        let Fleet {
            lanes,
            buckets,
            doors,
            upstreams,
        } = fleet(params, &families, &around)?;
        let default = lanes.last().expect("the default route is always there");
        let limit = i64::try_from(params.replay.max_total).unwrap_or(i64::MAX);
        families.gauges.replay_limit_bytes.set(limit);
        let memory = Memory::new(params.replay);
        let tunnels = Tunnels::new(families.gauges.tunnels.clone());
        Ok(Arc::new(Self {
            table: Table::new(params.routes.iter().zip(lanes.iter().cloned()).collect()),
            default: Arc::clone(default),
            lanes,
            buckets,
            doors,
            upstreams,
            names: Names::new(
                around.own_port,
                params.routes.iter().map(|route| &route.upstream),
            ),
            shared: Shared::new(params, &around, memory, tunnels),
            told: around.told,
            tracer: Tracer::new(around.is_secure),
            gauges: families.gauges,
        }))
    }
}

/// The lanes in the order of their routes, every bucket that they spend from, every door that they go through, and every
/// upstream that they lead to.
struct Fleet {
    lanes: Vec<Arc<Lane>>,
    buckets: Vec<Arc<Bucket>>,
    doors: Vec<Arc<Door>>,
    upstreams: Vec<Arc<Upstream>>,
}

fn fleet(
    params: &Params,
    families: &Families,
    around: &Surroundings<'_>,
) -> Result<Fleet, BuildError> {
    let gauges = BucketGauges::register(around.registry)?;
    let paces = PaceFamilies::register(around.registry)?;
    let max_waiting = params.routes.iter().map(|route| route.pace.max_waiting);
    let crowd = Crowd::new(
        max_waiting.max().unwrap_or(0),
        families.gauges.waiting.clone(),
    );
    let open = &families.gauges.upstream_connections;
    let (mut sites, mut lanes) = (Vec::new(), Vec::new());
    let (mut buckets, mut doors) = (Vec::new(), Vec::new());
    let recent = Arc::default();
    // The default route comes last in the table and first here, so that what is shared is labelled with its name.
    for (index, route) in params.routes.iter().enumerate().rev() {
        let site = site(&mut sites, route, open, around)?;
        let bucket = shared_or_own(route.budget_share, &mut site.bucket, || {
            let bucket = Arc::new(Bucket::new(
                &route.name,
                route.budget,
                gauges.of(route),
                clock::now(),
            ));
            buckets.push(Arc::clone(&bucket));
            bucket
        });
        let door = shared_or_own(route.pace_share, &mut site.door, || {
            let gauges = paces.of(&route.name);
            let door = Door::new(route.pace, Arc::clone(&crowd), gauges, clock::now());
            let door = Arc::new(door);
            doors.push(Arc::clone(&door));
            door
        });
        lanes.push(Arc::new(Lane {
            index,
            name: route.name.clone(),
            deadline: route.deadline.clone(),
            policy: Arc::new(route.retry.clone()),
            target: route.upstream.clone(),
            upstream: Arc::clone(&site.upstream),
            bucket,
            door,
            metrics: RouteMetrics::new(families, &route.name),
            notices: Notices::default(),
            pulse: Pulse::new(),
            recent: Arc::clone(&recent),
        }));
    }
    lanes.reverse();
    Ok(Fleet {
        lanes,
        buckets,
        doors,
        upstreams: sites.into_iter().map(|site| site.upstream).collect(),
    })
}

fn site<'a>(
    sites: &'a mut Vec<Site>,
    route: &route::Params,
    open: &IntGauge,
    around: &Surroundings<'_>,
) -> Result<&'a mut Site, BuildError> {
    let position = match sites.iter().position(|site| site.target == route.upstream) {
        Some(position) => position,
        None => {
            let (header_case, expiry) = (around.header_case, around.expiries.place());
            let upstream = Upstream::new(&route.upstream, header_case, open.clone(), &expiry);
            let upstream = upstream.map_err(|source| BuildError::Tls {
                authority: route.upstream.authority.to_string(),
                source: Box::new(source),
            })?;
            sites.push(Site {
                target: route.upstream.clone(),
                upstream: Arc::new(upstream),
                bucket: None,
                door: None,
            });
            sites.len() - 1
        }
    };
    Ok(&mut sites[position])
}

/// What a route uses: its own, or the one of its site, which the first route to ask makes.
fn shared_or_own<T>(
    share: Share,
    shared: &mut Option<Arc<T>>,
    make: impl FnOnce() -> Arc<T>,
) -> Arc<T> {
    match share {
        Share::Own => make(),
        Share::Upstream => Arc::clone(shared.get_or_insert_with(make)),
    }
}

impl BucketGauges {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let gauge = GaugeVec::new(Opts::new(name, help), &["route"])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Self {
            tokens: gauge(
                "redrive_retry_budget_tokens",
                "Retries that the budget could pay for now.",
            )?,
            capacity: gauge(
                "redrive_retry_budget_capacity_tokens",
                "What the budget holds at most.",
            )?,
        })
    }

    fn of(&self, route: &route::Params) -> Gauge {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a gauge; capacities are far below 2^52"
        )]
        let capacity = route.budget.capacity_milli as f64 / 1000.0;
        self.capacity
            .with_label_values(&[&route.name])
            .set(capacity);
        self.tokens.with_label_values(&[&route.name])
    }
}
