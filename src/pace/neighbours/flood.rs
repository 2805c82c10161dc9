//! A flood: for seconds, most of what is sent is throttled, though much of it once passed.
//!
//! Windows of polite senders sink to where little is throttled within two or three seconds, unless there are very many of them,
//! of which each gets next to nothing through from the beginning. So who had its part at first, and sees most of its attempts
//! throttled seconds later, is likely beside others: long before [`evidence`](super::evidence) and [`swing`](super::swing), which
//! weigh what little is sent then.
//!
//! Behind a concurrency limit less is enough, and sooner: neighbours that exceed one of 10 twofold let a half pass for good, while
//! polite senders never tolerate that many throttles. But twenty of them, by chance, see as many for a second or two. So there the
//! beat has to have begun to tell; where two thirds are throttled, and where attempts are too slow for it, nobody waits for that, but
//! then it takes the two thirds.

use crate::retry::classify::Kind;

/// Whether most is throttled, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flood {
    /// The throttled share of the last few attempts.
    share: f64,
    since: Option<f64>,
    /// Attempts since then.
    attempts: u32,
}

impl Flood {
    /// The throttled share of the last few attempts.
    pub(super) fn share(&self) -> f64 {
        self.share
    }

    /// An attempt was taken in, or throttled.
    pub(super) fn count(&mut self, was_throttled: bool) {
        self.share += (f64::from(u8::from(was_throttled)) - self.share) / LATELY;
        self.attempts = self.attempts.saturating_add(1);
    }

    /// What is sent now says nothing.
    pub(super) fn pause(&mut self) {
        self.since = None;
    }

    /// Looks at it while the window rules.
    pub(super) fn look(&mut self, now: f64, kind: Kind) {
        let most = if kind == Kind::Rate { MOST } else { MOST_OTHER };
        if self.share < most {
            self.since = None;
        } else if self.since.is_none() {
            (self.since, self.attempts) = (Some(now), 0);
        }
    }

    /// Whether others are likely to blame behind a limit of that kind, for a sender that got so many attempts per second through at
    /// first; `beat` is by how much the beat speaks for others.
    pub(super) fn is_by_others(
        &self,
        now: f64,
        kind: Kind,
        passed_at_first: f64,
        beat: f64,
    ) -> bool {
        let (lasts, first_min, is_heard) = match kind {
            Kind::Rate if self.share >= NEARLY_ALL => (LASTS, FIRST_MIN_NEARLY_ALL, true),
            Kind::Rate => (LASTS, FIRST_MIN, true),
            _ => (
                LASTS_OTHER,
                FIRST_MIN,
                beat >= BEAT_MIN || self.share >= DEAFENING,
            ),
        };
        self.since.is_some_and(|since| now - since >= lasts)
            && self.attempts >= ATTEMPTS_MIN
            && passed_at_first >= first_min
            && is_heard
    }
}

/// Attempts over which the share is smoothed.
const LATELY: f64 = 16.0;

/// The share that is most, seconds that it lasts, and the attempts that it rests on.
const MOST: f64 = 0.6;
const LASTS: f64 = 3.0;
const ATTEMPTS_MIN: u32 = 6;

/// The first two behind other limits than of rate. Who is beside ten that exceed a limit of 10 twofold gets 0.39 of its requests
/// through in the first twenty seconds, of 0.43 directly. With both as behind a rate limit it would be 0.17, with its three seconds 0.29.
const MOST_OTHER: f64 = 0.5;
const LASTS_OTHER: f64 = 1.5;

/// How much likelier others are by the beat alone, by logarithm, and the share from which nobody asks for that. Were that not asked
/// where attempts take a second, twenty polite senders that exceed a limit of 100 threefold would pay 2.0 instead of 1.3. Without the former,
/// twenty polite senders that exceed a limit of 10 threefold pay 2.1 attempts per success instead of 1.9; without the latter, who is
/// beside ten that exceed it threefold gets 0.15 through at first instead of 0.35.
const BEAT_MIN: f64 = 1.3;
const DEAFENING: f64 = 0.65;

/// Attempts per second that have to have passed at first. With one, a hundred polite senders that exceed a limit fifteenfold pay
/// 2.8 attempts per success instead of 1.2; with one and a half 1.8.
const FIRST_MIN: f64 = 2.0;

/// The share from which fewer will do behind a rate limit: who is beside others that exceed it fivefold gets no more through from
/// the beginning. Behind a concurrency limit forty polite senders that exceed one of 10 twofold would pay 1.7 instead of 1.5.
const NEARLY_ALL: f64 = 0.75;
const FIRST_MIN_NEARLY_ALL: f64 = 1.5;

#[cfg(test)]
mod tests {
    use super::*;

    /// How it stands after so many seconds of four attempts each, of which so many are throttled.
    fn after(seconds: u32, throttled: u32, passed_at_first: f64) -> bool {
        let mut flood = Flood::default();
        for second in 0..=seconds {
            flood.look(f64::from(second), Kind::Rate);
            (0..4).for_each(|number| flood.count(number < throttled));
        }
        flood.is_by_others(f64::from(seconds), Kind::Rate, passed_at_first, 0.0)
    }

    #[test]
    fn who_had_a_part_and_is_throttled_most_of_the_time_for_seconds_is_beside_others() {
        assert!(after(12, 4, 5.0));
        assert!(!after(3, 4, 5.0), "too early");
    }

    #[test]
    fn who_never_had_one_or_is_throttled_half_of_the_time_is_not() {
        assert!(!after(12, 4, 1.0));
        assert!(!after(12, 2, 5.0));
    }

    #[test]
    fn the_more_is_throttled_the_less_has_to_have_passed_at_first() {
        assert!(after(12, 4, 1.7));
        assert!(!after(12, 3, 1.7));
        assert!(after(12, 3, 2.5));
    }

    #[test]
    fn behind_a_concurrency_limit_half_is_enough_if_the_beat_has_begun_to_tell() {
        let kind = Kind::Concurrency;
        let mut flood = Flood::default();
        for number in 0..40 {
            flood.count(number % 7 != 0);
        }
        (0..9).for_each(|number| flood.count(number % 2 == 0));
        flood.look(0.0, kind);
        (0..6).for_each(|number| flood.count(number % 2 == 0));
        flood.look(1.6, kind);

        assert!((MOST_OTHER..DEAFENING).contains(&flood.share()));
        assert!(flood.is_by_others(1.6, kind, 5.0, 1.5));
        assert!(!flood.is_by_others(1.4, kind, 5.0, 1.5), "too early");
        assert!(!flood.is_by_others(1.6, kind, 5.0, 0.5), "chance");
        assert!(!flood.is_by_others(1.6, Kind::Rate, 5.0, 1.5));

        (0..20).for_each(|_| flood.count(true));
        assert!(flood.is_by_others(1.6, kind, 5.0, 0.1), "no time to listen");
    }

    #[test]
    fn what_was_sent_freely_does_not_count() {
        let mut flood = Flood::default();
        (0..50).for_each(|_| flood.count(true));
        flood.look(0.0, Kind::Rate);

        flood.pause();
        flood.look(10.0, Kind::Rate);
        (0..50).for_each(|_| flood.count(true));

        assert!(!flood.is_by_others(11.0, Kind::Rate, 5.0, 0.0));
        assert!(flood.is_by_others(13.0, Kind::Rate, 5.0, 0.0));
    }
}
