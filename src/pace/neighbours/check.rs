//! The check: whoever goes freely looks again now and then whether others still make the throttles.
//!
//! A wrong finding would last for ever. Of ten polite senders that all go freely each one sees as much throttled as if the others
//! knew of no beat, which is what it went by. So they wait together: in the low part of the first period of each round of the
//! [`beat`](super::beat) they send six tenths of what passes for them, as those do that ask. If the throttles are their own there are
//! next to none then, and the window rules again. If others make them, one request in thirteen is late, by six tenths of a second at
//! most, or of a longer period; they go all at once when it ends.

use super::account::Account;
use super::beat::Part;

/// What was sent freely, and what in checks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Check {
    account: Account,
}

impl Check {
    /// An attempt was sent in a check, [`Part::Low`], or freely, [`Part::High`]. Says whether others are known to make the throttles, once
    /// more; then it begins anew.
    pub(super) fn count(&mut self, part: Part, was_throttled: bool) -> bool {
        self.account.count(part, was_throttled);
        if part == Part::High {
            self.account.fade_parts(KEPT, KEPT_OF_CHECKS);
        }
        let is_by_others = self.account.weight() >= WEIGHT_OTHERS;
        if is_by_others {
            *self = Self::default();
        }
        is_by_others
    }

    /// Whether the throttles are one's own.
    pub(super) fn is_ours(&self) -> bool {
        self.account.weight() <= -WEIGHT_OURS
    }
}

/// What one more attempt that was sent freely leaves of those before, and of those that were sent in checks: two hundred tell how much is
/// throttled; few are sent in a check, and a dozen checks or more have to say something.
const KEPT: f64 = 1.0 - 1.0 / 200.0;
const KEPT_OF_CHECKS: f64 = 1.0 - 1.0 / 8_000.0;

/// From what weights on others are known to make them, once more, and one's own: a hundred and sixty thousand times as
/// likely, since it is asked for ever. With 8, three of 48 runs of five minutes beside ten that want 14 a second each of a hundred end below
/// going directly.
const WEIGHT_OTHERS: f64 = 3.0;
const WEIGHT_OURS: f64 = 12.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// Sent freely, nine tenths of them throttled, and twenty in checks, with so many throttled.
    fn check(throttled_in_checks: u32) -> Check {
        let mut check = Check::default();
        for number in 0..100 {
            check.count(Part::High, number % 10 != 0);
        }
        for number in 0..20 {
            check.count(Part::Low, number < throttled_in_checks);
        }
        check
    }

    #[test]
    fn throttles_that_end_in_checks_are_one_s_own() {
        assert!(check(0).is_ours() && check(1).is_ours());
    }

    #[test]
    fn throttles_that_go_on_in_checks_are_not() {
        assert!(!check(10).is_ours() && !check(18).is_ours());
    }

    #[test]
    fn what_was_known_once_does_not_hide_what_has_changed() {
        let mut check = Check::default();
        let mut one_more = |is_throttled_in_check| {
            for number in 0..10 {
                check.count(Part::High, number != 0);
            }
            check.count(Part::Low, is_throttled_in_check);
            check.is_ours()
        };
        assert!((0..50).all(|_| !one_more(true)));

        assert!((0..10).any(|_| one_more(false)));
    }
}
