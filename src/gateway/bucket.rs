//! A token bucket, exact to the nanosecond: the rate limit of an API Gateway stage or usage plan.
//!
//! Full at the start, refilled continuously, one token a request. Pure: `now` is an argument. The count is kept in
//! fractions of a token, so that no refill is rounded away however often the bucket is asked.

use std::time::{Duration, Instant};

/// A bucket of at most `burst` tokens that gains `rate` tokens per second.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// Tokens per second, which is also fractions per nanosecond.
    rate: u32,
    /// The most fractions that the bucket holds.
    capacity: u64,
    /// The fractions in the bucket at `as_of`.
    level: u64,
    /// When `level` was true.
    as_of: Instant,
}

impl Bucket {
    /// A full bucket. A `burst` of 0 never lets anything through; a `rate` of 0 lets `burst` requests through, once.
    pub(super) fn new(rate: u32, burst: u32, now: Instant) -> Self {
        let capacity = u64::from(burst) * FRACTIONS_PER_TOKEN;
        Self {
            rate,
            capacity,
            level: capacity,
            as_of: now,
        }
    }

    /// Takes one token if there is one. A `now` before an earlier one counts as that earlier one.
    pub(super) fn try_take(&mut self, now: Instant) -> bool {
        self.refill(now.saturating_duration_since(self.as_of));
        self.as_of = self.as_of.max(now);
        match self.level.checked_sub(FRACTIONS_PER_TOKEN) {
            Some(left) => {
                self.level = left;
                true
            }
            None => false,
        }
    }

    fn refill(&mut self, elapsed: Duration) {
        let gained = elapsed.as_nanos().saturating_mul(u128::from(self.rate));
        let gained = u64::try_from(gained).unwrap_or(u64::MAX);
        self.level = self.level.saturating_add(gained).min(self.capacity);
    }
}

/// With a thousand million fractions in a token, a rate per second is a whole number of fractions per nanosecond: no
/// division, no rounding. The largest burst (`u32::MAX` tokens) is 4.3e18 fractions, which a `u64` holds.
const FRACTIONS_PER_TOKEN: u64 = 1_000_000_000;

#[cfg(test)]
mod tests;
