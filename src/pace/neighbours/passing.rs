//! How much passes: the measure of what polite senders may send together without throttling one another.
//!
//! What passes for all of them is what the limit allows. So while each sends a part of what passes for it, less is sent than that,
//! however many they are and however much they want. It is held for a while, since a window that sinks lets less and less pass.

use super::Sight;
use crate::retry::classify::Kind;

/// Attempts per second that pass, and at least as many as are no harm.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passing {
    rate: f64,
    /// What passed at most at the beginning of the doubt.
    at_first: f64,
    is_held: bool,
    is_starved: bool,
    /// Attempts per second that are sent in any case.
    least: f64,
}

impl Passing {
    /// Looks at what passed in the last seconds, `elapsed` after the last look; there has been a doubt for so long since it began or came
    /// back, if there is one.
    /// Where a period is a second, what passed in the last one is that of a high and a low part.
    pub(super) fn look(&mut self, elapsed: f64, held_for: Option<f64>, period: f64, sight: &Sight) {
        let held_from = match sight.kind {
            Kind::Rate => HELD_FROM,
            _ => 0.0,
        };
        let is_held = held_for.is_some_and(|lasted| lasted >= held_from);
        let held = if is_held && self.is_held {
            self.rate * (-elapsed / FADES_IN).exp()
        } else {
            0.0
        };
        let passed = if period <= 1.0 && sight.delivered_lately >= MANY {
            sight.delivered_lately.max(sight.delivered)
        } else {
            sight.delivered
        };
        let at_first = match held_for {
            Some(lasted) if lasted <= FIRST_FOR => self.at_first.max(passed),
            _ => self.at_first,
        };
        let lasting = match sight.kind {
            _ if !is_held => 0.0,
            Kind::Rate => LASTING_RATE * at_first,
            _ => LASTING * at_first,
        };
        *self = Self {
            rate: held.max(passed).max(lasting),
            at_first,
            is_held,
            is_starved: sight.kind != Kind::Rate
                && held_for.is_some_and(|lasted| lasted >= STARVED_AFTER)
                && sight.throttled_share >= STARVED_SHARE
                && sight.delivered <= LEAST * sight.demand,
            least: LEAST * sight.demand,
        };
    }

    /// A doubt begins.
    pub(super) fn begin(&mut self) {
        self.at_first = 0.0;
    }

    /// Whether next to nothing passes. A small part of a place is used as soon as a high part makes it a larger one, and is spent when the low
    /// one comes: without a swing some are sent there, and tell why.
    pub(super) fn is_starved(&self) -> bool {
        self.is_starved
    }

    /// What passes, per second, and at least what is sent in any case.
    pub(super) fn rate(&self) -> f64 {
        self.rate.max(self.least)
    }

    /// What a high part sends at least, per second. Behind other limits than of rate, and in the first moments of
    /// a burst, more would only be throttled.
    pub(super) fn high(&self, kind: Kind) -> f64 {
        match kind {
            Kind::Rate if self.is_held => (ABOVE * self.rate).max(self.least),
            _ => self.least,
        }
    }

    /// What a low part sends, per second.
    pub(super) fn low(&self) -> f64 {
        (BELOW * self.rate).max(self.least)
    }
}

/// The parts of what passes that are sent: on average nearly all of it. With 1.2 in the high parts, a sender alone above a limit, whose window
/// has sunk, gets 0.96 of it through in the first twenty seconds. With 0.8 in the low parts, what strays there makes others of ten
/// polite senders whose limit is halved; with 0.5, who is beside ten that exceed a limit of 10 twofold is found out later.
const ABOVE: f64 = 1.4;
const BELOW: f64 = 0.6;

/// Seconds of a doubt after which it is held behind a rate limit: before, what passes is what the bucket had saved up.
const HELD_FROM: f64 = 1.5;

/// So many attempts per second that get through within a single one say enough of how many do.
const MANY: f64 = 40.0;

/// Seconds in which what is held fades to 37 per cent.
const FADES_IN: f64 = 10.0;

/// Seconds at the beginning of a doubt whose most is remembered, and the part of that which is thought to pass as long as the doubt lasts.
/// Together that is less than half of what all got through in the ten seconds before; behind a rate limit those hold what the bucket had
/// saved up. Without the one for other limits, seven of 96 runs of a minute beside ten that exceed a limit of 10 twofold end below going
/// directly instead of two; with 0.7 behind a rate limit, twenty polite ones that exceed it tenfold pay 1.6 attempts per success
/// instead of 1.1.
const FIRST_FOR: f64 = 2.0;
const LASTING: f64 = 0.7;
const LASTING_RATE: f64 = 0.4;

/// Seconds of a doubt, and the throttled share, from which one is starved that gets less through than it may send in any case. Polite ones
/// seldom are, unless they exceed a limit 25-fold.
const STARVED_AFTER: f64 = 3.0;
const STARVED_SHARE: f64 = 0.75;

/// The part of the demand that is sent in any case, for else a sender that gets next to nothing through never learns why. A fleet that
/// exceeds a limit fifteenfold sends six tenths of it by this; one that exceeds it 25-fold would fill it in the low parts, too.
const LEAST: f64 = 0.04;

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(kind: Kind, delivered: f64) -> Sight {
        Sight {
            kind,
            delivered,
            delivered_lately: delivered,
            demand: 50.0,
            ..Sight::of_tests()
        }
    }

    #[test]
    fn a_low_part_sends_less_than_passes_and_a_high_one_more() {
        let mut passing = Passing::default();

        passing.look(0.1, Some(5.0), 1.0, &sight(Kind::Rate, 10.0));

        assert!(
            (passing.low() - 6.0).abs() < 1e-9 && (passing.high(Kind::Rate) - 14.0).abs() < 1e-9
        );
    }

    #[test]
    fn it_is_held_while_there_is_a_doubt_and_fades() {
        let mut passing = Passing::default();
        passing.look(0.1, Some(5.0), 1.0, &sight(Kind::Rate, 10.0));

        passing.look(1.0, Some(6.0), 1.0, &sight(Kind::Rate, 5.0));
        assert!((5.0..5.6).contains(&passing.low()), "{}", passing.low());

        passing.look(0.1, None, 1.0, &sight(Kind::Rate, 5.0));
        assert!((passing.low() - 3.0).abs() < 1e-9);
    }

    #[test]
    fn behind_a_rate_limit_little_is_held_of_what_the_bucket_had_saved_up() {
        let after_the_start = |kind| {
            let mut passing = Passing::default();
            passing.look(0.1, Some(0.5), 1.0, &sight(kind, 35.0));
            passing.look(1.4, Some(1.9), 1.0, &sight(kind, 10.0));
            passing.low()
        };

        assert!((after_the_start(Kind::Rate) - 0.6 * 0.4 * 35.0).abs() < 1e-9);
        assert!(after_the_start(Kind::Concurrency) > 18.0);
    }

    #[test]
    fn a_part_of_what_passed_at_first_is_kept_to_as_long_as_the_doubt_lasts() {
        let mut passing = Passing::default();
        passing.look(0.1, Some(1.0), 1.0, &sight(Kind::Concurrency, 20.0));

        passing.look(100.0, Some(101.0), 1.0, &sight(Kind::Concurrency, 1.0));
        assert!((passing.low() - 0.6 * 0.7 * 20.0).abs() < 1e-9);

        passing.begin();
        passing.look(100.0, Some(1.0), 1.0, &sight(Kind::Concurrency, 10.0));
        assert!((passing.low() - 6.0).abs() < 1e-9, "of another doubt");
    }

    #[test]
    fn starved_is_who_gets_less_through_than_it_may_send_for_some_seconds() {
        let is_starved = |kind, lasted, throttled_share, delivered| {
            let mut passing = Passing::default();
            let sight = Sight {
                throttled_share,
                ..sight(kind, delivered)
            };
            passing.look(0.1, Some(lasted), 1.0, &sight);
            passing.is_starved()
        };

        assert!(is_starved(Kind::Concurrency, 3.0, 0.8, 1.9));
        assert!(!is_starved(Kind::Concurrency, 2.0, 0.8, 1.9), "so soon");
        assert!(!is_starved(Kind::Concurrency, 3.0, 0.7, 1.9), "by chance");
        assert!(!is_starved(Kind::Concurrency, 3.0, 0.8, 2.1), "one of many");
        assert!(!is_starved(Kind::Rate, 3.0, 0.8, 1.9));
    }

    #[test]
    fn what_passes_in_a_second_counts_if_it_is_a_whole_period_and_many() {
        let low = |period, delivered_lately| {
            let mut passing = Passing::default();
            let grown = Sight {
                delivered_lately,
                ..sight(Kind::Rate, 30.0)
            };
            passing.look(0.1, Some(5.0), period, &grown);
            passing.low()
        };

        assert!((low(1.0, 100.0) - 60.0).abs() < 1e-9);
        assert!((low(2.0, 100.0) - 18.0).abs() < 1e-9, "a high part alone");
        assert!((low(1.0, 39.0) - 18.0).abs() < 1e-9, "chance");
    }

    #[test]
    fn behind_other_limits_only_the_least_is_sent_in_any_case_in_a_high_part() {
        let mut passing = Passing::default();

        passing.look(0.1, Some(5.0), 1.0, &sight(Kind::Concurrency, 10.0));

        assert!(
            (passing.high(Kind::Concurrency) - 2.0).abs() < 1e-9
                && (passing.low() - 6.0).abs() < 1e-9
        );
    }

    #[test]
    fn who_gets_nothing_through_sends_a_little_all_the_same() {
        let mut passing = Passing::default();

        passing.look(0.1, Some(5.0), 1.0, &sight(Kind::Rate, 0.0));

        assert!(
            (passing.low() - 2.0).abs() < 1e-9 && (passing.high(Kind::Rate) - 2.0).abs() < 1e-9
        );
    }
}
