//! How long to wait before a retry when nobody says so: full jitter over an exponential ceiling.
use std::time::Duration;

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
