//! Eager: while it is asked whose the throttles are, a window that still gets something through lets more be throttled, for else
//! little would be left to look at behind a limit that is exceeded by little.

use super::Sight;
use crate::retry::classify::Kind;

/// Whether a window is eager.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Eager {
    is_on: bool,
    /// The throttled share of the last few attempts.
    recent: f64,
}

impl Eager {
    /// An attempt was taken in, or throttled.
    pub(super) fn count(&mut self, was_throttled: bool) {
        self.recent += (f64::from(u8::from(was_throttled)) - self.recent) / RECENT;
    }

    /// Looks whether to be so now; it has been asked for so many seconds, if it is.
    pub(super) fn look(&mut self, asked_for: Option<f64>, sight: &Sight) {
        self.is_on = asked_for.is_some_and(|lasted| lasted >= AFTER)
            && !sight.is_draining
            && self.recent <= UP_TO
            && sight.delivered >= FROM;
    }

    /// There is nothing to ask.
    pub(super) fn stop(&mut self) {
        self.is_on = false;
    }

    /// The share of throttles that is tolerated, where usually it is `usual`.
    pub(super) fn tolerated(&self, kind: Kind, usual: f64) -> f64 {
        match kind {
            _ if !self.is_on => usual,
            Kind::Rate => usual.max(SHARE),
            _ => usual.max(SHARE_OTHER),
        }
    }
}

/// What an eager window tolerates: behind a rate limit, where a sixth is throttled if all together exceed it by a fifth, and behind
/// others.
const SHARE: f64 = 0.25;
const SHARE_OTHER: f64 = 0.3;

/// Seconds of asking after which: at the beginning of a burst it only costs more.
const AFTER: f64 = 0.5;

/// The throttled share of so many last attempts up to which that can help, and the attempts per second that have to get through: the
/// many small senders of a crowd would pay for it longer than they need to.
const UP_TO: f64 = 0.5;
const RECENT: f64 = 16.0;
const FROM: f64 = 7.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn is_eager(asked_for: Option<f64>, sight: &Sight) -> bool {
        let mut eager = Eager::default();
        eager.look(asked_for, sight);
        eager.tolerated(Kind::Rate, 0.05) > 0.05
    }

    #[test]
    fn a_window_is_eager_while_it_asks_but_not_at_once() {
        assert!(is_eager(Some(1.0), &Sight::of_tests()));
        assert!(!is_eager(Some(0.2), &Sight::of_tests()));
        assert!(!is_eager(None, &Sight::of_tests()));
    }

    #[test]
    fn nor_is_it_while_a_queue_drains_nor_for_a_trickle() {
        let drains = Sight {
            is_draining: true,
            ..Sight::of_tests()
        };
        let trickles = Sight {
            delivered: 5.0,
            ..Sight::of_tests()
        };

        assert!(!is_eager(Some(1.0), &drains) && !is_eager(Some(1.0), &trickles));
    }

    #[test]
    fn nor_where_most_is_throttled_already() {
        let mut eager = Eager::default();
        (0..40).for_each(|_| eager.count(true));

        eager.look(Some(1.0), &Sight::of_tests());

        assert!((eager.tolerated(Kind::Rate, 0.05) - 0.05).abs() < 1e-9);
    }
}
