//! The beat: when all sidecars send more, and when less, without a word to one another.
//!
//! A period of the wall clock begins with a high part and ends with a low one. It lasts a second, or, where attempts take longer than 0.3 s,
//! the least power of two of seconds of which they take no more than three tenths; so everybody who is served at about the same
//! speed keeps the same one. Eight periods are a round.

use std::time::Duration;

/// The wall clock, as far as the beat needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    /// How far the wall clock was into its longest round at the owner's start, seconds.
    offset: f64,
}

/// A part of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    High,
    Low,
}

/// A moment of a period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) part: Part,
    /// Seconds since the part began, until it ends, and of the whole period.
    pub(super) into: f64,
    pub(super) left: f64,
    pub(super) period: f64,
    /// Seconds since the round began.
    into_round: f64,
}

impl Place {
    /// Whether a [check](super::check) is made: in the low part of the first period of a round.
    pub(super) fn is_check(self) -> bool {
        self.part == Part::Low && self.into_round < self.period
    }

    /// Whether one has just ended, and all that waited goes.
    pub(super) fn is_after_check(self) -> bool {
        self.part == Part::High && (self.period..2.0 * self.period).contains(&self.into_round)
    }
}

impl Beat {
    /// The owner starts at that moment of the wall clock, counted from one that all sidecars agree on.
    pub(super) fn new(wall: Duration) -> Self {
        let longest = Duration::from_secs_f64(PERIOD_MAX * ROUND);
        let into = wall.as_nanos() % longest.as_nanos();
        Self {
            offset: into as f64 / 1e9,
        }
    }

    /// Where a moment of the owner's time stands in periods of so many seconds.
    pub(super) fn place(self, at: f64, period: f64) -> Place {
        let into_round = (at + self.offset).rem_euclid(ROUND * period);
        let into_period = into_round % period;
        let high = HIGH * period;
        if into_period < high {
            Place {
                part: Part::High,
                into: into_period,
                left: high - into_period,
                period,
                into_round,
            }
        } else {
            Place {
                part: Part::Low,
                into: into_period - high,
                left: period - into_period,
                period,
                into_round,
            }
        }
    }
}

/// The period for attempts that take so many seconds, if it was `present`; `None` where it would be too long to tell anything in time.
pub(super) fn period(present: Option<f64>, service: f64) -> Option<f64> {
    let wanted = service / FOLLOWS_UP_TO;
    let least = wanted.max(1.0);
    let is_kept =
        |period: f64| wanted <= period && (period <= 1.0 || KEPT_DOWN_TO * period <= wanted);
    if let Some(period) = present.filter(|period| is_kept(*period)) {
        return Some(period);
    }
    Some(least.log2().ceil().exp2()).filter(|period| *period <= PERIOD_MAX)
}

/// The high part of a period. It is the low one that tells anything, so that is the longer; with 0.3 the high one throttles too few to be
/// told from those that stray: forty polite senders that exceed a limit of 10 fivefold pay 1.7 attempts per success instead of 1.4.
const HIGH: f64 = 0.4;

/// The longest attempts that a window follows the beat with, as a part of the period.
const FOLLOWS_UP_TO: f64 = 0.3;

/// The part of a period that the least one may become before it is left for a shorter one: what attempts take is never quite the same.
const KEPT_DOWN_TO: f64 = 0.4;

/// Periods of a round.
const ROUND: f64 = 8.0;

/// Seconds.
const PERIOD_MAX: f64 = 8.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_begins_high_and_ends_low() {
        let beat = Beat::new(Duration::ZERO);

        let (high, low) = (beat.place(5.1, 1.0), beat.place(5.9, 1.0));

        assert_eq!((high.part, low.part), (Part::High, Part::Low));
        assert!((high.into - 0.1).abs() < 1e-9 && (high.left - 0.3).abs() < 1e-9);
        assert!((low.into - 0.5).abs() < 1e-9 && (low.left - 0.1).abs() < 1e-9);
    }

    #[test]
    fn sidecars_that_started_at_different_moments_keep_the_same_one() {
        let one = Beat::new(Duration::from_millis(1_764_000_000_000));
        let other = Beat::new(Duration::from_millis(1_764_000_003_700));

        for tenth in 0..80 {
            let at = 5.05 + f64::from(tenth) / 10.0;
            let (one, other) = (one.place(at, 8.0), other.place(at - 3.7, 8.0));
            assert!(one.part == other.part && (one.into - other.into).abs() < 1e-6);
        }
    }

    #[test]
    fn in_the_low_part_of_the_first_period_of_each_round_a_check_is_made() {
        let beat = Beat::new(Duration::from_secs(125));
        let checks = |period: f64, into: f64| {
            let starts = (0..48).map(move |number| f64::from(number) * period);
            starts
                .filter(move |start| beat.place(start + into * period, period).is_check())
                .collect::<Vec<_>>()
        };

        assert_eq!(checks(1.0, 0.5), [3.0, 11.0, 19.0, 27.0, 35.0, 43.0]);
        assert!(checks(1.0, 0.3).is_empty(), "in high parts");
        let longest = checks(8.0, 0.9);
        assert_eq!(longest, [0.0, 64.0, 128.0, 192.0, 256.0, 320.0]);
    }

    #[test]
    fn the_slower_attempts_are_the_longer_is_the_period_within_reason() {
        let period = |service| period(None, service);
        assert_eq!(period(0.02), Some(1.0));
        assert_eq!(period(0.31), Some(2.0));
        assert_eq!(period(1.0), Some(4.0));
        assert_eq!(period(2.4), Some(8.0));
        assert_eq!(period(2.5), None);
    }

    #[test]
    fn it_is_left_for_a_shorter_one_only_if_attempts_are_much_faster() {
        assert_eq!(period(Some(2.0), 0.29), Some(2.0));
        assert_eq!(period(Some(2.0), 0.25), Some(2.0));
        assert_eq!(period(Some(2.0), 0.23), Some(1.0));
        assert_eq!(period(Some(1.0), 0.31), Some(2.0));
    }
}
