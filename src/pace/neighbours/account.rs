//! The account of the beat: what was throttled in the high parts, and what in the low ones.
//!
//! If the throttles are one's own, nearly all of them fall into the high parts. If others make them, both parts are throttled alike.
//! How much likelier the second is than the first is Wald's sequential test, with what is old fading.

use super::beat::Part;

/// Attempts by the part that they were sent in; what is old counts less.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    high: Sent,
    low: Sent,
}

/// Attempts that were sent in parts of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    attempts: f64,
    throttled: f64,
}

impl Account {
    /// An attempt that was sent in that part.
    pub(super) fn count(&mut self, part: Part, was_throttled: bool) {
        let sent = match part {
            Part::High => &mut self.high,
            Part::Low => &mut self.low,
        };
        sent.attempts += 1.0;
        sent.throttled += f64::from(u8::from(was_throttled));
    }

    /// What was counted so far is worth so much of it, `[0, 1]`.
    pub(super) fn fade(&mut self, rest: f64) {
        self.fade_parts(rest, rest);
    }

    /// So is what was counted in high parts, and in low ones.
    pub(super) fn fade_parts(&mut self, high: f64, low: f64) {
        self.high.fade(high);
        self.low.fade(low);
    }

    /// How much likelier throttles of others are than one's own, by logarithm. Zero where too little is known.
    pub(super) fn weight(&self) -> f64 {
        let (high, low) = (self.high, self.low);
        if low.attempts < LOW_MIN || high.attempts < HIGH_MIN {
            return 0.0;
        }
        let (attempts, throttled) = (high.attempts + low.attempts, high.throttled + low.throttled);
        let share = (throttled / attempts).clamp(SHARE_ENDS, 1.0 - SHARE_ENDS);
        let in_low = STRAY * share;
        let in_high = (share * attempts - in_low * low.attempts) / high.attempts;
        let weight =
            high.likelier(share, in_high.min(1.0 - SHARE_ENDS)) + low.likelier(share, in_low);
        if low.throttled < THROTTLED_MIN {
            weight.min(0.0)
        } else {
            weight
        }
    }

    /// Whether next to nothing is throttled any more: those who are polite have found their places.
    pub(super) fn is_clean(&self) -> bool {
        let attempts = self.high.attempts + self.low.attempts;
        let throttled = self.high.throttled + self.low.throttled;
        attempts >= CLEAN_MIN && throttled <= CLEAN * attempts
    }
}

impl Sent {
    fn fade(&mut self, rest: f64) {
        self.attempts *= rest;
        self.throttled *= rest;
    }

    /// How much likelier it is if one share is throttled than if another is, by logarithm.
    fn likelier(self, one: f64, other: f64) -> f64 {
        let passed = self.attempts - self.throttled;
        self.throttled * (one / other).ln() + passed * ((1.0 - one) / (1.0 - other)).ln()
    }
}

/// The share of so many attempts that is next to nothing. Beside others that exceed a limit by a fifth it is seen four times in ten
/// thousand.
const CLEAN: f64 = 0.05;
const CLEAN_MIN: f64 = 100.0;

/// Attempts of each part that say anything.
const HIGH_MIN: f64 = 2.0;
const LOW_MIN: f64 = 1.0;

/// Throttles in low parts from which others may be to blame: two are chance. Without this, twenty polite senders that exceed a limit of
/// 10 fivefold pay 1.4 attempts per success instead of 1.3, and 2.5 in a single run.
const THROTTLED_MIN: f64 = 2.5;

/// The part of the throttles of a low part that stray into it though they are one's own, since nobody's clock or window is exact.
const STRAY: f64 = 0.15;

/// Keeps logarithms finite.
const SHARE_ENDS: f64 = 0.01;

#[cfg(test)]
mod tests {
    use super::*;

    /// Attempts and throttles in high parts and in low ones.
    fn weight(high: (u32, u32), low: (u32, u32)) -> f64 {
        let mut account = Account::default();
        for (part, (attempts, throttled)) in [(Part::High, high), (Part::Low, low)] {
            (0..attempts).for_each(|number| account.count(part, number < throttled));
        }
        account.weight()
    }

    #[test]
    fn throttles_in_high_parts_only_are_one_s_own() {
        assert!(weight((42, 16), (18, 0)) < -4.0);
    }

    #[test]
    fn throttles_in_both_are_others() {
        assert!(weight((42, 16), (18, 7)) > 4.0);
        assert!(
            weight((40, 34), (10, 8)) > 8.0,
            "where most is throttled, too"
        );
    }

    #[test]
    fn a_few_that_stray_into_low_parts_change_nothing() {
        assert!(weight((42, 16), (18, 1)) < 0.0);
        assert!(weight((42, 13), (18, 5)) > 0.0);
    }

    #[test]
    fn too_few_attempts_say_nothing() {
        assert!(weight((20, 6), (0, 0)).abs() < 1e-9);
        assert!(weight((1, 1), (20, 6)).abs() < 1e-9);
        assert!(weight((20, 8), (4, 2)).abs() < 1e-9, "two are chance");
        assert!(weight((20, 8), (6, 3)) > 0.0);
    }

    #[test]
    fn it_is_clean_if_next_to_nothing_of_many_is_throttled() {
        let is_clean = |attempts, throttled| {
            let mut account = Account::default();
            (0..attempts).for_each(|number| account.count(Part::High, number < throttled));
            account.is_clean()
        };

        assert!(is_clean(100, 5));
        assert!(!is_clean(100, 6) && !is_clean(99, 0));
    }

    #[test]
    fn what_is_old_counts_less() {
        let mut account = Account::default();
        (0..40).for_each(|number| account.count(Part::High, number < 16));
        (0..20).for_each(|number| account.count(Part::Low, number < 8));
        let fresh = account.weight();

        account.fade(0.5);

        assert!((account.weight() - 0.5 * fresh).abs() < 1e-9);
    }
}
