//! Whether, when and why a request is sent again.
//!
//! A [`Session`] is one request's memory. After every attempt the shell asks it what follows, and the answer is a
//! [`Verdict`]: deliver, retry after a wait, or stop for a named [`Reason`]. What it obeys is the route's [`Policy`]; what it is
//! told comes from its neighbours: [`classify`] says what an outcome proves, [`hint`] when the upstream wants us back,
//! [`futility`] whether anybody got through lately, [`budget`] whether there is anything left to pay with.
//!
//! Everything below this module is a value in, a value out: no clock is read, nothing waits, sends, logs or counts. The loop
//! that acts on verdicts is in `proxy/attempt.rs`.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;

pub mod backoff;
pub mod budget;
pub mod callers;
pub mod classify;
pub mod fields;
pub mod futility;
pub mod hint;
mod policy;
mod verdict;

pub use self::policy::{IdempotencyKey, MaxAttempts, Policy, Retriable, UnsafeMethods};
pub use self::verdict::{Reason, Verdict};

use self::backoff::Draw;
use self::classify::{Class, Classified, Ran};
use self::hint::Hint;

/// What the rules need to know of a request, fixed before its first attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its method.
    pub method: Method,
    /// Whether it carries an idempotency key *as it goes upstream*: the client's own, or one that the policy adds.
    pub idempotency_key: bool,
    /// Whether it asks for another protocol (`Upgrade`, or an extended CONNECT).
    pub upgrade: bool,
    /// How often its caller sends it on its own account, the first time included; see [`callers::read`]. `None`: once.
    pub callers_max: Option<NonZeroU32>,
}

/// What holds around the request at the moment of deciding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// Whether the body can be sent again; otherwise why not, `BodyTooLarge` or `Memory`. A request without a body can. So can
    /// one for which [`Session::keeps_body`] said no, unless its length is known to be too large: nothing was tried.
    pub body: Result<(), Reason>,
    /// What [`futility::Cells::is_futile`] says about this outcome.
    pub futile: bool,
    /// Whether the budget could pay for this retry now. It is asked again, and charged, right before the send.
    pub affordable: bool,
    /// Whether redrive is shutting down.
    pub draining: bool,
    /// How long the pace lets a retry rest after a throttle-like outcome: nothing where the request then waits in the queue of a
    /// learned window. `None` where no pace is learned, so that the policy's backoff says it.
    pub rest: Option<Duration>,
}

/// One request's memory: what it is, how often it was sent, and what came of it.
#[derive(Debug)]
pub struct Session {
    policy: Arc<Policy>,
    subject: Subject,
    deadline: Instant,
    /// The policy's limits, less the caller's share of them.
    limits: MaxAttempts,
    attempts_made: u32,
    throttled_seen: u32,
    suspected_seen: u32,
    other_seen: u32,
}

impl Session {
    /// A request that was not sent yet, and for which nothing may start at or after `deadline`.
    pub fn new(policy: Arc<Policy>, subject: Subject, deadline: Instant) -> Self {
        let limits = match subject.callers_max {
            Some(callers_max) => policy.max_attempts.shared_with(callers_max),
            None => policy.max_attempts,
        };
        Self {
            policy,
            subject,
            deadline,
            limits,
            attempts_made: 0,
            throttled_seen: 0,
            suspected_seen: 0,
            other_seen: 0,
        }
    }

    /// Whether there is any outcome after which this request would be sent again, so that a copy of its body is worth its
    /// memory. Asked before the first byte of the body is kept.
    pub fn keeps_body(&self) -> bool {
        !self.policy.dry_run
            && self.is_harmless_after(Ran::No)
            && RETRIABLE.into_iter().any(|class| {
                self.policy.on.contains(class)
                    && self.fits_upgrade(class)
                    && self.limits.of(class) > NonZeroU32::MIN
            })
    }

    /// Whether the request would be sent again if the connection broke under it after a byte was written. One that would not
    /// must not be trusted to a connection that may be closing.
    pub fn survives_a_break(&self) -> bool {
        !self.policy.dry_run
            && self.is_harmless_after(Ran::Maybe)
            && self.policy.on.contains(Class::Broken)
            && self.fits_upgrade(Class::Broken)
            && self.has_attempts_left(Class::Broken).is_ok()
    }

    /// How many attempts had an outcome. The one to be sent next is this plus one.
    pub fn attempts_made(&self) -> u32 {
        self.attempts_made
    }

    /// Decides what follows an attempt. Reads no clock, draws from `rng` at most once; to be called once per outcome.
    ///
    /// Good answers, answers that another attempt would not change, and classes that the policy does not name are delivered;
    /// a used-up quota stops. For what remains a retry is due, and the first obstacle in this order is the reason given:
    ///
    /// 1. `unsafe`, `upgrade`: it lies in the request itself, and no luck or setting of amounts would have helped;
    /// 2. `attempts`, `caller_retries`: the request had its share, whatever state the rest is in;
    /// 3. `body_too_large`, `memory`: it could not be sent again even if it were wanted;
    /// 4. `futile`: it could, but would be in vain;
    /// 5. `hint_too_long`, `deadline`: it would come too late;
    /// 6. `shutdown`, `budget`: there was a retry worth making, and we could not afford it;
    /// 7. `dry_run`: everything else agreed, so that its count is the number of retries that the policy would have made.
    pub fn on_outcome(
        &mut self,
        now: Instant,
        outcome: &Classified,
        hint: Option<&Hint>,
        circumstances: Circumstances,
        rng: &mut fastrand::Rng,
    ) -> Verdict {
        self.count(outcome.class);
        match outcome.class {
            Class::Ok | Class::Permanent | Class::Cancelled => return Verdict::Deliver,
            Class::Quota => return Verdict::Stop(Reason::Quota),
            class if !self.policy.on.contains(class) => return Verdict::Deliver,
            _ => {}
        }
        match self.retry_after(now, outcome, hint, circumstances, rng) {
            Ok(after) => Verdict::Retry { after },
            Err(reason) => Verdict::Stop(reason),
        }
    }

    fn count(&mut self, class: Class) {
        let seen = match class {
            Class::Throttled => &mut self.throttled_seen,
            Class::Suspected => &mut self.suspected_seen,
            _ => &mut self.other_seen,
        };
        *seen = seen.saturating_add(1);
        self.attempts_made = self.attempts_made.saturating_add(1);
    }

    /// The wait before the retry that this outcome calls for, or the first obstacle to it.
    fn retry_after(
        &self,
        now: Instant,
        outcome: &Classified,
        hint: Option<&Hint>,
        circumstances: Circumstances,
        rng: &mut fastrand::Rng,
    ) -> Result<Duration, Reason> {
        if !self.is_harmless_after(outcome.ran) {
            return Err(Reason::Unsafe);
        }
        if !self.fits_upgrade(outcome.class) {
            return Err(Reason::Upgrade);
        }
        self.has_attempts_left(outcome.class)?;
        circumstances.body?;
        if circumstances.futile && self.policy.futility {
            return Err(Reason::Futile);
        }
        let after = self.wait(now, outcome.class, hint, circumstances.rest, rng)?;
        if circumstances.draining {
            return Err(Reason::Shutdown);
        }
        if !circumstances.affordable {
            return Err(Reason::Budget);
        }
        if self.policy.dry_run {
            return Err(Reason::DryRun);
        }
        Ok(after)
    }

    /// Whether sending the request again does no harm, or only the harm that the operator has agreed to.
    ///
    /// A key or an idempotent method settles it whatever `unsafe_methods` says: the setting is about requests whose second run
    /// would count, and these have none.
    fn is_harmless_after(&self, ran: Ran) -> bool {
        if is_idempotent(&self.subject.method) || self.subject.idempotency_key {
            return true;
        }
        match self.policy.unsafe_methods {
            UnsafeMethods::Never => false,
            UnsafeMethods::Proven => ran == Ran::No,
            UnsafeMethods::Always => true,
        }
    }

    /// An upgrade's handshake is sent again only when it was turned away at the door or never arrived: after anything else a
    /// session may exist on the other side that nobody would ever close.
    fn fits_upgrade(&self, class: Class) -> bool {
        !self.subject.upgrade || matches!(class, Class::Throttled | Class::Unsent)
    }

    fn has_attempts_left(&self, class: Class) -> Result<(), Reason> {
        let seen = match class {
            Class::Throttled => self.throttled_seen,
            Class::Suspected => self.suspected_seen,
            _ => self.other_seen,
        };
        let within = |limits: MaxAttempts| {
            seen < limits.of(class).get() && self.attempts_made < limits.largest().get()
        };
        if within(self.limits) {
            Ok(())
        } else if within(self.policy.max_attempts) {
            Err(Reason::CallerRetries)
        } else {
            Err(Reason::Attempts)
        }
    }

    /// The longer of our own wait and the upstream's wish, if it ends before the deadline. After a throttle-like outcome our own is
    /// the pace's rest, where there is one, and the policy's backoff otherwise.
    ///
    /// A wait that does not fit is never cut to fit: cut waits all end at the deadline, so that the requests of one burst, which
    /// share it, would come back in one crowd at the very moment when there is no time left to try once more.
    fn wait(
        &self,
        now: Instant,
        class: Class,
        hint: Option<&Hint>,
        rest: Option<Duration>,
        rng: &mut fastrand::Rng,
    ) -> Result<Duration, Reason> {
        let room = self.deadline.saturating_duration_since(now);
        if room.is_zero() {
            return Err(Reason::Deadline);
        }
        let draw = Draw::new(rng);
        // Every attempt doubles the ceiling, of whatever class it was: outcomes that alternate must not keep it low.
        let backoff = self.policy.backoff.at(class, self.attempts_made, draw);
        let mut wait = rest.filter(|_| class.is_throttle_like()).unwrap_or(backoff);
        if let Some(hint) = hint {
            if hint.wait >= room {
                return Err(Reason::HintTooLong);
            }
            // Upwards only, and within the room: many were told the same second, none may go before it, and none should lose
            // its retry to a stretch that is our idea and not the upstream's.
            let stretch = (hint.wait / HINT_STRETCH_DIVISOR).min(room - hint.wait);
            wait = wait.max(hint.wait + draw.share_of(stretch));
        }
        if wait < room {
            Ok(wait)
        } else {
            Err(Reason::Deadline)
        }
    }
}

/// RFC 9110 section 9.2.2, and no method that was registered later: an old server may take an unknown method for anything.
fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// The classes that a policy can name. The rest is good, final, or nobody's to repeat.
const RETRIABLE: [Class; 6] = [
    Class::Throttled,
    Class::Suspected,
    Class::Overloaded,
    Class::Timeout,
    Class::Unsent,
    Class::Broken,
];

/// A hint is stretched by up to a tenth of itself: enough to spread a crowd that was told the same second over 100 ms, little
/// enough that nobody notices the wait. Envoy's half would waste 15 s of a 30 s hint.
const HINT_STRETCH_DIVISOR: u32 = 10;

#[cfg(test)]
pub(crate) mod tests;
