//! The swing: more in the high parts of a [`beat`] that all sidecars keep, less in the low ones, by which throttles of
//! their own are told from throttles of others.
//!
//! While much more is throttled than the window tolerates, or more than a quarter, there is a doubt, and the window swings. In the
//! low parts a sender that asks sends six tenths of what [passes](super::passing) for it, whatever its window has become. So all of them
//! together send less than the limit lets pass. If the throttles are *theirs*, next to none fall into the low parts; if senders
//! make them that know of no beat, as large a share is throttled in both. A lock-in amplifier finds a signal in noise in this way. How
//! much likelier the one is than the other is told by an [account](super::account).
//!
//! Until that is known, a window that still gets something through is [eager](super::eager). Whoever knows that the throttles are its
//! own keeps the beat for a while, for the sake of those who do not know yet.
//!
//! A swinging window of one's own throttles sends about what it would send anyway. Behind a rate limit that costs nothing as long as the
//! bucket holds the tokens of a quarter of a second; behind a concurrency limit, up to a fifth of the goodput while it asks. Clocks
//! that are 20 ms apart are good enough, behind a rate limit 150 ms; with some that disagree altogether, polite senders
//! take one another for others.

use std::time::Duration;

use super::Sight;
use super::account::Account;
use super::beat::{self, Beat, Part, Place};
use super::doubt;
use super::eager::Eager;
use super::ours::Ours;
use super::passing::Passing;
use super::width;
use crate::retry::classify::Kind;

/// What the beat says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Swing {
    beat: Beat,
    account: Account,
    passing: Passing,
    looked_at: f64,
    /// Since when there is a doubt, now.
    since: Option<f64>,
    /// Until when there is none, whatever was throttled before.
    calm_until: f64,
    /// When the present doubt began; one that comes back soon is the same.
    doubted_at: f64,
    /// Seconds that it has lasted, all in all.
    doubted_for: f64,
    ours: Ours,
    eager: Eager,
    /// The kind of the latest throttle, the seconds that an attempt takes, and those of a period, if any window can follow one.
    kind: Kind,
    service: f64,
    period: Option<f64>,
}

impl Swing {
    /// The owner starts at that moment of the wall clock.
    pub(super) fn new(wall: Duration) -> Self {
        Self::of_beat(Beat::new(wall))
    }

    /// Nothing is known any more but the time.
    pub(super) fn anew(&self) -> Self {
        Self::of_beat(self.beat)
    }

    fn of_beat(beat: Beat) -> Self {
        Self {
            beat,
            account: Account::default(),
            passing: Passing::default(),
            looked_at: 0.0,
            since: None,
            calm_until: f64::NEG_INFINITY,
            doubted_at: f64::NEG_INFINITY,
            doubted_for: 0.0,
            ours: Ours::default(),
            eager: Eager::default(),
            kind: Kind::Unknown,
            service: 0.0,
            period: None,
        }
    }

    /// Where in its period a moment stands, if the window swings then: in doubt, and for a while without one of its own.
    fn place(&self, now: f64) -> Option<Place> {
        self.since?;
        let period = self.period?;
        if self.is_ours(now) && now - self.doubted_at > KEPT_FOR.max(PERIODS_LEAST * period) {
            return None;
        }
        Some(self.beat.place(now, period))
    }

    /// What a window of that size is now.
    pub(super) fn size(&self, now: f64, size: f64) -> f64 {
        let Some(place) = self.place(now) else {
            return size;
        };
        let asks_for = ASKS_FOR.max(PERIODS_LEAST * place.period);
        let asks = !self.is_ours(now) && self.doubted_for <= asks_for;
        let (higher, lower) = width::factors(self.kind, asks, size / self.service);
        match place.part {
            Part::High if asks && self.passing.is_starved() => self.size_low(),
            Part::High if asks => (higher * size).max(self.passing.high(self.kind) * self.service),
            Part::High => higher * size,
            Part::Low if asks => self.size_low(),
            Part::Low => (lower * size).min(self.passing.rate() * self.service),
        }
    }

    /// When that changes; infinite while nothing swings.
    pub(super) fn next_part(&self, now: f64) -> f64 {
        // Rounded, it must not still be the old one.
        self.place(now)
            .map_or(f64::INFINITY, |place| now + place.left + ROUNDING)
    }

    /// What a window is in a low part.
    pub(super) fn size_low(&self) -> f64 {
        self.passing.low() * self.service
    }

    /// Until when a check goes on, if one does.
    pub(super) fn checks_until(&self, now: f64) -> Option<f64> {
        let place = self.beat.place(now, self.period?);
        place.is_check().then_some(now + place.left + ROUNDING)
    }

    /// Whether an attempt tells something about what is sent freely, which counts as high, or in a check, which counts as low.
    pub(super) fn checked_part(&self, sent: f64) -> Option<Part> {
        let place = self.beat.place(sent, self.period?);
        if place.is_check() {
            return (place.into >= self.unclear(place)).then_some(Part::Low);
        }
        (!place.is_after_check()).then_some(Part::High)
    }

    /// The share of throttles that is tolerated, where usually it is `usual`.
    pub(super) fn tolerated(&self, kind: Kind, usual: f64) -> f64 {
        self.eager.tolerated(kind, usual)
    }

    /// An attempt that was sent then was taken in, or throttled.
    pub(super) fn count(&mut self, sent: f64, was_throttled: bool) {
        self.eager.count(was_throttled);
        let (Some(since), Some(place)) = (self.since, self.place(sent)) else {
            return;
        };
        if sent >= since + SETTLE_FOR * place.period && place.into >= self.unclear(place) {
            self.account.count(place.part, was_throttled);
        }
    }

    /// Seconds at the beginning of a part in which an attempt may belong to the one before.
    fn unclear(&self, place: Place) -> f64 {
        match place.part {
            Part::High => UNCLEAR * place.period,
            Part::Low => (UNCLEAR * place.period).max(UNCLEAR_SERVICE * self.service),
        }
    }

    /// Looks at what happened while first attempts went freely.
    pub(super) fn look_freely(&mut self, now: f64, sight: &Sight) {
        self.pause();
        let elapsed = self.follow(now, sight);
        self.passing
            .look(elapsed, None, self.period.unwrap_or(1.0), sight);
    }

    /// Looks at what was counted since the last look, while the window rules.
    pub(super) fn look(&mut self, now: f64, sight: &Sight) {
        let elapsed = self.follow(now, sight);
        if self.since.is_some() {
            self.doubted_for += elapsed;
        }
        let period = self.period.unwrap_or(1.0);
        self.account
            .fade((-elapsed / FADES_IN.max(PERIODS_LEAST * period)).exp());
        if self.account.is_clean() {
            self.calm_until = now + CALM_FOR;
            self.account = Account::default();
        }
        let is_calm = now < self.calm_until || !doubt::is_due(sight);
        if !sight.is_pressed || is_calm || self.period.is_none() {
            self.since = None;
            self.eager.stop();
            self.passing.look(elapsed, None, period, sight);
            return;
        }
        if self.since.is_none() && now - self.doubted_at > SAME_DOUBT {
            self.begin_doubt(now);
        }
        let since = *self.since.get_or_insert(now);
        let held_for = (!self.is_ours(now)).then_some(now - since);
        self.passing.look(elapsed, held_for, period, sight);
        let enough = match self.kind {
            Kind::Rate => WEIGHT_OURS,
            _ => WEIGHT_OURS_OTHER,
        };
        if self.account.weight() <= -enough && !self.is_ours(now) {
            self.take_for_ours(now);
        }
        let asked_for = (!self.is_ours(now)).then_some(self.doubted_for);
        self.eager.look(asked_for, sight);
    }

    /// Keeps the beat that attempts can follow now; what was counted by another one says nothing. Gives the seconds since the last look.
    fn follow(&mut self, now: f64, sight: &Sight) -> f64 {
        let elapsed = now - self.looked_at;
        self.looked_at = now;
        (self.kind, self.service) = (sight.kind, sight.service);
        let period = beat::period(self.period, self.service);
        if period != self.period {
            self.period = period;
            self.account = Account::default();
            self.since = self.since.map(|_| now);
        }
        elapsed
    }

    fn begin_doubt(&mut self, now: f64) {
        (self.doubted_at, self.doubted_for) = (now, 0.0);
        self.passing.begin();
        self.ours.forget_if_long_ago(now);
    }

    /// What is sent now is not what the window allows, and says nothing.
    pub(super) fn pause(&mut self) {
        if self.since.take().is_some() {
            self.account = Account::default();
        }
        self.eager.stop();
    }

    /// The throttles are one's own.
    pub(super) fn take_for_ours(&mut self, now: f64) {
        self.ours.take(now);
        self.account = Account::default();
    }

    /// Others make the throttles, beyond a doubt.
    pub(super) fn take_for_others(&mut self) {
        self.ours.forget();
    }

    fn is_ours(&self, now: f64) -> bool {
        self.ours.is_taken(now)
    }

    /// Whether others make them: the surer, the more often they were one's own.
    pub(super) fn is_by_others(&self, now: f64) -> bool {
        let Some(period) = self.period else {
            return false;
        };
        self.since
            .is_some_and(|since| now - since >= HEARD_FOR * period)
            && !self.is_ours(now)
            && self.account.weight() >= WEIGHT_OTHERS + self.ours.weight()
    }
}

/// Seconds of a doubt for which what passes is held to. An answer that has not come by then is not worth what it costs.
const ASKS_FOR: f64 = 20.0;

/// Periods that asking, keeping the beat, and what was counted last at least: fewer of the long ones tell nothing.
const PERIODS_LEAST: f64 = 8.0;

/// The part of a period, at the beginning of a high and of a low part, in which clocks may disagree; and the times that an attempt
/// takes until most of those that a high part sent are gone from the places of a limit.
const UNCLEAR: f64 = 0.1;
const UNCLEAR_SERVICE: f64 = 1.3;

/// Periods before anything counts: at first all windows sink together, whatever the part. And periods before others are found to make
/// the throttles: a large sender has heard enough in a single low part, in which not all of its like are in doubt yet.
const SETTLE_FOR: f64 = 1.5;
const HEARD_FOR: f64 = 3.5;

/// Seconds in which what was counted fades to 37 per cent.
const FADES_IN: f64 = 15.0;

/// From what weight on others make the throttles: twenty times as likely. With one more, who is beside ten that exceed a limit of 10
/// twofold is found out so much later that more runs of twenty seconds fall below going directly.
const WEIGHT_OTHERS: f64 = 3.0;

/// From what weights on the opposite is known: four hundred times as likely behind a rate limit, where who is wrong beside
/// others makes room for them for half a minute; ninety times behind others, where many small senders wait for the answer.
const WEIGHT_OURS: f64 = 6.0;
const WEIGHT_OURS_OTHER: f64 = 4.5;

/// Seconds without a doubt after next to nothing was throttled: until what was throttled before is forgotten.
const CALM_FOR: f64 = 10.0;

/// Seconds that a sender keeps the beat after a doubt began, though it knows already: others may not. With ten, ten polite senders that
/// exceed a limit of 10 fivefold pay 3.0 attempts per success instead of 1.3.
const KEPT_FOR: f64 = 20.0;

/// Seconds from its beginning on within which a doubt that comes back is the same.
const SAME_DOUBT: f64 = 60.0;

/// Seconds; finer than anything that is decided here, coarser than the float's last bit after a year.
const ROUNDING: f64 = 1e-6;

#[cfg(test)]
mod tests;
