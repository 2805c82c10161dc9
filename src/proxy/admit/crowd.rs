//! How many requests wait in the process, whatever for, and how many may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::IntGauge;

/// How many requests wait in the process, and how many may.
#[derive(Debug)]
pub struct Crowd {
    limit: AtomicUsize,
    waiting: AtomicUsize,
    gauge: IntGauge,
}

/// A place in the crowd, from joining to going.
pub(super) struct Place(Arc<Crowd>);

impl Crowd {
    /// Nobody waits yet; `gauge` shows how many do.
    pub fn new(limit: usize, gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicUsize::new(limit),
            waiting: AtomicUsize::new(0),
            gauge,
        })
    }

    /// So many may wait from now on; those who do already stay, even if they are too many.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// One more waits, if there is room.
    pub(super) fn join(self: &Arc<Self>) -> Option<Place> {
        let limit = self.limit.load(Ordering::Relaxed);
        let room = |waiting: usize| (waiting < limit).then_some(waiting + 1);
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .ok()?;
        self.gauge.inc();
        Some(Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.gauge.dec();
    }
}
