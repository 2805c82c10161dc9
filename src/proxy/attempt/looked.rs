//! An answer that was looked at: what it proves, and whether it asks to come back.

use std::hint::cold_path;

use http::{Response, response};

use super::Exchange;
use super::send::Times;
use crate::clock;
use crate::proxy::peek::{BodyHead, Peeked};
use crate::proxy::upstream::AnswerBody;
use crate::retry::classify::{Classified, Fault, FaultKind, Outcome, Sent};
use crate::retry::hint::{self, Hint};

/// An answer that was looked at.
pub(super) struct Looked {
    pub(super) outcome: Classified,
    pub(super) hint: Option<Hint>,
    pub(super) head: response::Parts,
    pub(super) body: Peeked<AnswerBody>,
}

impl Exchange<'_> {
    /// Looks at an answer as far as its status asks for, and says what it proves. If that takes a while, its time is noted.
    pub(super) async fn look(
        &self,
        response: Response<AnswerBody>,
        times: &mut Times,
    ) -> Result<Looked, Fault> {
        let rules = &self.lane.policy.rules;
        let (head, body) = response.into_parts();
        let (body, seen) = if rules.wants_body(head.status, &head.headers) {
            cold_path();
            let broken = |_| Fault {
                kind: FaultKind::Closed,
                sent: Sent::Perhaps,
            };
            let within = self.deadline.head_within(times.at);
            let looked = Box::pin(Peeked::read_ahead(body, within)).await;
            times.at = clock::now();
            let (body, seen) = looked.map_err(broken)?;
            (body, Some(seen))
        } else {
            (Peeked::untouched(body), None)
        };
        let outcome = rules.classify(&Outcome::Answered {
            status: head.status,
            headers: &head.headers,
            body_head: seen.as_ref().map_or(&[], |BodyHead { bytes, .. }| bytes),
            body_complete: seen.as_ref().is_some_and(|seen| seen.complete),
            elapsed: times.elapsed,
        });
        self.lane.metrics.throttle(&outcome);
        Ok(Looked {
            outcome,
            hint: self.hint(&head),
            head,
            body,
        })
    }

    /// When the answer asks to come back, if it does.
    fn hint(&self, head: &response::Parts) -> Option<Hint> {
        if !hint::is_carried_by(head.status) {
            return None;
        }
        cold_path();
        let reading = hint::read(head.status, &head.headers, clock::wall());
        let metrics = &self.lane.metrics;
        let ignored = metrics.hints(hint::Source::Ignored);
        ignored.inc_by(reading.ignored.into());
        if let Some(hint) = &reading.hint {
            metrics.hints(hint.source).inc();
        }
        reading.hint
    }
}
