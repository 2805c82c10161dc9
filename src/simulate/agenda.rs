//! What is to come, in order of time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Things to come; those of the same moment in the order in which they were entered.
pub(super) struct Agenda<T> {
    entries: BinaryHeap<Entry<T>>,
    entered: u64,
}

struct Entry<T> {
    /// The bits of the moment: for numbers that are not negative their order is that of the numbers.
    moment: u64,
    number: u64,
    thing: T,
}

impl<T> Agenda<T> {
    pub(super) fn new() -> Self {
        Self {
            entries: BinaryHeap::new(),
            entered: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Enters a thing to come at `at` seconds; what lies before the start comes at the start.
    pub(super) fn enter(&mut self, at: f64, thing: T) {
        self.entered += 1;
        self.entries.push(Entry {
            moment: at.max(0.0).to_bits(),
            number: self.entered,
            thing,
        });
    }

    /// What comes next, and when.
    pub(super) fn peek(&self) -> Option<(f64, &T)> {
        self.entries.peek().map(|next| (next.at(), &next.thing))
    }

    /// Takes off what comes next.
    pub(super) fn pop(&mut self) -> Option<(f64, T)> {
        self.entries.pop().map(|next| (next.at(), next.thing))
    }
}

impl<T> Entry<T> {
    fn at(&self) -> f64 {
        f64::from_bits(self.moment)
    }

    /// In one number, since one comparison without a branch is what most of a run is spent on.
    fn order(&self) -> u128 {
        (u128::from(self.moment) << u64::BITS) | u128::from(self.number)
    }
}

/// The heap has its greatest on top, and the earliest has to be there.
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.order().cmp(&self.order())
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_by_time_and_then_as_they_were_entered() {
        let mut agenda = Agenda::new();
        for (at, thing) in [(2.0, "d"), (0.5, "b"), (2.0, "e"), (-1.0, "a"), (1.5, "c")] {
            agenda.enter(at, thing);
        }

        assert_eq!(agenda.peek(), Some((0.0, &"a")));
        let order: Vec<_> = std::iter::from_fn(|| agenda.pop()).collect();
        assert_eq!(
            order,
            [(0.0, "a"), (0.5, "b"), (1.5, "c"), (2.0, "d"), (2.0, "e")]
        );
        assert!(agenda.is_empty());
    }

    #[test]
    fn what_never_comes_is_last() {
        let mut agenda = Agenda::new();
        agenda.enter(f64::INFINITY, "never");
        agenda.enter(1e300, "late");

        assert_eq!(agenda.pop(), Some((1e300, "late")));
        assert_eq!(agenda.pop(), Some((f64::INFINITY, "never")));
    }
}
