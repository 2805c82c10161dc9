//! What stands behind the proxies: the embedded gateway, or an origin that plays what the gateway cannot.
//!
//! The origin answers 200 after its service time, and knows three paths by their beginning: `/v1/sick` always looks like a
//! throttled function, `/v1/told` asks to be left alone for a minute, everything else is limited by a bucket whose rate
//! may change. It can be away in two ways: connections are refused, or everything is 503.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use redrive::clock;
use redrive::gateway::{self, Counts, Gateway};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

use super::Fault;

/// What an upstream is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// The embedded gateway.
    Gateway(gateway::Params),
    /// An origin, and how long its answers take; with a rate, in bursts of half a second's worth.
    Origin {
        rate: Option<u32>,
        service_time: Duration,
    },
}

/// A running upstream; ends when it is dropped.
pub(crate) struct Upstream {
    pub(crate) addr: SocketAddr,
    seen: Seen,
    running: JoinSet<()>,
    /// Keeps the port while nobody listens on it.
    port: Option<TcpSocket>,
}

enum Seen {
    Gateway(Arc<Counts>),
    Origin(Arc<Mutex<Origin>>),
}

/// An origin's state.
struct Origin {
    service_time: Duration,
    bucket: Option<Bucket>,
    is_unavailable: bool,
    /// When each request came.
    requests: Vec<Instant>,
}

/// A rate limit that may change.
struct Bucket {
    rate: f64,
    tokens: f64,
    at: Instant,
}

/// An answer before it is sent.
enum Answer {
    Good { after: Duration },
    Throttled,
    LeaveMeAlone,
    LooksThrottled,
    Unavailable,
}

impl Upstream {
    /// Listens on a free port of loopback, and serves.
    pub(crate) async fn start(kind: Kind) -> Result<Self, Fault> {
        let mut running = JoinSet::new();
        let (addr, seen) = match kind {
            Kind::Gateway(params) => {
                let gateway = Gateway::bind(gateway::Params {
                    listen: ANY_PORT,
                    ..params
                })
                .await?;
                let (addr, counts) = (gateway.local_addr(), gateway.counts());
                running.spawn(gateway.run(std::future::pending()));
                (addr, Seen::Gateway(counts))
            }
            Kind::Origin { rate, service_time } => {
                let listener = TcpListener::bind(ANY_PORT).await?;
                let addr = listener.local_addr()?;
                let origin = Arc::new(Mutex::new(Origin {
                    service_time,
                    bucket: rate.map(Bucket::new),
                    is_unavailable: false,
                    requests: Vec::new(),
                }));
                running.spawn(serve(listener, Arc::clone(&origin)));
                (addr, Seen::Origin(origin))
            }
        };
        Ok(Self {
            addr,
            seen,
            running,
            port: None,
        })
    }

    /// How many requests came in.
    pub(crate) fn requests(&self) -> usize {
        match &self.seen {
            Seen::Gateway(counts) => {
                usize::try_from(counts.snapshot().requests).unwrap_or(usize::MAX)
            }
            Seen::Origin(origin) => lock(origin).requests.len(),
        }
    }

    /// When each request came in, from `started`; only an origin remembers.
    pub(crate) fn moments(&self, started: Instant) -> Vec<Duration> {
        match &self.seen {
            Seen::Gateway(_) => Vec::new(),
            Seen::Origin(origin) => {
                let origin = lock(origin);
                let since = |at: &Instant| at.saturating_duration_since(started);
                origin.requests.iter().map(since).collect()
            }
        }
    }

    /// From now on the limit is another one.
    pub(crate) fn set_rate(&self, rate: u32) {
        if let Seen::Origin(origin) = &self.seen
            && let Some(bucket) = &mut lock(origin).bucket
        {
            bucket.fill(clock::now());
            bucket.rate = f64::from(rate);
        }
    }

    /// Answers everything with 503, or no longer so.
    pub(crate) fn set_unavailable(&self, is_unavailable: bool) {
        if let Seen::Origin(origin) = &self.seen {
            lock(origin).is_unavailable = is_unavailable;
        }
    }

    /// Closes every connection and refuses new ones.
    pub(crate) async fn leave(&mut self) -> Result<(), Fault> {
        self.running.shutdown().await;
        let port = TcpSocket::new_v4()?;
        port.set_reuseaddr(true)?;
        port.bind(self.addr)?;
        self.port = Some(port);
        Ok(())
    }

    /// Is there again.
    pub(crate) fn come_back(&mut self) -> Result<(), Fault> {
        if let (Some(port), Seen::Origin(origin)) = (self.port.take(), &self.seen) {
            let listener = port.listen(BACKLOG)?;
            self.running.spawn(serve(listener, Arc::clone(origin)));
        }
        Ok(())
    }
}

/// Serves until it is dropped, which closes every connection.
async fn serve(listener: TcpListener, origin: Arc<Mutex<Origin>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // One that cannot be accepted is its client's loss, and shows in the figures.
                let Ok((stream, _)) = accepted else { continue };
                stream.set_nodelay(true).ok();
                let origin = Arc::clone(&origin);
                let service = service_fn(move |request| answer(request, Arc::clone(&origin)));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    origin: Arc<Mutex<Origin>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let answer = lock(&origin).judge(request.uri().path(), clock::now());
    if let Answer::Good { after } = answer
        && !after.is_zero()
    {
        tokio::time::sleep(after).await;
    }
    Ok(answer.dress())
}

impl Origin {
    fn judge(&mut self, path: &str, now: Instant) -> Answer {
        self.requests.push(now);
        if self.is_unavailable {
            Answer::Unavailable
        } else if path.starts_with("/v1/sick") {
            Answer::LooksThrottled
        } else if path.starts_with("/v1/told") {
            Answer::LeaveMeAlone
        } else if self.bucket.as_mut().is_none_or(|bucket| bucket.take(now)) {
            Answer::Good {
                after: self.service_time,
            }
        } else {
            Answer::Throttled
        }
    }
}

impl Answer {
    /// As an API of AWS would say it.
    fn dress(&self) -> Response<Full<Bytes>> {
        let answer = Response::builder().header(CONTENT_TYPE, "application/json");
        let throttled = "TooManyRequestsException";
        let (answer, body) = match self {
            Self::Good { .. } => (answer, r#"{"done":true}"#),
            Self::Throttled => (
                answer.status(429).header("x-amzn-ErrorType", throttled),
                r#"{"message":"Too Many Requests"}"#,
            ),
            Self::LeaveMeAlone => (
                answer
                    .status(429)
                    .header("x-amzn-ErrorType", throttled)
                    .header(RETRY_AFTER, "60"),
                r#"{"message":"Too Many Requests"}"#,
            ),
            Self::LooksThrottled => (
                answer
                    .status(500)
                    .header("x-amzn-ErrorType", "InternalServerErrorException"),
                r#"{"message": "Internal server error"}"#,
            ),
            Self::Unavailable => (
                answer.status(503).header("apigw-requestid", "goodput"),
                r#"{"message":"Service Unavailable"}"#,
            ),
        };
        answer
            .body(Full::from(body))
            .expect("every name and value above is one")
    }
}

impl Bucket {
    fn new(rate: u32) -> Self {
        let rate = f64::from(rate);
        Self {
            rate,
            tokens: rate * BURST_SECONDS,
            at: clock::now(),
        }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.rate * BURST_SECONDS);
        self.at = now;
    }

    fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let is_there = self.tokens >= 1.0;
        if is_there {
            self.tokens -= 1.0;
        }
        is_there
    }
}

fn lock(origin: &Mutex<Origin>) -> MutexGuard<'_, Origin> {
    origin.lock().unwrap_or_else(PoisonError::into_inner)
}

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// A bucket of 50 at 100 a second.
const BURST_SECONDS: f64 = 0.5;
/// Room for everybody who comes at the moment of the return.
const BACKLOG: u32 = 1_024;
