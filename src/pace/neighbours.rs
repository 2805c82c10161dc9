//! Mixed fleets: when the throttles are made by others, holding back helps nobody but them.
//!
//! Throttles carry no name. A polite sender beside greedy ones sees its window sink while the throttled share stays where it was,
//! see [`evidence`], or sends next to nothing in the end, see [`starved`]. Then the window is put to the test: first attempts go freely for a moment. If as large a share of them gets
//! through as before, or far more of them do, the window was *unresponsive*, and they keep going freely (retries still wait for
//! their jitter and their budget). If not, the throttles were our own after all; the window rules again, and the next test
//! waits, longer each time.

mod evidence;
mod starved;
#[cfg(test)]
mod tests;

use self::evidence::{Evidence, Says};
use self::starved::Starved;
use crate::retry::classify::Kind;

/// Whether the window has any say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbours {
    state: State,
    /// Of longer and of shorter spans.
    evidence: [Evidence; 2],
    starved: Starved,
    /// No test before this moment.
    test_at: f64,
    /// How long after a failed test the next may come.
    pause: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// The window rules.
    Ruled,
    /// Going freely, and counting since when, against what got through before.
    Free {
        /// Whether what had been waiting is gone.
        is_settled: bool,
        is_proven: bool,
        since: f64,
        passed: u32,
        throttled: u32,
        before: Before,
    },
}

/// What got through while the window ruled.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Before {
    /// Of all attempts.
    share: f64,
    /// Attempts per second; infinite where more of them would prove nothing.
    rate: f64,
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
    /// The share of that kind that is tolerated.
    pub(super) tolerated: f64,
    /// Whether the window is as small as it becomes.
    pub(super) is_at_floor: bool,
    /// Requests per second that are asked for.
    pub(super) demand: f64,
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

impl Neighbours {
    pub(super) fn new() -> Self {
        Self {
            state: State::Ruled,
            evidence: [Evidence::of_seconds(), Evidence::of_halves()],
            starved: Starved::new(),
            test_at: f64::NEG_INFINITY,
            pause: PAUSE_FIRST,
        }
    }

    /// Whether first attempts go freely now.
    pub(super) fn is_free(&self) -> bool {
        matches!(self.state, State::Free { .. })
    }

    /// Whether it is proven that the window changes nothing.
    pub(super) fn is_unresponsive(&self) -> bool {
        matches!(self.state, State::Free { is_proven, .. } if is_proven)
    }

    /// An attempt was taken in, or throttled.
    pub(super) fn count(&mut self, was_throttled: bool) {
        for evidence in &mut self.evidence {
            evidence.count(was_throttled);
        }
        self.starved.count(was_throttled);
        if let State::Free {
            passed, throttled, ..
        } = &mut self.state
        {
            let counter = if was_throttled { throttled } else { passed };
            *counter = counter.saturating_add(1);
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
        if self.is_free() {
            return self.judge(now);
        }
        if !sight.is_pressed || now < self.test_at {
            return Finding::Same;
        }
        let Some(rate) = self.rate_to_beat(sight.is_at_floor) else {
            return Finding::Same;
        };
        let before = Before {
            share: 1.0 - sight.throttled_share,
            rate,
        };
        self.state = free(false, now, before);
        Finding::Freed
    }

    /// If the throttles are likely others', the attempts per second that passed meanwhile, where more of them would prove it.
    fn rate_to_beat(&self, is_at_floor: bool) -> Option<f64> {
        let of_evidence = |evidence: &Evidence| match evidence.says()? {
            Says::FewerPass => Some(evidence.passed_lately()),
            // A window that is still sinking has not shown yet that it changes nothing.
            Says::ShareStays => is_at_floor.then_some(NOT_TO_BEAT),
        };
        let starved = || self.starved.is_by_others().then_some(NOT_TO_BEAT);
        self.evidence.iter().find_map(of_evidence).or_else(starved)
    }

    fn judge(&mut self, now: f64) -> Finding {
        let State::Free {
            is_settled,
            is_proven,
            since,
            passed,
            throttled,
            before,
        } = self.state
        else {
            return Finding::Same;
        };
        let counted = passed.saturating_add(throttled);
        let lasted = now - since;
        if !is_settled {
            if lasted >= SETTLE_FOR {
                self.state = State::Free {
                    is_settled: true,
                    is_proven,
                    since: now,
                    passed: 0,
                    throttled: 0,
                    before,
                };
            }
            return Finding::Same;
        }
        if counted < COUNTED_MIN || lasted < if is_proven { PROOF_FOR } else { TEST_FOR } {
            return Finding::Same;
        }
        let passed_share = f64::from(passed) / f64::from(counted);
        // Polite senders make room for one that goes freely, others do not.
        let made_room = !is_proven
            && before.rate >= NOT_TO_BEAT
            && 1.0 - passed_share < UNCHANGED * (1.0 - before.share);
        if !made_room && passed_share >= 1.0 - SHARE_QUIET {
            *self = Self::new();
            return Finding::Quiet;
        }
        let is_unchanged = passed_share >= UNCHANGED * before.share;
        let pays = f64::from(passed) / lasted >= PAYS * before.rate
            && passed_share >= PAYS_FROM * before.share;
        if made_room || (!is_unchanged && !pays) {
            self.state = State::Ruled;
            self.test_at = now + self.pause;
            self.pause = (2.0 * self.pause).min(PAUSE_MAX);
            return Finding::Ours;
        }
        self.pause = PAUSE_FIRST;
        self.state = free(true, now, before);
        Finding::Same
    }
}

fn free(is_proven: bool, now: f64, before: Before) -> State {
    State::Free {
        is_settled: is_proven,
        is_proven,
        since: now,
        passed: 0,
        throttled: 0,
        before,
    }
}

/// Seconds that pass before a test counts: all that waited goes at once when first attempts are freed, and its throttles would
/// be held against the newcomers.
const SETTLE_FOR: f64 = 3.0;

/// Seconds that a test lasts, and that each further look takes. A sender of a few dozen attempts a second that is tested for one
/// second is judged by chance, and a wrong no is dear: the next test is a minute away.
const TEST_FOR: f64 = 3.0;
const PROOF_FOR: f64 = 10.0;

/// The attempts that a finding rests on.
const COUNTED_MIN: u32 = 40;

/// The share of what got through before that has to get through freely, for the window to be without effect. A sender that
/// is a tenth of the traffic and retries adds a fifth to it when freed, so about four fifths of its share are left; the rest is
/// room for chance. Behind a limit that it alone exceeds, less than a sixth would be left.
const UNCHANGED: f64 = 0.6;

/// Many polite senders at their floors would each find that going freely pays.
const NOT_TO_BEAT: f64 = f64::INFINITY;

/// How many times as many attempts a second have to get through freely, for going freely to pay. A sender
/// that is a quarter of the traffic adds so much when freed that its share falls below [`UNCHANGED`], and still has several
/// times as much. Behind a limit that it alone exceeds there would be no more than before.
const PAYS: f64 = 2.5;

/// The share of what got through before that is left at least when going freely pays. Beside polite senders, who make room, it
/// pays as well, but a small sender that exceeds its part of the limit manyfold is left with a fifth of its share.
const PAYS_FROM: f64 = 0.35;

/// The throttled share that is as good as none.
const SHARE_QUIET: f64 = 0.1;

/// Seconds to the next test after one that failed.
const PAUSE_FIRST: f64 = 20.0;
const PAUSE_MAX: f64 = 600.0;
