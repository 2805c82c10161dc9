//! The loop: send, classify, ask, wait. The only loop on a request's path.
//!
//! Each turn lets one attempt through the door, sends a fresh copy of the body, and asks the request's
//! [`Session`] what follows. What is delivered is the outcome of the last attempt; an older answer only when every attempt
//! after it provably did not run, for anything else would be a lie. Dropping the future at any point stops everything:
//! the wait, the attempt and its connection, the kept body; and an unpaid retry stays unpaid.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, request, response};
use http_body::Body;
use http_body_util::BodyExt;

use super::account::Account;
use super::admit::Permit;
use super::body::{BoxError, Brisk, RequestBody, ResponseBody};
use super::deadline::Deadline;
use super::error::Error;
use super::headers::{self, IDEMPOTENCY_KEY, Outbound, REDRIVE_ATTEMPT};
use super::lane::Lane;
use super::peek::{BodyHead, Peeked};
use super::replay::Replay;
use super::shared::Shared;
use super::upstream::{AnswerBody, Limits, Tally, Trust};
use crate::clock;
use crate::retry::classify::{Class, Classified, Fault, FaultKind, Outcome, Ran};
use crate::retry::futility::{Cell, shows_open};
use crate::retry::hint::{self, Hint};
use crate::retry::{Circumstances, IdempotencyKey, Reason, Session, Subject, Verdict, callers};

/// One request on its way: what every attempt shares.
pub struct Exchange<'a> {
    shared: &'a Shared,
    lane: &'a Lane,
    account: &'a mut Account,
    deadline: Deadline,
    session: Session,
    cell: Cell,
    replay: Replay,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

/// One attempt's end.
struct Attempted {
    outcome: Classified,
    hint: Option<Hint>,
    last: Last,
    /// The client's own limit cut it short.
    client_limit: bool,
}

/// What would be delivered if this were the end.
enum Last {
    Answer(Box<Answer>),
    Fault(Fault),
}

struct Answer {
    head: response::Parts,
    body: Peeked<AnswerBody>,
    /// Gone once another attempt is due: what backs off must not keep others, or its own retry, from their turn.
    permit: Option<Permit>,
}

/// What the loop does next.
enum Next {
    /// Deliver what there is.
    End,
    /// Wait this long and send again, because of an outcome of this class.
    Again(Duration, Class),
}

impl<'a> Exchange<'a> {
    /// Prepares a request for its attempts: fixes its head, and decides whether its body is kept.
    ///
    /// # Errors
    /// When its target cannot be joined to the upstream's base path.
    pub fn new<B>(
        shared: &'a Shared,
        lane: &'a Lane,
        account: &'a mut Account,
        request: Request<B>,
        client: IpAddr,
    ) -> Result<Self, Error>
    where
        B: Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let deadline = Deadline::new(&lane.deadline, &parts.headers, account.arrival);
        let subject = subject(lane, &mut parts, shared.bypass);
        let cell = Cell::new(lane.index, &parts.method, parts.uri.path());
        let outbound = shared.outbound(lane, client);
        let uri = outbound
            .target(&parts.uri)
            .map_err(|_| Error::Malformed("the target is no path"))?;
        let headers = outbound.headers(&parts);
        note_broken_signature(lane, &outbound, &parts, &headers);
        let session = Session::new(Arc::clone(&lane.policy), subject, deadline.start_by);
        let body = Brisk::new(body, shared.body_idle).boxed_unsync();
        let keep = session.keeps_body() && !shared.bypass;
        let replay = Replay::new(body, keep, Arc::clone(&shared.memory));
        let method = parts.method;
        Ok(Self {
            shared,
            lane,
            account,
            deadline,
            session,
            cell,
            replay,
            method,
            uri,
            headers,
        })
    }

    /// Sends the request until there is something to deliver.
    ///
    /// # Errors
    /// When redrive has to answer itself: see [`Error`].
    pub async fn run(mut self) -> Result<(Response<ResponseBody>, Option<Permit>), Error> {
        let mut permit = self.admit().await?;
        self.lane.bucket.earn();
        let mut paid = None;
        let mut held = None;
        loop {
            let attempted = self.attempt(permit).await;
            if let Some(cause) = self.replay.failure() {
                return Err(Error::ClientBody(cause));
            }
            if let Some(cause) = paid
                && shows_open(&attempted.outcome, attempted.last.status())
            {
                self.lane.bucket.refund(cause);
            }
            let next = self.judge(&attempted);
            let mut last = attempted.last.instead_of(held.take(), &attempted.outcome);
            let Next::Again(after, cause) = next else {
                return self.deliver(last);
            };
            self.replay.supersede();
            last.gives_way();
            match self.wait_and_pay(after, cause).await {
                Ok(admitted) => permit = admitted,
                Err(reason) => {
                    self.account.stop(reason);
                    return self.deliver(last);
                }
            }
            self.lane.metrics.retries(cause).inc();
            paid = Some(cause);
            held = Some(last).filter(Last::is_whole);
        }
    }

    /// Waits for a turn; where redrive is switched off, everybody has one.
    async fn admit(&mut self) -> Result<Option<Permit>, Error> {
        if self.shared.bypass {
            return Ok(None);
        }
        let asked = clock::now();
        let admitted = self
            .lane
            .door
            .admit(self.deadline.arrival, self.deadline.start_by)
            .await;
        self.account.waited += clock::now().saturating_duration_since(asked);
        admitted.map(Some)
    }

    /// One attempt, from its turn to what it proves.
    async fn attempt(&mut self, permit: Option<Permit>) -> Attempted {
        let metrics = &self.lane.metrics;
        let started = clock::now();
        let (head, is_clients) = self.deadline.attempt(&self.lane.deadline, started);
        let limits = Limits {
            connect: self.lane.deadline.connect,
            head,
        };
        let trust = if self.session.survives_a_break() {
            Trust::Any
        } else {
            Trust::Settled
        };
        let tally = Tally::new(metrics.attempts(Class::Cancelled).clone());
        let sent = self
            .lane
            .upstream
            .send(self.request(), trust, &tally, limits)
            .await;
        let elapsed = clock::now().saturating_duration_since(started);
        metrics.attempt_duration.observe(elapsed.as_secs_f64());
        let answered = match sent {
            Ok(response) => self.look(response, elapsed).await,
            Err(fault) => Err(fault),
        };
        match answered {
            Ok((outcome, hint, head, body)) => {
                tally.settle(outcome.class, metrics.attempts(outcome.class));
                metrics.responses(head.status).inc();
                self.account
                    .attempt(&outcome, Some(head.status), Some(&head.headers));
                let last = Last::Answer(Box::new(Answer { head, body, permit }));
                Attempted {
                    outcome,
                    hint,
                    last,
                    client_limit: false,
                }
            }
            Err(fault) => {
                let outcome = self.lane.policy.rules.classify(&Outcome::Failed(fault));
                let class = if self.replay.failure().is_some() {
                    Class::Cancelled
                } else {
                    outcome.class
                };
                tally.settle(class, metrics.attempts(class));
                self.account.attempt(&outcome, None, None);
                let client_limit = is_clients && fault.kind == FaultKind::HeadTimeout;
                Attempted {
                    outcome,
                    hint: None,
                    last: Last::Fault(fault),
                    client_limit,
                }
            }
        }
    }

    /// Looks at an answer as far as its status asks for, and says what it proves.
    async fn look(
        &self,
        response: Response<AnswerBody>,
        elapsed: Duration,
    ) -> Result<
        (
            Classified,
            Option<Hint>,
            response::Parts,
            Peeked<AnswerBody>,
        ),
        Fault,
    > {
        let rules = &self.lane.policy.rules;
        let (head, body) = response.into_parts();
        let (body, seen) = if rules.wants_body(head.status, &head.headers) {
            let broken = |_| Fault {
                kind: FaultKind::Closed,
                sent: crate::retry::classify::Sent::Perhaps,
            };
            let (body, seen) = Peeked::read_ahead(body).await.map_err(broken)?;
            (body, Some(seen))
        } else {
            (Peeked::untouched(body), None)
        };
        let outcome = rules.classify(&Outcome::Answered {
            status: head.status,
            headers: &head.headers,
            body_head: seen.as_ref().map_or(&[], |BodyHead { bytes, .. }| bytes),
            body_complete: seen.as_ref().is_some_and(|seen| seen.complete),
            elapsed,
        });
        let reading = hint::read(head.status, &head.headers, clock::wall());
        let metrics = &self.lane.metrics;
        metrics.throttle(&outcome);
        metrics
            .hints(hint::Source::Ignored)
            .inc_by(reading.ignored.into());
        if let Some(hint) = &reading.hint {
            metrics.hints(hint.source).inc();
        }
        Ok((outcome, reading.hint, head, body))
    }

    /// Asks what follows, and takes note of why nothing does.
    fn judge(&mut self, attempted: &Attempted) -> Next {
        let Attempted {
            outcome,
            hint,
            last,
            client_limit,
        } = attempted;
        let now = clock::now();
        if shows_open(outcome, last.status()) {
            self.shared.cells().on_success(&self.cell);
        }
        let circumstances = Circumstances {
            body: self.replay.can_repeat(),
            futile: self.shared.cells().is_futile(now, &self.cell, outcome),
            affordable: self.lane.bucket.can_pay(outcome.class),
            draining: false, // a drain leaves time; whether a wait fits into it is asked below
        };
        let verdict = self.session.on_outcome(
            now,
            outcome,
            hint.as_ref(),
            circumstances,
            &mut self.shared.rng(),
        );
        let reason = match verdict {
            Verdict::Deliver if !client_limit => return Next::End,
            Verdict::Deliver => Reason::Deadline,
            Verdict::Retry { .. } | Verdict::Stop(_) if self.shared.bypass => Reason::Bypass,
            Verdict::Stop(reason) => reason,
            Verdict::Retry { .. } if *client_limit => Reason::Deadline,
            Verdict::Retry { after } if self.shared.drain.ends_before(now + after) => {
                Reason::Shutdown
            }
            Verdict::Retry { after } => {
                self.shared.cells().on_retry(now, &self.cell, outcome);
                return Next::Again(after, outcome.class);
            }
        };
        self.account.stop(reason);
        Next::End
    }

    /// Backs off, waits for its turn, and pays: in this order, so that a client that leaves meanwhile has cost nothing.
    async fn wait_and_pay(
        &mut self,
        after: Duration,
        cause: Class,
    ) -> Result<Option<Permit>, Reason> {
        let asked = clock::now();
        self.account.backing_off = true;
        let rested = tokio::select! {
            had_room = self.lane.door.back_off(after) => if had_room { Ok(()) } else { Err(Reason::Memory) },
            () = self.shared.drain.cuts(asked + after) => Err(Reason::Shutdown),
        };
        self.account.waited += clock::now().saturating_duration_since(asked);
        rested?;
        let permit = self.admit().await.map_err(|_| Reason::Deadline)?;
        self.account.backing_off = false;
        if self.lane.bucket.try_spend(cause) {
            Ok(permit)
        } else {
            Err(Reason::Budget)
        }
    }

    /// The next attempt's request: the same head and the same bytes, but for its number.
    fn request(&self) -> Request<RequestBody> {
        let mut request = Request::new(self.replay.reader());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(
            REDRIVE_ATTEMPT,
            HeaderValue::from(self.session.attempts_made() + 1),
        );
        request
    }

    fn deliver(self, last: Last) -> Result<(Response<ResponseBody>, Option<Permit>), Error> {
        self.replay.forget();
        match last {
            Last::Answer(answer) => {
                let Answer {
                    mut head,
                    body,
                    permit,
                } = *answer;
                headers::remove_hop_by_hop(&mut head.headers);
                let body = Brisk::new(body, self.shared.body_idle).boxed_unsync();
                let mut response = Response::new(body);
                *response.status_mut() = head.status;
                *response.headers_mut() = head.headers;
                *response.extensions_mut() = head.extensions;
                Ok((response, permit))
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
}

impl Last {
    fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Answer(answer) => Some(answer.head.status),
            Self::Fault(_) => None,
        }
    }

    /// Another attempt is due: this one's turn is over.
    fn gives_way(&mut self) {
        if let Self::Answer(answer) = self {
            answer.permit = None;
        }
    }

    /// Whether nothing of it is still to come on a connection, which the next attempt may need.
    fn is_whole(&self) -> bool {
        match self {
            Self::Answer(answer) => answer.body.is_whole(),
            Self::Fault(_) => true,
        }
    }

    /// What is delivered after this attempt: its own end, but an older answer if this one provably did not run.
    fn instead_of(self, older: Option<Self>, outcome: &Classified) -> Self {
        match (self, older) {
            (Self::Fault(_), Some(older @ Self::Answer(_))) if outcome.ran == Ran::No => older,
            (last, _) => last,
        }
    }
}

/// What the rules need to know, after reading what the client announces; a key is added where the policy says so and
/// redrive is not switched off.
fn subject(lane: &Lane, parts: &mut request::Parts, bypass: bool) -> Subject {
    let caller = callers::read(&parts.headers).filter(|caller| caller.max.get() > 1);
    if let Some(caller) = &caller {
        lane.metrics.callers(caller.source).inc();
    }
    let keyless = !parts.headers.contains_key(IDEMPOTENCY_KEY);
    let adds = lane.policy.idempotency_key == IdempotencyKey::Add && is_keyed(&parts.method);
    if keyless && adds && !bypass {
        parts.headers.insert(IDEMPOTENCY_KEY, new_key());
    }
    Subject {
        method: parts.method.clone(),
        idempotency_key: parts.headers.contains_key(IDEMPOTENCY_KEY),
        upgrade: headers::is_upgrade(&parts.headers),
        callers_max: caller.map(|caller| caller.max),
    }
}

/// A key is for requests that change something each time.
fn is_keyed(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PATCH)
}

/// 128 random bits. Unique, not secret: it names a request, it does not authorise one.
fn new_key() -> HeaderValue {
    let key = format!("{:032x}", fastrand::u128(..));
    HeaderValue::try_from(key).expect("hexadecimal digits")
}

fn note_broken_signature(
    lane: &Lane,
    outbound: &Outbound<'_>,
    parts: &request::Parts,
    headers: &HeaderMap,
) {
    let same_host = headers::client_host(parts).as_ref() == headers.get(http::header::HOST);
    if headers::is_signed(parts) && !(same_host && outbound.base_path.is_empty()) {
        lane.notices.broken_signature();
    }
}
