//! The one place that reads clocks.
//!
//! Decisions take `now` as an argument; the shell gets it here. Since [`now`] follows tokio's clock, a test that pauses
//! tokio's time governs every deadline, wait and budget at once.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock, as the runtime sees it: virtual in a test that pauses time, the machine's otherwise.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the monotonic clock"
)]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The wall clock, needed for dates in headers and logs, and for what sidecars do at the same moments.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// How far the wall clock is past 1970: the same for everybody whose clock agrees with this one.
pub fn since_1970() -> Duration {
    // Before 1970 nobody's clock agrees with anybody's.
    wall().duration_since(UNIX_EPOCH).unwrap_or_default()
}
