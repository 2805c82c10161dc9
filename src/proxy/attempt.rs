//! The loop: send, classify, ask, wait. The only loop on a request's path.
//!
//! Each turn lets one attempt through the door, sends a fresh copy of the body, and asks the request's
//! [`Session`] what follows. What is delivered is the outcome of the last attempt; an older answer only when every attempt
//! after it provably did not run, for anything else would be a lie. Dropping the future at any point stops everything:
//! the wait, the attempt and its connection, the kept body; and an unpaid retry stays unpaid.

mod last;
mod looked;
mod prepare;
mod seal;
mod send;

use std::hint::cold_path;
use std::time::{Duration, Instant};

use http::{Extensions, HeaderMap, Method, Response, Uri};

use self::last::Last;
use self::send::Attempted;
use super::account::Account;
use super::admit::{Asked, Permit, Refused};
use super::body::ResponseBody;
use super::deadline::Deadline;
use super::error::Error;
use super::lane::Lane;
use super::replay::Replay;
use super::shared::Shared;
use super::sign::{Payload, Signer};
use crate::clock;
use crate::handover::Handover;
use crate::pace::Waiter;
use crate::retry::classify::Class;
use crate::retry::futility::{Cell, shows_open};
use crate::retry::{Circumstances, Reason, Session, Verdict};

/// One request on its way: what every attempt shares.
pub struct Exchange<'a> {
    shared: &'a Shared,
    lane: &'a Lane,
    account: &'a mut Account,
    deadline: Deadline,
    session: Session,
    cell: Cell,
    /// How long it waited on account of the pace: for its turn, and resting before a retry.
    paced: Duration,
    /// Whether an answer has asked it to wait.
    was_hinted: bool,
    /// Who signs its attempts, if they are signed.
    signer: Option<&'a Signer>,
    /// What of its body is signed, once that is known.
    payload: Option<Payload>,
    replay: Replay,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    /// With the names of the header fields as they came, where that is wanted.
    extensions: Extensions,
    /// The client's connection, once it has left HTTP.
    client_end: Option<Handover>,
}

/// What the loop does next.
enum Next {
    /// Deliver what there is.
    End,
    /// Rest and send again.
    Again(Rest),
}

/// The rest before a retry.
#[derive(Clone, Copy)]
struct Rest {
    wait: Duration,
    /// The class of the outcome that it follows.
    cause: Class,
    /// Whether the pace asked for it, and not the upstream or the policy.
    is_paced: bool,
}

impl<'a> Exchange<'a> {
    /// Sends the request, from `now` on, until there is something to deliver.
    ///
    /// # Errors
    /// When redrive has to answer itself: see [`Error`].
    ///
    /// Boxed, and its rare waits too: a future has room for all that it may ever hold, and that of a request is made and moved
    /// with each of them.
    pub async fn run(
        mut self: Box<Self>,
        mut now: Instant,
    ) -> Result<(Response<ResponseBody>, Option<Permit>), Error> {
        if self.signer.is_some() {
            cold_path();
            Box::pin(self.seal()).await?;
            now = clock::now();
        }
        let admitted = self.admit(None, now).await;
        let (mut permit, mut started) = admitted.map_err(|refused| self.turned_away(refused))?;
        self.lane.bucket.earn(started);
        let mut paid = None;
        let mut held = None;
        loop {
            let attempted = self.attempt(permit, started).await;
            if let Some(cause) = self.replay.failure() {
                cold_path();
                // A client that left is noticed meanwhile, by who drops this, and it is given no answer.
                tokio::task::yield_now().await;
                return Err(Error::of_body(cause));
            }
            if let Some(cause) = paid
                && (shows_open(&attempted.outcome, attempted.last.status())
                    || attempted.last.is_unsigned())
            {
                // It succeeded, or nothing was sent that anybody had to pay for.
                self.lane.bucket.refund(cause);
            }
            let next = self.judge(&attempted);
            let mut last = attempted.last.instead_of(held.take(), &attempted.outcome);
            let Next::Again(rest) = next else {
                return self.deliver(last);
            };
            // Code that few requests run through stands apart from what all of them do, here and elsewhere in these rooms: with cells
            // in order and a history without a list, 90 of 2,030 lines of code a request fewer were missed by a cache of 32 KB.
            cold_path();
            self.replay.supersede();
            self.account.owes_retry = true;
            let ready = match last.wait(&self.shared.memory) {
                Ok(kept) => Box::pin(self.rest_and_pay(kept, rest)).await,
                Err(reason) => Err(reason),
            };
            self.account.owes_retry = false;
            match ready {
                Ok(admitted) => (permit, started) = admitted,
                Err(reason) => {
                    self.account.stop(reason);
                    return self.deliver(last);
                }
            }
            self.lane.metrics.retries(rest.cause).inc();
            paid = Some(rest.cause);
            held = Some(last).filter(Last::is_whole);
        }
    }

    /// What a request is told that never got a turn.
    fn turned_away(&mut self, refused: Refused) -> Error {
        let now = clock::now();
        if refused.is_deadline {
            let waited = now.saturating_duration_since(self.deadline.arrival);
            return Error::Deadline { waited };
        }
        if self.shared.drain.ends_before(now) {
            self.account.stop(Reason::Shutdown);
        }
        let retry_after = refused.retry_after;
        Error::Shed { retry_after }
    }

    /// Waits from `now` on for a turn, and says when it came; where redrive is switched off, everybody has one.
    ///
    /// An answer that is still on its connection has kept its turn, and the next attempt uses it: it would otherwise wait for
    /// a turn with the connection in hand that whoever has the turn may be waiting for.
    async fn admit(
        &mut self,
        kept: Option<Permit>,
        now: Instant,
    ) -> Result<(Option<Permit>, Instant), Refused> {
        if self.shared.bypass || kept.is_some() {
            return Ok((kept, now));
        }
        let door = &self.lane.door;
        // `pace.max_wait` counts what was waited on account of the pace; the upstream's own time and wishes are not its to limit.
        let paced = if door.is_learning() {
            self.paced
        } else {
            Duration::ZERO
        };
        let is_retry = self.session.attempts_made() > 0;
        let waiter = Waiter {
            since: now.checked_sub(paced).unwrap_or(now),
            start_by: if is_retry {
                self.deadline.retry_by
            } else {
                self.deadline.start_by
            },
            answer_by: self.deadline.head_by,
            is_retry,
        };
        let waiting = match door.ask(now, waiter)? {
            Asked::Go(permit) => return Ok((Some(permit), now)),
            Asked::Wait(waiting) => waiting,
        };
        cold_path();
        let drain = &self.shared.drain;
        let turn = Box::pin(async move {
            tokio::select! {
                admitted = waiting.turn() => admitted,
                // What is left is cut off a moment later, so that there is just time to say so.
                () = drain.end() => Err(Refused::by_the_drain()),
            }
        });
        let admitted = turn.await;
        let ended = clock::now();
        let waited = ended.saturating_duration_since(now);
        self.paced += waited;
        self.account.waited += waited;
        admitted.map(|permit| (Some(permit), ended))
    }

    /// Asks what follows, and takes note of why nothing does.
    fn judge(&mut self, attempted: &Attempted) -> Next {
        let Attempted {
            outcome,
            hint,
            last,
            client_limit,
            at: now,
        } = attempted;
        let now = *now;
        if shows_open(outcome, last.status()) {
            self.shared.cells().on_success(&self.cell);
        }
        if outcome.class == Class::Ok {
            return Next::End; // most end here, so that nothing else is asked of them
        }
        cold_path();
        let circumstances = Circumstances {
            body: self.replay.can_repeat(),
            futile: self.shared.cells().is_futile(now, &self.cell, outcome),
            affordable: self.lane.bucket.can_pay(now, outcome.class),
            // A drain leaves time until its end; whether the wait fits into that is asked below.
            draining: self.shared.drain.ends_before(now),
            rest: self.lane.door.rest(self.session.attempts_made() + 1),
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
                return Next::Again(Rest {
                    wait: after,
                    cause: outcome.class,
                    is_paced: hint.is_none() && outcome.class.is_throttle_like(),
                });
            }
        };
        self.account.stop(reason);
        Next::End
    }

    /// Rests, waits for its turn, and pays: in this order, so that a client that leaves meanwhile has cost nothing.
    async fn rest_and_pay(
        &mut self,
        kept: Option<Permit>,
        rest: Rest,
    ) -> Result<(Option<Permit>, Instant), Reason> {
        let asked = clock::now();
        let rested = tokio::select! {
            had_room = self.lane.door.back_off(rest.wait) => if had_room { Ok(()) } else { Err(Reason::Memory) },
            () = self.shared.drain.cuts(asked + rest.wait) => Err(Reason::Shutdown),
        };
        let ended = clock::now();
        let waited = ended.saturating_duration_since(asked);
        self.account.waited += waited;
        if rest.is_paced {
            self.paced += waited;
        }
        rested?;
        let admitted = self.admit(kept, ended).await.map_err(|_| {
            if self.shared.drain.ends_before(clock::now()) {
                Reason::Shutdown
            } else {
                Reason::Deadline
            }
        })?;
        if self.lane.bucket.try_spend(rest.cause) {
            Ok(admitted)
        } else {
            Err(Reason::Budget)
        }
    }
}
