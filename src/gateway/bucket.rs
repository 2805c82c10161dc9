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
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Which of the arrivals, given as pauses before each, are let through; with the time since the start of each.
    fn taken(rate: u32, burst: u32, pauses: &[u64]) -> Vec<(u64, bool)> {
        let start = crate::clock::now();
        let mut bucket = Bucket::new(rate, burst, start);
        let mut at = 0;
        pauses
            .iter()
            .map(|pause| {
                at += pause;
                (at, bucket.try_take(start + Duration::from_nanos(at)))
            })
            .collect()
    }

    /// What the limit allows in a window, in fractions of a request.
    fn allowed(rate: u32, burst: u32, window_nanos: u64) -> u128 {
        u128::from(burst) * u128::from(FRACTIONS_PER_TOKEN)
            + u128::from(rate) * u128::from(window_nanos)
    }

    fn arrivals() -> impl Strategy<Value = (u32, u32, Vec<u64>)> {
        let pauses = prop::collection::vec(
            prop_oneof![
                Just(0),
                0_u64..1_000,
                0_u64..50_000_000,
                0_u64..3_000_000_000
            ],
            1..80,
        );
        (prop_oneof![0_u32..2_000, any::<u32>()], 0_u32..20, pauses)
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_the_burst_and_the_rate_allow((rate, burst, pauses) in arrivals()) {
            let through: Vec<u64> = taken(rate, burst, &pauses).into_iter().filter(|(_, ok)| *ok).map(|(at, _)| at).collect();

            for (first, from) in through.iter().enumerate() {
                for (count, to) in (1_u128..).zip(&through[first..]) {
                    prop_assert!(count * u128::from(FRACTIONS_PER_TOKEN) <= allowed(rate, burst, to - from));
                }
            }
        }

        #[test]
        fn nothing_is_refused_that_every_window_would_allow((rate, burst, pauses) in arrivals()) {
            let outcomes = taken(rate, burst, &pauses);

            for (index, (at, _)) in outcomes.iter().enumerate().filter(|(_, (_, ok))| !ok) {
                let mut with_it = 1_u128;
                let mut too_many = with_it * u128::from(FRACTIONS_PER_TOKEN) > allowed(rate, burst, 0);
                for (from, _) in outcomes[..index].iter().rev().filter(|(_, ok)| *ok) {
                    with_it += 1;
                    too_many |= with_it * u128::from(FRACTIONS_PER_TOKEN) > allowed(rate, burst, at - from);
                }
                prop_assert!(too_many, "refused at {at} ns although every window had room");
            }
        }
    }

    #[test]
    fn a_token_is_back_exactly_when_the_rate_says_so() {
        let start = crate::clock::now();
        let mut bucket = Bucket::new(3, 1, start);
        assert!(bucket.try_take(start));

        // A third of a second is 333,333,333.3 ns: one nanosecond earlier a third of a fraction is missing.
        assert!(!bucket.try_take(start + Duration::from_nanos(333_333_333)));
        assert!(bucket.try_take(start + Duration::from_nanos(333_333_334)));
    }

    #[test]
    fn a_clock_that_steps_back_gives_no_tokens() {
        let start = crate::clock::now() + Duration::from_secs(60);
        let mut bucket = Bucket::new(1, 1, start);
        assert!(bucket.try_take(start));

        assert!(!bucket.try_take(start - Duration::from_secs(30)));
        assert!(!bucket.try_take(start + Duration::from_nanos(999_999_999)));
        assert!(bucket.try_take(start + Duration::from_secs(1)));
    }

    #[test]
    fn a_year_of_the_largest_rate_overflows_nothing() {
        let start = crate::clock::now();
        let mut bucket = Bucket::new(u32::MAX, u32::MAX, start);

        assert!(bucket.try_take(start + Duration::from_secs(365 * 24 * 3600)));
    }
}
