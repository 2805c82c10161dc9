//! The trial: first attempts go freely, and what gets through is held against what got through before.

use crate::retry::classify::Kind;

/// Going freely, and counting since when, against what got through before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trial {
    /// Whether what had been waiting is gone.
    is_settled: bool,
    is_proven: bool,
    since: f64,
    passed: u32,
    throttled: u32,
    before: Before,
}

/// What got through while the window ruled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Before {
    /// Of all attempts.
    pub(super) share: f64,
    /// Attempts per second; [`NOT_TO_BEAT`] where more of them would prove nothing.
    pub(super) rate: f64,
    /// Behind a limit of which kind.
    pub(super) kind: Kind,
}

/// What a trial says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes on: nothing is known yet, or the window was without effect.
    GoesOn,
    /// The throttles were ours.
    Ours,
    /// There are next to none left.
    Quiet,
}

impl Trial {
    pub(super) fn begin(now: f64, before: Before) -> Self {
        Self {
            is_settled: false,
            is_proven: false,
            since: now,
            passed: 0,
            throttled: 0,
            before,
        }
    }

    /// Whether it is proven that the window changes nothing.
    pub(super) fn is_proven(&self) -> bool {
        self.is_proven
    }

    pub(super) fn count(&mut self, was_throttled: bool) {
        let counter = if was_throttled {
            &mut self.throttled
        } else {
            &mut self.passed
        };
        *counter = counter.saturating_add(1);
    }

    /// Looks at what was counted so far.
    pub(super) fn look(&mut self, now: f64) -> Outcome {
        let counted = self.passed.saturating_add(self.throttled);
        let lasted = now - self.since;
        if !self.is_settled {
            if lasted >= SETTLE_FOR {
                self.is_settled = true;
                self.count_anew(now);
            }
            return Outcome::GoesOn;
        }
        if counted < COUNTED_MIN || lasted < if self.is_proven { PROOF_FOR } else { TEST_FOR } {
            return Outcome::GoesOn;
        }
        let before = self.before;
        let unchanged = match before.kind {
            Kind::Rate => UNCHANGED,
            _ => UNCHANGED_OTHER,
        };
        let passed_share = f64::from(self.passed) / f64::from(counted);
        // Polite senders make room for one that goes freely, others do not.
        let made_room = !self.is_proven
            && before.rate >= NOT_TO_BEAT
            && 1.0 - passed_share < unchanged * (1.0 - before.share);
        if !made_room && passed_share >= 1.0 - SHARE_QUIET {
            return Outcome::Quiet;
        }
        let is_unchanged = passed_share >= unchanged * before.share;
        let pays = f64::from(self.passed) / lasted >= PAYS * before.rate
            && passed_share >= PAYS_FROM * before.share;
        if made_room || (!is_unchanged && !pays) {
            return Outcome::Ours;
        }
        self.is_proven = true;
        self.count_anew(now);
        Outcome::GoesOn
    }

    fn count_anew(&mut self, now: f64) {
        (self.since, self.passed, self.throttled) = (now, 0, 0);
    }
}

/// Many polite senders at their floors would each find that going freely pays.
pub(super) const NOT_TO_BEAT: f64 = f64::INFINITY;

/// Seconds that pass before a test counts: all that waited goes at once when first attempts are freed, and its throttles would
/// be held against the newcomers.
const SETTLE_FOR: f64 = 3.0;

/// Seconds that a test lasts, and that each further look takes. A sender of a few dozen attempts a second that is tested for one
/// second is judged by chance, and a wrong no is dear: the next test is a minute away.
const TEST_FOR: f64 = 3.0;
const PROOF_FOR: f64 = 10.0;

/// The attempts that a finding rests on.
const COUNTED_MIN: u32 = 40;

/// The share of what got through before that has to get through freely, for the window to be without effect: behind a rate limit,
/// and behind others. A sender that is a tenth of the traffic and retries adds a fifth to it when freed, so about four fifths of its
/// share are left; the rest is room for chance. Behind a limit that it alone exceeds, less than a sixth would be left.
///
/// Behind a concurrency limit of 10 twenty polite senders that exceed it fivefold pay 3.0 attempts per success with 0.6, 2.8 so; with
/// 0.7, who is beside three of its own size that together exceed it twofold gets 0.38 through instead of 0.49, of 0.46 directly.
const UNCHANGED: f64 = 0.5;
const UNCHANGED_OTHER: f64 = 0.65;

/// How many times as many attempts a second have to get through freely, for going freely to pay. A sender
/// that is a quarter of the traffic adds so much when freed that its share falls below [`UNCHANGED`], and still has several
/// times as much. Behind a limit that it alone exceeds there would be no more than before.
const PAYS: f64 = 2.5;

/// The share of what got through before that is left at least when going freely pays. Beside polite senders, who make room, it
/// pays as well, but a small sender that exceeds its part of the limit manyfold is left with a fifth of its share.
const PAYS_FROM: f64 = 0.35;

/// The throttled share that is as good as none.
const SHARE_QUIET: f64 = 0.1;
