//! A route's retry policy: what the operator decided before any request came.
//!
//! Only values, already valid: `config.rs` builds them and holds their defaults, [`Session`](super::Session) obeys them.
//! Nothing here counts or remembers.

use std::num::NonZeroU32;

use super::backoff::Backoff;
use super::classify::{Class, Rules};

/// A route's retry policy (`[retry]`), already valid.
///
/// Immutable and shared: every request of a route holds the same one behind an `Arc`, so that a reload replaces it for the
/// requests to come and leaves those under way with the policy they began with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The classes that may be retried; an outcome of any other class is delivered as it is.
    pub on: Retriable,
    /// How many attempts a request may have, the first included.
    pub max_attempts: MaxAttempts,
    /// When a request that is neither idempotent nor keyed may be sent again.
    pub unsafe_methods: UnsafeMethods,
    /// Whether a request without an idempotency key is given one, by the shell and before the first attempt.
    pub idempotency_key: IdempotencyKey,
    /// How long to wait when nobody says so.
    pub backoff: Backoff,
    /// Whether the futility guard stands.
    pub futility: bool,
    /// Whether a throttled 429 without `Retry-After` is given one; the shell's business alone.
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
///
/// Each of the three is counted on its own: a request may meet `throttled` outcomes up to the first limit and, in between,
/// `broken` ones up to the last. All attempts of a request together never exceed the largest of the three.
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
///
/// Idempotent methods (RFC 9110 section 9.2.2) and requests with an idempotency key are free of it, under `Never` too: a
/// second run of those does no harm, which is all that this setting is about.
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

impl MaxAttempts {
    /// The limit that outcomes of this class count against.
    pub fn of(self, class: Class) -> NonZeroU32 {
        match class {
            Class::Throttled => self.throttled,
            Class::Suspected => self.suspected,
            _ => self.other,
        }
    }

    /// The most attempts that one request can have, whatever happens to it.
    pub fn largest(self) -> NonZeroU32 {
        self.throttled.max(self.suspected).max(self.other)
    }

    /// What is left for us when the caller sends each request up to `callers_max` times itself: every limit divided, rounded
    /// down, and at least the one attempt that is the caller's due.
    pub fn shared_with(self, callers_max: NonZeroU32) -> Self {
        let divided = |limit: NonZeroU32| {
            NonZeroU32::new(limit.get() / callers_max).unwrap_or(NonZeroU32::MIN)
        };
        Self {
            throttled: divided(self.throttled),
            suspected: divided(self.suspected),
            other: divided(self.other),
        }
    }
}
