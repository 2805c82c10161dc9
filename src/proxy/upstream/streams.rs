//! HTTP/2 connections to the upstream: many requests at a time, each on a stream of its own.
//!
//! Streams go to the oldest connection that has room, so that those which are not needed fall idle and close. A connection
//! that is too old, or that the upstream wants to end (GOAWAY), gets no more streams and closes with its last one. What is
//! on the wire is [`http2`](super::http2)'s business.

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hyper::client::conn::http2::SendRequest;
use tokio::sync::Notify;

use super::ConnectionParams;
use super::http2::Connection;
use super::ledger::Ledger;
use crate::clock;
use crate::proxy::body::RequestBody;

/// The HTTP/2 connections to one upstream.
pub(super) struct Streams {
    params: ConnectionParams,
    open: Mutex<Vec<Arc<Shared>>>,
    /// How often all of them were retired.
    retirements: AtomicU64,
    told: Told,
}

/// Who waits for what.
#[derive(Clone, Default)]
struct Told {
    /// A stream may have become free.
    freed: Arc<Notify>,
    /// A connection carries nothing any more.
    emptied: Arc<Notify>,
}

/// A connection, and how many streams of it are in use.
struct Shared {
    connection: Connection,
    born: Instant,
    load: Mutex<Load>,
    told: Told,
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
            retirements: AtomicU64::new(0),
            told: Told::default(),
        }
    }

    /// A stream of the oldest connection that has room.
    pub(super) fn take(&self) -> Option<Stream> {
        let open = self.usable(clock::now());
        let roomy = open.iter().find(|connection| connection.has_room());
        roomy.map(Stream::new)
    }

    /// To be asked before a connection is made, and told when it is taken in.
    pub(super) fn retirements(&self) -> u64 {
        self.retirements.load(Ordering::Acquire)
    }

    /// Takes in a connection that was just made, and the first of its streams. Whoever waits for one may have the others,
    /// unless it was begun before all were retired.
    pub(super) fn add(&self, connection: Connection, retirements: u64) -> Stream {
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
            told: self.told.clone(),
        });
        let first = Stream::new(&shared);
        let mut open = self.usable(now);
        if retirements == self.retirements() {
            open.push(shared);
        }
        drop(open);
        self.told.freed.notify_waiters();
        first
    }

    /// Waits for a stream or for `other`, whichever comes first.
    pub(super) async fn or<T>(&self, other: impl Future<Output = T>) -> ControlFlow<Stream, T> {
        let mut other = pin!(other);
        loop {
            // Listening before looking, so that a stream that becomes free in between is not missed.
            let mut freed = pin!(self.told.freed.notified());
            freed.as_mut().enable();
            if let Some(stream) = self.take() {
                return ControlFlow::Break(stream);
            }
            tokio::select! {
                done = &mut other => return ControlFlow::Continue(done),
                () = freed => {}
            }
        }
    }

    /// Waits for `slot`, which only the end of a connection may give: where one carries nothing, it ends.
    pub(super) async fn make_way<T>(&self, slot: impl Future<Output = T>) -> T {
        let mut slot = pin!(slot);
        loop {
            let mut emptied = pin!(self.told.emptied.notified());
            emptied.as_mut().enable();
            self.close_unused();
            tokio::select! {
                biased; // where there is a slot by now, nothing else has to end for it
                slot = &mut slot => return slot,
                () = emptied => {}
            }
        }
    }

    /// Lets go of the connections that get no more streams; each closes with the last of those that it has.
    pub(super) fn sweep(&self, now: Instant) {
        drop(self.usable(now));
    }

    /// No connection of now gets any more streams, nor one that is being made.
    pub(super) fn retire_all(&self) {
        let mut open = self.open();
        self.retirements.fetch_add(1, Ordering::Release);
        open.clear();
    }

    /// What is told when the upstream takes more streams.
    pub(super) fn freed(&self) -> Arc<Notify> {
        Arc::clone(&self.told.freed)
    }

    /// Lets go of the connection that has carried nothing for longest, if there is any.
    fn close_unused(&self) {
        let mut open = self.usable(clock::now());
        let unused = open.iter().enumerate().filter_map(|(index, connection)| {
            let load = connection.load();
            (load.streams == 0).then_some((load.idle_since, index))
        });
        if let Some((_, longest)) = unused.min() {
            open.remove(longest);
        }
    }

    fn usable(&self, now: Instant) -> MutexGuard<'_, Vec<Arc<Shared>>> {
        let mut open = self.open();
        open.retain(|connection| connection.is_usable(now, self.params));
        open
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<Shared>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
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
        let is_unused = load.streams == 0;
        drop(load);
        let Told { freed, emptied } = &self.shared.told;
        freed.notify_one();
        if is_unused {
            emptied.notify_waiters();
        }
    }
}

/// The most streams of one connection, whatever the upstream allows: a lost packet holds up all of them. API Gateway
/// allows 128.
const STREAMS_MAX: usize = 100;

#[cfg(test)]
mod tests;
