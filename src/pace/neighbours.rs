//! Mixed fleets: when the throttles are made by others, holding back helps nobody but them.
//!
//! Throttles carry no name. All sidecars keep a beat by which they know their own, see [`swing`]. When it says that others make
//! them, the window is put to the test, see [`trial`]: first attempts go freely for a moment. If at least three tenths of the share
//! that got through before still does, the window was *unresponsive*, and they keep going freely (retries still wait for their
//! jitter and their budget). If not, the throttles were our own after all; the window rules again, and the next test waits, longer each time.
//! The same follows when a [`check`] says so, which all that go freely make together now and then.

mod account;
mod beat;
mod check;
mod doubt;
mod eager;
mod ours;
mod passing;
mod swing;
#[cfg(test)]
pub(super) mod tests;
mod trial;
mod width;

use std::time::Duration;

use self::check::Check;
use self::swing::Swing;
use self::trial::{Outcome, Trial};
use crate::retry::classify::Kind;

/// Whether the window has any say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbours {
    /// Going freely; `None` while the window rules.
    trial: Option<Trial>,
    check: Check,
    swing: Swing,
}

/// What there is to see at a look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// Whether what was sent lately is what the window allowed: the gate is closed, no limit is being looked for, and no outage, nor
    /// one that is hardly over, has refused it.
    pub(super) is_ruling: bool,
    /// Whether the window keeps anybody waiting, in no outage.
    pub(super) is_pressed: bool,
    /// The throttled share of the last ten seconds.
    pub(super) throttled_share: f64,
    /// The kind of the latest throttle.
    pub(super) kind: Kind,
    /// The share of that kind that is tolerated usually.
    pub(super) usual: f64,
    /// Requests per second that are asked for.
    pub(super) demand: f64,
    /// Seconds that an attempt takes.
    pub(super) service: f64,
    /// Whether much more gets through than is asked for: what waits is what a burst has left.
    pub(super) is_draining: bool,
    /// Attempts per second that get through, over the last ten seconds and over the last one.
    pub(super) delivered: f64,
    pub(super) delivered_lately: f64,
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
            usual: 0.05,
            demand: 30.0,
            service: 0.1,
            is_draining: false,
            delivered: 10.0,
            delivered_lately: 10.0,
        }
    }
}

impl Neighbours {
    /// The owner starts at that moment of the wall clock.
    pub(super) fn new(wall: Duration) -> Self {
        Self {
            trial: None,
            check: Check::default(),
            swing: Swing::new(wall),
        }
    }

    /// Nothing is known any more but the time.
    pub(super) fn anew(&self) -> Self {
        Self {
            trial: None,
            check: Check::default(),
            swing: self.swing.anew(),
        }
    }

    /// What a window of that size is now, see [`swing`]; or, while first attempts go freely, what takes its place in a check.
    pub(super) fn size(&self, now: f64, size: f64) -> f64 {
        if self.is_free() {
            self.swing.size_low()
        } else {
            self.swing.size(now, size)
        }
    }

    /// When that changes; infinite while nothing swings and no check is made.
    pub(super) fn next_part(&self, now: f64) -> f64 {
        match self.checks_until(now) {
            Some(end) => end,
            None => self.swing.next_part(now),
        }
    }

    /// The share of throttles that is tolerated, where usually it is `usual`.
    pub(super) fn tolerated(&self, kind: Kind, usual: f64) -> f64 {
        self.swing.tolerated(kind, usual)
    }

    /// Whether first attempts go freely.
    pub(super) fn is_free(&self) -> bool {
        self.trial.is_some()
    }

    /// Until when they are held back all the same, while a [`check`] is made.
    pub(super) fn checks_until(&self, now: f64) -> Option<f64> {
        if !self.is_unresponsive() {
            return None;
        }
        self.swing.checks_until(now)
    }

    /// Whether it is proven that the window changes nothing.
    pub(super) fn is_unresponsive(&self) -> bool {
        self.trial.is_some_and(|trial| trial.is_proven())
    }

    /// An attempt that was sent then was taken in, or throttled.
    pub(super) fn count(&mut self, sent: f64, was_throttled: bool) {
        self.swing.count(sent, was_throttled);
        let Some(trial) = &mut self.trial else {
            return;
        };
        trial.count(was_throttled);
        if trial.is_proven()
            && let Some(part) = self.swing.checked_part(sent)
            && self.check.count(part, was_throttled)
        {
            self.swing.take_for_others();
        }
    }

    /// Looks at what happened since the last look.
    pub(super) fn look(&mut self, now: f64, sight: Sight) -> Finding {
        if self.is_free() {
            if !sight.is_ruling {
                self.check = Check::default();
            }
            self.swing.look_freely(now, &sight);
        } else if sight.is_ruling {
            self.swing.look(now, &sight);
        } else {
            self.swing.pause();
        }
        if let Some(trial) = self.trial {
            return self.judge(now, trial);
        }
        if !sight.is_pressed || !self.swing.is_by_others(now) {
            return Finding::Same;
        }
        self.trial = Some(Trial::begin(now, 1.0 - sight.throttled_share));
        Finding::Freed
    }

    fn judge(&mut self, now: f64, mut trial: Trial) -> Finding {
        let outcome = if self.check.is_ours() {
            Outcome::Ours
        } else {
            trial.look(now)
        };
        match outcome {
            Outcome::GoesOn => {
                self.trial = Some(trial);
                Finding::Same
            }
            Outcome::Ours => {
                self.trial = None;
                self.check = Check::default();
                self.swing.take_for_ours(now);
                Finding::Ours
            }
            Outcome::Quiet => {
                *self = self.anew();
                Finding::Quiet
            }
        }
    }
}
