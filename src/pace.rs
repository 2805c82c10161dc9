//! How fast an upstream may be asked.
//!
//! Two answers. The one that an operator can know beforehand is a fixed limit ([`KnownLimit`], `pace.limit`). The other is
//! learned: a window of attempts in flight, in front of which requests wait in the order of their deadlines ([`Controller`]).
//! Which throttles may teach it anything is decided by [`cause`].
//!
//! Decides, but never waits and reads no clock: `now` is an argument, and who is turned away is told when to ask again.

mod backlog;
pub mod cause;
mod controller;
mod fleet;
mod floor;
mod gate;
mod meter;
mod neighbours;
mod outage;
mod queue;
mod service;
mod turn;
mod window;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

pub use self::controller::{Controller, Snapshot};
pub use self::fleet::Told;
pub use self::queue::WaiterId;
pub use self::turn::{Admission, Attempt, Decision, Feedback, Waiter};

/// The pace's parameters (`[pace]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Whether the window is learned.
    pub mode: Mode,
    /// The longest that a request waits for its turn.
    pub max_wait: Duration,
    /// The most requests that wait in the process.
    pub max_waiting: usize,
    /// No queue cut in sustained overload.
    pub patient: bool,
    /// A known limit of the upstream.
    pub limit: Option<Limit>,
    /// The most attempts in flight.
    pub max_in_flight: usize,
}

/// Whether the window is learned (`pace.mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Learned from what the upstream answers.
    Adaptive,
    /// Every request goes at once.
    Off,
}

/// A known limit of the upstream (`pace.limit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Attempts per second.
    pub per_second: NonZeroU32,
    /// Attempts that may go at once after a pause.
    pub burst: NonZeroU32,
}

/// A known limit, kept: in any span of time at most `burst` and `per_second` times its seconds attempts pass.
///
/// The generic cell rate algorithm (ITU-T I.371) without a lock, by governor. The distance between attempts is a whole number
/// of nanoseconds, rounded up: the limit is never exceeded, and missed by less than one part in a thousand up to a million
/// attempts per second.
#[derive(Debug)]
pub struct KnownLimit {
    limiter: RateLimiter<NotKeyed, InMemoryState, GivenTime, NoOpMiddleware<Nanos>>,
    time: GivenTime,
    start: Instant,
}

impl KnownLimit {
    /// The limit, with its whole burst to give.
    pub fn new(limit: Limit, now: Instant) -> Self {
        let nanos = NANOS_PER_SECOND.div_ceil(u64::from(limit.per_second.get()));
        let quota = Quota::with_period(Duration::from_nanos(nanos))
            .expect("a second divided and rounded up is never zero")
            .allow_burst(limit.burst);
        let time = GivenTime::default();
        Self {
            limiter: RateLimiter::direct_with_clock(quota, time.clone()),
            time,
            start: now,
        }
    }

    /// Lets one attempt pass now, or says how long to wait before asking again.
    ///
    /// The wait reserves nothing. Of several that were told the same moment one will pass and the rest be told the next one,
    /// so a crowd should ask through a queue. A `now` earlier than one already given counts as that one.
    pub fn check(&self, now: Instant) -> Result<(), Duration> {
        let elapsed = now.saturating_duration_since(self.start);
        let elapsed = Nanos::new(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX / 2));
        self.time.advance_to(elapsed);
        self.limiter.check().map_err(|not_until| {
            let earliest = not_until.earliest_possible();
            // Relative to the asker's own `now`, which may be behind: the wait has to reach the moment itself.
            Duration::from(earliest.duration_since(elapsed))
        })
    }
}

/// A clock for governor that knows only what it was told: nanoseconds since the limit was made, never going back.
#[derive(Clone, Debug, Default)]
struct GivenTime(Arc<AtomicU64>);

impl GivenTime {
    fn advance_to(&self, elapsed: Nanos) {
        // Relaxed: the limiter orders its own state, and a time that another thread just moved on is as good as ours.
        self.0.fetch_max(elapsed.as_u64(), Ordering::Relaxed);
    }
}

impl Clock for GivenTime {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.load(Ordering::Relaxed))
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests;
