//! The floor of the window: a share of the own demand that is asked for whatever happens, so that greedy neighbours do not starve
//! a polite sender, and a sign of life where there is no demand.
//!
//! Behind a rate limit it sinks on with a window that stays on it: polite senders that exceed a limit manyfold would keep
//! throttling one another there. Behind other limits it is low from the beginning.

use crate::retry::classify::Kind;

/// Where the window ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Floor {
    /// Of the demand, behind a rate limit.
    share: f64,
}

impl Floor {
    pub(super) fn new() -> Self {
        Self { share: SHARE_FIRST }
    }

    /// The smallest window for so many requests per second.
    pub(super) fn size(&self, kind: Kind, service_mean: f64, demand: f64) -> f64 {
        service_mean * (self.share_for(kind) * demand).max(RATE_MIN)
    }

    /// The window was on it for so many seconds: it sinks.
    pub(super) fn sink(&mut self, seconds: f64) {
        self.share = (self.share * (-seconds / SINKS_IN).exp()).max(SHARE_LAST);
    }

    fn share_for(&self, kind: Kind) -> f64 {
        if kind == Kind::Rate {
            self.share
        } else {
            SHARE_OTHER
        }
    }
}

/// Behind a rate limit, at first and at last. Higher at first, senders that all exceed the limit fifteenfold see one another's
/// throttles for so long that they take them for others'.
const SHARE_FIRST: f64 = 0.08;
const SHARE_LAST: f64 = 0.03;

/// Seconds in which it sinks to 37 per cent.
const SINKS_IN: f64 = 2.0;

/// Behind other limits. With 0.15, senders that exceed one fivefold ask for three quarters of it on their floors, where no beat moves
/// them.
const SHARE_OTHER: f64 = 0.04;

/// Attempts per second that keep looking when there is no demand to take a share of.
const RATE_MIN: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_share_of_the_demand_and_a_sign_of_life_without_one() {
        let floor = Floor::new();

        assert!((floor.size(Kind::Rate, 0.1, 100.0) - 0.1 * 8.0).abs() < 1e-9);
        assert!((floor.size(Kind::Concurrency, 0.1, 100.0) - 0.1 * 4.0).abs() < 1e-9);
        assert!((floor.size(Kind::Rate, 0.1, 0.0) - 0.1 * 0.1).abs() < 1e-9);
    }

    #[test]
    fn behind_a_rate_limit_it_sinks_and_ends() {
        let mut floor = Floor::new();
        floor.sink(1.0);
        assert!(floor.size(Kind::Rate, 0.1, 100.0) < 0.6);
        floor.sink(100.0);

        assert!((floor.size(Kind::Rate, 0.1, 100.0) - 0.1 * 3.0).abs() < 1e-9);
        assert!((floor.size(Kind::Concurrency, 0.1, 100.0) - 0.1 * 4.0).abs() < 1e-9);
    }
}
