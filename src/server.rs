//! The client's side: accepts connections and hands requests to the service, one task a connection.
//!
//! Generic over the service, so that it knows nothing of proxying. HTTP/1.1, HTTP/1.0 and HTTP/2 with prior knowledge (h2c)
//! are told apart by their first bytes. A connection is closed when it is idle for `client.idle`, when a request's head
//! takes longer than `client.header_timeout`, or when the server stops; see `server/activity.rs` for the first two, and for
//! clients that hang up or take nothing of their answer for `client.body_idle`. `server/http1.rs` is the walk of a connection of HTTP/1;
//! what is no request there, or more than one, is refused in the words of `server/refusal.rs`. HTTP/2 is hyper's: `server/http2.rs`
//! holds what one connection may do, `server/calm.rs` how much it may say. `server/upload.rs` keeps a part of a body from looking whole.
//!
//! With `[tls.listen]` a connection begins with a handshake, see `server/secure.rs`; ALPN offers both protocols, and the one
//! that was agreed on is the only one that is spoken.
//!
//! Limits: one connection more than `client.max_connections` is answered 503 and closed, and counted; `TURNED_AWAY_MAX` of
//! them at once are given time to hear it. When the process runs out of file descriptors all the same, accepting pauses for
//! `ACCEPT_PAUSE` and goes on; meanwhile `tcp::BACKLOG` of them wait.

mod activity;
mod answer;
mod aside;
mod calm;
mod connection;
mod counted;
mod ending;
mod frames;
mod hasty;
mod http1;
mod http2;
mod refusal;
mod secure;
mod taken;
mod terms;
mod upload;
mod watch;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use prometheus::{IntCounter, IntGauge, Registry};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::{Connection, Places};
use self::refusal::Excess;
use crate::tcp;
use crate::tls::{Reloading, ServerParams};

pub use self::ending::Ending;
pub use self::refusal::TURNED_AWAY_MAX;
pub use self::terms::Terms;
pub use self::upload::{Broken, Upload};

/// What clients may do (`listen`, `[client]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The most connections at once; one more is answered 503 and closed.
    pub max_connections: usize,
    /// The longest that a request's head may take.
    pub header_timeout: Duration,
    /// The longest that a connection may be idle between requests.
    pub idle: Duration,
    /// The longest pause inside a body, and the longest that a client may take nothing of what it is given: its answer, or the go-ahead
    /// (100 Continue) that it waits for.
    pub body_idle: Duration,
    /// The most bytes of a request's head; more is answered 431.
    pub header_bytes: usize,
    /// Whether a client that closed its sending side is still answered.
    pub half_close: bool,
    /// Whether header names are written in Title-Case.
    pub title_case_headers: bool,
    /// Whether header names keep the case that they came in.
    pub preserve_header_case: bool,
    /// TLS, where clients are to speak it.
    pub tls: Option<ServerParams>,
}

/// A bound listener, not accepting yet.
pub struct Server {
    listener: TcpListener,
    terms: Terms,
    tls: Option<Tls>,
    metrics: Metrics,
}

/// What handshakes are made with; read again when its files change.
pub type Tls = Arc<Reloading<ServerConfig>>;

/// What the listener counts.
#[derive(Clone)]
struct Metrics {
    open: IntGauge,
    rejected: IntCounter,
}

/// An error that only has to be told.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[cfg(test)]
impl Params {
    /// Any free port of loopback, for one connection.
    fn of_tests() -> Self {
        Self {
            listen: (std::net::Ipv4Addr::LOCALHOST, 0).into(),
            max_connections: 1,
            header_timeout: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body_idle: Duration::from_secs(30),
            header_bytes: 32 << 10,
            half_close: false,
            title_case_headers: false,
            preserve_header_case: false,
            tls: None,
        }
    }
}

impl Server {
    /// Binds the listener; with `tls` clients speak TLS.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(params: Params, tls: Option<Tls>, registry: &Registry) -> io::Result<Self> {
        let listener = tcp::listen(params.listen)?;
        let metrics = Metrics::register(registry).map_err(io::Error::other)?;
        Ok(Self {
            listener,
            terms: Terms::new(&params),
            tls,
            metrics,
        })
    }

    /// Where it listens; tells the port when it was bound to port 0.
    ///
    /// # Errors
    /// When the socket does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What connections begin with, to be changed while it runs.
    pub fn terms(&self) -> Terms {
        self.terms.clone()
    }

    /// Accepts until it is to stop; then lets every connection finish what it carries, and returns when none is left. Dropping the
    /// future cuts off those that are.
    /// `make` gives each connection the service for its peer; `refused` is told of every request that no service sees,
    /// since it cannot be read.
    pub async fn run<M, S, F, B>(
        self,
        make: M,
        refused: impl Fn() + Send + Sync + 'static,
        ending: Ending,
    ) where
        M: Fn(IpAddr) -> S,
        S: Fn(Request<Upload>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + Unpin + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let places = Places::new(&self.metrics.open);
        let refused: Arc<dyn Fn() + Send + Sync> = Arc::new(refused);
        let tasks = TaskTracker::new();
        let excess = Excess::new(&tasks);
        // Dropped with this future, so that no connection outlives it.
        let end = CancellationToken::new();
        let _cut_off = end.clone().drop_guard();
        let mut stopped = pin!(ending.stop.cancelled());
        loop {
            let (stream, peer) = tokio::select! {
                () = &mut stopped => break,
                accepted = self.listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        accept_failed(&error).await;
                        continue;
                    }
                },
            };
            let terms = self.terms.now();
            let Some(place) = places.take(terms.params.max_connections) else {
                self.metrics.rejected.inc();
                // Over TLS there is nothing to say before a handshake, which is just what there is no room for.
                if self.tls.is_none() {
                    excess.turn_away(stream);
                }
                continue;
            };
            let connection = Connection {
                stream,
                place,
                terms,
                tls: self.tls.clone(),
                refused: Arc::clone(&refused),
                ending: ending.clone(),
                rejected: self.metrics.rejected.clone(),
            };
            // Boxed, or each of the futures around it would have room for it once more.
            let serve = Box::pin(connection.serve(make(peer.ip())));
            tasks.spawn(ending::or_cut_off(end.clone(), serve));
        }
        drop(self.listener);
        tasks.close();
        tasks.wait().await;
    }
}

impl Metrics {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let open = IntGauge::new("redrive_client_connections", "Open connections of clients.")?;
        let rejected = IntCounter::new(
            "redrive_rejected_connections_total",
            "Connections turned away: too many were open, or no TLS came about.",
        )?;
        registry.register(Box::new(open.clone()))?;
        registry.register(Box::new(rejected.clone()))?;
        Ok(Self { open, rejected })
    }
}

async fn accept_failed(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {}
        _ => {
            tracing::warn!(%error, "cannot accept connections just now");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

/// How long accepting pauses when the process has no file descriptor left; one comes back when a connection ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
