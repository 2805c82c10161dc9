//! The embedded gateway: a stand-in for API Gateway and the Lambda function behind it, with exact limits.
//!
//! It is the counterpart of our end-to-end tests and of `redrive demo`, and as `redrive gateway` it serves the local
//! development of any client. It judges the proxy, so it imports nothing of it, not even its HTTP stack: `wire` reads
//! HTTP/1.1 (no TLS, no HTTP/2), `front` writes answers down to the letter case of header names.
//!
//! A request meets the limits in the order that AWS documents: quota, rate, and once its payload is there, concurrency.
//! The function takes its service time, whether its client waits or has left, and answers with a description of the
//! request: method, path, number of header lines, bytes of the body and their FNV-1a hash.
//!
//! A place among the executions is free again at the very nanosecond; the answer follows within the timer's millisecond.
//! Real throttling is best effort and noisy; here every limit is exact, so that a count can be held against it.
//!
//! | file | holds |
//! |---|---|
//! | `bucket` | the rate limit |
//! | `door` | all limits in order, and the counts |
//! | `front` | what each front door of AWS says |
//! | `wire` | requests off a stream |
//! | `cases` | the faults that no limit provokes, by name |
//! | `connection` | one connection, and what becomes of an upload that was answered early |

use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::tcp;

mod bucket;
mod cases;
mod connection;
mod door;
mod front;
mod wire;

pub use self::door::{Counts, Seen};
pub use self::front::{Front, UnknownFront};

/// What a gateway pretends to be, and how much it lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Requests per second; none is no limit. 0 lets nothing through but the burst, once.
    pub rate: Option<u32>,
    /// Requests at once after a pause, the bucket's size; as many as `rate` where not set. 0 lets nothing through.
    pub burst: Option<u32>,
    /// Executions at once. 0 throttles everything, as a reserved concurrency of 0 does. None is 100,000, no limit in
    /// practice, and more is not possible.
    pub concurrency: Option<u32>,
    /// How long an execution takes; at most [`SERVICE_TIME_MAX`].
    pub service_time: Duration,
    /// Requests in the gateway's whole life, throttled ones included; none is no limit. Only where usage plans exist:
    /// on [`Front::Rest`] and [`Front::Rest2018`].
    pub quota: Option<u64>,
    /// Which front door to be.
    pub front: Front,
}

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A bucket that holds something but is never asked to.
    #[error("a burst needs a rate")]
    BurstWithoutRate,
    /// This front door has no usage plans.
    #[error("front `{front}` has no quota; usage plans exist on `rest` and `rest-2018`")]
    QuotaWithoutUsagePlan {
        /// The front that was asked for.
        front: Front,
    },
    /// API Gateway would time out before such a function answers.
    #[error(
        "service time {service_time:?} is longer than {SERVICE_TIME_MAX:?}, after which API Gateway gives up"
    )]
    ServiceTimeTooLong {
        /// The service time that was asked for.
        service_time: Duration,
    },
    /// The address is taken, not ours, or not allowed.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The address that was asked for.
        listen: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The process cannot learn when it is to stop.
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
}

/// A gateway that listens and is about to run.
#[derive(Debug)]
pub struct Gateway {
    listener: TcpListener,
    local_addr: SocketAddr,
    service: Arc<connection::Service>,
}

impl Gateway {
    /// Listens. Connections are accepted from now on and served once the gateway runs; its bucket fills from now on.
    pub async fn bind(params: Params) -> Result<Self, Error> {
        params.check()?;
        let unusable = |source| Error::Listen {
            listen: params.listen,
            source,
        };
        let listener = tcp::listen(params.listen).map_err(unusable)?;
        let local_addr = listener.local_addr().map_err(unusable)?;
        Ok(Self {
            listener,
            local_addr,
            service: Arc::new(connection::Service::new(&params)),
        })
    }

    /// Where it listens: the port is the real one.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Its counts, which outlive it.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.service.counts)
    }

    /// Serves until `shutdown`; then takes no connection and no request more, and gives those begun 5 s to end.
    ///
    /// Dropping the future closes every connection at once.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let closing = CancellationToken::new();
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                // A connection's end makes room. What it returns is nothing, and a panic has been printed.
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                    let Ok((stream, _)) = accepted else {
                        // Out of file descriptors, mostly: the connection stays in the kernel's queue.
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    };
                    // Without it, answers wait for acknowledgements. A stream that refuses is broken and soon found so.
                    stream.set_nodelay(true).ok();
                    let service = Arc::clone(&self.service);
                    connections.spawn(connection::serve(stream, service, closing.clone()));
                }
            }
        }
        drop(self.listener);
        closing.cancel();
        let drained = async { while connections.join_next().await.is_some() {} };
        // Either way the remaining connections are closed: there are none, or they took too long.
        tokio::time::timeout(DRAIN_TIME_MAX, drained).await.ok();
        connections.shutdown().await;
    }
}

/// The gateway as a command: says where it listens, runs until SIGTERM or SIGINT, and tells what it saw.
pub async fn run(params: Params) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let gateway = Gateway::bind(params).await?;
    let counts = gateway.counts();
    let addr = gateway.local_addr();
    say(format_args!(
        "redrive gateway on http://{addr}: {params}; counts at {}, cases of `redrive verify` below {}",
        connection::COUNTS_PATH,
        cases::PATH
    ));
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    gateway.run(stop).await;
    say(format_args!("{}", counts.snapshot()));
    Ok(())
}

/// Prints a line. A reader that closed its end is no reason to stop serving, so the error goes nowhere.
fn say(line: fmt::Arguments<'_>) {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .ok();
}

impl Params {
    /// A REST API without limits on 127.0.0.1:7490, whose function takes 20 ms.
    pub const fn unlimited() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT_DEFAULT),
            rate: None,
            burst: None,
            concurrency: None,
            service_time: SERVICE_TIME_DEFAULT,
            quota: None,
            front: Front::Rest,
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.burst.is_some() && self.rate.is_none() {
            return Err(Error::BurstWithoutRate);
        }
        if self.quota.is_some() && !self.front.has_quota() {
            return Err(Error::QuotaWithoutUsagePlan { front: self.front });
        }
        if self.service_time > SERVICE_TIME_MAX {
            return Err(Error::ServiceTimeTooLong {
                service_time: self.service_time,
            });
        }
        Ok(())
    }
}

impl Default for Params {
    fn default() -> Self {
        Self::unlimited()
    }
}

impl fmt::Display for Params {
    /// The limits on one line, without the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "front {}", self.front)?;
        if let Some(rate) = self.rate {
            write!(
                f,
                ", {rate} requests/s in bursts of {}",
                self.burst.unwrap_or(rate)
            )?;
        }
        if let Some(concurrency) = self.concurrency {
            write!(f, ", {concurrency} executions at once")?;
        }
        if let Some(quota) = self.quota {
            write!(f, ", {quota} requests in all")?;
        }
        write!(f, ", service time {:?}", self.service_time)
    }
}

impl fmt::Display for Seen {
    /// A small table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("requests", self.requests),
            ("served", self.served),
            ("throttled by rate", self.throttled_by_rate),
            ("throttled by concurrency", self.throttled_by_concurrency),
            ("refused by quota", self.quota_refused),
            ("refused as too large", self.too_large),
            ("broken off by the client", self.unfinished),
            ("still in flight", self.in_flight),
            ("most in flight", self.most_in_flight),
        ];
        let lines = rows.map(|(what, count)| format!("{what:<25}{count:>10}"));
        f.write_str(&lines.join("\n"))
    }
}

/// The longest service time: REST APIs give up on a function after 29 s by default, with an answer not modelled here.
pub const SERVICE_TIME_MAX: Duration = Duration::from_secs(29);
/// A short function that is warm.
const SERVICE_TIME_DEFAULT: Duration = Duration::from_millis(20);
/// Beside redrive's own 7480 and 7481.
const PORT_DEFAULT: u16 = 7490;
/// The most connections at once; more wait in the kernel's queue until one ends.
const CONNECTIONS_MAX: usize = 10_000;
/// How long accepting rests after it failed, so that a full table of file descriptors is not a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The longest that requests which have begun are waited for at shutdown: a developer at a terminal waits no longer.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
