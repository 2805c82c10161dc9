//! One sender: redrive's decisions in the order in which the proxy asks for them, or another policy's.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;

use super::gateway::Reception;
use super::request::Request;
use super::rival::Rival;
use super::{Params, Policy};
use crate::pace::{Controller, Feedback, Mode, WaiterId};
use crate::retry::budget::{self, Budget};
use crate::retry::classify::{Class, Classified, Kind, Ran, Scope};
use crate::retry::{self, Circumstances, MaxAttempts, Reason, Session, Subject, Verdict};

/// Who decides.
pub(super) enum Sender {
    /// The code under test.
    Redrive(Box<Redrive>),
    /// Another policy.
    Rival(Rival),
}

/// What a sidecar holds for one upstream.
pub(super) struct Redrive {
    pub(super) controller: Controller,
    pub(super) budget: Budget,
    /// Which request each waiter is.
    pub(super) waiters: HashMap<WaiterId, u32>,
    /// When it will be woken next.
    pub(super) wake_at: f64,
    policy: Arc<retry::Policy>,
}

impl Sender {
    /// One whose clock is so far ahead of the first one's.
    pub(super) fn new(params: &Params, policy: Policy, base: Instant, ahead: Duration) -> Self {
        let (mut retry, budget) = match policy {
            Policy::Redrive => (params.retry.clone(), params.budget),
            Policy::RedriveOpen => (unlimited(params.retry.clone()), free(params.budget)),
            _ => return Self::Rival(Rival::new(policy)),
        };
        if params.pace.mode == Mode::Adaptive {
            // Behind a window a throttled request waits for its turn, not for the clock: the controller says how long it rests.
            retry.backoff.throttle_base = Duration::ZERO;
        }
        Self::Redrive(Box::new(Redrive {
            controller: Controller::new(params.pace, base, ahead),
            budget: Budget::new(budget, base),
            waiters: HashMap::new(),
            wake_at: f64::INFINITY,
            policy: Arc::new(retry),
        }))
    }
}

/// The same policy, with attempts without number.
fn unlimited(mut retry: retry::Policy) -> retry::Policy {
    let without_number = NonZeroU32::MAX;
    retry.max_attempts = MaxAttempts {
        throttled: without_number,
        suspected: without_number,
        other: without_number,
    };
    retry
}

/// The same budget, from which nothing is taken.
fn free(mut budget: budget::Params) -> budget::Params {
    budget.cost = budget::Cost {
        throttled_milli: 0,
        suspected_milli: 0,
        other_milli: 0,
    };
    budget
}

impl Redrive {
    /// A request's memory. It is idempotent: what may be repeated is not what is simulated.
    pub(super) fn session(&self, deadline: Instant) -> Session {
        let subject = Subject {
            method: Method::GET,
            idempotency_key: false,
            upgrade: false,
            callers_max: None,
        };
        Session::new(Arc::clone(&self.policy), subject, deadline)
    }

    /// What the proxy does with an outcome: refund, learn, ask. Seconds to rest before another attempt, or why there is none:
    /// no reason where none was wanted.
    pub(super) fn rest(
        &mut self,
        request: &mut Request,
        at: Instant,
        (classified, feedback): (Classified, Feedback),
        rng: &mut fastrand::Rng,
    ) -> Result<f64, Option<Reason>> {
        if let Some(paid) = request.paid.take()
            && classified.class == Class::Ok
        {
            self.budget.refund(paid);
        }
        if let Some(turn) = request.turn.take() {
            self.controller.finish(at, turn, feedback, rng);
        }
        let cost = self.budget.params().cost.of(classified.class);
        let circumstances = Circumstances {
            body: Ok(()),
            futile: false,
            affordable: self.budget.can_pay(at, cost),
            draining: false,
            rest: None,
        };
        let Some(session) = request.session.as_mut() else {
            return Err(None);
        };
        match session.on_outcome(at, &classified, None, circumstances, rng) {
            Verdict::Retry { after } => {
                request.cause = classified.class;
                let rest = match feedback {
                    Feedback::Throttle(_) => self.controller.rest(request.attempts, rng),
                    _ => Duration::ZERO,
                };
                Ok(after.max(rest).as_secs_f64())
            }
            Verdict::Deliver => Err(None),
            Verdict::Stop(reason) => Err(Some(reason)),
        }
    }
}

/// What the classification makes of it, and the window learns from it.
pub(super) fn read(reception: Reception, tells_kind: bool) -> (Classified, Feedback) {
    let told = |kind| if tells_kind { kind } else { Kind::Unknown };
    let (class, ran, kind, feedback) = match reception {
        Reception::Accepted(_) => (Class::Ok, Ran::Yes, Kind::Unknown, Feedback::Success),
        Reception::RateLimited => {
            let kind = told(Kind::Rate);
            (Class::Throttled, Ran::No, kind, Feedback::Throttle(kind))
        }
        Reception::SlotLimited => {
            let kind = told(Kind::Concurrency);
            (Class::Suspected, Ran::Maybe, kind, Feedback::Throttle(kind))
        }
        Reception::Refused => {
            let kind = Kind::Unknown;
            (Class::Suspected, Ran::Maybe, kind, Feedback::Throttle(kind))
        }
        Reception::Swallowed(_) => (Class::Timeout, Ran::Maybe, Kind::Unknown, Feedback::Failure),
    };
    let classified = Classified {
        class,
        ran,
        kind,
        scope: Scope::Unknown,
        because: "the simulated gateway",
    };
    (classified, feedback)
}
