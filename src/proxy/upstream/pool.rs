//! The connections to one upstream: how many, how old, and which of them a request may be trusted to.
//!
//! Whether a connection speaks HTTP/1.1 ([`http1`]) or HTTP/2 ([`streams`](super::streams)) is the upstream's choice, over
//! TLS (ALPN); in cleartext it is HTTP/1.1. A request leases a connection or a stream of one.
//!
//! A connection that speaks HTTP/1.1 carries one request at a time, and is given back when the answer's body has ended; a
//! lease that is dropped earlier closes it, so that the upstream learns at once that nobody waits. One that the upstream
//! closes just when we write to it loses the request without a trace of whether it was read. Requests that may not be sent
//! twice are therefore only given connections that have been quiet for [`SETTLE`] and that the kernel knows no end of; all
//! others take the most recently used one. On HTTP/2 a request that was not looked at is said to be so, and any connection
//! will do.
//!
//! While it is not known that the upstream speaks HTTP/1.1 only, one connection is made at a time, since the others may
//! turn out to need none of their own; nobody waits for somebody else's for longer than [`SHARE_WAIT`].

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio_util::task::TaskTracker;

use super::connect::Connector;
use super::http1;
use super::http2;
use super::lease::{Lease, Whole};
use super::streams::Streams;
use super::wire::Held;
use super::{ConnectionParams, HeaderCase, Trust};
use crate::clock;
use crate::retry::classify::Fault;

/// The connections to one upstream.
#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

pub(super) struct Inner {
    connector: Connector,
    params: ConnectionParams,
    header_case: HeaderCase,
    slots: Arc<Semaphore>,
    idle: Mutex<VecDeque<Idle>>,
    streams: Streams,
    /// Whether a connection that is being made may turn out to carry other requests, too.
    may_share: AtomicBool,
    /// Held by whoever makes a connection that others may share.
    making: Semaphore,
    pub(super) tasks: TaskTracker,
    open: IntGauge,
}

struct Idle {
    connection: http1::Connection,
    since: Instant,
}

impl Pool {
    /// An empty pool. Its sweeper ends with the last clone.
    pub(super) fn new(
        connector: Connector,
        params: ConnectionParams,
        header_case: HeaderCase,
        open: IntGauge,
    ) -> Self {
        let inner = Arc::new(Inner {
            may_share: AtomicBool::new(connector.negotiates()),
            connector,
            params,
            header_case,
            slots: Arc::new(Semaphore::new(params.max)),
            idle: Mutex::new(VecDeque::new()),
            streams: Streams::new(params),
            making: Semaphore::new(1),
            tasks: TaskTracker::new(),
            open,
        });
        inner.tasks.spawn(sweep(Arc::downgrade(&inner), params));
        Self(inner)
    }

    /// A place to send one request. Waits while `connections.max` are in use; the caller limits that wait.
    pub(super) async fn lease(&self, trust: Trust, connect: Duration) -> Result<Lease, Fault> {
        let inner = &self.0;
        let slot = loop {
            // Listening before looking, so that a stream that becomes free in between is not missed.
            let mut freed = pin!(inner.streams.freed().notified());
            freed.as_mut().enable();
            if let Some(stream) = inner.streams.take() {
                return Ok(Lease::Stream(stream));
            }
            tokio::select! {
                slot = Arc::clone(&inner.slots).acquire_owned() => {
                    break slot.expect("the pool never closes its semaphore");
                }
                () = freed => {}
            }
        };
        if let Some(connection) = inner.take_idle(trust) {
            return Ok(inner.whole(connection, slot, true));
        }
        let _making = inner.turn_to_make().await;
        if let Some(stream) = inner.streams.take() {
            return Ok(Lease::Stream(stream));
        }
        inner.make_room();
        inner.open(slot, connect).await
    }
}

impl Inner {
    /// The most recently used connection that can be trusted with the request; what cannot be used any more goes.
    fn take_idle(&self, trust: Trust) -> Option<http1::Connection> {
        let now = clock::now();
        let settled = |it: &Idle| now.saturating_duration_since(it.since) >= SETTLE;
        let mut idle = self.idle();
        loop {
            // In the order of their last use, so those that are quiet for long enough stand in front.
            let candidates = match trust {
                Trust::Any => idle.len(),
                Trust::Settled => idle.partition_point(settled),
            };
            let candidate = idle.remove(candidates.checked_sub(1)?)?;
            if self.is_usable(&candidate, now) {
                return Some(candidate.connection);
            }
        }
    }

    fn is_usable(&self, candidate: &Idle, now: Instant) -> bool {
        let Idle { connection, since } = candidate;
        now.saturating_duration_since(*since) < self.params.idle
            && now.saturating_duration_since(connection.born) < self.params.max_age
            && connection.sender.is_ready()
            && connection.tcp.is_quiet()
    }

    pub(super) fn put_idle(&self, connection: http1::Connection) {
        let now = clock::now();
        if now.saturating_duration_since(connection.born) < self.params.max_age {
            self.idle().push_back(Idle {
                connection,
                since: now,
            });
        }
    }

    /// Leases and idle connections together never exceed `connections.max`: the longest unused one makes room.
    fn make_room(&self) {
        let leased = self.params.max - self.slots.available_permits().min(self.params.max);
        let mut idle = self.idle();
        while !idle.is_empty() && leased + idle.len() > self.params.max {
            idle.pop_front();
        }
    }

    /// Waits until nobody makes a connection that others may share, but not for ever: see [`SHARE_WAIT`].
    async fn turn_to_make(&self) -> Option<SemaphorePermit<'_>> {
        if !self.may_share.load(Ordering::Relaxed) {
            return None;
        }
        let turn = tokio::time::timeout(SHARE_WAIT, self.making.acquire()).await;
        turn.ok()?.ok()
    }

    async fn open(
        self: &Arc<Self>,
        slot: OwnedSemaphorePermit,
        limit: Duration,
    ) -> Result<Lease, Fault> {
        let by = clock::now() + limit;
        let made = self.connector.connect(limit).await?;
        let is_http2 = made.1.speaks_http2();
        if self.connector.negotiates() {
            self.may_share.store(is_http2, Ordering::Relaxed);
        }
        if is_http2 {
            let held = Held::new(self.open.clone(), Some(slot));
            let connection = http2::Connection::open(made.1, held, &self.tasks, by).await?;
            Ok(Lease::Stream(self.streams.add(connection)))
        } else {
            let held = Held::new(self.open.clone(), None);
            let connection =
                http1::Connection::open(made, self.header_case, held, &self.tasks).await?;
            Ok(self.whole(connection, slot, false))
        }
    }

    fn whole(
        self: &Arc<Self>,
        connection: http1::Connection,
        slot: OwnedSemaphorePermit,
        reused: bool,
    ) -> Lease {
        Lease::Whole(Whole {
            connection,
            pool: Arc::clone(self),
            slot,
            reused,
        })
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes connections that are too old, too long unused, or that the upstream has closed.
async fn sweep(pool: Weak<Inner>, params: ConnectionParams) {
    let pause = (params.idle.min(params.max_age) / 4).clamp(SWEEP_MIN, SWEEP_MAX);
    loop {
        tokio::time::sleep(pause).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = clock::now();
        pool.idle()
            .retain(|candidate| pool.is_usable(candidate, now));
        pool.streams.sweep(now);
    }
}

/// How long a connection must have been quiet before it is trusted with a request that may not be sent twice: an upstream
/// that closes after its answer does so right behind it, far within this.
const SETTLE: Duration = Duration::from_millis(50);

/// How long a request waits for a connection that somebody else makes before it makes its own.
const SHARE_WAIT: Duration = Duration::from_secs(1);

/// The sweeper's shortest and longest pause.
const SWEEP_MIN: Duration = Duration::from_millis(250);
const SWEEP_MAX: Duration = Duration::from_secs(5);
