//! The clients: who asks for what and when, and what each of them saw.
//!
//! Open loop: a request is sent when its time has come, however many are unanswered, so that a slow answer delays no other
//! request and hides none. Waits count from that moment. Connections are kept and used again, as most clients do; there are
//! at most [`CONNECTIONS_MAX`], and a request that finds none free waits for one on its own account. Nobody retries.
//! It ends by itself: every request is given up after [`PATIENCE`].

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use redrive::clock;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// One request before it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// When, from the beginning.
    pub(crate) at: Duration,
    pub(crate) who: Who,
}

/// Whose request it is, which decides where it goes and what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// A client of the proxy.
    Client,
    /// A client of the proxy that asks for what never works.
    Sick,
    /// A client of the proxy that is told to come back after a minute.
    Told,
    /// Somebody else, who goes to the upstream directly.
    Neighbour,
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    pub(crate) who: Who,
    /// When it was due, from the beginning.
    pub(crate) at: Duration,
    /// From then to the last byte of the answer, or to giving up.
    pub(crate) waited: Duration,
    /// The same from the moment when it was really sent: without the timer's lateness, which is the bench's own.
    pub(crate) took: Duration,
    /// The answer's status; `None` where there was no whole answer.
    pub(crate) status: Option<u16>,
}

/// Requests at `rate` a second on average, at random moments of `length`.
pub(crate) fn steady(rate: u32, length: Duration, rng: &mut fastrand::Rng) -> Vec<Duration> {
    let count = u128::from(rate) * length.as_millis() / 1_000;
    let mut moments: Vec<_> = (0..count).map(|_| length.mul_f64(rng.f64())).collect();
    moments.sort_unstable();
    moments
}

/// 60 requests a second on average: 24 a second, and in every five seconds 300 a second for 0.65 s, five times the mean.
pub(crate) fn bursty(length: Duration, rng: &mut fastrand::Rng) -> Vec<Duration> {
    let mut moments = Vec::new();
    let mut period = Duration::ZERO;
    while period < length {
        let quiet = steady(QUIET_RATE, PERIOD - BURST, rng);
        moments.extend(quiet.iter().map(|&at| {
            let after = if at < BURST_AFTER {
                Duration::ZERO
            } else {
                BURST
            };
            period + at + after
        }));
        let burst = steady(BURST_RATE, BURST, rng);
        moments.extend(burst.iter().map(|&at| period + BURST_AFTER + at));
        period += PERIOD;
    }
    moments.retain(|&at| at < length);
    moments.sort_unstable();
    moments
}

/// Sends everything when it is due, and waits for the last answer. `started` is the beginning.
pub(crate) async fn play(
    arrivals: &[Arrival],
    started: Instant,
    proxy: SocketAddr,
    upstream: SocketAddr,
) -> Vec<Exchange> {
    let through = Arc::new(Clients::new(proxy));
    let direct = Arc::new(Clients::new(upstream));
    let mut requests = JoinSet::new();
    for (number, &arrival) in arrivals.iter().enumerate() {
        tokio::time::sleep_until((started + arrival.at).into()).await;
        let clients = match arrival.who {
            Who::Neighbour => Arc::clone(&direct),
            Who::Client | Who::Sick | Who::Told => Arc::clone(&through),
        };
        requests.spawn(async move { clients.exchange(arrival, number, started).await });
    }
    requests.join_all().await
}

/// The clients of one server, and the connections that they have open.
struct Clients {
    server: SocketAddr,
    slots: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

/// A connection, and the future that moves its bytes: polled only while there is an exchange on it.
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    bytes: Pin<Box<http1::Connection<TokioIo<TcpStream>, Empty<Bytes>>>>,
}

impl Clients {
    fn new(server: SocketAddr) -> Self {
        Self {
            server,
            slots: Semaphore::new(CONNECTIONS_MAX),
            idle: Mutex::new(Vec::new()),
        }
    }

    async fn exchange(&self, arrival: Arrival, number: usize, started: Instant) -> Exchange {
        let due = started + arrival.at;
        let sent = clock::now();
        let path = match arrival.who {
            Who::Client | Who::Neighbour => format!("/v1/orders/{number}"),
            Who::Sick => format!("/v1/sick/{number}"),
            Who::Told => format!("/v1/told/{number}"),
        };
        let asked = tokio::time::timeout_at((due + PATIENCE).into(), self.ask(&path)).await;
        let answered = clock::now();
        Exchange {
            who: arrival.who,
            at: arrival.at,
            waited: answered.saturating_duration_since(due),
            took: answered.saturating_duration_since(sent),
            status: asked.ok().and_then(Result::ok),
        }
    }

    async fn ask(&self, path: &str) -> Result<u16, Broken> {
        let _slot = self.slots.acquire().await?;
        let kept = self.idle().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(self.server).await?,
        };
        let status = match connection.ask(self.server, path).await {
            Ok(status) => status,
            // The server may have closed it while nobody looked, and then no byte of an answer was there.
            Err(Broken) if connection.sender.is_closed() => {
                connection = Connection::open(self.server).await?;
                connection.ask(self.server, path).await?
            }
            Err(Broken) => return Err(Broken),
        };
        if connection.is_reusable().await {
            self.idle().push(connection);
        }
        Ok(status)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    async fn open(server: SocketAddr) -> Result<Self, Broken> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let (sender, bytes) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender,
            bytes: Box::pin(bytes),
        })
    }

    async fn ask(&mut self, server: SocketAddr, path: &str) -> Result<u16, Broken> {
        let request = Request::get(path).header("host", server.to_string());
        let request = request.body(Empty::new())?;
        let sender = &mut self.sender;
        let mut exchange = std::pin::pin!(async {
            let answer = sender.send_request(request).await?;
            let status = answer.status().as_u16();
            // An answer counts once it is there as a whole.
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
            body.collect().await.map_err(|_| Broken)?;
            Ok(status)
        });
        tokio::select! {
            biased;
            status = &mut exchange => status,
            // It may end before the exchange has looked at what came.
            _ = &mut self.bytes => exchange.await,
        }
    }

    /// Whether the server leaves it open for the next request.
    async fn is_reusable(&mut self) -> bool {
        tokio::select! {
            biased;
            ready = self.sender.ready() => ready.is_ok(),
            _ = &mut self.bytes => false,
        }
    }
}

/// There was no whole answer.
#[derive(Debug)]
struct Broken;

impl<E: std::error::Error> From<E> for Broken {
    fn from(_: E) -> Self {
        Self
    }
}

/// The most connections to one server. Five times the limit for as long as redrive lets somebody wait are 5,000 requests,
/// most of which it turns away long before.
pub(crate) const CONNECTIONS_MAX: usize = 4_000;
/// Longer than redrive's own limit of 30 s, so that the proxy has the last word.
const PATIENCE: Duration = Duration::from_secs(35);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The bursty traffic's shape: what `redrive demo` plays.
const PERIOD: Duration = Duration::from_secs(5);
const BURST_AFTER: Duration = Duration::from_secs(1);
const BURST: Duration = Duration::from_millis(650);
const BURST_RATE: u32 = 300;
const QUIET_RATE: u32 = 24;
