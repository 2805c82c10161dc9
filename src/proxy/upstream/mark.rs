//! One attempt's mark: counted exactly once, and only if the upstream can have seen it.
//!
//! An attempt counts when its first byte is handed to a connection, but its class is known only later. A connection that it has to
//! itself hands that byte over before its eyes. One that carries others, too, is written by a task of its own, and the client
//! may leave in between on another thread: what both know is then one small state machine that both advance. The connection
//! says "first byte", the request says "this is the class" or, by dropping its [`Tally`], "nobody waits any more". Whoever comes
//! second counts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use prometheus::IntCounter;

use crate::clock;
use crate::retry::classify::{Class, Sent};

/// What a request shares with a connection that carries others, too.
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

/// The request's own view of its attempt. Dropped without a class, the attempt counts as cancelled if a byte was ever written.
#[derive(Debug)]
pub struct Tally<'a> {
    cancelled: &'a IntCounter,
    /// When a connection that it has to itself was handed its first byte.
    began: Option<Instant>,
    /// What it shares with one that carries others, too, if it was on one.
    mark: Option<Arc<Mark>>,
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

    /// When the first byte was handed over, if somebody waits still.
    fn began(&self) -> Option<Instant> {
        match *self.state() {
            State::Written(at) => Some(at),
            State::Idle | State::Abandoned | State::Counted => None,
        }
    }

    /// Nobody waits any more, or the class is known. Says whether a byte was written; if none was, one that follows counts only
    /// where nobody has seen the class.
    fn end(&self, end: State) -> bool {
        let mut state = self.state();
        let was_written = matches!(*state, State::Written(_));
        *state = if was_written { State::Counted } else { end };
        was_written
    }

    /// Held for nanoseconds.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Tally<'a> {
    /// A tally for one attempt; `cancelled` is the counter for the case that nobody waits for its end.
    pub fn new(cancelled: &'a IntCounter) -> Self {
        Self {
            cancelled,
            began: None,
            mark: None,
            is_settled: false,
        }
    }

    /// What a connection needs that carries others, too, to tell the first byte.
    pub(super) fn mark(&mut self) -> Arc<Mark> {
        let mark = self.mark.get_or_insert_with(|| {
            Arc::new(Mark {
                state: Mutex::new(State::Idle),
                cancelled: self.cancelled.clone(),
            })
        });
        Arc::clone(mark)
    }

    /// A connection that the attempt has to itself was handed its first byte.
    pub(super) fn first_byte(&mut self) {
        // Only the first byte's moment is kept.
        self.began.get_or_insert_with(clock::now);
    }

    /// When the first byte was handed to a connection; `None` before that.
    pub fn began(&self) -> Option<Instant> {
        let shared = || self.mark.as_ref()?.began();
        self.began.or_else(shared)
    }

    /// Whether a byte was handed to a connection.
    pub fn sent(&self) -> Sent {
        match self.began() {
            Some(_) => Sent::Perhaps,
            None => Sent::Nothing,
        }
    }

    /// The attempt ended in this class: counts it, as far as it counts.
    ///
    /// One that nothing was written of counts only as [`Class::Unsent`].
    pub fn settle(mut self, class: Class, counter: &IntCounter) {
        self.is_settled = true;
        if self.end(State::Counted) || class == Class::Unsent {
            counter.inc();
        }
    }

    /// Whether a byte was written by now.
    fn end(&self, end: State) -> bool {
        // A byte on a connection of its own is counted here, and no other one is to be counted elsewhere.
        let end = if self.began.is_some() {
            State::Counted
        } else {
            end
        };
        let is_shared_written = self.mark.as_ref().is_some_and(|mark| mark.end(end));
        self.began.is_some() || is_shared_written
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        if !self.is_settled && self.end(State::Abandoned) {
            self.cancelled.inc();
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
        let mut tally = Tally::new(&cancelled);

        tally.mark().first_byte();
        tally.settle(Class::Ok, &ok);

        assert_eq!((ok.get(), cancelled.get()), (1, 0));
    }

    #[test]
    fn an_attempt_that_the_client_left_before_a_byte_was_written_does_not_count() {
        let cancelled = counter("cancelled");

        drop(Tally::new(&cancelled));

        assert_eq!(cancelled.get(), 0);
    }

    #[test]
    fn an_attempt_that_the_client_left_counts_as_cancelled_whichever_side_comes_first() {
        let cancelled = counter("cancelled");

        let mut left_after = Tally::new(&cancelled);
        left_after.mark().first_byte();
        drop(left_after);
        let mut left_before = Tally::new(&cancelled);
        let mark = left_before.mark();
        drop(left_before);
        mark.first_byte();
        mark.first_byte();

        assert_eq!(cancelled.get(), 2);
    }

    #[test]
    fn an_attempt_on_a_connection_of_its_own_counts_once() {
        let (cancelled, ok) = (counter("cancelled"), counter("ok"));
        let (mut settled, mut left) = (Tally::new(&cancelled), Tally::new(&cancelled));

        settled.first_byte();
        settled.settle(Class::Ok, &ok);
        left.first_byte();
        left.first_byte();
        drop(left);

        assert_eq!((ok.get(), cancelled.get()), (1, 1));
    }

    #[test]
    fn an_attempt_that_was_on_both_kinds_of_connection_counts_once() {
        let cancelled = counter("cancelled");
        let mut tally = Tally::new(&cancelled);

        let refused = tally.mark();
        tally.first_byte();
        drop(tally);
        refused.first_byte();

        assert_eq!(cancelled.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_begins_with_its_first_byte() {
        let cancelled = counter("cancelled");
        let mut tally = Tally::new(&cancelled);
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

        Tally::new(&cancelled).settle(Class::Unsent, &unsent);
        Tally::new(&cancelled).settle(Class::Timeout, &broken);

        assert_eq!((unsent.get(), broken.get(), cancelled.get()), (1, 0, 0));
    }
}
