//! What an account tells to its request's trace when it closes.

use super::Account;
use crate::proxy::metrics::RequestOutcome;
use crate::proxy::trace::Told;
use crate::retry::Reason;

impl Account {
    /// The same words as in the log's line.
    pub(super) fn close_trace(&mut self, outcome: RequestOutcome) {
        let told = Told {
            route: &self.lane.name,
            status: self.status,
            outcome: outcome.as_str(),
            verdict: self.verdict(),
            reason: self.reason.map(Reason::as_str),
            ran: self.ran,
            error: self.error.as_ref().map(|(word, _)| *word),
            waited: self.waited,
            attempts: self.history.made(),
        };
        self.trace.close(&told);
    }
}
