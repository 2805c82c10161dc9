//! The retry budget: how many extra requests we may cause, as a share of real ones.
//!
//! Protects a struggling upstream from us. One token bucket, full at the start, which earns with every first attempt and with
//! time, and pays for retries; a retry that succeeds gets its cost back, so that what stays spent is what was spent in vain:
//!
//! > failing retries × cost ≤ capacity + ratio × requests + per_second × seconds
//!
//! That holds for any sequence of calls. All sums are integers in thousandths of a token, and the fraction of a thousandth
//! that time has earned is carried on, so nothing drifts. Knows nothing of tasks or HTTP: the shell keeps it in a mutex and
//! spends right before the send, so that a client that left while it waited has cost nothing.

use std::time::Instant;

use super::classify::Class;

/// The budget's parameters (`[budget]`), in thousandths of a token, so that sums are exact.
///
/// Any value is harmless: a cost above the capacity is never paid, a cost of zero always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// What the bucket holds at most, and at the start; milli-tokens.
    pub capacity_milli: u64,
    /// Earned per first attempt; milli-tokens.
    pub ratio_milli: u64,
    /// Earned per second whatever the traffic; milli-tokens.
    pub per_second_milli: u64,
    /// What a retry costs, by the class of the attempt that caused it.
    pub cost: Cost,
}

/// What a retry costs, in milli-tokens, by what went wrong before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// After `throttled`.
    pub throttled_milli: u64,
    /// After `suspected`.
    pub suspected_milli: u64,
    /// After anything else.
    pub other_milli: u64,
}

impl Cost {
    /// What a retry costs that an attempt of this class caused; milli-tokens.
    pub fn of(&self, class: Class) -> u64 {
        match class {
            Class::Throttled => self.throttled_milli,
            Class::Suspected => self.suspected_milli,
            _ => self.other_milli,
        }
    }
}

/// One token bucket in milli-tokens.
///
/// Every `now` may be earlier than the one before, as happens when threads race for the lock: no time is earned twice, and
/// none is lost.
#[derive(Debug)]
pub struct Budget {
    params: Params,
    level_milli: u64,
    /// Earned by time beyond `level_milli`, in billionths of a milli-token; below one milli-token.
    fraction_nano: u128,
    earned_until: Instant,
}

impl Budget {
    /// A full bucket.
    pub fn new(params: Params, now: Instant) -> Self {
        Self {
            params,
            level_milli: params.capacity_milli,
            fraction_nano: 0,
            earned_until: now,
        }
    }

    /// The parameters that it follows.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Follows other parameters from now on. What is in the bucket stays, up to the new capacity: a reload must not be a way
    /// to fill it.
    pub fn set_params(&mut self, params: Params, now: Instant) {
        self.accrue(now);
        self.params = params;
        self.level_milli = self.level_milli.min(params.capacity_milli);
    }

    /// Earns what one request earns; to be called once per request, at its first attempt.
    pub fn earn(&mut self, now: Instant) {
        self.accrue(now);
        self.add(self.params.ratio_milli);
    }

    /// Pays `cost_milli` and says yes, or pays nothing and says no.
    pub fn try_spend(&mut self, now: Instant, cost_milli: u64) -> bool {
        let affordable = self.can_pay(now, cost_milli);
        if affordable {
            self.level_milli -= cost_milli;
        }
        affordable
    }

    /// Whether [`Self::try_spend`] would say yes now. Promises nothing for later: others spend from the same bucket.
    pub fn can_pay(&mut self, now: Instant, cost_milli: u64) -> bool {
        self.accrue(now);
        cost_milli <= self.level_milli
    }

    /// Gives back what a retry had paid that then succeeded: its own cost, once. What does not fit into the bucket is lost.
    pub fn refund(&mut self, cost_milli: u64) {
        self.add(cost_milli);
    }

    /// What is in the bucket now; milli-tokens, never above the capacity.
    pub fn level_milli(&mut self, now: Instant) -> u64 {
        self.accrue(now);
        self.level_milli
    }

    /// Adds what time has earned since the latest moment that was accounted for.
    fn accrue(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.earned_until);
        if elapsed.is_zero() {
            return;
        }
        self.earned_until = now;
        // Saturates only beyond centuries at an absurd rate, where the bucket is full in any case.
        let earned_nano = u128::from(self.params.per_second_milli)
            .saturating_mul(elapsed.as_nanos())
            .saturating_add(self.fraction_nano);
        self.fraction_nano = earned_nano % NANOS_PER_SECOND;
        self.add(u64::try_from(earned_nano / NANOS_PER_SECOND).unwrap_or(u64::MAX));
        if self.level_milli == self.params.capacity_milli {
            // A full bucket earns nothing, not even a fraction.
            self.fraction_nano = 0;
        }
    }

    fn add(&mut self, milli: u64) {
        let sum = self.level_milli.saturating_add(milli);
        self.level_milli = sum.min(self.params.capacity_milli);
    }
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

#[cfg(test)]
mod tests;
