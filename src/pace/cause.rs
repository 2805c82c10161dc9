//! Whose fault a throttle is: the upstream's limit, which everybody shares, or one sick function's.
//!
//! A function that always refuses must not slow the rest down. So a throttle feeds the window only when it has a *shared cause*:
//! its cell (route, method, first two path segments) had a success a short while ago, so that the door was not simply shut, or
//! throttles came from more than one such cell. A cell that is known to be futile teaches nothing at all; asking that is for the
//! caller. The same caution holds for what the upstream asks for: one answer's `Retry-After` is its own request's affair, and
//! only two in a short time are meant for everybody ([`HintGate`]).
//!
//! Memory is bounded: at most [`CELLS_MAX`] cells, the longest unused makes room.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::retry::futility::Cell;

/// What the cells of one upstream had lately.
#[derive(Debug, Default)]
pub struct Causes {
    /// In order, since they are few: to compare bytes takes a fraction of what a hash takes that no client can aim at.
    cells: BTreeMap<Cell, Memory>,
    /// Counts uses, to find the cell that was longest unused.
    uses: u64,
    /// The latest throttles from different cells, oldest first; never more than two.
    throttled: VecDeque<(Cell, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct Memory {
    succeeded: Instant,
    used: u64,
}

impl Causes {
    /// No memory of anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Somebody got through there; see [`shows_open`](crate::retry::futility::shows_open).
    pub fn on_success(&mut self, now: Instant, cell: &Cell) {
        self.uses += 1;
        if let Some(memory) = self.cells.get_mut(cell) {
            memory.succeeded = memory.succeeded.max(now);
            memory.used = self.uses;
            return;
        }
        if self.cells.len() >= CELLS_MAX {
            let longest_unused = self.cells.iter().min_by_key(|(_, memory)| memory.used);
            if let Some(cell) = longest_unused.map(|(cell, _)| cell.clone()) {
                self.cells.remove(&cell);
            }
        }
        let memory = Memory {
            succeeded: now,
            used: self.uses,
        };
        self.cells.insert(cell.clone(), memory);
    }

    /// Somebody was throttled there. Says whether it has a shared cause, so that the window may learn from it. Not to be asked
    /// for a cell that is futile.
    pub fn on_throttle(&mut self, now: Instant, cell: &Cell) -> bool {
        let is_recent = |then: Instant| now.saturating_duration_since(then) <= MEMORY_OF_EVENTS;
        self.throttled
            .retain(|(other, at)| is_recent(*at) && other != cell);
        let another_throttles = !self.throttled.is_empty();
        self.throttled.push_back((cell.clone(), now));
        if self.throttled.len() > THROTTLED_CELLS_MAX {
            self.throttled.pop_front();
        }
        let succeeded_lately = self
            .cells
            .get(cell)
            .is_some_and(|memory| is_recent(memory.succeeded));
        succeeded_lately || another_throttles
    }

    /// A cell turned out to be futile: its throttles were its own, and are no evidence against the others.
    pub fn on_futile(&mut self, cell: &Cell) {
        self.throttled.retain(|(other, _)| other != cell);
    }
}

/// Whether the upstream's wish to be left alone is meant for everybody: when two requests were told within a second.
#[derive(Clone, Copy, Debug, Default)]
pub struct HintGate {
    last_hint: Option<Instant>,
}

impl HintGate {
    /// No hint so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// An answer carried a hint. For how long everybody should stay away from now, if at all: at most [`HINT_HOLD_MAX`]. A
    /// quota's hint is never to be told here: it speaks of days, and of one key.
    pub fn on_hint(&mut self, now: Instant, wait: Duration) -> Option<Duration> {
        let before = self.last_hint.replace(now);
        let is_second =
            before.is_some_and(|before| now.saturating_duration_since(before) <= HINTS_WITHIN);
        (is_second && !wait.is_zero()).then(|| wait.min(HINT_HOLD_MAX))
    }
}

/// The most cells that are remembered: as many as the futility guard remembers.
pub const CELLS_MAX: usize = crate::retry::futility::CELLS_MAX;

/// How long a success, or a throttle of another cell, is evidence.
pub const MEMORY_OF_EVENTS: Duration = Duration::from_secs(30);

/// The longest that hints keep everybody away.
pub const HINT_HOLD_MAX: Duration = Duration::from_secs(2);

/// How close together two hints have to be.
pub const HINTS_WITHIN: Duration = Duration::from_secs(1);

/// Two different cells prove a shared cause; more prove no more.
const THROTTLED_CELLS_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::clock;

    fn cell(path: &str) -> Cell {
        Cell::new(0, &Method::GET, path)
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn one_sick_cell_teaches_nothing_however_often_it_throttles() {
        let mut causes = Causes::new();
        let now = clock::now();
        causes.on_success(now, &cell("/healthy/one"));

        for n in 0..1_000 {
            assert!(!causes.on_throttle(now + seconds(n) / 10, &cell("/sick/one")));
        }
    }

    #[test]
    fn a_cell_that_succeeded_lately_is_believed_and_not_for_ever() {
        let mut causes = Causes::new();
        let now = clock::now();
        causes.on_success(now, &cell("/a/b"));

        assert!(causes.on_throttle(now + seconds(30), &cell("/a/b")));
        assert!(!causes.on_throttle(now + seconds(31), &cell("/a/b")));
    }

    #[test]
    fn throttles_of_two_cells_have_a_shared_cause() {
        let mut causes = Causes::new();
        let now = clock::now();

        assert!(!causes.on_throttle(now, &cell("/a/b")));
        assert!(causes.on_throttle(now + seconds(1), &cell("/c/d")));
        assert!(causes.on_throttle(now + seconds(2), &cell("/a/b")));
        assert!(!causes.on_throttle(now + seconds(40), &cell("/a/b")));
    }

    #[test]
    fn a_futile_cell_is_no_evidence_against_the_others() {
        let mut causes = Causes::new();
        let now = clock::now();
        causes.on_throttle(now, &cell("/sick/one"));

        causes.on_futile(&cell("/sick/one"));

        assert!(!causes.on_throttle(now, &cell("/a/b")));
    }

    #[test]
    fn memory_is_bounded_and_the_cells_in_use_stay() {
        let mut causes = Causes::new();
        let now = clock::now();
        for n in 0..10 * CELLS_MAX {
            causes.on_success(now, &cell("/busy/one"));
            causes.on_success(now, &cell(&format!("/other/{n}")));
        }

        assert_eq!(causes.cells.len(), CELLS_MAX);
        assert!(causes.on_throttle(now, &cell("/busy/one")));
    }

    #[test]
    fn one_hint_is_its_own_request_s_affair_and_two_are_everybody_s_for_a_moment() {
        let mut gate = HintGate::new();
        let now = clock::now();

        assert_eq!(gate.on_hint(now, seconds(60)), None);
        assert_eq!(gate.on_hint(now + seconds(2), seconds(60)), None);
        assert_eq!(
            gate.on_hint(now + seconds(3), seconds(60)),
            Some(HINT_HOLD_MAX)
        );
        assert_eq!(gate.on_hint(now + seconds(3), seconds(1)), Some(seconds(1)));
        assert_eq!(gate.on_hint(now + seconds(3), Duration::ZERO), None);
    }
}
