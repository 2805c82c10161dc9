//! One attempt's mark: counted exactly once, and only if the upstream can have seen it.
//!
//! An attempt counts when its first byte is handed to the connection, but its class is known only later, and the client
//! may leave in between on another thread. So the mark is one small state machine that both sides advance: the
//! connection says "first byte", the request says "this is the class" or, by dropping its [`Tally`], "nobody waits any
//! more". Whoever comes second counts.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use prometheus::IntCounter;

use crate::clock;
use crate::retry::classify::{Class, Sent};

/// The state that the connection and the request share.
#[derive(Debug)]
pub(super) struct Mark {
    state: AtomicU8,
    began: OnceLock<Instant>,
    cancelled: IntCounter,
}

/// The request's end of a mark. Dropped without a class, the attempt counts as cancelled if a byte was ever written.
#[derive(Debug)]
pub struct Tally {
    mark: Arc<Mark>,
}

const IDLE: u8 = 0;
const WRITTEN: u8 = 1;
const ABANDONED: u8 = 2;
const COUNTED: u8 = 3;

impl Mark {
    /// The connection was handed the attempt's first byte.
    pub(super) fn first_byte(&self) {
        // Only the first byte's moment is kept; a later call changes nothing.
        self.began.get_or_init(clock::now);
        let previous = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| match state {
                IDLE => Some(WRITTEN),
                ABANDONED => Some(COUNTED),
                _ => None,
            });
        if previous == Ok(ABANDONED) {
            self.cancelled.inc();
        }
    }
}

impl Tally {
    /// A tally for one attempt; `cancelled` is the counter for the case that nobody waits for its end.
    pub fn new(cancelled: IntCounter) -> Self {
        Self {
            mark: Arc::new(Mark {
                state: AtomicU8::new(IDLE),
                began: OnceLock::new(),
                cancelled,
            }),
        }
    }

    /// What the connection needs to tell the first byte.
    pub(super) fn mark(&self) -> Arc<Mark> {
        Arc::clone(&self.mark)
    }

    /// When the first byte was handed to a connection; `None` before that.
    pub fn began(&self) -> Option<Instant> {
        self.mark.began.get().copied()
    }

    /// Whether a byte was handed to a connection.
    pub fn sent(&self) -> Sent {
        if self.mark.state.load(Ordering::Acquire) == IDLE {
            Sent::Nothing
        } else {
            Sent::Perhaps
        }
    }

    /// The attempt ended in this class: counts it, as far as it counts.
    ///
    /// One that nothing was written of counts only as [`Class::Unsent`].
    pub fn settle(self, class: Class, counter: &IntCounter) {
        let previous = self.mark.state.swap(COUNTED, Ordering::AcqRel);
        if previous == WRITTEN || class == Class::Unsent {
            counter.inc();
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let previous = self
            .mark
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| match state {
                IDLE => Some(ABANDONED),
                WRITTEN => Some(COUNTED),
                _ => None,
            });
        if previous == Ok(WRITTEN) {
            self.mark.cancelled.inc();
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
