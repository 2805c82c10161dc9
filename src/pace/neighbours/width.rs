//! The width of the swing: by how much a window is larger in a high part, and smaller in a low one.

use crate::retry::classify::Kind;

/// What a window of so many attempts per second is multiplied with in a high part, and in a low one in which it does not ask.
pub(super) fn factors(kind: Kind, asks: bool, rate: f64) -> (f64, f64) {
    let width = (RATE / rate).sqrt().clamp(LEAST, 1.0);
    let (higher, lower) = match kind {
        _ if asks => (HIGHER, 0.0),
        Kind::Rate => (KNOWN, KNOWN),
        _ => (HIGHER_KNOWN, LOWER_KNOWN),
    };
    (1.0 + higher * width, 1.0 - lower * width)
}

/// By what part of it a window is larger in a high part while it asks. Large ones swing less: what they tell grows with their number
/// and with the square of the width. With 0.3 the throttles of one's own are too few in the high parts to be told from those that
/// stray: forty polite senders that exceed a limit of 10 fivefold pay 1.5 attempts per success instead of 1.4.
const HIGHER: f64 = 0.7;

/// And larger, and smaller in a low one, when it knows, behind other limits than of rate. With 0.7 and 0.4 a sender that wants nine tenths
/// of a limit of 10 gets 0.88 of them through instead of 0.96; with 0.2 for both, twenty polite ones that exceed it fivefold pay 2.1.
const HIGHER_KNOWN: f64 = 0.5;
const LOWER_KNOWN: f64 = 0.3;

/// Both behind a rate limit: more costs goodput where a bucket is small, and nobody needs it.
const KNOWN: f64 = 0.2;

/// Attempts per second up to which it is the whole width, and the least part of it.
const RATE: f64 = 60.0;
const LEAST: f64 = 0.15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_swings_more_than_who_knows_and_least_behind_a_rate_limit() {
        let (asks, _) = factors(Kind::Rate, true, 10.0);
        let (knows, lower) = factors(Kind::Concurrency, false, 10.0);
        let (of_rate, lower_of_rate) = factors(Kind::Rate, false, 10.0);

        assert!(asks > knows && knows > of_rate && of_rate > 1.0);
        assert!(lower < lower_of_rate && lower_of_rate < 1.0);
    }

    #[test]
    fn large_windows_swing_less_but_never_not_at_all() {
        let higher = |rate| factors(Kind::Rate, true, rate).0;

        assert!((higher(10.0) - higher(60.0)).abs() < 1e-9);
        assert!(higher(60.0) > higher(600.0) && higher(600.0) > higher(1e6));
        assert!(higher(1e9) > 1.1);
    }
}
