//! What the upstream says about when to come back: `Retry-After` and its relatives.
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};

/// Which header a hint came from; the `source` label of `redrive_hints_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// `Retry-After` in seconds.
    RetryAfterSeconds,
    /// `Retry-After` as a date.
    RetryAfterDate,
    /// `retry-after-ms`.
    RetryAfterMs,
    /// `x-amz-retry-after`, milliseconds.
    AmzRetryAfter,
    /// `RateLimit` or `RateLimit-Reset`.
    RateLimitReset,
    /// `x-ratelimit-reset`.
    XRateLimitReset,
    /// There was a hint header, but it was negative, absurd or unreadable.
    Ignored,
}

/// A server's wish to be left alone for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// How long from now.
    pub wait: Duration,
    /// Which header said so.
    pub source: Source,
}

/// What the headers of an answer hint at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The hint to follow, if any.
    pub hint: Option<Hint>,
    /// How many hint headers were ignored as negative, absurd or unreadable.
    pub ignored: u32,
}

/// Reads the hints of an answer. Only 429 and 503 carry hints; on any other status this is the empty reading.
pub fn read(_status: StatusCode, _headers: &HeaderMap, _now: SystemTime) -> Reading {
    todo!()
}
