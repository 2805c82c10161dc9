//! One request's trace: a span for it, and below that a span for each attempt, by OpenTelemetry's conventions for HTTP.
//!
//! The account tells it what happened, in the words that it tells everybody. A caller's `traceparent` (W3C Trace Context) is
//! the parent, and decides whether the request is traced at all. It goes on untouched; a request without one is given one that
//! names the request's span, the same on every attempt. What a client could hide a secret in stays out: no header, no query,
//! and of the path only what the status page shows, too.
//!
//! Without the feature `otlp` nothing of this exists (`trace/absent.rs`). Who takes the spans is none of its business: see
//! [`crate::telemetry`].

#[cfg(not(feature = "otlp"))]
mod absent;
#[cfg(feature = "otlp")]
mod parent;
#[cfg(feature = "otlp")]
mod spans;

use std::time::Duration;

use http::StatusCode;

use crate::retry::classify::{Classified, Ran};

#[cfg(not(feature = "otlp"))]
pub use self::absent::{Trace, Tracer};
#[cfg(feature = "otlp")]
pub use self::spans::{Trace, Tracer};

/// What an attempt's span tells when it has ended.
#[derive(Clone, Copy, Debug)]
pub struct Attempted<'a> {
    /// What it proved.
    pub outcome: &'a Classified,
    /// How long it was waited for.
    pub waited: Duration,
    /// How long it took to the answer's head, or to its end without one.
    pub took: Duration,
    /// The answer's status, if there was an answer.
    pub status: Option<StatusCode>,
    /// What AWS calls it, if the answer says so.
    pub request_id: Option<&'a str>,
}

/// What a request's span tells when it ends: the fields of its line in the log.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The route's name.
    pub route: &'a str,
    /// The status that the client got, if it stayed for one.
    pub status: Option<StatusCode>,
    /// How it ended.
    pub outcome: &'static str,
    /// What followed from its last attempt.
    pub verdict: Option<&'static str>,
    /// Why no further retry was made, if one would have been due.
    pub reason: Option<&'static str>,
    /// The most that any attempt may have done.
    pub ran: Option<Ran>,
    /// Why redrive answered itself, if it did.
    pub error: Option<&'static str>,
    /// How long it waited in all.
    pub waited: Duration,
    /// How many attempts ended.
    pub attempts: u32,
}
