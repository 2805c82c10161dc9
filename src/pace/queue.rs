//! Those who wait: retries first, then by the moment by which each has to start.
//!
//! An ordered map, so that joining, leaving and going cost the logarithm of the crowd whatever the order, and a cancelled
//! waiter leaves nothing behind. Bounded by the number that it was made with. Whose turn it is, and when waiting is in vain, is
//! decided by [`Controller`](super::Controller); this file only keeps the order.

use std::collections::BTreeMap;

/// One who waits. It can be told apart from every other that ever waited at the same controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaiterId {
    /// Retries are false, so that they come first.
    is_first: bool,
    /// By when it has to start; nanoseconds.
    due: u64,
    /// Tells apart, and keeps the order of arrival among equals.
    number: u64,
}

/// What the queue knows of a waiter; seconds since the controller's start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// From when its wait counts.
    pub(super) since: f64,
    /// By when it has to start.
    pub(super) start_by: f64,
    /// By when its answer has to be there.
    pub(super) answer_by: f64,
    /// How long it would have waited at most when it came.
    pub(super) span: f64,
    pub(super) is_retry: bool,
}

impl Waiting {
    /// The last moment at which starting it makes sense when an attempt takes `usual_max`.
    pub(super) fn last_start(&self, usual_max: f64) -> f64 {
        self.start_by.min(self.answer_by - usual_max)
    }
}

/// Everybody who waits at one controller.
#[derive(Debug)]
pub(super) struct Queue {
    retries: BTreeMap<WaiterId, Waiting>,
    firsts: BTreeMap<WaiterId, Waiting>,
    /// How many first attempts are due in each slice of time, to tell a newcomer how many go before it.
    slices: BTreeMap<u64, usize>,
    number: u64,
    limit: usize,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            retries: BTreeMap::new(),
            firsts: BTreeMap::new(),
            slices: BTreeMap::new(),
            number: 0,
            limit,
        }
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(super) fn len(&self) -> usize {
        self.retries.len() + self.firsts.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.retries.is_empty() && self.firsts.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// Takes in one more. The caller has looked at [`Self::is_full`].
    pub(super) fn join(&mut self, waiting: Waiting) -> WaiterId {
        self.number += 1;
        let id = WaiterId {
            is_first: !waiting.is_retry,
            due: nanos(waiting.start_by.min(waiting.answer_by)),
            number: self.number,
        };
        if id.is_first {
            *self.slices.entry(id.due / SLICE_NANOS).or_default() += 1;
            self.firsts.insert(id, waiting);
        } else {
            self.retries.insert(id, waiting);
        }
        id
    }

    /// Lets one go, for whatever reason; says whether it was still waiting.
    pub(super) fn remove(&mut self, id: WaiterId) -> Option<Waiting> {
        if !id.is_first {
            return self.retries.remove(&id);
        }
        let waiting = self.firsts.remove(&id)?;
        let slice = id.due / SLICE_NANOS;
        if let Some(count) = self.slices.get_mut(&slice) {
            *count -= 1;
            if *count == 0 {
                self.slices.remove(&slice);
            }
        }
        Some(waiting)
    }

    /// Whose turn is next.
    pub(super) fn head(&self) -> Option<(WaiterId, Waiting)> {
        first_of(&self.retries).or_else(|| first_of(&self.firsts))
    }

    /// Those who may run out of time first: the first of each kind.
    pub(super) fn most_pressed(&self) -> impl Iterator<Item = (WaiterId, Waiting)> {
        let retry = first_of(&self.retries);
        retry.into_iter().chain(first_of(&self.firsts))
    }

    /// How many would go before a newcomer, to within a slice of time.
    pub(super) fn ahead_of(&self, newcomer: &Waiting) -> usize {
        if newcomer.is_retry {
            return self.retries.len();
        }
        let due = nanos(newcomer.start_by.min(newcomer.answer_by));
        match self.firsts.last_key_value() {
            // The usual case: who comes last is due last.
            Some((last, _)) if last.due > due => {
                let before: usize = self
                    .slices
                    .range(..=due / SLICE_NANOS)
                    .map(|(_, count)| count)
                    .sum();
                self.retries.len() + before
            }
            _ => self.len(),
        }
    }
}

fn first_of(map: &BTreeMap<WaiterId, Waiting>) -> Option<(WaiterId, Waiting)> {
    map.first_key_value().map(|(id, waiting)| (*id, *waiting))
}

/// Seconds to nanoseconds; saturates, and what lies before the start is the start.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what is wanted"
)]
fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// How exactly a newcomer learns how many go before it. Waits are at most `max_wait` long, so that there are few slices.
const SLICE_NANOS: u64 = 250_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(start_by: f64, is_retry: bool) -> Waiting {
        Waiting {
            since: 0.0,
            start_by,
            answer_by: f64::INFINITY,
            span: 10.0,
            is_retry,
        }
    }

    fn drained(mut queue: Queue) -> Vec<WaiterId> {
        let mut order = Vec::new();
        while let Some((id, _)) = queue.head() {
            queue.remove(id);
            order.push(id);
        }
        assert!(queue.is_empty() && queue.slices.is_empty());
        order
    }

    #[test]
    fn retries_go_first_and_then_who_is_due_first_and_then_who_came_first() {
        let mut queue = Queue::new(10);
        let late = queue.join(waiting(9.0, false));
        let early = queue.join(waiting(3.0, false));
        let also_early = queue.join(waiting(3.0, false));
        let late_retry = queue.join(waiting(8.0, true));
        let retry = queue.join(waiting(5.0, true));

        assert_eq!(drained(queue), [retry, late_retry, early, also_early, late]);
    }

    #[test]
    fn who_leaves_is_gone_at_once_and_only_once() {
        let mut queue = Queue::new(10);
        let stays = queue.join(waiting(1.0, false));
        let leaves = queue.join(waiting(1.0, false));

        assert!(queue.remove(leaves).is_some());
        assert!(queue.remove(leaves).is_none());
        assert_eq!(drained(queue), [stays]);
    }

    #[test]
    fn a_newcomer_is_told_how_many_go_before_it() {
        let mut queue = Queue::new(100);
        for n in 0..10 {
            queue.join(waiting(f64::from(n), false));
        }
        queue.join(waiting(20.0, true));

        assert_eq!(queue.ahead_of(&waiting(4.9, false)), 5 + 1);
        assert_eq!(queue.ahead_of(&waiting(30.0, false)), 11);
        assert_eq!(queue.ahead_of(&waiting(0.0, true)), 1);
    }

    #[test]
    fn moments_that_no_number_holds_are_the_last() {
        let mut queue = Queue::new(10);
        let never = queue.join(waiting(f64::INFINITY, false));
        let past = queue.join(waiting(-5.0, false));

        assert_eq!(drained(queue), [past, never]);
    }
}
