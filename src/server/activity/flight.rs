//! One request of a connection, from its head to the end of its answer.

use std::sync::Arc;
use std::time::Instant;

use super::Activity;
use crate::clock;

/// One request in flight.
pub(in crate::server) struct Flight {
    activity: Arc<Activity>,
    /// When it came, as long as there is no head of an answer to it, where its client can cancel it alone.
    unanswered_since: Option<Instant>,
}

impl Flight {
    /// Of this connection; counted already.
    pub(super) fn new(activity: Arc<Activity>) -> Self {
        Self {
            activity,
            unanswered_since: None,
        }
    }

    /// The same, of a client that can cancel it alone and can do so too often.
    pub(in crate::server) fn cancellable(mut self) -> Self {
        self.unanswered_since = Some(clock::now());
        self
    }

    /// The activity of its connection.
    pub(in crate::server) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// The head of its answer is there.
    pub(in crate::server) fn is_answered(&mut self) {
        self.unanswered_since = None;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let now = clock::now();
        let mut state = self.activity.lock();
        state.in_flight -= 1;
        state.idle_since = now;
        if state.is_http2 {
            let cancelled_after = self.unanswered_since.map(|since| now - since);
            if state.hasty.is_too_much(cancelled_after) {
                self.activity.is_enough.notify_one();
            }
        }
    }
}
