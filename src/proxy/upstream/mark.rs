//! One attempt's mark: counted exactly once, and only if the upstream can have seen it.
//!
//! An attempt counts when its first byte is handed to the connection, but its class is known only later, and the client
//! may leave in between on another thread. So the mark is one small state machine that both sides advance: the
//! connection says "first byte", the request says "this is the class" or, by dropping its [`Tally`], "nobody waits any
//! more". Whoever comes second counts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use prometheus::IntCounter;

use crate::clock;
use crate::retry::classify::{Class, Sent};

/// The state that the connection and the request share.
#[derive(Debug)]
pub(super) struct Mark {
    state: Mutex<State>,
    cancelled: IntCounter,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing is written, and somebody waits.
    Idle,
    /// The first byte was handed to a connection then, and somebody waits.
    Written(Instant),
    /// Nothing is written, and nobody waits.
    Abandoned,
    /// It is counted, or will not be.
    Counted,
}

/// The request's end of a mark. Dropped without a class, the attempt counts as cancelled if a byte was ever written.
#[derive(Debug)]
pub struct Tally {
    mark: Arc<Mark>,
    is_settled: bool,
}

impl Mark {
    /// The connection was handed the attempt's first byte.
    pub(super) fn first_byte(&self) {
        let mut state = self.state();
        match *state {
            State::Idle => *state = State::Written(clock::now()),
            State::Abandoned => {
                *state = State::Counted;
                self.cancelled.inc();
            }
            // Only the first byte's moment is kept.
            State::Written(_) | State::Counted => {}
        }
    }

    /// Held for nanoseconds.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    /// A tally for one attempt; `cancelled` is the counter for the case that nobody waits for its end.
    pub fn new(cancelled: IntCounter) -> Self {
        Self {
            mark: Arc::new(Mark {
                state: Mutex::new(State::Idle),
                cancelled,
            }),
            is_settled: false,
        }
    }

    /// What the connection needs to tell the first byte.
    pub(super) fn mark(&self) -> Arc<Mark> {
        Arc::clone(&self.mark)
    }

    /// A connection was handed the attempt's first byte.
    pub(super) fn first_byte(&self) {
        self.mark.first_byte();
    }

    /// When the first byte was handed to a connection; `None` before that.
    pub fn began(&self) -> Option<Instant> {
        match *self.mark.state() {
            State::Written(at) => Some(at),
            State::Idle | State::Abandoned | State::Counted => None,
        }
    }

    /// Whether a byte was handed to a connection.
    pub fn sent(&self) -> Sent {
        match *self.mark.state() {
            State::Idle => Sent::Nothing,
            State::Written(_) | State::Abandoned | State::Counted => Sent::Perhaps,
        }
    }

    /// The attempt ended in this class: counts it, as far as it counts.
    ///
    /// One that nothing was written of counts only as [`Class::Unsent`].
    pub fn settle(mut self, class: Class, counter: &IntCounter) {
        self.is_settled = true;
        let before = std::mem::replace(&mut *self.mark.state(), State::Counted);
        if matches!(before, State::Written(_)) || class == Class::Unsent {
            counter.inc();
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let mut state = self.mark.state();
        match *state {
            State::Idle => *state = State::Abandoned,
            State::Written(_) => {
                *state = State::Counted;
                self.mark.cancelled.inc();
            }
            State::Abandoned | State::Counted => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(name: &str) -> IntCounter {
        IntCounter::new(name, name).unwrap()
    }

    #[test]
    fn an_attempt_counts_once_in_its_class() {
        let (cancelled, ok) = (counter("cancelled"), counter("ok"));
        let tally = Tally::new(cancelled.clone());

        tally.mark().first_byte();
        tally.settle(Class::Ok, &ok);

        assert_eq!((ok.get(), cancelled.get()), (1, 0));
    }

    #[test]
    fn an_attempt_that_the_client_left_before_a_byte_was_written_does_not_count() {
        let cancelled = counter("cancelled");

        drop(Tally::new(cancelled.clone()));

        assert_eq!(cancelled.get(), 0);
    }

    #[test]
    fn an_attempt_that_the_client_left_counts_as_cancelled_whichever_side_comes_first() {
        let cancelled = counter("cancelled");

        let left_after = Tally::new(cancelled.clone());
        left_after.mark().first_byte();
        drop(left_after);
        let left_before = Tally::new(cancelled.clone());
        let mark = left_before.mark();
        drop(left_before);
        mark.first_byte();
        mark.first_byte();

        assert_eq!(cancelled.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_begins_with_its_first_byte() {
        let tally = Tally::new(counter("cancelled"));
        let before = tally.began();

        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        let first_byte = clock::now();
        tally.mark().first_byte();
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        tally.mark().first_byte();

        assert_eq!((before, tally.began()), (None, Some(first_byte)));
    }

    #[test]
    fn an_attempt_that_never_left_counts_as_unsent_only() {
        let (cancelled, unsent, broken) =
            (counter("cancelled"), counter("unsent"), counter("broken"));

        Tally::new(cancelled.clone()).settle(Class::Unsent, &unsent);
        Tally::new(cancelled.clone()).settle(Class::Timeout, &broken);

        assert_eq!((unsent.get(), broken.get(), cancelled.get()), (1, 0, 0));
    }
}
