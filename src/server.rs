//! The client's side: accepts connections and hands requests to the service, one task a connection.
//!
//! Generic over the service, so that it knows nothing of proxying. HTTP/1.1, HTTP/1.0 and HTTP/2 with prior knowledge (h2c)
//! are told apart by their first bytes. A connection is closed when it is idle for `client.idle`, when a request's head
//! takes longer than `client.header_timeout`, or when the server stops; see `server/activity.rs` for the first two, and for
//! clients that hang up or take nothing of their answer for `client.body_idle`. What is no request at all is refused by
//! hyper, in the words of `server/refusal.rs`, and so is what `server/framing.rs` finds to be more than one.
//!
//! Limits: one connection more than `client.max_connections` is answered 503 and closed, and counted. When the process
//! runs out of file descriptors, accepting pauses for `ACCEPT_PAUSE` and goes on.

mod activity;
mod framing;
mod refusal;
mod watch;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use prometheus::{IntCounter, IntGauge, Registry};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use self::activity::{Activity, Overdue};
use self::watch::{Counted, Watched};
use crate::tcp::SharedTcp;

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
    /// The longest pause inside a body, and the longest that a client may take nothing of its answer.
    pub body_idle: Duration,
    /// The most bytes of a request's head; more is answered 431.
    pub header_bytes: usize,
    /// Whether a client that closed its sending side is still answered.
    pub half_close: bool,
    /// Whether header names are written in Title-Case.
    pub title_case_headers: bool,
    /// Whether header names keep the case that they came in.
    pub preserve_header_case: bool,
}

/// A bound listener, not accepting yet.
pub struct Server {
    listener: TcpListener,
    params: Params,
    metrics: Metrics,
}

/// What the listener counts.
#[derive(Clone)]
struct Metrics {
    open: IntGauge,
    rejected: IntCounter,
}

/// An error that only has to be told.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Server {
    /// Binds the listener.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(params: Params, registry: &Registry) -> io::Result<Self> {
        let listener = TcpListener::bind(params.listen).await?;
        let metrics = Metrics::register(registry).map_err(io::Error::other)?;
        Ok(Self {
            listener,
            params,
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

    /// Accepts until `stop`; then lets every connection finish what it carries, and returns when none is left. Dropping the
    /// future cuts off those that are.
    /// `make` gives each connection the service for its peer; `refused` is told of every request that no service sees,
    /// since it cannot be read.
    pub async fn run<M, S, B>(
        self,
        make: M,
        refused: impl Fn() + Send + Sync + 'static,
        stop: CancellationToken,
    ) where
        M: Fn(IpAddr) -> S,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let slots = Arc::new(Semaphore::new(self.params.max_connections));
        let builder = Arc::new(builder(&self.params));
        let refused: Arc<dyn Fn() + Send + Sync> = Arc::new(refused);
        let tasks = TaskTracker::new();
        // Dropped with this future, so that no connection outlives it.
        let end = CancellationToken::new();
        let _cut_off = end.clone().drop_guard();
        let mut stopped = pin!(stop.cancelled());
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
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                self.metrics.rejected.inc();
                tasks.spawn(refusal::turn_away(stream));
                continue;
            };
            let connection = Connection {
                stream,
                slot,
                params: self.params.clone(),
                builder: Arc::clone(&builder),
                refused: Arc::clone(&refused),
                stop: stop.clone(),
                open: self.metrics.open.clone(),
            };
            let serve = connection.serve(make(peer.ip()));
            tasks.spawn(end.clone().run_until_cancelled_owned(serve));
        }
        drop(self.listener);
        tasks.close();
        tasks.wait().await;
    }
}

/// One accepted connection.
struct Connection {
    stream: TcpStream,
    slot: OwnedSemaphorePermit,
    params: Params,
    builder: Arc<auto::Builder<TokioExecutor>>,
    refused: Arc<dyn Fn() + Send + Sync>,
    stop: CancellationToken,
    open: IntGauge,
}

impl Connection {
    async fn serve<S, B>(self, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let Self {
            stream,
            slot,
            params,
            builder,
            refused,
            stop,
            open,
        } = self;
        open.inc();
        // A client that answers slowly must not wait for Nagle; failing to say so only costs latency.
        stream
            .set_nodelay(true)
            .unwrap_or_else(|error| tracing::debug!(%error, "no TCP_NODELAY"));
        let activity = Arc::new(Activity::new());
        let tcp = SharedTcp::new(stream);
        let head_bytes = head_bytes_max(&params);
        let watched = Watched::new(tcp.clone(), Arc::clone(&activity), refused, head_bytes);
        let io = TokioIo::new(watched);
        let service = TowerToHyperService::new(Counted::new(service, Arc::clone(&activity)));
        let mut connection = pin!(builder.serve_connection(io, service));
        let done = tokio::select! {
            done = &mut connection => done,
            why = activity.overdue(&params) => {
                tracing::debug!(?why, "client connection closed");
                if why == Overdue::Deaf {
                    tcp.reset_at_close();
                }
                Ok(())
            }
            () = activity.abandoned(&tcp), if !params.half_close => {
                tracing::debug!("client connection closed: the client hung up on its request");
                Ok(())
            }
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = done {
            connection_failed(&error, &tcp);
        }
        open.dec();
        drop(slot);
    }
}

impl Metrics {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let open = IntGauge::new("redrive_client_connections", "Open connections of clients.")?;
        let rejected = IntCounter::new(
            "redrive_rejected_connections_total",
            "Connections turned away because too many were open.",
        )?;
        registry.register(Box::new(open.clone()))?;
        registry.register(Box::new(rejected.clone()))?;
        Ok(Self { open, rejected })
    }
}

fn builder(params: &Params) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        // The service's answers are dated already, or came without a date that is ours to give.
        .auto_date_header(false)
        .half_close(params.half_close)
        .title_case_headers(params.title_case_headers)
        .preserve_header_case(params.preserve_header_case)
        .max_buf_size(head_bytes_max(params));
    builder
        .http2()
        .auto_date_header(false)
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(params.header_bytes).unwrap_or(u32::MAX));
    builder
}

/// The longest head that hyper reads over HTTP/1.
fn head_bytes_max(params: &Params) -> usize {
    params.header_bytes.max(HTTP1_BUFFER_BYTES_MIN)
}

fn connection_failed(error: &BoxError, tcp: &SharedTcp) {
    // An answer that broke must not end as a whole one does, and the end is all that an HTTP/1.0 client has to go by.
    if error
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_user)
    {
        tcp.reset_at_close();
    }
    tracing::debug!(
        error = &**error as &dyn std::error::Error,
        "client connection ended"
    );
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

/// hyper's smallest read buffer; a smaller `header_bytes` has no smaller one.
const HTTP1_BUFFER_BYTES_MIN: usize = 8192;
