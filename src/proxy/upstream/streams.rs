//! HTTP/2 connections to the upstream: many requests at a time, each on a stream of its own.
//!
//! Streams go to the oldest connection that has room, so that those which are not needed fall idle and close. A connection
//! that is too old, or that the upstream wants to end (GOAWAY), gets no more streams and closes with its last one. What is
//! on the wire is [`http2`](super::http2)'s business.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hyper::client::conn::http2::SendRequest;
use tokio::sync::Notify;

use super::ConnectionParams;
use super::http2::Connection;
use super::wire::Ledger;
use crate::clock;
use crate::proxy::body::RequestBody;

/// The HTTP/2 connections to one upstream.
pub(super) struct Streams {
    params: ConnectionParams,
    open: Mutex<Vec<Arc<Shared>>>,
    freed: Arc<Notify>,
}

/// A connection, and how many streams of it are in use.
struct Shared {
    connection: Connection,
    born: Instant,
    load: Mutex<Load>,
    freed: Arc<Notify>,
}

struct Load {
    streams: usize,
    idle_since: Instant,
    carried_any: bool,
    is_retired: bool,
}

/// One stream of a connection, until it is dropped.
pub(super) struct Stream {
    shared: Arc<Shared>,
    /// Whether the connection carried another request before.
    pub(super) reused: bool,
}

impl Streams {
    /// No connection yet.
    pub(super) fn new(params: ConnectionParams) -> Self {
        Self {
            params,
            open: Mutex::new(Vec::new()),
            freed: Arc::new(Notify::new()),
        }
    }

    /// A stream of the oldest connection that has room.
    pub(super) fn take(&self) -> Option<Stream> {
        let open = self.usable(clock::now());
        let roomy = open.iter().find(|connection| connection.has_room());
        roomy.map(Stream::new)
    }

    /// Takes in a connection that was just made, and the first of its streams. Whoever waits for one may have the others.
    pub(super) fn add(&self, connection: Connection) -> Stream {
        let now = clock::now();
        let shared = Arc::new(Shared {
            connection,
            born: now,
            load: Mutex::new(Load {
                streams: 0,
                idle_since: now,
                carried_any: false,
                is_retired: false,
            }),
            freed: Arc::clone(&self.freed),
        });
        let first = Stream::new(&shared);
        self.usable(now).push(shared);
        self.freed.notify_waiters();
        first
    }

    /// Lets go of the connections that get no more streams; each closes with the last of those that it has.
    pub(super) fn sweep(&self, now: Instant) {
        drop(self.usable(now));
    }

    /// What tells when a stream may have become free.
    pub(super) fn freed(&self) -> &Notify {
        &self.freed
    }

    fn usable(&self, now: Instant) -> MutexGuard<'_, Vec<Arc<Shared>>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|connection| connection.is_usable(now, self.params));
        open
    }
}

impl Shared {
    fn is_usable(&self, now: Instant, params: ConnectionParams) -> bool {
        let load = self.load();
        let is_unused_for = now.saturating_duration_since(load.idle_since);
        !load.is_retired
            && !self.connection.sender.is_closed()
            && now.saturating_duration_since(self.born) < params.max_age
            && (load.streams > 0 || is_unused_for < params.idle)
    }

    fn has_room(&self) -> bool {
        self.load().streams < STREAMS_MAX.min(*self.connection.room.borrow())
    }

    fn load(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    /// A stream of this connection; only to be taken where it has room and under the lock of all, so that it has it still.
    fn new(shared: &Arc<Shared>) -> Self {
        let mut load = shared.load();
        load.streams += 1;
        let reused = std::mem::replace(&mut load.carried_any, true);
        drop(load);
        Self {
            shared: Arc::clone(shared),
            reused,
        }
    }

    /// Who is told of the next byte written: of this stream or, since they share the connection, of another one. So an
    /// attempt may pass for sent a moment too early, and never too late.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.shared.connection.ledger
    }

    /// hyper's end of the connection.
    pub(super) fn sender(&self) -> SendRequest<RequestBody> {
        self.shared.connection.sender.clone()
    }

    /// The connection gets no more streams; those that it has go on.
    pub(super) fn retire_connection(&self) {
        self.shared.load().is_retired = true;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut load = self.shared.load();
        load.streams -= 1;
        load.idle_since = clock::now();
        drop(load);
        self.shared.freed.notify_one();
    }
}

/// The most streams of one connection, whatever the upstream allows: a lost packet holds up all of them. API Gateway
/// allows 128.
const STREAMS_MAX: usize = 100;
