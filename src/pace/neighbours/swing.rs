//! The swing: a beat that all sidecars keep, by which throttles of their own are told from throttles of others.
//!
//! While much more is throttled than the window tolerates, or more than a quarter, the window swings: in the first half of every
//! second of the wall clock it is larger, in the second half smaller. All sidecars do so at the same moments, without a word to one
//! another, as far as their clocks agree. If the throttles are *theirs*, nearly all of them fall into the first halves: in the
//! second ones less is sent than the limit lets pass. If senders make them that know of no beat, both halves are throttled alike.
//! A lock-in amplifier finds a signal in noise in this way; how much likelier the second account is than the first is
//! [added up](super::halves) half by half (Wald's sequential test), and what is old fades.
//!
//! Until that is known, a window that still gets something through is *eager*: it lets more be throttled, for else it would have
//! sunk too low to find out anything. Whoever knows that the throttles are its own keeps the beat for a while, for the sake of
//! those who do not know yet.
//!
//! On average a swinging window sends what it would send anyway. Behind a rate limit that costs nothing as long as the bucket
//! holds the tokens of a fifth of a second; behind a concurrency limit, up to a tenth of the goodput while it lasts. Clocks that are
//! 150 ms apart are good enough; with some that disagree altogether, polite senders take one another for others.

use super::Sight;
use super::halves::Halves;
use crate::retry::classify::Kind;

/// What the halves of the seconds say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Swing {
    /// How far the wall clock was into its second at the owner's start.
    offset: f64,
    halves: Halves,
    looked_at: f64,
    /// Since when there is a doubt, now.
    since: Option<f64>,
    /// When the present doubt began; one that comes back soon is the same.
    doubted_at: f64,
    /// Seconds that it has lasted, all in all.
    doubted_for: f64,
    /// Until when the throttles are taken for one's own.
    ours_until: f64,
    /// How long the next finding of that kind holds.
    ours_for: f64,
    is_eager: bool,
    /// The kind of the latest throttle.
    kind: Kind,
    /// Whether attempts take so long that a window cannot follow the beat.
    is_too_slow: bool,
}

impl Swing {
    /// The owner starts so many seconds after the wall clock's last full one.
    pub(super) fn new(offset: f64) -> Self {
        Self {
            offset,
            halves: Halves::default(),
            looked_at: 0.0,
            since: None,
            doubted_at: f64::NEG_INFINITY,
            doubted_for: 0.0,
            ours_until: f64::NEG_INFINITY,
            ours_for: OURS_FOR,
            is_eager: false,
            kind: Kind::Unknown,
            is_too_slow: false,
        }
    }

    pub(super) fn offset(&self) -> f64 {
        self.offset
    }

    /// Whether the window swings: in doubt, and for a while without one of its own.
    fn is_on(&self, now: f64) -> bool {
        self.since.is_some() && (!self.is_ours(now) || now - self.doubted_at <= KEPT_FOR)
    }

    /// By how much the window of so many attempts per second is multiplied now.
    pub(super) fn factor(&self, now: f64, rate: f64) -> f64 {
        if !self.is_on(now) {
            return 1.0;
        }
        let (half, _) = self.half(now);
        let width = WIDTH * (WIDTH_RATE / rate).sqrt().clamp(WIDTH_LEAST, 1.0);
        if half == 0 { 1.0 + width } else { 1.0 - width }
    }

    /// When that changes; infinite while nothing swings.
    pub(super) fn next_half(&self, now: f64) -> f64 {
        if !self.is_on(now) {
            return f64::INFINITY;
        }
        let (_, into) = self.half(now);
        // Rounded, it must not still be the old one.
        now + HALF - into + ROUNDING
    }

    /// The share of throttles that is tolerated, where usually it is `usual`.
    pub(super) fn tolerated(&self, kind: Kind, usual: f64) -> f64 {
        match kind {
            _ if !self.is_eager => usual,
            Kind::Rate => usual.max(EAGER),
            _ => usual.max(EAGER_OTHER),
        }
    }

    /// An attempt that was sent then was taken in, or throttled.
    pub(super) fn count(&mut self, sent: f64, was_throttled: bool) {
        if !self.is_on(sent) || self.since.is_none_or(|since| sent < since + SETTLE_FOR) {
            return;
        }
        let (half, into) = self.half(sent);
        if into >= UNCLEAR {
            self.halves.count(half, was_throttled);
        }
    }

    /// Looks at what was counted since the last look, while the window rules; `recent` is the throttled share of the last few attempts.
    pub(super) fn look(&mut self, now: f64, sight: &Sight, recent: f64) {
        let passed = now - self.looked_at;
        self.looked_at = now;
        if self.since.is_some() {
            self.doubted_for += passed;
        }
        self.halves.fade((-passed / FADES_IN).exp());
        let doubtful_max = if sight.delivered >= DOUBTFUL_MAX_FROM {
            DOUBTFUL_MAX
        } else {
            f64::INFINITY
        };
        let doubtful = (DOUBTFUL_TIMES * sight.usual)
            .min(doubtful_max)
            .max(DOUBTFUL);
        self.kind = sight.kind;
        self.is_too_slow = sight.service > FOLLOWS_UP_TO;
        if !sight.is_pressed || sight.throttled_share < doubtful || self.is_too_slow {
            self.since = None;
            self.is_eager = false;
            return;
        }
        if self.since.is_none() && now - self.doubted_at > SAME_DOUBT {
            (self.doubted_at, self.doubted_for) = (now, 0.0);
        }
        self.since.get_or_insert(now);
        let weight = self.halves.weight();
        if weight <= -WEIGHT_OURS && !self.is_ours(now) {
            self.take_for_ours(now);
        } else if weight >= self.weight_of_others() {
            self.ours_for = OURS_FOR;
        }
        self.is_eager = self.doubted_for >= EAGER_AFTER
            && !sight.is_draining
            && recent <= EAGER_UP_TO
            && !self.is_ours(now)
            && sight.delivered >= EAGER_FROM;
    }

    /// What is sent now is not what the window allows, and says nothing.
    pub(super) fn pause(&mut self) {
        if self.since.take().is_some() {
            self.halves = Halves::default();
        }
        self.is_eager = false;
    }

    /// The throttles are one's own: so it is for a while, each time for longer.
    pub(super) fn take_for_ours(&mut self, now: f64) {
        self.ours_until = now + self.ours_for;
        self.ours_for = (2.0 * self.ours_for).min(OURS_FOR_MAX);
        self.halves = Halves::default();
    }

    /// Whether the throttles are taken for one's own.
    pub(super) fn is_ours(&self, now: f64) -> bool {
        now < self.ours_until
    }

    /// Whether others make them, as sure as can be, for a sender that got so many attempts per second through at first.
    pub(super) fn is_by_others(&self, now: f64, passed_at_first: f64) -> bool {
        let enough = match self.kind {
            Kind::Rate if passed_at_first >= LARGE_FROM => WEIGHT_OTHERS_LARGE,
            _ => self.weight_of_others(),
        };
        self.since.is_some() && !self.is_ours(now) && self.halves.weight() >= enough
    }

    /// How much likelier throttles of others are than one's own by the beat alone, by logarithm.
    pub(super) fn weight(&self) -> f64 {
        self.halves.weight()
    }

    fn weight_of_others(&self) -> f64 {
        match self.kind {
            Kind::Rate => WEIGHT_OTHERS,
            _ => WEIGHT_OTHERS_OTHER,
        }
    }

    /// Whether the beat speaks for others rather than against them, or says nothing since no window can follow it. What it speaks
    /// against is chance, whatever else seems to tell it.
    pub(super) fn leans_to_others(&self) -> bool {
        self.is_too_slow || self.halves.weight() > 0.0
    }

    /// Whether it speaks against them. It says nothing to who sends next to nothing.
    pub(super) fn leans_to_ours(&self) -> bool {
        !self.is_too_slow && self.halves.weight() < 0.0
    }

    /// Which half of its second a moment is in, and how far.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a remainder of two, never negative"
    )]
    fn half(&self, at: f64) -> (usize, f64) {
        let into_second = (at + self.offset).rem_euclid(2.0 * HALF);
        let half = ((into_second / HALF) as usize).min(1);
        (half, into_second - half as f64 * HALF)
    }
}

/// Seconds of a half, and how long an attempt may take for a window to follow: places have to become free within it.
const HALF: f64 = 0.5;
const FOLLOWS_UP_TO: f64 = 0.4;

/// Seconds at the beginning of a half in which clocks may disagree, and attempts of the half before are still arriving.
const UNCLEAR: f64 = 0.1;

/// By what part a window swings, up to so many attempts per second. Of more of them less is enough: what they tell grows with
/// their number and with the square of the width.
const WIDTH: f64 = 0.4;
const WIDTH_RATE: f64 = 60.0;
const WIDTH_LEAST: f64 = 0.25;

/// The throttled share from which there is a doubt, and as a multiple of what is tolerated. Polite senders tolerate a tenth at
/// most behind a rate limit, and meet a little more for seconds when all begin.
const DOUBTFUL: f64 = 0.08;
const DOUBTFUL_TIMES: f64 = 2.0;

/// And the share that is doubtful however much is tolerated. Behind a concurrency limit small senders tolerate a fifth, and urgency
/// doubles that: half of a fleet that is pressed would swing, and the other half would look like neighbours to it. Without this
/// twenty polite senders that exceed a limit of 10 threefold pay 2.5 attempts per success instead of 1.9.
///
/// For those that get so many attempts per second through: the many small senders of a crowd are never throttled less, and would
/// swing for ever. A hundred of them before a limit of 20 would lose a twentieth of what they get through.
const DOUBTFUL_MAX: f64 = 0.27;
const DOUBTFUL_MAX_FROM: f64 = 3.0;

/// Seconds before anything counts: at first all windows sink together, whatever the half.
const SETTLE_FOR: f64 = 1.5;

/// Seconds in which what was counted fades to 37 per cent.
const FADES_IN: f64 = 15.0;

/// From what weights on it is known: twenty times as likely that they are one's own, four hundred times that they are others';
/// behind other limits than of rate, where chance makes throttles, three thousand times. The former error costs a sender half a
/// minute, the latter everybody.
const WEIGHT_OURS: f64 = 3.0;
const WEIGHT_OTHERS: f64 = 6.0;
const WEIGHT_OTHERS_OTHER: f64 = 8.0;

/// And what is enough behind a rate limit for a sender that got so many attempts per second through at first. Who is beside ten that
/// exceed a limit of 100 twofold gets 0.87 through in the first twenty seconds instead of 0.79, in a minute 0.98 instead of 0.87. Polite
/// senders that had as much do not see throttles for so long that chance could speak: ten that exceed it tenfold pay 1.05 attempts per
/// success as before, with a weight of two 1.13. With four for all senders, forty would pay 1.9 instead of 1.2.
const WEIGHT_OTHERS_LARGE: f64 = 3.0;
const LARGE_FROM: f64 = 5.0;

/// Seconds for which throttles are taken for one's own: at first, and at most.
const OURS_FOR: f64 = 30.0;
const OURS_FOR_MAX: f64 = 600.0;

/// Seconds that a sender keeps the beat after a doubt began, though it knows already: others may not. Behind a concurrency limit it
/// costs goodput for as long; with ten, ten senders that exceed a limit of 10 fivefold pay 1.5 attempts per success instead of 1.3.
const KEPT_FOR: f64 = 20.0;

/// Seconds within which a doubt that comes back is the same.
const SAME_DOUBT: f64 = 60.0;

/// What an eager window tolerates: behind a rate limit, where a sixth is throttled if all together exceed it by a fifth, and behind
/// others.
const EAGER: f64 = 0.25;
const EAGER_OTHER: f64 = 0.3;

/// Seconds of a doubt after which: at the beginning of a burst it only costs more.
const EAGER_AFTER: f64 = 0.5;

/// The recent throttled share up to which that can help, and the attempts per second that have to get through: the many small
/// senders of a crowd would pay for it longer than they need to.
const EAGER_UP_TO: f64 = 0.5;
const EAGER_FROM: f64 = 7.0;

/// Seconds; finer than anything that is decided here, coarser than the float's last bit after a year.
const ROUNDING: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of ten attempts in each half, of which so many are throttled in the first halves and in the second ones.
    fn swung(seconds: u32, first: u32, second: u32) -> (Swing, f64) {
        let mut swing = Swing::new(0.0);
        let mut now = 0.0;
        swing.look(now, &Sight::of_tests(), 0.3);
        for _ in 0..seconds {
            for (attempts, throttled) in [(14, first), (6, second)] {
                for number in 0..attempts {
                    swing.count(now + 0.25, number < throttled);
                }
                now += HALF;
                swing.look(now, &Sight::of_tests(), 0.3);
            }
        }
        (swing, now)
    }

    #[test]
    fn throttles_that_keep_the_beat_are_one_s_own() {
        let (swing, now) = swung(8, 6, 0);

        assert!(swing.is_ours(now) && !swing.is_by_others(now, 0.0));
        assert!((swing.tolerated(Kind::Rate, 0.05) - 0.05).abs() < 1e-9);
    }

    #[test]
    fn throttles_that_know_of_no_beat_are_others() {
        let (swing, now) = swung(8, 4, 2);

        assert!(swing.is_by_others(now, 0.0) && swing.leans_to_others() && !swing.is_ours(now));
    }

    #[test]
    fn less_is_enough_for_a_sender_that_had_a_large_part() {
        let found_after = |passed_at_first: f64| {
            let mut seconds = 1..12;
            seconds.find(|seconds| {
                let (swing, now) = swung(*seconds, 4, 2);
                swing.is_by_others(now, passed_at_first)
            })
        };

        let (large, small) = (found_after(5.0).unwrap(), found_after(4.9).unwrap());

        assert!(large < small, "{large} s, {small} s");
    }

    #[test]
    fn a_window_is_eager_neither_at_once_nor_while_a_queue_drains_nor_for_a_trickle() {
        let eager = |look_at: f64, sight: Sight| {
            let mut swing = Swing::new(0.0);
            swing.look(0.0, &sight, 0.3);
            swing.look(look_at, &sight, 0.3);
            swing.tolerated(Kind::Rate, 0.05) > 0.05
        };
        let (drains, trickles) = (
            Sight {
                is_draining: true,
                ..Sight::of_tests()
            },
            Sight {
                delivered: 5.0,
                ..Sight::of_tests()
            },
        );

        assert!(eager(1.0, Sight::of_tests()));
        assert!(!eager(0.2, Sight::of_tests()));
        assert!(!eager(1.0, drains) && !eager(1.0, trickles));
    }

    #[test]
    fn until_it_is_known_the_window_swings_about_its_size_and_is_eager() {
        let (swing, now) = swung(1, 0, 0);

        let (first, second) = (
            swing.factor(now + 0.25, 30.0),
            swing.factor(now + 0.75, 30.0),
        );
        assert!(first > 1.3 && (first + second - 2.0).abs() < 1e-9);
        assert!(swing.factor(now + 0.25, 3_000.0) < first);
        assert!(swing.tolerated(Kind::Rate, 0.05) > 0.2);
        assert!((swing.next_half(now + 0.2) - now - HALF).abs() < 1e-3);
    }

    #[test]
    fn without_a_doubt_nothing_swings() {
        let mut swing = swung(3, 4, 2).0;

        let calm = Sight {
            throttled_share: 0.07,
            ..Sight::of_tests()
        };
        swing.look(4.0, &calm, 0.07);

        assert!((swing.factor(4.25, 30.0) - 1.0).abs() < 1e-9);
        assert!(swing.next_half(4.0).is_infinite());
    }

    #[test]
    fn so_large_a_share_is_doubtful_however_much_is_usual() {
        let swings = |throttled_share, delivered| {
            let mut swing = Swing::new(0.0);
            let pressed = Sight {
                kind: Kind::Concurrency,
                throttled_share,
                delivered,
                usual: 0.2,
                ..Sight::of_tests()
            };
            swing.look(0.0, &pressed, 0.35);
            swing.factor(0.25, 30.0) > 1.0
        };

        assert!(swings(0.28, 5.0) && !swings(0.26, 5.0));
        assert!(swings(0.42, 1.0) && !swings(0.38, 1.0), "one of a crowd");
    }

    #[test]
    fn who_knows_keeps_the_beat_for_a_while_and_no_longer() {
        let (mut swing, now) = swung(8, 6, 0);
        assert!(swing.factor(now + 0.25, 30.0) > 1.0);

        swing.look(20.0, &Sight::of_tests(), 0.3);

        assert!(swing.is_ours(20.0));
        assert!((swing.factor(20.25, 30.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_sent_without_a_swing_says_nothing_of_the_beat() {
        let mut swing = swung(8, 6, 0).0;
        swing.look(21.0, &Sight::of_tests(), 0.3);

        for second in 21..36 {
            (0..14).for_each(|number| swing.count(f64::from(second) + 0.25, number < 3));
            (0..8).for_each(|number| swing.count(f64::from(second) + 0.75, number < 3));
        }
        swing.look(40.0, &Sight::of_tests(), 0.3);

        assert!(!swing.is_ours(40.0) && !swing.is_by_others(40.0, 0.0));
    }

    #[test]
    fn sidecars_that_started_at_different_moments_keep_the_same_beat() {
        // One started at a full second, the other 0.7 s later.
        let (mut one, mut other) = (Swing::new(0.0), Swing::new(0.7));
        one.look(3.0, &Sight::of_tests(), 0.3);
        other.look(2.3, &Sight::of_tests(), 0.3);

        for tenth in 0..20 {
            let at = 3.05 + f64::from(tenth) / 10.0;
            let together = (one.factor(at, 30.0), other.factor(at - 0.7, 30.0));
            assert!((together.0 - together.1).abs() < 1e-9, "{at} {together:?}");
        }
    }

    #[test]
    fn attempts_that_take_longer_than_the_beat_are_left_to_other_evidence() {
        let mut swing = swung(8, 6, 0).0;
        let slow = Sight {
            service: 1.0,
            ..Sight::of_tests()
        };

        swing.look(9.0, &slow, 0.3);

        assert!(swing.leans_to_others());
        assert!((swing.factor(9.25, 30.0) - 1.0).abs() < 1e-9);
    }
}
