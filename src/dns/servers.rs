//! Our own resolver, which asks the name servers that the system's files name.
//!
//! There is one in the process, with one bounded store of answers. A name that `/etc/hosts` knows is asked of nobody, nor is
//! `localhost`. The files are looked at again every few seconds, when somebody needs them: like the C library, and since a network
//! may be there later than its sidecar, a file that is missing or names no server fails a lookup and not the start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hickory_resolver::TokioResolver;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::ProtoError;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::Name;
use hyper_util::client::legacy::connect::dns;

use super::files::{Missing, Params, Sources, Texts};
use super::{Unresolved, order};
use crate::clock;

/// Resolves names. Every clone is the same one.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    params: Params,
    sources: ArcSwap<Sources>,
    /// When somebody last went to see whether the files have changed.
    looked: Mutex<Instant>,
}

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("it is not a name")]
    NotAName(#[source] ProtoError),
    #[error("there is nobody to ask")]
    Missing(#[source] Missing),
    #[error("there is no such name (NXDOMAIN)")]
    Nonexistent,
    #[error("the name has no address")]
    Empty,
    #[error("no name server answered in time")]
    Silent,
    #[error("the name server answered {0}")]
    Refused(ResponseCode),
    #[error("asking the name servers failed")]
    Failed(#[source] NetError),
}

impl Resolver {
    /// The system's.
    pub fn of_system() -> Self {
        Self::new(Params::default())
    }

    /// One by these files. Reads them, and blocks for as long as that takes.
    pub fn new(params: Params) -> Self {
        let sources = Sources::new(Texts::read(&params), &params);
        if let Err(missing) = &sources.servers {
            let error = missing as &dyn std::error::Error;
            tracing::warn!(error, "no name server can be asked");
        }
        Self(Arc::new(Inner {
            params,
            sources: ArcSwap::from_pointee(sources),
            looked: Mutex::new(clock::now()),
        }))
    }

    /// The addresses of a name, in the order in which they are to be tried.
    pub(super) async fn addresses(&self, name: dns::Name) -> Result<Vec<SocketAddr>, Unresolved> {
        let found = self.find(name.as_str()).await;
        let mut found = found.map_err(|cause| Unresolved(Box::new(cause)))?;
        found.truncate(ADDRESSES_MAX);
        // A kept answer has one order, and connections would all go to its first address.
        fastrand::shuffle(&mut found);
        if found.len() > 1 {
            order::sort(&mut found, order::source);
        }
        let addresses = found.into_iter().map(|it| SocketAddr::new(it, 0));
        Ok(addresses.collect())
    }

    async fn find(&self, name: &str) -> Result<Vec<IpAddr>, Cause> {
        let name = Name::from_str_relaxed(name).map_err(Cause::NotAName)?;
        let sources = self.sources().await;
        let known = sources.known(&name);
        if !known.is_empty() {
            return Ok(known);
        }
        if name.is_localhost() {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let servers = sources.servers.as_ref();
        let servers = servers.map_err(|missing| Cause::Missing(missing.clone()))?;
        let asked = tokio::time::timeout(LOOKUP_MAX, ask(servers, name)).await;
        asked.unwrap_or(Err(Cause::Silent))
    }

    /// What the files say now, or said a few seconds ago.
    async fn sources(&self) -> Arc<Sources> {
        if self.is_due() {
            let params = self.0.params.clone();
            let texts = tokio::task::spawn_blocking(move || Texts::read(&params));
            if let Ok(texts) = texts.await
                && texts != self.0.sources.load().texts
            {
                let sources = Sources::new(texts, &self.0.params);
                tracing::info!("names are resolved by changed files");
                self.0.sources.store(Arc::new(sources));
            }
        }
        self.0.sources.load_full()
    }

    /// Whether it is this caller's turn to look at the files.
    fn is_due(&self) -> bool {
        let now = clock::now();
        let looked = self.0.looked.lock();
        let mut looked = looked.unwrap_or_else(PoisonError::into_inner);
        let is_due = now.saturating_duration_since(*looked) >= self.0.params.looked_every;
        if is_due {
            *looked = now;
        }
        is_due
    }
}

async fn ask(servers: &TokioResolver, name: Name) -> Result<Vec<IpAddr>, Cause> {
    let found: Vec<_> = match servers.lookup_ip(name).await {
        Ok(found) => found.iter().collect(),
        Err(error) => return Err(Cause::of(error)),
    };
    if found.is_empty() {
        return Err(Cause::Empty);
    }
    Ok(found)
}

impl Cause {
    fn of(error: NetError) -> Self {
        match error {
            NetError::Dns(DnsError::NoRecordsFound(no)) => match no.response_code {
                ResponseCode::NXDomain => Self::Nonexistent,
                ResponseCode::NoError => Self::Empty,
                code => Self::Refused(code),
            },
            NetError::Dns(DnsError::ResponseCode(code)) => Self::Refused(code),
            NetError::Timeout => Self::Silent,
            error => Self::Failed(error),
        }
    }
}

/// How long a lookup may take, its search list included: less than the default of `deadline.connect`, so that it is the name that is
/// named as the fault.
const LOOKUP_MAX: Duration = Duration::from_millis(2_500);

/// The most addresses of a name that count; the rest of them is never tried.
const ADDRESSES_MAX: usize = 16;
