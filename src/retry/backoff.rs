//! How long to wait before a retry when nobody says so: full jitter over an exponential ceiling.
//!
//! Keeps no state and knows no deadline: whether a wait still fits is for [`Session`](super::Session) to say. Two bases, since
//! two things are waited for: a limit that refills by the second, and a fault that is often gone at once.
//!
//! Full jitter after Brooker, "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015): of the usual shapes it spreads
//! a crowd best and causes the least work in all.

use std::time::Duration;

use super::classify::Class;

/// The backoff's parameters (`retry.backoff`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Ceiling of the first retry's wait after a throttle-like outcome.
    pub throttle_base: Duration,
    /// Ceiling of the first retry's wait after any other outcome.
    pub base: Duration,
    /// The ceiling never exceeds this.
    pub max: Duration,
}

impl Backoff {
    /// A wait before the given retry of a request, drawn evenly from zero up to [`Self::ceiling`].
    ///
    /// `retry_number` counts from 1, the first retry; 0 is taken as 1. Never panics, whatever the number.
    pub fn delay(&self, class: Class, retry_number: u32, rng: &mut fastrand::Rng) -> Duration {
        self.at(class, retry_number, Draw::new(rng))
    }

    /// What the wait before the given retry stays below: the class's base, doubled with every retry after the first, and at
    /// most `max`. Zero when the base is zero.
    pub fn ceiling(&self, class: Class, retry_number: u32) -> Duration {
        let base = if class.is_throttle_like() {
            self.throttle_base
        } else {
            self.base
        };
        let factor = 1u128.checked_shl(retry_number.saturating_sub(1));
        let nanos = base.as_nanos().saturating_mul(factor.unwrap_or(u128::MAX));
        if nanos < self.max.as_nanos() {
            from_nanos(nanos)
        } else {
            self.max
        }
    }

    /// [`Self::delay`] for a decision that has drawn already.
    pub(super) fn at(&self, class: Class, retry_number: u32, draw: Draw) -> Duration {
        draw.share_of(self.ceiling(class, retry_number))
    }
}

/// One draw, which serves all that is random in one decision: a fraction in `[0, 1)`, in units of 2^-64.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw(u64);

impl Draw {
    /// Draws once.
    pub(super) fn new(rng: &mut fastrand::Rng) -> Self {
        Self(rng.u64(..))
    }

    /// That fraction of a duration: below the whole, unless the whole is zero. The whole counts up to 584 years, the
    /// nanoseconds of an `u64`.
    pub(super) fn share_of(self, whole: Duration) -> Duration {
        let whole_nanos = whole.as_nanos().min(u128::from(u64::MAX));
        from_nanos((whole_nanos * u128::from(self.0)) >> u64::BITS)
    }
}

fn from_nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
