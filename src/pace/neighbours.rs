//! Mixed fleets: when the throttles are made by others, holding back helps nobody but them.
//!
//! Throttles carry no name. All sidecars keep a beat by which they know their own, see [`swing`]. A polite sender beside greedy
//! ones also sees its window sink while the throttled share stays where it was, see [`evidence`], most of what it sends
//! throttled, see [`flood`], or sends next to nothing in the end, see [`starved`]; but what the beat speaks against is chance.
//! Then the window is put to the test, see [`trial`]: first attempts go freely for a moment. If as large a share of them gets
//! through as before, or far more of them do, the window was *unresponsive*, and they keep going freely (retries still wait for
//! their jitter and their budget). If not, the throttles were our own after all; the window rules again, and the next test waits,
//! longer each time.

mod evidence;
mod flood;
mod halves;
mod starved;
mod swing;
#[cfg(test)]
mod tests;
mod trial;

use self::evidence::{Evidence, Says};
use self::flood::Flood;
use self::starved::Starved;
use self::swing::Swing;
use self::trial::{Before, NOT_TO_BEAT, Outcome, Trial};
use crate::retry::classify::Kind;

/// Whether the window has any say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbours {
    /// Going freely; `None` while the window rules.
    trial: Option<Trial>,
    /// Of longer and of shorter spans.
    evidence: [Evidence; 2],
    starved: Starved,
    flood: Flood,
    swing: Swing,
    /// No test before this moment.
    test_at: f64,
    /// How long after a failed test the next may come.
    pause: f64,
}

/// What there is to see at a look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// Whether what is sent now is what the window allows: the gate is closed, no limit is being looked for.
    pub(super) is_ruling: bool,
    /// Whether the window keeps anybody waiting, in no outage.
    pub(super) is_pressed: bool,
    /// The throttled share of the last ten seconds.
    pub(super) throttled_share: f64,
    /// The kind of the latest throttle.
    pub(super) kind: Kind,
    /// The share of that kind that is tolerated now, and usually.
    pub(super) tolerated: f64,
    pub(super) usual: f64,
    /// Whether the window is as small as it becomes.
    pub(super) is_at_floor: bool,
    /// Requests per second that are asked for.
    pub(super) demand: f64,
    /// Seconds that an attempt takes.
    pub(super) service: f64,
    /// Whether much more gets through than is asked for: what waits is what a burst has left.
    pub(super) is_draining: bool,
    /// Attempts per second that get through.
    pub(super) delivered: f64,
}

/// What follows from a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// All stays as it is.
    Same,
    /// First attempts go freely from now on.
    Freed,
    /// The throttles were ours: back to the window as it was.
    Ours,
    /// There are next to no throttles left: the gate may open.
    Quiet,
}

#[cfg(test)]
impl Sight {
    /// Of a sender that wants thirty a second behind a rate limit, gets ten, and sees three tenths throttled.
    fn of_tests() -> Self {
        Self {
            is_ruling: true,
            is_pressed: true,
            throttled_share: 0.3,
            kind: Kind::Rate,
            tolerated: 0.05,
            usual: 0.05,
            is_at_floor: false,
            demand: 30.0,
            service: 0.1,
            is_draining: false,
            delivered: 10.0,
        }
    }
}

impl Neighbours {
    /// The owner starts so many seconds after the wall clock's last full one.
    pub(super) fn new(offset: f64) -> Self {
        Self {
            trial: None,
            evidence: [Evidence::of_seconds(), Evidence::of_halves()],
            starved: Starved::new(),
            flood: Flood::default(),
            swing: Swing::new(offset),
            test_at: f64::NEG_INFINITY,
            pause: PAUSE_FIRST,
        }
    }

    /// Nothing is known any more but the time.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.swing.offset())
    }

    /// By how much the window of so many attempts per second is multiplied now; see [`swing`].
    pub(super) fn factor(&self, now: f64, rate: f64) -> f64 {
        self.swing.factor(now, rate)
    }

    /// When that changes; infinite while nothing swings.
    pub(super) fn next_half(&self, now: f64) -> f64 {
        self.swing.next_half(now)
    }

    /// The share of throttles that is tolerated, where usually it is `usual`.
    pub(super) fn tolerated(&self, kind: Kind, usual: f64) -> f64 {
        self.swing.tolerated(kind, usual)
    }

    /// Whether first attempts go freely now.
    pub(super) fn is_free(&self) -> bool {
        self.trial.is_some()
    }

    /// Whether it is proven that the window changes nothing.
    pub(super) fn is_unresponsive(&self) -> bool {
        self.trial.is_some_and(|trial| trial.is_proven())
    }

    /// An attempt that was sent then was taken in, or throttled.
    pub(super) fn count(&mut self, sent: f64, was_throttled: bool) {
        for evidence in &mut self.evidence {
            evidence.count(was_throttled);
        }
        self.starved.count(was_throttled);
        self.flood.count(was_throttled);
        self.swing.count(sent, was_throttled);
        if let Some(trial) = &mut self.trial {
            trial.count(was_throttled);
        }
    }

    /// Looks at what happened since the last look.
    pub(super) fn look(&mut self, now: f64, sight: Sight) -> Finding {
        let is_void = !sight.is_ruling || self.is_free();
        for evidence in &mut self.evidence {
            if is_void {
                evidence.clear();
            }
            evidence.advance(now, sight.kind, sight.tolerated);
        }
        if !sight.is_ruling {
            self.starved = Starved::new();
        } else if sight.is_pressed && !self.is_free() {
            self.starved.look(now, &sight);
        } else {
            self.starved.pause();
        }
        if is_void {
            self.flood.pause();
            self.swing.pause();
        } else {
            self.flood.look(now, sight.kind);
            self.swing.look(now, &sight, self.flood.share());
        }
        if let Some(trial) = self.trial {
            return self.judge(now, trial);
        }
        if !sight.is_pressed || now < self.test_at {
            return Finding::Same;
        }
        let Some(rate) = self.rate_to_beat(now, &sight) else {
            return Finding::Same;
        };
        let before = Before {
            share: 1.0 - sight.throttled_share,
            rate,
            kind: sight.kind,
        };
        self.trial = Some(Trial::begin(now, before));
        Finding::Freed
    }

    /// If the throttles are likely others', the attempts per second that passed meanwhile, where more of them would prove it.
    fn rate_to_beat(&self, now: f64, sight: &Sight) -> Option<f64> {
        let passed_at_first = self.starved.passed_at_first();
        if !self.swing.leans_to_others() {
            // To who sends next to nothing the beat says nothing either.
            let had_a_part = passed_at_first >= PART_MIN && !self.swing.leans_to_ours();
            return (had_a_part && self.starved.is_by_others()).then_some(NOT_TO_BEAT);
        }
        let of_evidence = |evidence: &Evidence| match evidence.says()? {
            Says::FewerPass => Some(evidence.passed_lately()),
            // A window that is still sinking has not shown yet that it changes nothing.
            Says::ShareStays => sight.is_at_floor.then_some(NOT_TO_BEAT),
        };
        let beat = self.swing.weight();
        let is_flooded = !self.swing.is_ours(now)
            && self
                .flood
                .is_by_others(now, sight.kind, passed_at_first, beat);
        let is_starved = self.starved.is_by_others();
        let is_by_others =
            is_starved || is_flooded || self.swing.is_by_others(now, passed_at_first);
        let found = self.evidence.iter().find_map(of_evidence);
        found.or_else(|| is_by_others.then_some(NOT_TO_BEAT))
    }

    fn judge(&mut self, now: f64, mut trial: Trial) -> Finding {
        match trial.look(now) {
            Outcome::GoesOn => {
                if trial.is_proven() {
                    self.pause = PAUSE_FIRST;
                }
                self.trial = Some(trial);
                Finding::Same
            }
            Outcome::Ours => {
                self.trial = None;
                self.swing.take_for_ours(now);
                self.test_at = now + self.pause;
                self.pause = (2.0 * self.pause).min(PAUSE_MAX);
                Finding::Ours
            }
            Outcome::Quiet => {
                *self = self.anew();
                Finding::Quiet
            }
        }
    }
}

/// Attempts per second that a sender got through at first that has a part of a limit worth speaking of. Without it a hundred
/// polite senders that exceed a limit fifteenfold pay eight attempts per success instead of 1.2.
const PART_MIN: f64 = 3.0;

/// Seconds to the next test after one that failed.
const PAUSE_FIRST: f64 = 20.0;
const PAUSE_MAX: f64 = 600.0;
