//! What an account leaves for the status page when it closes: a few counts, and a request with something to explain.

use std::time::Duration;

use http::uri::PathAndQuery;

use super::Account;
use crate::clock;
use crate::proxy::metrics::RequestOutcome;
use crate::proxy::pulse::Throttle;
use crate::proxy::recent::{Explained, shown_method, shown_path, since_epoch};
use crate::retry::Reason;
use crate::retry::classify::Ran;

impl Account {
    /// Counts what the metrics do not, and explains the request if it was retried, delayed, given up or refused.
    pub(super) fn show(&self, outcome: RequestOutcome, took: Duration) {
        let is_good = matches!(outcome, RequestOutcome::Ok | RequestOutcome::OkAfterRetry);
        let pulse = &self.lane.pulse;
        if !self.is_routed {
            pulse.arrive();
        }
        let throttle = match (self.looked_throttled, is_good) {
            (false, _) => Throttle::None,
            (true, true) => Throttle::Overcome,
            (true, false) => Throttle::Delivered,
        };
        pulse.end(throttle, self.waited);
        if !self.has_story() {
            return;
        }
        self.lane.recent.push(Explained {
            at: since_epoch(clock::wall()),
            route: self.lane.name.clone(),
            method: shown_method(&self.method),
            path: shown_path(self.target.as_ref().map_or("", PathAndQuery::path)),
            status: self.status.map(|status| status.as_u16()),
            outcome,
            reason: self.reason.map(Reason::as_str),
            ran: self.ran.map(Ran::as_str),
            waited: self.waited.as_secs_f64(),
            took: took.as_secs_f64(),
            error: self.error.as_ref().map(|(word, _)| *word),
            attempts: self.history.made(),
            steps: self.history.steps(),
        });
    }
}
