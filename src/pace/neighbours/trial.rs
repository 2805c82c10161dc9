//! The trial: first attempts go freely, and the share that gets through is held against what it was before.

/// Going freely, and counting since when, against what got through before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trial {
    /// Whether what had been waiting is gone.
    is_settled: bool,
    is_proven: bool,
    since: f64,
    passed: u32,
    throttled: u32,
    /// The share that got through while the window ruled.
    share_before: f64,
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
    /// So large a share of the attempts got through while the window ruled.
    pub(super) fn begin(now: f64, share_before: f64) -> Self {
        Self {
            is_settled: false,
            is_proven: false,
            since: now,
            passed: 0,
            throttled: 0,
            share_before,
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
        let passed_share = f64::from(self.passed) / f64::from(counted);
        if passed_share >= 1.0 - SHARE_QUIET {
            return Outcome::Quiet;
        }
        if passed_share < LEFT * self.share_before {
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

/// Seconds that pass before a test counts: all that waited goes at once when first attempts are freed, and its throttles would
/// be held against the newcomers.
const SETTLE_FOR: f64 = 3.0;

/// Seconds that a test lasts, and that each further look takes. A sender of a few dozen attempts a second that is tested for one
/// second is judged by chance, and a wrong no is dear: the next test is half a minute away at least.
const TEST_FOR: f64 = 3.0;
const PROOF_FOR: f64 = 10.0;

/// The attempts that a finding rests on.
const COUNTED_MIN: u32 = 40;

/// The part of the share that got through before that is left at least if the window is without effect. A sender that is a tenth of the
/// traffic and retries adds a fifth to it when freed, so about four fifths would be left, and half where it is a quarter of it; the
/// rest is room for chance, since a window that has sunk counts few. Behind a limit that it alone exceeds sixfold, a sixth is left.
const LEFT: f64 = 0.3;

/// The throttled share that is as good as none.
const SHARE_QUIET: f64 = 0.1;
