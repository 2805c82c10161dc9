//! What all requests share: limits, memory, what was learned, and whether the process is about to end.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::build::Surroundings;
use super::headers::{Forwarded, Host, Outbound};
use super::lane::Lane;
use super::replay::Memory;
use super::tunnel::Tunnels;
use crate::retry::futility::Cells;

/// What all requests share.
pub struct Shared {
    /// Nothing is retried, everything is counted.
    pub bypass: bool,
    /// The longest pause inside a body.
    pub body_idle: Duration,
    /// The memory for kept bodies.
    pub memory: Arc<Memory>,
    /// Whether and when the process ends.
    pub drain: Drain,
    /// The connections that left HTTP.
    pub tunnels: Arc<Tunnels>,
    host: Host,
    forwarded: Forwarded,
    is_secure: bool,
    cells: Arc<Mutex<Cells>>,
    rng: Arc<Mutex<fastrand::Rng>>,
    arrivals: Arc<AtomicU64>,
}

/// Whether a drain has begun, and when it cuts off what is left. What is in there is never marked as seen: who waits for it does so on
/// a clone.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<Option<Instant>>);

impl Shared {
    /// Nothing learned yet. The generator is seeded by the process's own randomness and drawn from, never cloned.
    pub fn new(params: &super::Params, around: &Surroundings<'_>, tunnels: Tunnels) -> Self {
        Self {
            bypass: params.bypass,
            body_idle: around.body_idle,
            memory: Memory::new(params.replay),
            drain: around.drain.clone(),
            tunnels: Arc::new(tunnels),
            is_secure: around.is_secure,
            host: params.host,
            forwarded: params.forwarded,
            cells: Arc::default(),
            rng: Arc::new(Mutex::new(fastrand::Rng::new())),
            arrivals: Arc::default(),
        }
    }

    /// The same by other parameters: what was learned and what is in use is shared by both.
    pub fn follow(&self, params: &super::Params, around: &Surroundings<'_>) -> Self {
        Self {
            bypass: params.bypass,
            body_idle: around.body_idle,
            memory: self.memory.follow(params.replay),
            drain: self.drain.clone(),
            tunnels: Arc::clone(&self.tunnels),
            is_secure: self.is_secure,
            host: params.host,
            forwarded: params.forwarded,
            cells: Arc::clone(&self.cells),
            rng: Arc::clone(&self.rng),
            arrivals: Arc::clone(&self.arrivals),
        }
    }

    /// A request came.
    pub fn arrived(&self) {
        self.arrivals.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests came since the process began.
    pub fn arrivals(&self) -> u64 {
        self.arrivals.load(Ordering::Relaxed)
    }

    /// What shapes the head of a request on this lane.
    pub fn outbound<'a>(&self, lane: &'a Lane, client: IpAddr) -> Outbound<'a> {
        Outbound {
            host: self.host,
            forwarded: self.forwarded,
            authority: &lane.authority,
            base_path: &lane.target.base_path,
            client,
            is_secure: self.is_secure,
        }
    }

    /// Where retries were in vain; held for one question only.
    pub fn cells(&self) -> MutexGuard<'_, Cells> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process's randomness; held for one draw only.
    pub fn rng(&self) -> MutexGuard<'_, fastrand::Rng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drain {
    /// A drain that begins when `ends` is given its end, and the sender for it.
    pub fn new() -> (watch::Sender<Option<Instant>>, Self) {
        let (ends, receiver) = watch::channel(None);
        (ends, Self(receiver))
    }

    /// Whether a drain has begun.
    pub fn has_begun(&self) -> bool {
        // What is in there cannot be read without a lock; whether that is what was there at first, can.
        let may_have_begun = self.0.has_changed().unwrap_or(true);
        may_have_begun && self.0.borrow().is_some()
    }

    /// Whether what would happen at `moment` comes too late.
    pub fn ends_before(&self, moment: Instant) -> bool {
        self.0.borrow().is_some_and(|end| end <= moment)
    }

    /// Waits for the end of a drain; for ever, if none begins.
    pub async fn end(&self) {
        let mut drain = self.0.clone();
        let end = drain.wait_for(Option::is_some).await.map(|end| *end);
        match end {
            Ok(Some(end)) => tokio::time::sleep_until(end.into()).await,
            _ => std::future::pending().await, // the sender is gone: nobody will drain any more
        }
    }

    /// Waits until a drain begins that ends before `moment`; for ever, if none does.
    pub async fn cuts(&self, moment: Instant) {
        let mut drain = self.0.clone();
        if drain
            .wait_for(|end| end.is_some_and(|end| end <= moment))
            .await
            .is_err()
        {
            std::future::pending::<()>().await; // the sender is gone: nobody will drain any more
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[tokio::test(start_paused = true)]
    async fn a_drain_has_begun_for_everybody_once_its_end_is_known() {
        let (ends, drain) = Drain::new();
        let before = drain.clone();
        assert!(!drain.has_begun());

        ends.send(Some(clock::now() + Duration::from_secs(1)))
            .unwrap();
        drain.end().await;
        drain.cuts(clock::now()).await;

        assert!(drain.has_begun() && before.has_begun() && drain.clone().has_begun());
        drop(ends);
        assert!(drain.has_begun());
    }
}
