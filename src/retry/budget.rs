//! The retry budget: how many extra requests we may cause, as a share of real ones.
use std::time::Instant;

/// The budget's parameters (`[budget]`), in thousandths of a token, so that sums are exact.
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

/// One token bucket in milli-tokens.
#[derive(Debug)]
pub struct Budget {
    _params: Params,
    _level_milli: u64,
    _earned_until: Instant,
}
