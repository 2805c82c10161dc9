//! What happened when in one run: counts and looks in slots of time, never more of them than a picture is wide.

use std::time::Duration;

/// A run cut into slots.
pub(super) struct Timeline {
    /// Seconds that a slot lasts.
    pub(super) width: f64,
    /// All of them, from the start to when the last request came.
    pub(super) slots: Vec<Slot>,
    next_look: f64,
}

/// One slot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    /// Requests that came.
    pub(super) offered: u32,
    /// Good answers, in time.
    pub(super) served: u32,
    /// Attempts that were refused.
    pub(super) refused: u32,
    /// What was seen in it, once.
    pub(super) now: Now,
}

/// What can be seen of all sidecars together at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Now {
    /// Requests that wait for a turn.
    pub(super) waiting: usize,
    /// How many sidecars' gates are closed, and the sum of their windows.
    pub(super) closed: usize,
    pub(super) window: f64,
}

impl Timeline {
    /// An empty one for a run of this length.
    pub(super) fn new(length: Duration) -> Self {
        Self {
            width: length.as_secs_f64() / SLOTS as f64,
            slots: vec![Slot::default(); SLOTS],
            next_look: 0.0,
        }
    }

    /// Whether this slot has not been looked at yet.
    pub(super) fn is_due(&self, now: f64) -> bool {
        now >= self.next_look
    }

    /// Keeps what was seen now. What was not looked at since the latest look was the same, since nothing happened.
    pub(super) fn look(&mut self, now: f64, seen: Now) {
        while self.next_look <= now {
            let looked = self.next_look;
            self.next_look = looked + self.width;
            if let Some(slot) = self.slot(looked) {
                slot.now = seen;
            }
        }
    }

    /// The slot of this moment; none after the last request came.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and what is past the end is none"
    )]
    pub(super) fn slot(&mut self, now: f64) -> Option<&mut Slot> {
        // A boundary belongs to the slot that it begins, whatever rounding made of it.
        self.slots.get_mut((now / self.width + ROUNDING) as usize)
    }
}

/// Enough for a picture, and few enough to be read by eye.
const SLOTS: usize = 240;

const ROUNDING: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_looked_at_once_and_what_comes_after_the_end_is_left_out() {
        let mut timeline = Timeline::new(Duration::from_secs(SLOTS as u64));
        let waiting = |waiting| Now {
            waiting,
            ..Now::default()
        };

        timeline.look(0.5, waiting(1));
        assert!(!timeline.is_due(0.9) && timeline.is_due(1.0));
        timeline.look(3.2, waiting(2));
        timeline.look(1e9, waiting(3));

        let seen: Vec<_> = timeline.slots.iter().map(|slot| slot.now.waiting).collect();
        assert_eq!(seen[..5], [1, 2, 2, 2, 3]);
        assert!(timeline.slot(SLOTS as f64).is_none());
    }
}
