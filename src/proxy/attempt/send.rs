//! One attempt: sends the request once, looks at what came back, and says what it proves.

use std::hint::cold_path;
use std::pin::pin;
use std::time::{Duration, Instant};

use http::Response;

use super::Exchange;
use super::last::{Answer, Last};
use super::looked::Looked;
use crate::clock;
use crate::proxy::admit::{Permit, Seen};
use crate::proxy::deadline::unless;
use crate::proxy::headers::{REDRIVE_ATTEMPT, attempt_number};
use crate::proxy::lane::Lane;
use crate::proxy::replay::Progress;
use crate::proxy::upstream::{AnswerBody, Head, Tally, Trust};
use crate::retry::classify::{Class, Classified, Fault, FaultKind, Outcome};
use crate::retry::fields::has;
use crate::retry::hint::Hint;

/// One attempt's end.
pub(super) struct Attempted {
    pub(super) outcome: Classified,
    pub(super) hint: Option<Hint>,
    pub(super) last: Last,
    /// The client's own limit cut it short.
    pub(super) client_limit: bool,
    /// When that was known.
    pub(super) at: Instant,
}

/// How long an attempt took to its answer's head, or to its end without one.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// From its start.
    took: Duration,
    /// From the first byte on, or the upload's last: how long the upstream took, and not how long it took to get to it.
    pub(super) elapsed: Duration,
    /// When it was known what the attempt proves.
    pub(super) at: Instant,
}

impl Exchange<'_> {
    /// One attempt, from its turn to what it proves.
    pub(super) fn attempt(
        &mut self,
        permit: Option<Permit>,
        started: Instant,
    ) -> impl Future<Output = Attempted> {
        self.number();
        self.account.begin(started);
        let lane = self.lane;
        let metrics = &lane.metrics;
        let mut tally = Tally::new(metrics.attempts(Class::Cancelled));
        // A block, since the future of a function has room for its arguments twice.
        async move {
            let sent = unless(self.overdue(started), pin!(self.send(started, &mut tally))).await;
            let late = || Fault {
                kind: FaultKind::HeadTimeout,
                sent: tally.sent(),
            };
            let sent = sent.unwrap_or_else(|| Err(late()));
            let ended = clock::now();
            let is_clients = self.deadline.is_over(ended);
            let took = ended.saturating_duration_since(started);
            metrics.attempt_duration.observe(took.as_secs_f64());
            let mut began = tally.began().unwrap_or(started);
            if let Progress::Moved(at) = self.replay.progress() {
                began = began.max(at);
            }
            let elapsed = ended.saturating_duration_since(began);
            let mut times = Times {
                took,
                elapsed,
                at: ended,
            };
            let answered = match sent {
                Ok(response) => self.look(response, &mut times).await,
                Err(fault) => Err(fault),
            };
            match answered {
                Ok(looked) => {
                    tally.settle(looked.outcome.class, metrics.attempts(looked.outcome.class));
                    self.answered(looked, permit, times)
                }
                Err(fault) => {
                    cold_path();
                    self.unanswered(fault, is_clients, permit, (tally, times))
                }
            }
        }
    }

    /// Sends what this attempt says, signed if it is to be.
    async fn send(
        &self,
        started: Instant,
        tally: &mut Tally<'_>,
    ) -> Result<Response<AnswerBody>, Fault> {
        let signed = match self.signer {
            // Boxed, since few are signed, and all others would have the room for it.
            Some(_) => {
                cold_path();
                Box::pin(self.signed(started)).await?
            }
            None => None,
        };
        let head = signed.as_deref().map_or_else(|| self.head(), Head::from);
        let Lane {
            upstream, deadline, ..
        } = self.lane;
        let sending = upstream.send(
            head,
            self.replay.reader(),
            self.trust(),
            tally,
            deadline.connect,
        );
        sending.await
    }

    /// Waits until the head of an attempt's answer is overdue. While the client is waited for, only its own limit counts.
    async fn overdue(&self, started: Instant) {
        let mut now = started;
        loop {
            let since = match self.replay.progress() {
                // Whatever comes from now on moves the limit at least as far.
                Progress::Awaited => now,
                Progress::None => started,
                Progress::Moved(at) => at.max(started),
            };
            let due = self.deadline.head(&self.lane.deadline, since);
            if due <= now {
                return;
            }
            tokio::time::sleep_until(due.into()).await;
            now = clock::now();
        }
    }

    /// An attempt with an answer: it is counted, and the pace learns from it.
    fn answered(&mut self, looked: Looked, mut permit: Option<Permit>, times: Times) -> Attempted {
        let Looked {
            outcome,
            hint,
            head,
            body,
        } = looked;
        self.lane.metrics.responses(head.status).inc();
        let answer = Some((head.status, &head.headers));
        self.account.attempt(&outcome, times.took, answer);
        let first_wish = hint.filter(|_| !self.was_hinted).map(|hint| hint.wait);
        self.was_hinted |= hint.is_some();
        let marker = &self.lane.policy.rules.marker_header;
        self.teach(
            times.at,
            permit.as_mut(),
            Seen {
                outcome: &outcome,
                status: Some(head.status),
                cell: &self.cell,
                is_futile: false, // asked below, where anybody learns at all
                is_labelled: has(&head.headers, marker),
                is_clients: false,
                elapsed: times.elapsed,
                hint: first_wish,
            },
        );
        let answer = Answer {
            head,
            body,
            permit,
            class: outcome.class,
            has_hint: hint.is_some(),
            kept: None,
        };
        Attempted {
            outcome,
            hint,
            last: Last::Answer(Box::new(answer)),
            client_limit: false,
            at: times.at,
        }
    }

    /// An attempt without an answer; one that the client's own body broke is nobody's fault but the client's.
    fn unanswered(
        &mut self,
        fault: Fault,
        is_clients_limit: bool,
        mut permit: Option<Permit>,
        (tally, times): (Tally<'_>, Times),
    ) -> Attempted {
        let outcome = self.lane.policy.rules.classify(&Outcome::Failed(fault));
        let broke_body = self.replay.failure().is_some();
        let class = if broke_body {
            Class::Cancelled
        } else {
            outcome.class
        };
        tally.settle(class, self.lane.metrics.attempts(class));
        self.account.attempt(&outcome, times.took, None);
        let client_limit = is_clients_limit && fault.kind == FaultKind::HeadTimeout;
        self.teach(
            times.at,
            permit.as_mut(),
            Seen {
                outcome: &outcome,
                status: None,
                cell: &self.cell,
                is_futile: false,
                is_labelled: false,
                // One that was not sent says nothing of the upstream, either.
                is_clients: broke_body || client_limit || fault.kind == FaultKind::Unsigned,
                elapsed: times.elapsed,
                hint: None,
            },
        );
        Attempted {
            outcome,
            hint: None,
            last: Last::Fault(fault),
            client_limit,
            at: times.at,
        }
    }

    /// Tells the pace what came of an attempt; where redrive is switched off, nobody asks.
    fn teach(&self, now: Instant, permit: Option<&mut Permit>, seen: Seen<'_>) {
        if let Some(permit) = permit.filter(|_| self.lane.door.is_learning()) {
            let cells = self.shared.cells();
            let is_futile = cells.knows_as_futile(now, seen.cell, seen.outcome);
            drop(cells);
            permit.learn(now, &Seen { is_futile, ..seen });
        }
    }

    /// A request that may not be sent twice is only trusted to a connection that shows no sign of its end.
    fn trust(&self) -> Trust {
        if self.session.survives_a_break() && !self.shared.bypass {
            Trust::Any
        } else {
            Trust::Settled
        }
    }

    /// Numbers the next attempt, the first of which has its number already.
    fn number(&mut self) {
        let number = self.session.attempts_made() + 1;
        if number > 1 {
            let number = attempt_number(number);
            self.headers.insert(REDRIVE_ATTEMPT, number);
        }
    }

    /// The head of every attempt, but for its number.
    pub(super) fn head(&self) -> Head<'_> {
        Head {
            method: &self.method,
            uri: &self.uri,
            headers: &self.headers,
            extensions: &self.extensions,
        }
    }
}
