//! The connections to one upstream: how many, how old, and which of them a request may be trusted to.
//!
//! Every connection carries one request at a time (HTTP/1.1). A request leases a connection and gives it back when the
//! answer's body has ended; a lease that is dropped earlier closes its connection, so that the upstream learns at once
//! that nobody waits.
//!
//! A connection that the upstream closes just when we write to it loses the request without a trace of whether it was
//! read. Requests that may not be sent twice are therefore only given connections that have been quiet for
//! [`SETTLE`] and that the kernel knows no end of; all others take the most recently used one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use super::connect::Connector;
use super::mark::Mark;
use super::wire::{Ledger, Wire};
use super::{ConnectionParams, HeaderCase, Trust};
use crate::clock;
use crate::proxy::body::RequestBody;
use crate::retry::classify::{Fault, FaultKind, Sent};
use crate::tcp::SharedTcp;

/// The connections to one upstream.
#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    connector: Connector,
    params: ConnectionParams,
    header_case: HeaderCase,
    slots: Arc<Semaphore>,
    idle: Mutex<VecDeque<Idle>>,
    tasks: TaskTracker,
    open: IntGauge,
}

/// A connection that carries one request, until it is given back or dropped.
pub(super) struct Lease {
    connection: Connection,
    pool: Arc<Inner>,
    slot: OwnedSemaphorePermit,
    /// Whether it carried another request before.
    pub(super) reused: bool,
}

/// The place of a connection that left HTTP.
pub struct Held {
    _open: Open,
    _lease: Lease,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

struct Connection {
    sender: SendRequest<RequestBody>,
    tcp: SharedTcp,
    ledger: Arc<Ledger>,
    born: Instant,
    _driver: Driver,
}

/// Ends the task that drives a connection when the connection is dropped.
struct Driver(AbortHandle);

/// Counts a connection as open for as long as its driver lives.
struct Open(IntGauge);

impl Pool {
    /// An empty pool. Its sweeper ends with the last clone.
    pub(super) fn new(
        connector: Connector,
        params: ConnectionParams,
        header_case: HeaderCase,
        open: IntGauge,
    ) -> Self {
        let inner = Arc::new(Inner {
            connector,
            params,
            header_case,
            slots: Arc::new(Semaphore::new(params.max)),
            idle: Mutex::new(VecDeque::new()),
            tasks: TaskTracker::new(),
            open,
        });
        inner.tasks.spawn(sweep(Arc::downgrade(&inner), params));
        Self(inner)
    }

    /// A connection to send one request on. Waits while `connections.max` are in use; the caller limits that wait.
    pub(super) async fn lease(&self, trust: Trust, connect: Duration) -> Result<Lease, Fault> {
        let slot = Arc::clone(&self.0.slots)
            .acquire_owned()
            .await
            .expect("the pool never closes its semaphore");
        if let Some(connection) = self.0.take_idle(trust) {
            return Ok(Lease {
                connection,
                pool: Arc::clone(&self.0),
                slot,
                reused: true,
            });
        }
        self.0.make_room();
        let connection = self.0.open(connect).await?;
        Ok(Lease {
            connection,
            pool: Arc::clone(&self.0),
            slot,
            reused: false,
        })
    }
}

impl Lease {
    /// The next byte written on the connection is the first of this attempt.
    pub(super) fn expect(&self, mark: Arc<Mark>) {
        self.connection.ledger.expect(mark);
    }

    /// hyper's end of the connection.
    pub(super) fn sender(&mut self) -> &mut SendRequest<RequestBody> {
        &mut self.connection.sender
    }

    /// The connection leaves HTTP and keeps its place, until what is returned is dropped. Its driver ends meanwhile.
    pub(super) fn hold(self) -> Held {
        Held {
            _open: Open::new(self.pool.open.clone()),
            _lease: self,
        }
    }

    /// The answer ended well: the connection may carry another request once the protocol agrees.
    pub(super) fn give_back(self) {
        let Self {
            mut connection,
            pool,
            slot,
            ..
        } = self;
        if connection.sender.is_ready() {
            pool.put_idle(connection);
        } else if !connection.sender.is_closed() {
            let later = Arc::clone(&pool);
            pool.tasks.spawn(async move {
                if let Ok(Ok(())) =
                    tokio::time::timeout(READY_WAIT, connection.sender.ready()).await
                {
                    later.put_idle(connection);
                }
                drop(slot);
            });
        }
    }
}

impl Inner {
    /// The most recently used connection that can be trusted with the request; what cannot be used any more goes.
    fn take_idle(&self, trust: Trust) -> Option<Connection> {
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

    fn put_idle(&self, connection: Connection) {
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

    async fn open(&self, limit: Duration) -> Result<Connection, Fault> {
        let (tcp, transport) = self.connector.connect(limit).await?;
        let ledger = Arc::new(Ledger::default());
        let wire = TokioIo::new(Wire::new(transport, Arc::clone(&ledger)));
        let (sender, connection) = http1::Builder::new()
            .preserve_header_case(self.header_case.preserve)
            .title_case_headers(self.header_case.title)
            .handshake(wire)
            .await
            .map_err(|_| Fault {
                kind: FaultKind::Closed,
                sent: Sent::Nothing,
            })?;
        let open = Open::new(self.open.clone());
        let driver = self.tasks.spawn(async move {
            let _open = open;
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "upstream connection ended"
                );
            }
        });
        Ok(Connection {
            sender,
            tcp,
            ledger,
            born: clock::now(),
            _driver: Driver(driver.abort_handle()),
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
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Open {
    fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// How long a connection must have been quiet before it is trusted with a request that may not be sent twice: an upstream
/// that closes after its answer does so right behind it, far within this.
const SETTLE: Duration = Duration::from_millis(50);

/// How long a connection whose answer has ended may take to become ready again, say because the upload is not through.
const READY_WAIT: Duration = Duration::from_secs(1);

/// The sweeper's shortest and longest pause.
const SWEEP_MIN: Duration = Duration::from_millis(250);
const SWEEP_MAX: Duration = Duration::from_secs(5);
