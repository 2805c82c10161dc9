//! What would be delivered if the latest attempt were the end.

use std::hint::cold_path;
use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode, Version, response};
use http_body_util::BodyExt;

use super::Exchange;
use crate::clock;
use crate::proxy::admit::Permit;
use crate::proxy::body::{Brisk, ResponseBody, full};
use crate::proxy::error::Error;
use crate::proxy::headers;
use crate::proxy::peek::Peeked;
use crate::proxy::replay::{Kept, Memory};
use crate::proxy::respond::whole_seconds;
use crate::proxy::upstream::AnswerBody;
use crate::retry::Reason;
use crate::retry::classify::{Class, Classified, Fault, FaultKind, Ran, Sent};

/// What would be delivered if the latest attempt were the end.
pub(super) enum Last {
    Answer(Box<Answer>),
    Fault(Fault),
}

/// An answer that waits to be delivered, or to be replaced by a better one.
pub(super) struct Answer {
    pub(super) head: response::Parts,
    pub(super) body: Peeked<AnswerBody>,
    /// Gone once a retry is due, and where redrive is switched off.
    pub(super) permit: Option<Permit>,
    /// What it is.
    pub(super) class: Class,
    /// Whether it says itself when to come back.
    pub(super) has_hint: bool,
    /// Its place in the memory, while it waits.
    pub(super) kept: Option<Kept>,
}

impl Last {
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Answer(answer) => Some(answer.head.status),
            Self::Fault(_) => None,
        }
    }

    /// A retry is due: the attempt's turn is over, and the next one is waited for like everybody else's. What was read of
    /// the answer is kept meanwhile, like a body.
    ///
    /// Only an answer that is still on its connection keeps the permit, too, which is returned: it would wait for one with
    /// the connection in hand that whoever has the permit may be waiting for.
    ///
    /// # Errors
    /// [`Reason::Memory`] when the process keeps too much already.
    pub(super) fn wait(&mut self, memory: &Arc<Memory>) -> Result<Option<Permit>, Reason> {
        let is_whole = self.is_whole();
        let Self::Answer(answer) = self else {
            return Ok(None);
        };
        let bytes = answer.body.held_bytes();
        answer.kept = Some(memory.keep(bytes).ok_or(Reason::Memory)?);
        Ok(answer.permit.take().filter(|_| !is_whole))
    }

    /// Whether it was not sent since it could not be signed.
    pub(super) fn is_unsigned(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.kind == FaultKind::Unsigned)
    }

    /// Whether nothing of it is still to come on a connection, which the next attempt may need.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Self::Answer(answer) => answer.body.is_whole(),
            Self::Fault(_) => true,
        }
    }

    /// What is delivered after this attempt: its own end, but an older answer if this one provably did not run.
    pub(super) fn instead_of(self, older: Option<Self>, outcome: &Classified) -> Self {
        match (self, older) {
            (Self::Fault(_), Some(older @ Self::Answer(_))) if outcome.ran == Ran::No => older,
            (last, _) => last,
        }
    }
}

impl Exchange<'_> {
    /// Turns the end into what the client gets; the kept body is not needed any more.
    pub(super) fn deliver(
        self: Box<Self>,
        last: Last,
    ) -> Result<(Response<ResponseBody>, Option<Permit>), Error> {
        self.replay.forget();
        match last {
            Last::Answer(answer) if answer.head.status == StatusCode::SWITCHING_PROTOCOLS => {
                cold_path();
                self.switch(*answer).map(|response| (response, None))
            }
            Last::Answer(answer) => {
                let come_back = self.come_back_after(&answer);
                let Answer {
                    mut head,
                    body,
                    permit,
                    ..
                } = *answer;
                headers::remove_hop_by_hop(&mut head.headers);
                if let Some(wait) = come_back {
                    let seconds = HeaderValue::from(whole_seconds(wait));
                    head.headers.insert(RETRY_AFTER, seconds);
                }
                let body = Brisk::new(body, self.shared.body_idle).boxed_unsync();
                Ok((passed_on(head, body), permit))
            }
            Last::Fault(Fault {
                kind: FaultKind::HeadTimeout,
                ..
            }) if self.deadline.is_over(clock::now()) => Err(Error::Deadline {
                waited: clock::now().saturating_duration_since(self.deadline.arrival),
            }),
            Last::Fault(fault) => Err(Error::NoAnswer(fault)),
        }
    }

    /// Both sides leave HTTP. The attempt's turn ends here: what follows is nobody's attempt any more.
    fn switch(self: Box<Self>, answer: Answer) -> Result<Response<ResponseBody>, Error> {
        let Answer {
            mut head, mut body, ..
        } = answer;
        let upstream_end = body.rest_mut().and_then(AnswerBody::take_switched);
        let (Some(client_end), Some(upstream_end)) = (self.client_end, upstream_end) else {
            // Nobody asked for it, or its head was taken for an answer with a body.
            return Err(Error::NoAnswer(Fault {
                kind: FaultKind::Unreadable,
                sent: Sent::Perhaps,
            }));
        };
        let tunnels = &self.shared.tunnels;
        tunnels.open(client_end, upstream_end, self.lane.name.clone());
        headers::remove_hop_by_hop_of_upgrade(&mut head.headers);
        Ok(passed_on(head, full("")))
    }

    /// What a throttled 429 that does not say when to come back is given, once that is learned. A quota is none of these: it would be
    /// a promise for tomorrow.
    fn come_back_after(&self, answer: &Answer) -> Option<Duration> {
        let is_asked = self.lane.policy.add_retry_after
            && !self.shared.bypass
            && answer.class == Class::Throttled
            && answer.head.status == StatusCode::TOO_MANY_REQUESTS
            && !answer.has_hint
            && !answer.head.headers.contains_key(RETRY_AFTER);
        is_asked.then(|| self.lane.door.come_back_after()).flatten()
    }
}

/// An answer with the upstream's head; the client's side says its own version.
fn passed_on(mut head: response::Parts, body: ResponseBody) -> Response<ResponseBody> {
    head.version = Version::HTTP_11;
    Response::from_parts(head, body)
}
