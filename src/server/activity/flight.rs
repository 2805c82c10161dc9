//! One request of a connection, from its head to the end of its answer.

use std::sync::Arc;
use std::time::Instant;

use super::Activity;
use crate::clock;

/// One request in flight.
pub(in crate::server) struct Flight {
    activity: Arc<Activity>,
    came_at: Instant,
    is_answered: bool,
}

impl Flight {
    /// Of this connection; counted already.
    pub(super) fn new(activity: Arc<Activity>, came_at: Instant) -> Self {
        Self {
            activity,
            came_at,
            is_answered: false,
        }
    }

    /// The activity of its connection.
    pub(in crate::server) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// The head of its answer is there. If it `leaves_http`, the connection carries something else from now on: what is
    /// written is nobody's refusal, and what is read no request.
    pub(in crate::server) fn is_answered(&mut self, leaves_http: bool) {
        self.is_answered = true;
        let mut state = self.activity.lock();
        state.left_http |= leaves_http;
        state.answered += 1;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let now = clock::now();
        let mut state = self.activity.lock();
        state.in_flight -= 1;
        state.idle_since = now;
        let lasted = now - self.came_at;
        if state.is_http2 && state.hasty.is_too_much(self.is_answered, lasted) {
            self.activity.is_enough.notify_one();
        }
    }
}
