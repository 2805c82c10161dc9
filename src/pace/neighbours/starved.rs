//! Starved: for long, next to nothing is sent of what once passed, and a large share of the little is throttled.
//!
//! What passed just after the gate had closed, while nearly all of the demand was still being sent, is about what a limit that is
//! shared fairly leaves to this sender, and a window of polite senders stays about there. One that is left with a small part of that, or
//! lies on its floor, makes room for others. It sends too little for [`evidence`](super::evidence), which weighs a dozen seconds; so
//! what is sent meanwhile is added up, attempt by attempt, for as long as it takes (Wald's sequential test of the tolerated
//! share against one that only others can be to blame for, begun anew whenever it favours the former, as CUSUM does).

use super::Sight;
use crate::retry::classify::Kind;

/// Whether this sender is starved, and whether by others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Starved {
    first: Option<First>,
    /// When the attempts were last begun to be counted.
    since: Option<f64>,
    attempts: u32,
    passed: u32,
    is_starved: bool,
    /// The share that the window tolerates.
    tolerated: f64,
    /// How much likelier throttles of others are, by logarithm.
    weight: f64,
}

/// What passed at first.
#[derive(Clone, Copy, Debug)]
struct First {
    /// Attempts per second.
    rate: f64,
    known_at: f64,
}

impl Starved {
    pub(super) fn new() -> Self {
        Self {
            first: None,
            since: None,
            attempts: 0,
            passed: 0,
            is_starved: false,
            tolerated: TOLERATED_MAX,
            weight: 0.0,
        }
    }

    /// Whether others are to blame.
    pub(super) fn is_by_others(&self) -> bool {
        self.is_starved && self.weight >= WEIGHT_MIN
    }

    /// Attempts per second that passed at first; zero while that is not known.
    pub(super) fn passed_at_first(&self) -> f64 {
        self.first.map_or(0.0, |first| first.rate)
    }

    /// An attempt was taken in, or throttled.
    pub(super) fn count(&mut self, was_throttled: bool) {
        self.attempts = self.attempts.saturating_add(1);
        if !was_throttled {
            self.passed = self.passed.saturating_add(1);
        }
        if self.is_starved {
            let likelier = if was_throttled {
                OF_OTHERS / self.tolerated
            } else {
                (1.0 - OF_OTHERS) / (1.0 - self.tolerated)
            };
            self.weight = (self.weight + likelier.ln()).max(0.0);
        }
    }

    /// What is sent now says nothing; what passed at first stays known.
    pub(super) fn pause(&mut self) {
        *self = Self {
            first: self.first,
            ..Self::new()
        };
    }

    /// Looks at what was sent while the window ruled and somebody waited.
    pub(super) fn look(&mut self, now: f64, sight: &Sight) {
        self.tolerated = sight.tolerated.min(TOLERATED_MAX);
        let lasted = now - *self.since.get_or_insert(now);
        match self.first {
            None if lasted >= FIRST_FOR => {
                let rate = f64::from(self.passed) / lasted;
                self.first = Some(First {
                    rate,
                    known_at: now,
                });
            }
            Some(first) if lasted >= LOOK_FOR => {
                let sent = f64::from(self.attempts) / lasted;
                self.is_starved = now - first.known_at >= SETTLED_AFTER
                    && (is_left_behind(sent, first.rate, sight) || is_on_floor(sent, sight));
                if !self.is_starved {
                    self.weight = 0.0;
                }
            }
            _ => return,
        }
        (self.since, self.attempts, self.passed) = (Some(now), 0, 0);
    }
}

/// Whether little is sent of what passed at first.
fn is_left_behind(sent: f64, first: f64, sight: &Sight) -> bool {
    first >= FIRST_MIN.max(FIRST_OF_DEMAND * sight.demand) && PART * sent <= first
}

/// Whether the window is as small as it becomes, and sends too little for any other look at it. Behind other limits than of rate
/// nobody gains by that look, and forty polite senders that exceed one of 10 fivefold would pay 3.8 attempts per success instead of 3.6.
fn is_on_floor(sent: f64, sight: &Sight) -> bool {
    sight.kind == Kind::Rate && sight.is_at_floor && sent < FEW
}

/// Seconds after the gate closed in which what passes is what passed at first.
const FIRST_FOR: f64 = 3.0;

/// And the least of it that says anything, per second and of the demand. Of a hundred senders that exceed a limit fifteenfold some
/// have a good first moment, and never again.
const FIRST_MIN: f64 = 3.0;
const FIRST_OF_DEMAND: f64 = 0.2;

/// Seconds until the windows of polite senders that began together have found their places.
const SETTLED_AFTER: f64 = 6.0;

/// Seconds over which it is counted how much is sent.
const LOOK_FOR: f64 = 4.0;

/// One part in so many of what passed at first is little. With two, polite senders that share unevenly look starved.
const PART: f64 = 3.0;

/// Attempts per second that are few; of more of them a dozen seconds say enough.
const FEW: f64 = 2.0;

/// The throttled share that stands for throttles of others, and the most that is taken for one's own.
const OF_OTHERS: f64 = 0.3;
const TOLERATED_MAX: f64 = 0.1;

/// Fifty times as likely.
const WEIGHT_MIN: f64 = 4.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// A sender that wants ten a second and got eight of them through at first.
    fn starving(sight: &Sight, sent_per_second: u32, throttled_every: u32) -> Option<u32> {
        let mut starved = Starved::new();
        let mut number = 0;
        for second in 0..120 {
            let (sent, throttled_every) = match second {
                0..=3 => (10, 5),
                _ => (sent_per_second, throttled_every),
            };
            starved.look(f64::from(second), sight);
            for _ in 0..sent {
                number += 1;
                starved.count(number % throttled_every == 0);
            }
            if starved.is_by_others() {
                return Some(second);
            }
        }
        None
    }

    #[test]
    fn who_is_left_with_little_and_is_throttled_all_the_same_is_starved_by_others() {
        let found = starving(&Sight::of_tests(), 2, 3).expect("starved");

        assert!((10..30).contains(&found), "after {found} s");
    }

    #[test]
    fn who_is_throttled_no_more_than_tolerated_is_not() {
        assert_eq!(starving(&Sight::of_tests(), 2, 12), None);
    }

    #[test]
    fn who_keeps_a_fair_part_is_not() {
        assert_eq!(starving(&Sight::of_tests(), 5, 3), None);
    }

    #[test]
    fn what_passed_by_chance_in_a_great_overload_counts_for_nothing() {
        let overload = Sight {
            demand: 100.0,
            ..Sight::of_tests()
        };

        assert_eq!(starving(&overload, 2, 3), None);
    }

    #[test]
    fn on_the_floor_of_a_rate_limit_nothing_has_to_be_known_of_the_beginning() {
        let floor = |kind| Sight {
            kind,
            is_at_floor: true,
            demand: 100.0,
            ..Sight::of_tests()
        };

        assert!(starving(&floor(Kind::Rate), 1, 2).is_some());
        assert_eq!(starving(&floor(Kind::Concurrency), 1, 2), None);
        assert_eq!(starving(&floor(Kind::Rate), 3, 2), None, "others will see");
    }

    #[test]
    fn a_pause_forgets_all_but_the_beginning() {
        let mut starved = Starved::new();
        starved.look(0.0, &Sight::of_tests());
        (0..30).for_each(|_| starved.count(false));
        starved.look(3.0, &Sight::of_tests());

        starved.pause();

        assert!(starved.first.is_some_and(|first| first.rate > 9.0));
        assert_eq!((starved.attempts, starved.since), (0, None));
    }
}
