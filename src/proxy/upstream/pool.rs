//! The connections to one upstream: how many, how old, and which of them a request may be trusted to.
//!
//! Whether a connection speaks HTTP/1.1 ([`http1`]) or HTTP/2 ([`streams`](super::streams)) is the upstream's choice, over
//! TLS (ALPN), as far as there is one ([`offer`](super::offer)); in cleartext it is HTTP/1.1. A request leases a connection
//! or a stream of one. `connections.max` counts connections, however many streams they have.
//!
//! A connection that speaks HTTP/1.1 carries one request at a time, and is given back when the answer's body has ended; a
//! lease that is dropped earlier closes it, so that the upstream learns at once that nobody waits. One that the upstream
//! closes just when we write to it loses the request without a trace of whether it was read. Requests that may not be sent
//! twice are therefore only given connections that have been quiet for [`SETTLE`] and that the kernel knows no end of; all
//! others take the most recently used one. On HTTP/2 a request that was not looked at is said to be so, and any connection
//! will do.
//!
//! Nobody polls a connection of HTTP/1.1 that is not used. That the upstream has closed it is seen when it is taken, or else by
//! the sweeper, after [`SWEEP_MAX`] at most.
//!
//! While it is not known that the upstream speaks HTTP/1.1 only, one connection is made at a time, since the others may
//! turn out to need none of their own; nobody waits for somebody else's for longer than [`SHARE_WAIT`].

use std::collections::VecDeque;
use std::ops::ControlFlow;
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
use super::offer::{Offer, Required};
use super::streams::{Stream, Streams};
use super::wire::Held;
use super::{ConnectionParams, HeaderCase, Trust};
use crate::clock;
use crate::retry::classify::{Fault, FaultKind};

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
    required: Required,
    /// Whether a connection that is being made may turn out to carry other requests, too.
    may_share: AtomicBool,
    /// Held by whoever makes a connection that others may share.
    making: Semaphore,
    pub(super) tasks: TaskTracker,
    open: IntGauge,
}

struct Idle {
    connection: Box<http1::Connection>,
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
            may_share: AtomicBool::new(true),
            connector,
            params,
            header_case,
            slots: Arc::new(Semaphore::new(params.max)),
            idle: Mutex::new(VecDeque::new()),
            streams: Streams::new(params),
            required: Required::default(),
            making: Semaphore::new(1),
            tasks: TaskTracker::new(),
            open,
        });
        inner.tasks.spawn(sweep(Arc::downgrade(&inner), params));
        Self(inner)
    }

    /// A place to send one request; one that asks for an upgrade needs HTTP/1.1. Waits while `connections.max` are in use;
    /// the caller limits that wait.
    pub(super) async fn lease(
        &self,
        trust: Trust,
        asks_upgrade: bool,
        connect: Duration,
    ) -> Result<Lease, Fault> {
        let inner = &self.0;
        let offer = inner.offer(asks_upgrade);
        let slot = match inner.slot(offer).await {
            ControlFlow::Break(stream) => return Ok(Lease::Stream(stream)),
            ControlFlow::Continue(slot) => slot,
        };
        if let Some(connection) = inner.take_idle(trust) {
            return Ok(inner.whole(connection, slot, true));
        }
        let _turn = match Box::pin(inner.turn_to_make(offer)).await {
            ControlFlow::Break(stream) => return Ok(Lease::Stream(stream)),
            ControlFlow::Continue(turn) => turn,
        };
        inner.make_room();
        // Boxed, so that the many who find a connection do not carry room for making one.
        Box::pin(inner.open(offer, slot, connect)).await
    }

    /// How many connections of HTTP/1.1 nobody uses.
    #[cfg(test)]
    pub(super) fn idle_connections(&self) -> usize {
        self.0.idle().len()
    }

    /// No HTTP/2 connection of now carries any more requests; those that they carry go on.
    pub(super) fn retire_streams(&self) {
        self.0.streams.retire_all();
    }

    /// The upstream requires HTTP/1.1.
    pub(super) fn require_http1(&self) {
        self.0.required.http1(clock::now());
        self.retire_streams();
    }
}

impl Inner {
    fn offer(&self, asks_upgrade: bool) -> Offer {
        if self.connector.negotiates() {
            self.required.offer(asks_upgrade, clock::now())
        } else {
            Offer::Http1
        }
    }

    /// The most recently used connection that can be trusted with the request; what cannot be used any more goes.
    fn take_idle(&self, trust: Trust) -> Option<Box<http1::Connection>> {
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
            if self.is_usable(&candidate, trust, now) {
                return Some(candidate.connection);
            }
        }
    }

    fn is_usable(&self, candidate: &Idle, trust: Trust, now: Instant) -> bool {
        let Idle { connection, since } = candidate;
        let rested = now.saturating_duration_since(*since);
        // A system call more would tell the little that came since the runtime has looked.
        let is_hot = trust == Trust::Any && rested < SETTLE;
        rested < self.params.idle
            && now.saturating_duration_since(connection.born) < self.params.max_age
            && (is_hot || connection.is_quiet())
    }

    pub(super) fn put_idle(&self, connection: Box<http1::Connection>) {
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

    /// The right to another connection, or a stream of one that there is, if that comes first.
    async fn slot(&self, offer: Offer) -> ControlFlow<Stream, OwnedSemaphorePermit> {
        let slots = Arc::clone(&self.slots);
        let slot = async {
            let slot = slots.acquire_owned().await;
            slot.expect("the pool never closes its semaphore")
        };
        match offer {
            Offer::Both => self.streams.or(slot).await,
            Offer::Http1 => match Arc::clone(&self.slots).try_acquire_owned() {
                Ok(slot) => ControlFlow::Continue(slot),
                Err(_) => ControlFlow::Continue(Box::pin(self.streams.make_way(slot)).await),
            },
        }
    }

    /// Waits until nobody makes a connection that others may share, but not for ever: see [`SHARE_WAIT`].
    async fn turn_to_make(&self, offer: Offer) -> ControlFlow<Stream, Option<SemaphorePermit<'_>>> {
        if offer == Offer::Http1 || !self.may_share.load(Ordering::Relaxed) {
            return ControlFlow::Continue(None);
        }
        let turn = tokio::time::timeout(SHARE_WAIT, self.making.acquire());
        let turn = self.streams.or(turn).await?;
        match self.streams.take() {
            Some(stream) => ControlFlow::Break(stream),
            None => ControlFlow::Continue(turn.ok().and_then(Result::ok)),
        }
    }

    async fn open(
        self: &Arc<Self>,
        offer: Offer,
        slot: OwnedSemaphorePermit,
        limit: Duration,
    ) -> Result<Lease, Fault> {
        let (by, retirements) = (clock::now() + limit, self.streams.retirements());
        let made = self.connector.connect(offer, limit).await;
        if offer == Offer::Http1 && matches!(made, Err(fault) if fault.kind == FaultKind::TlsAlert)
        {
            // So it speaks HTTP/2 only: to hold it to HTTP/1.1 would be to speak to it no more.
            self.required.forget();
        }
        let transport = made?;
        let is_http2 = transport.speaks_http2();
        if offer == Offer::Both {
            self.may_share.store(is_http2, Ordering::Relaxed);
        }
        if is_http2 {
            let held = Held::new(self.open.clone(), Some(slot));
            let freed = self.streams.freed();
            let made = http2::Connection::open(transport, held, freed, &self.tasks, by);
            return Ok(Lease::Stream(self.streams.add(made.await?, retirements)));
        }
        let held = Held::new(self.open.clone(), None);
        let made = http1::Connection::open(transport, self.header_case, held);
        Ok(self.whole(Box::new(made), slot, false))
    }

    fn whole(
        self: &Arc<Self>,
        connection: Box<http1::Connection>,
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

/// Closes connections that nobody uses and that are too old, too long unused, or that the upstream has closed.
async fn sweep(pool: Weak<Inner>, params: ConnectionParams) {
    let pause = (params.idle.min(params.max_age) / 4).clamp(SWEEP_MIN, SWEEP_MAX);
    loop {
        tokio::time::sleep(pause).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = clock::now();
        pool.idle()
            .retain(|candidate| pool.is_usable(candidate, Trust::Settled, now));
        pool.streams.sweep(now);
    }
}

/// How long a connection must have been quiet before it is trusted with a request that may not be sent twice: an upstream
/// that closes after its answer does so right behind it, far within this. It is not longer, since at 10,000 such requests a second 200
/// connections do nothing but wait for it.
///
/// One that was used less than this ago is not looked at again before a request that may be sent twice: what the runtime has heard of is
/// read before anything is written, and it asks the kernel for news every few milliseconds.
const SETTLE: Duration = Duration::from_millis(20);

/// How long a request waits for a connection that somebody else makes before it makes its own.
const SHARE_WAIT: Duration = Duration::from_secs(1);

/// The sweeper's shortest and longest pause.
const SWEEP_MIN: Duration = Duration::from_millis(250);
const SWEEP_MAX: Duration = Duration::from_secs(5);
