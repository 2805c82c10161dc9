//! Speaks HTTP/2 to the upstream: how a connection is made, driven and ended, and what its failures prove.
//!
//! A connection is ready once the upstream's SETTINGS are there, since they say how many streams it takes; a stream
//! beyond them would only be refused. One that fell silent is noticed by its unanswered PING. Which connection carries
//! which request is the business of [`streams`](super::streams).

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, Scheme};
use http::{Request, Uri, Version};
use hyper::client::conn::http2::{self, Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::ledger::Ledger;
use super::wire::{Held, Wire};
use crate::proxy::body::RequestBody;
use crate::retry::classify::{Fault, FaultKind, Sent};

/// A connection that carries many requests at a time. When it is dropped, it ends with the last of them, and after
/// [`CLOSE_WAIT`] in any case.
pub(super) struct Connection {
    /// hyper's end of it.
    pub(super) sender: SendRequest<RequestBody>,
    /// Who is told of the next byte written.
    pub(super) ledger: Arc<Ledger>,
    /// How many streams the upstream takes.
    pub(super) room: watch::Receiver<usize>,
    _end: DropGuard,
}

type Driven<IO> = http2::Connection<IO, RequestBody, Tasks>;

trait Io: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static {}

impl<T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static> Io for T {}

/// Runs hyper's tasks of one connection, and ends those that outlive it.
#[derive(Clone)]
struct Tasks {
    tracker: TaskTracker,
    end: CancellationToken,
}

impl Connection {
    /// Speaks HTTP/2 over a transport that was just made, and waits for the upstream's SETTINGS; `freed` is told when they
    /// change to more streams.
    ///
    /// # Errors
    /// When the upstream closes before, or does not send them by `limit`; nothing of any request was sent.
    pub(super) async fn open(
        transport: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        held: Held,
        freed: Arc<Notify>,
        tracker: &TaskTracker,
        limit: Instant,
    ) -> Result<Self, Fault> {
        let ledger = Arc::new(Ledger::default());
        let failed = |kind| Fault {
            kind,
            sent: Sent::Nothing,
        };
        let closed = |ledger: &Ledger| match ledger.is_alerted() {
            true => failed(FaultKind::TlsAlert),
            false => failed(FaultKind::Closed),
        };
        let wire = TokioIo::new(Wire::new(transport, Arc::clone(&ledger), held));
        let end = CancellationToken::new();
        let guard = end.clone().drop_guard();
        let tasks = Tasks {
            tracker: tracker.clone(),
            end,
        };
        let made = builder(tasks.clone()).handshake(wire);
        let (sender, mut connection) = made.await.map_err(|_| closed(&ledger))?;
        let settled = settled(&mut connection, &ledger);
        let streams = tokio::time::timeout_at(limit.into(), settled)
            .await
            .map_err(|_| failed(FaultKind::ConnectTimeout))?
            .ok_or_else(|| closed(&ledger))?;
        let (told, room) = watch::channel(streams);
        tasks.run(drive(connection, Arc::clone(&ledger), told, freed));
        Ok(Self {
            sender,
            ledger,
            room,
            _end: guard,
        })
    }
}

impl Tasks {
    fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        let end = self.end.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = task => {}
                () = async { end.cancelled().await; tokio::time::sleep(CLOSE_WAIT).await; } => {}
            }
        });
    }
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.run(task);
    }
}

/// How many streams the upstream takes, once it says so; `None` when the connection ends before.
async fn settled<IO: Io>(connection: &mut Driven<IO>, ledger: &Ledger) -> Option<usize> {
    loop {
        tokio::select! {
            _ended = &mut *connection => return None,
            () = ledger.conversed().notified() => match connection.current_max_send_streams() {
                0 => {}
                streams => return Some(streams),
            },
        }
    }
}

/// Drives a connection to its end, and tells how many streams the upstream takes.
async fn drive<IO: Io>(
    mut connection: Driven<IO>,
    ledger: Arc<Ledger>,
    room: watch::Sender<usize>,
    freed: Arc<Notify>,
) {
    let ended = loop {
        tokio::select! {
            ended = &mut connection => break ended,
            () = ledger.conversed().notified() => {
                let streams = connection.current_max_send_streams();
                if room.send_replace(streams) < streams {
                    freed.notify_waiters();
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "upstream connection ended"
        );
    }
}

fn builder(tasks: Tasks) -> Builder<Tasks> {
    let mut builder = Builder::new(tasks);
    builder
        .timer(TokioTimer::new())
        // None before the upstream's SETTINGS, which is how their arrival shows.
        .initial_max_send_streams(0)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WAIT)
        .keep_alive_while_idle(true);
    builder
}

/// The request as HTTP/2 says it: scheme and authority beside the path, and nothing about the connection.
pub(super) fn in_http2(request: &mut Request<RequestBody>) {
    let headers = request.headers_mut();
    headers.remove(CONNECTION);
    headers.remove(TRANSFER_ENCODING);
    let host = headers.remove(HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    // HTTP/2 is spoken over TLS alone: cleartext has no ALPN to agree on it.
    parts.scheme = authority.is_some().then_some(Scheme::HTTPS);
    parts.authority = authority;
    *request.uri_mut() =
        Uri::from_parts(parts).expect("a path is always there, and both or neither of the others");
    *request.version_mut() = Version::HTTP_2;
}

/// What the upstream says of a stream that it will not serve; `None` if it says nothing like it.
///
/// It has not looked at one that a GOAWAY with a lower id or REFUSED_STREAM ends (RFC 9113 section 8.7); h2 ends the streams
/// below a GOAWAY's id with other errors. HTTP_1_1_REQUIRED (section 7) only says that HTTP/1.1 is to be used instead.
pub(super) fn refusal(error: &hyper::Error) -> Option<FaultKind> {
    let error = h2_error(error).filter(|error| error.is_remote())?;
    match error.reason() {
        Some(h2::Reason::HTTP_1_1_REQUIRED) => Some(FaultKind::Http1Required),
        Some(h2::Reason::REFUSED_STREAM) => Some(FaultKind::StreamRefused),
        _ => error.is_go_away().then_some(FaultKind::StreamRefused),
    }
}

/// Whether the upstream wants the connection to end.
pub(super) fn is_farewell(error: &hyper::Error) -> bool {
    h2_error(error).is_some_and(h2::Error::is_go_away)
}

fn h2_error(error: &hyper::Error) -> Option<&h2::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

/// How much of one answer may be on its way: what a client that does not read makes us hold, and at 20 ms from the
/// upstream still 12 MiB/s.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// So much that answers which nobody reads never hold up the others.
const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * 100;

/// How much of one upload is taken from its client before the upstream has room for it.
const SEND_BUFFER_BYTES_MAX: usize = 256 * 1024;

/// The largest head of an answer, as HTTP/2 counts it; API Gateway's are at most 10 KiB.
pub(super) const HEADER_BYTES_MAX: u32 = 64 * 1024;

/// How often a silent connection is asked whether it lives, also an idle one: the next request should not be the one to
/// find out.
const PING_EVERY: Duration = Duration::from_secs(10);

/// How long it may take to say so.
const PING_WAIT: Duration = Duration::from_secs(5);

/// How long the farewell of a connection that nobody uses may take.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
