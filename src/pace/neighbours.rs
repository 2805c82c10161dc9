//! Mixed fleets: when the throttles are made by others, holding back helps nobody but them.
//!
//! Throttles carry no name. A polite sender beside greedy ones sees its window sink to the floor while the throttled share stays
//! where it was. So a window that was at its floor for a while, with that share high, is put to the test: first attempts go
//! freely for a moment. If as large a share of them gets through as before, the window was *unresponsive*, and they keep going
//! freely (retries still wait for their jitter and their budget). If not, the throttles were our own after all; the window
//! rules again, and the next test waits, longer each time.

/// Whether the window has any say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbours {
    state: State,
    /// No test before this moment.
    test_at: f64,
    /// How long after a failed test the next may come.
    pause: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// The window rules.
    Ruled { at_floor_since: Option<f64> },
    /// Going freely, and counting since when, against the share that got through at the floor.
    Free {
        /// Whether what had been waiting is gone.
        is_settled: bool,
        is_proven: bool,
        since: f64,
        passed: u32,
        throttled: u32,
        passed_share_at_floor: f64,
    },
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
            state: State::Ruled {
                at_floor_since: None,
            },
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
        if let State::Free {
            passed, throttled, ..
        } = &mut self.state
        {
            let counter = if was_throttled { throttled } else { passed };
            *counter = counter.saturating_add(1);
        }
    }

    /// Looks at the window: whether it is at its floor with somebody waiting, the throttled share of the last ten seconds, and
    /// the share that is tolerated.
    pub(super) fn look(
        &mut self,
        now: f64,
        is_at_floor: bool,
        throttled_share: f64,
        tolerated: f64,
    ) -> Finding {
        match self.state {
            State::Ruled { .. } if !is_at_floor => {
                self.state = State::Ruled {
                    at_floor_since: None,
                };
                Finding::Same
            }
            State::Ruled { at_floor_since } => {
                let since = at_floor_since.unwrap_or(now);
                let is_due = now - since >= FLOOR_FOR && now >= self.test_at;
                if is_due && throttled_share >= SHARE_MIN.max(2.0 * tolerated) {
                    self.state = free(false, now, 1.0 - throttled_share);
                    return Finding::Freed;
                }
                self.state = State::Ruled {
                    at_floor_since: Some(since),
                };
                Finding::Same
            }
            State::Free { .. } => self.judge(now),
        }
    }

    fn judge(&mut self, now: f64) -> Finding {
        let State::Free {
            is_settled,
            is_proven,
            since,
            passed,
            throttled,
            passed_share_at_floor,
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
                    passed_share_at_floor,
                };
            }
            return Finding::Same;
        }
        if counted < COUNTED_MIN || lasted < if is_proven { PROOF_FOR } else { TEST_FOR } {
            return Finding::Same;
        }
        let passed_share = f64::from(passed) / f64::from(counted);
        if passed_share >= 1.0 - SHARE_QUIET {
            *self = Self::new();
            return Finding::Quiet;
        }
        if passed_share < UNCHANGED * passed_share_at_floor {
            self.state = State::Ruled {
                at_floor_since: None,
            };
            self.test_at = now + self.pause;
            self.pause = (2.0 * self.pause).min(PAUSE_MAX);
            return Finding::Ours;
        }
        self.pause = PAUSE_FIRST;
        self.state = free(true, now, passed_share_at_floor);
        Finding::Same
    }
}

fn free(is_proven: bool, now: f64, passed_share_at_floor: f64) -> State {
    State::Free {
        is_settled: is_proven,
        is_proven,
        since: now,
        passed: 0,
        throttled: 0,
        passed_share_at_floor,
    }
}

/// Seconds at the floor before a test: a burst of our own is over by then.
const FLOOR_FOR: f64 = 10.0;

/// The throttled share below which there is no reason for a test; nor is there below twice what is tolerated. A sender that is
/// one of a hundred polite ones in a fivefold overload is near its floor as well, and its test would tell it nothing: its share
/// of all attempts is too small to be felt.
const SHARE_MIN: f64 = 0.25;

/// Seconds that pass before a test counts: all that waited goes at once when first attempts are freed, and its throttles would
/// be held against the newcomers.
const SETTLE_FOR: f64 = 3.0;

/// Seconds that a test lasts, and that each further look takes. A sender of a few dozen attempts a second that is tested for one
/// second is judged by chance, and a wrong no is dear: the next test is a minute away.
const TEST_FOR: f64 = 3.0;
const PROOF_FOR: f64 = 10.0;

/// The attempts that a finding rests on.
const COUNTED_MIN: u32 = 40;

/// The share of what got through at the floor that has to get through freely, for the window to be without effect. A sender that
/// is a tenth of the traffic and retries adds a fifth to it when freed, so about four fifths of its share are left; the rest is
/// room for chance. Behind a limit that it alone exceeds, less than a sixth would be left.
const UNCHANGED: f64 = 0.6;

/// The throttled share that is as good as none.
const SHARE_QUIET: f64 = 0.1;

/// Seconds to the next test after one that failed.
const PAUSE_FIRST: f64 = 60.0;
const PAUSE_MAX: f64 = 600.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn freed() -> Neighbours {
        let mut neighbours = Neighbours::new();
        assert_eq!(neighbours.look(0.0, true, 0.5, 0.05), Finding::Same);
        assert_eq!(neighbours.look(9.9, true, 0.5, 0.05), Finding::Same);
        assert_eq!(neighbours.look(10.0, true, 0.5, 0.05), Finding::Freed);
        count(&mut neighbours, 0, 1_000);
        assert_eq!(neighbours.look(13.0, true, 0.5, 0.05), Finding::Same);
        neighbours
    }

    fn count(neighbours: &mut Neighbours, passed: u32, throttled: u32) {
        (0..passed).for_each(|_| neighbours.count(false));
        (0..throttled).for_each(|_| neighbours.count(true));
    }

    #[test]
    fn a_floor_that_was_left_meanwhile_or_a_small_share_is_no_reason() {
        let mut neighbours = Neighbours::new();

        for n in 0..100 {
            let now = f64::from(n);
            assert_eq!(neighbours.look(now, n % 9 != 0, 0.9, 0.05), Finding::Same);
        }
        for n in 100..200 {
            assert_eq!(
                neighbours.look(f64::from(n), true, 0.1, 0.05),
                Finding::Same
            );
        }
    }

    #[test]
    fn if_as_many_get_through_freely_it_is_unresponsive() {
        let mut neighbours = freed();
        assert!(neighbours.is_free() && !neighbours.is_unresponsive());

        count(&mut neighbours, 45, 55);
        assert_eq!(neighbours.look(16.0, true, 0.5, 0.05), Finding::Same);

        assert!(neighbours.is_unresponsive());
    }

    #[test]
    fn what_its_own_retries_displace_is_not_held_against_it() {
        let mut neighbours = freed();

        count(&mut neighbours, 33, 67);
        neighbours.look(16.0, true, 0.5, 0.05);

        assert!(neighbours.is_unresponsive());
    }

    #[test]
    fn a_second_is_too_short_for_a_finding() {
        let mut neighbours = freed();

        count(&mut neighbours, 10, 90);

        assert_eq!(neighbours.look(14.0, true, 0.5, 0.05), Finding::Same);
        assert!(neighbours.is_free());
    }

    #[test]
    fn if_fewer_get_through_the_window_rules_again_and_the_next_test_waits() {
        let mut neighbours = freed();

        count(&mut neighbours, 10, 90);
        assert_eq!(neighbours.look(16.0, true, 0.5, 0.05), Finding::Ours);

        assert!(!neighbours.is_free());
        assert_eq!(neighbours.look(17.0, true, 0.5, 0.05), Finding::Same);
        assert_eq!(neighbours.look(75.0, true, 0.5, 0.05), Finding::Same);
        assert_eq!(neighbours.look(76.0, true, 0.5, 0.05), Finding::Freed);
    }

    #[test]
    fn when_the_neighbours_leave_the_gate_may_open() {
        let mut neighbours = freed();
        count(&mut neighbours, 50, 50);
        neighbours.look(16.0, true, 0.5, 0.05);

        count(&mut neighbours, 99, 1);
        assert_eq!(neighbours.look(25.9, true, 0.5, 0.05), Finding::Same);
        assert_eq!(neighbours.look(26.0, true, 0.5, 0.05), Finding::Quiet);

        assert!(!neighbours.is_free());
    }
}
