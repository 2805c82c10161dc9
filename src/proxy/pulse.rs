//! What the status page counts of one route beyond its metrics: who came, whom a throttle met, who was saved from it, and
//! how long everybody waited, finer than a histogram for scrapers needs.
//!
//! A handful of relaxed additions a request; nothing is allocated and nobody waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One route's counts since the start.
#[derive(Debug)]
pub struct Pulse {
    arrived: AtomicU64,
    hit: AtomicU64,
    rescued: AtomicU64,
    waits: [AtomicU64; WAIT_BUCKETS],
}

/// What a throttle meant to a request that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttle {
    /// No attempt looked throttled.
    None,
    /// One did, and the client got a good answer all the same.
    Overcome,
    /// One did, and the client got no good answer.
    Delivered,
}

impl Pulse {
    /// Nobody came yet.
    pub fn new() -> Self {
        Self {
            arrived: AtomicU64::new(0),
            hit: AtomicU64::new(0),
            rescued: AtomicU64::new(0),
            waits: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// A request came.
    pub fn arrive(&self) {
        self.arrived.fetch_add(1, Ordering::Relaxed);
    }

    /// A request ended.
    pub fn end(&self, throttle: Throttle, waited: Duration) {
        if throttle != Throttle::None {
            self.hit.fetch_add(1, Ordering::Relaxed);
        }
        if throttle == Throttle::Overcome {
            self.rescued.fetch_add(1, Ordering::Relaxed);
        }
        self.waits[wait_bucket(waited)].fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that came.
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// Ended requests of which an attempt looked throttled.
    pub fn hit(&self) -> u64 {
        self.hit.load(Ordering::Relaxed)
    }

    /// Those of them that got a good answer.
    pub fn rescued(&self) -> u64 {
        self.rescued.load(Ordering::Relaxed)
    }

    /// Ended requests by how long they waited; [`wait_at`] says how long that is.
    pub fn waits(&self) -> [u64; WAIT_BUCKETS] {
        std::array::from_fn(|index| self.waits[index].load(Ordering::Relaxed))
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

/// The bucket of a wait: the first holds those under a millisecond, and every two more double it.
fn wait_bucket(waited: Duration) -> usize {
    let waited = waited.as_secs_f64();
    if waited < lower_bound(1) {
        return 0; // almost everybody, who need not compare with thirty powers of two
    }
    (1..WAIT_BUCKETS)
        .rev()
        .find(|index| waited >= lower_bound(*index))
        .unwrap_or(0)
}

/// What a wait in this bucket is told as, in seconds: the geometric middle of its bounds, and 0 for the first. It is off by
/// at most a fifth, but for waits beyond the last bound of 32 s.
pub fn wait_at(index: usize) -> f64 {
    if index == 0 {
        0.0
    } else {
        lower_bound(index) * std::f64::consts::SQRT_2.sqrt()
    }
}

/// The shortest wait of a bucket other than the first, in seconds.
fn lower_bound(index: usize) -> f64 {
    let half_doublings = u32::try_from(index - 1).unwrap_or(u32::MAX);
    0.001 * (f64::from(half_doublings) / 2.0).exp2()
}

/// Waits end at `deadline.total`, 30 s by default; the last bucket begins at 32.8 s and holds whatever is longer.
pub const WAIT_BUCKETS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_within_a_fifth_of_what_it_was() {
        for millis in [1, 2, 3, 10, 17, 99, 100, 940, 1_000, 9_999, 30_000] {
            let waited = Duration::from_millis(millis);

            let told = wait_at(wait_bucket(waited));

            let ratio = told / waited.as_secs_f64();
            assert!(
                (0.8..1.2).contains(&ratio),
                "{waited:?} is told as {told} s"
            );
        }
    }

    #[test]
    fn no_wait_is_told_as_none_and_the_longest_has_a_place() {
        assert_eq!(wait_at(wait_bucket(Duration::ZERO)), 0.0);
        assert_eq!(wait_at(wait_bucket(Duration::from_micros(999))), 0.0);
        assert_eq!(wait_bucket(Duration::MAX), WAIT_BUCKETS - 1);
    }

    #[test]
    fn a_request_that_a_throttle_met_counts_as_saved_only_with_a_good_answer() {
        let pulse = Pulse::new();

        pulse.end(Throttle::None, Duration::ZERO);
        pulse.end(Throttle::Overcome, Duration::from_secs(1));
        pulse.end(Throttle::Delivered, Duration::ZERO);

        assert_eq!((pulse.hit(), pulse.rescued()), (2, 1));
        assert_eq!(pulse.waits().iter().sum::<u64>(), 3);
    }
}
