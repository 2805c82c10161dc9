//! The connections to one upstream: how many, how old, and which of them a request goes to.
//!
//! Whether a connection speaks HTTP/1.1 ([`http1`]) or HTTP/2 ([`streams`](super::streams)) is the upstream's choice, over
//! TLS (ALPN), as far as there is one ([`offer`](super::offer)); in cleartext it is HTTP/1.1. A request leases a connection
//! or a stream of one. `connections.max` counts connections, however many streams they have.
//!
//! A connection that speaks HTTP/1.1 carries one request at a time, and is given back when the answer's body has ended; a
//! lease that is dropped earlier closes it, so that the upstream learns at once that nobody waits. Which of them a request may
//! be trusted to is for [`idle`](super::idle) to say; the sweeper comes by after [`SWEEP_MAX`] at most. On HTTP/2 a request that
//! was not looked at is said to be so, and any connection will do.
//!
//! While it is not known that the upstream speaks HTTP/1.1 only, one connection is made at a time, since the others may
//! turn out to need none of their own; nobody waits for somebody else's for longer than [`SHARE_WAIT`].

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio_util::task::TaskTracker;

use super::connect::Connector;
use super::http1;
use super::http2;
use super::idle::Idle;
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
    pub(super) idle: Idle,
    streams: Streams,
    required: Required,
    /// Whether a connection that is being made may turn out to carry other requests, too.
    may_share: AtomicBool,
    /// Held by whoever makes a connection that others may share.
    making: Semaphore,
    pub(super) tasks: TaskTracker,
    open: IntGauge,
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
            idle: Idle::new(params),
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
    pub(super) fn lease(
        &self,
        trust: Trust,
        asks_upgrade: bool,
        connect: Duration,
    ) -> impl Future<Output = Result<Lease, Fault>> + Send {
        let inner = &self.0;
        let offer = inner.offer(asks_upgrade);
        // A block, since the future of a function has room for its arguments twice. Boxed is what is rare, so that the many who
        // find a slot and a connection do not carry room for it.
        async move {
            let slot = match inner.free_slot(offer) {
                Some(slot) => slot,
                None => Box::pin(inner.awaited_slot(offer)).await,
            };
            let slot = match slot {
                ControlFlow::Break(stream) => return Ok(Lease::Stream(stream)),
                ControlFlow::Continue(slot) => slot,
            };
            match inner.idle.take(trust) {
                Some(connection) => Ok(inner.whole(connection, slot, true)),
                None => Box::pin(inner.make(offer, slot, connect)).await,
            }
        }
    }

    /// How many connections of HTTP/1.1 nobody uses.
    #[cfg(test)]
    pub(super) fn idle_connections(&self) -> usize {
        self.0.idle.len()
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

    /// Leases and idle connections together never exceed `connections.max`: the longest unused one makes room.
    fn make_room(&self) {
        let leased = self.params.max - self.slots.available_permits().min(self.params.max);
        self.idle.make_room(leased);
    }

    /// A stream of a connection that there is, or the right to another connection, if either is to be had at once.
    fn free_slot(&self, offer: Offer) -> Option<ControlFlow<Stream, OwnedSemaphorePermit>> {
        if offer == Offer::Both
            && let Some(stream) = self.streams.take()
        {
            return Some(ControlFlow::Break(stream));
        }
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        slot.ok().map(ControlFlow::Continue)
    }

    /// The same as soon as there is one.
    async fn awaited_slot(&self, offer: Offer) -> ControlFlow<Stream, OwnedSemaphorePermit> {
        let slot = async {
            let slot = Arc::clone(&self.slots).acquire_owned().await;
            slot.expect("the pool never closes its semaphore")
        };
        match offer {
            Offer::Both => self.streams.or(slot).await,
            Offer::Http1 => ControlFlow::Continue(self.streams.make_way(slot).await),
        }
    }

    /// A connection that is made for the request, or a stream of one that somebody else makes meanwhile.
    async fn make(
        self: &Arc<Self>,
        offer: Offer,
        slot: OwnedSemaphorePermit,
        limit: Duration,
    ) -> Result<Lease, Fault> {
        let _turn = match self.turn_to_make(offer).await {
            ControlFlow::Break(stream) => return Ok(Lease::Stream(stream)),
            ControlFlow::Continue(turn) => turn,
        };
        self.make_room();
        self.open(offer, slot, limit).await
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
}

/// Closes connections that nobody uses and that are too old, too long unused, or that the upstream has closed.
async fn sweep(pool: Weak<Inner>, params: ConnectionParams) {
    let pause = (params.idle.min(params.max_age) / 4).clamp(SWEEP_MIN, SWEEP_MAX);
    loop {
        tokio::time::sleep(pause).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = clock::now();
        pool.idle.sweep(now);
        pool.streams.sweep(now);
    }
}

/// How long a request waits for a connection that somebody else makes before it makes its own.
const SHARE_WAIT: Duration = Duration::from_secs(1);

/// The sweeper's shortest and longest pause.
const SWEEP_MIN: Duration = Duration::from_millis(250);
const SWEEP_MAX: Duration = Duration::from_secs(5);
