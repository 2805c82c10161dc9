//! The one place that reads clocks.
//!
//! Decisions take `now` as an argument; the shell gets it here. Since [`now`] follows tokio's clock, a test that pauses
//! tokio's time governs every deadline, wait and budget at once.

use std::time::{Instant, SystemTime};

/// The monotonic clock, as the runtime sees it: virtual in a test that pauses time, the machine's otherwise.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the monotonic clock"
)]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The wall clock, needed for dates in headers and logs only.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub fn wall() -> SystemTime {
    SystemTime::now()
}
