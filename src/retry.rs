//! Whether, when and why a request is sent again: the policy, one request's memory, and the verdict.
use std::num::NonZeroU32;

pub mod backoff;
pub mod budget;
pub mod classify;
pub mod futility;
pub mod hint;

use self::backoff::Backoff;
use self::classify::{Class, Rules};

/// A route's retry policy (`[retry]`), already valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The classes that may be retried.
    pub on: Retriable,
    /// How many attempts a request may have, the first included.
    pub max_attempts: MaxAttempts,
    /// When a request that is not idempotent may be sent again.
    pub unsafe_methods: UnsafeMethods,
    /// Whether a request without an idempotency key is given one.
    pub idempotency_key: IdempotencyKey,
    /// How long to wait when nobody says so.
    pub backoff: Backoff,
    /// Whether the futility guard stands.
    pub futility: bool,
    /// Whether a throttled 429 without `Retry-After` is given one.
    pub add_retry_after: bool,
    /// Decide, count and explain, but never send again.
    pub dry_run: bool,
    /// How outcomes are classified.
    pub rules: Rules,
}

/// Which classes may be retried (`retry.on`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retriable {
    /// `throttled`.
    pub throttled: bool,
    /// `suspected`.
    pub suspected: bool,
    /// `overloaded`.
    pub overloaded: bool,
    /// `unsent`.
    pub unsent: bool,
    /// `broken`.
    pub broken: bool,
    /// `timeout`.
    pub timeout: bool,
}

/// How many attempts of each class a request may have, the first included (`retry.max_attempts`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxAttempts {
    /// After `throttled`.
    pub throttled: NonZeroU32,
    /// After `suspected`.
    pub suspected: NonZeroU32,
    /// After anything else.
    pub other: NonZeroU32,
}

/// When a request that is neither idempotent nor keyed may be sent again (`retry.unsafe_methods`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsafeMethods {
    /// Not even when the function provably did not run.
    Never,
    /// When the function provably did not run.
    Proven,
    /// Whenever the class allows.
    Always,
}

/// What happens to a request without an idempotency key (`retry.idempotency_key`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdempotencyKey {
    /// It goes as it is.
    Keep,
    /// It is given one, the same on every attempt.
    Add,
}

/// Why no further retry was made. One word each, the same in header, log and metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The attempts of this class are used up.
    Attempts,
    /// The retry budget is empty.
    Budget,
    /// The wait would end after the deadline.
    Deadline,
    /// The function may have run, and running it twice may do harm.
    Unsafe,
    /// The request's body is larger than what is kept.
    BodyTooLarge,
    /// The memory for kept bodies is used up.
    Memory,
    /// The upstream asks to wait past the deadline.
    HintTooLong,
    /// A quota of a day, week or month is used up.
    Quota,
    /// Nothing of this kind succeeded for a while.
    Futile,
    /// The caller retries too, and these attempts are its own.
    CallerRetries,
    /// The request is an upgrade's handshake.
    Upgrade,
    /// The policy only pretends.
    DryRun,
    /// redrive is switched off.
    Bypass,
    /// The client left.
    ClientGone,
    /// The answer's head had gone out.
    Started,
    /// redrive is shutting down.
    Shutdown,
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The outcome is the client's: it is good, or no policy would change it.
    Deliver,
    /// Send again after this wait.
    Retry {
        /// From now.
        after: std::time::Duration,
    },
    /// A retry would have been due, but for this.
    Stop(Reason),
}

impl Retriable {
    /// Whether an outcome of this class may be retried.
    pub fn contains(self, class: Class) -> bool {
        match class {
            Class::Throttled => self.throttled,
            Class::Suspected => self.suspected,
            Class::Overloaded => self.overloaded,
            Class::Unsent => self.unsent,
            Class::Broken => self.broken,
            Class::Timeout => self.timeout,
            Class::Ok | Class::Quota | Class::Permanent | Class::Cancelled => false,
        }
    }
}
