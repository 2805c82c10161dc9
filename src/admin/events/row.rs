//! A sample in the form that the status page gets it in.

use crate::admin::history::{Levels, Sample, wait_quantile};

/// A sample as the page gets it: its end in seconds since 1970; then requests offered, served and failed, and attempts throttled
/// and retried, per second; the window, if it limits, attempts in flight, requests that wait, the budget's share; and the
/// waits of half and of 99 % of the requests that ended, in seconds, if any did. A route that is gone has no window, nor what
/// follows up to the budget.
pub(super) fn row(sample: &Sample) -> [Option<f64>; COLUMNS] {
    let counts = &sample.counts;
    let level = |of: fn(&Levels) -> f64| sample.levels.as_ref().map(of).map(rounded);
    // A clock that stood still must not make a figure that is none.
    let seconds = f64::from(sample.seconds).max(0.001);
    let per_second = |count: u32| Some(rounded(f64::from(count) / seconds));
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 for ages")]
    let at = sample.at as f64 / 1000.0;
    [
        Some(at),
        per_second(counts.offered),
        per_second(counts.served),
        per_second(counts.failed),
        per_second(counts.throttled),
        per_second(counts.retried),
        sample
            .levels
            .and_then(|levels| levels.window)
            .map(|window| rounded(f64::from(window))),
        level(|levels| f64::from(levels.in_flight)),
        level(|levels| f64::from(levels.waiting)),
        level(|levels| f64::from(levels.budget)),
        wait_quantile(counts, 0.5).map(two_digits),
        wait_quantile(counts, 0.99).map(two_digits),
    ]
}

fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// A wait with as many digits as are known of it.
fn two_digits(seconds: f64) -> f64 {
    let text = format!("{seconds:.1e}");
    text.parse().expect("a number that was just written")
}

/// See [`row()`].
pub(super) const COLUMNS: usize = 12;
