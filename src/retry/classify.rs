//! What an attempt's outcome proves: the classification table, as a pure function of evidence.
//!
//! AWS hides a throttle behind several statuses, and the same status behind several causes, so status alone decides
//! nothing here: the error type, the exact body, the front door's fingerprint and the time it took decide together.
//! Knows nothing of policy: whether the outcome is retried is for [`Session`](crate::retry::Session) to say.

use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};

/// What an attempt's outcome was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// An answer below 400.
    Ok,
    /// Refused because of a rate or concurrency limit that refills by itself.
    Throttled,
    /// Refused because a quota of a day, week or month is used up.
    Quota,
    /// An error answer that is often, but not provably, a throttle in disguise.
    Suspected,
    /// The upstream says that it cannot take more just now.
    Overloaded,
    /// No answer in time, from the upstream or from what stands behind it.
    Timeout,
    /// Nothing of the request reached the upstream.
    Unsent,
    /// The connection broke after a byte was written and before the answer's head.
    Broken,
    /// An error answer that another attempt would not change.
    Permanent,
    /// The client left, or broke its own request, while the attempt was under way.
    Cancelled,
}

/// Whether the function behind the gateway may have run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ran {
    /// The answer proves that it did not.
    No,
    /// Nothing proves either.
    Maybe,
    /// It ran.
    Yes,
}

/// Which limit was hit, as far as the answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Requests per second.
    Rate,
    /// Executions at the same time.
    Concurrency,
    /// Requests per day, week or month.
    Quota,
    /// The answer does not tell.
    Unknown,
}

/// Whose limit was hit, as far as the answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One function's reserved limit.
    Function,
    /// The account's limit in its region.
    Account,
    /// The API's, stage's, method's or usage plan's limit.
    Api,
    /// The answer does not tell.
    Unknown,
}

/// What the shell saw of one attempt.
#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// The upstream answered.
    Answered {
        /// The answer's status.
        status: StatusCode,
        /// The answer's headers.
        headers: &'a HeaderMap,
        /// The first bytes of the body, at most [`BODY_HEAD_BYTES_MAX`]; empty when [`Rules::wants_body`] said no.
        body_head: &'a [u8],
        /// Whether `body_head` is the whole body.
        body_complete: bool,
        /// From the first byte sent to the answer's head.
        elapsed: Duration,
    },
    /// There is no answer.
    Failed(Fault),
}

/// Why an attempt has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// What went wrong.
    pub kind: FaultKind,
    /// Whether any of the request can have reached the upstream; this is what makes a retry safe or not.
    pub sent: Sent,
}

/// What went wrong on the way to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The connection was refused, or the network has no way there.
    Refused,
    /// The upstream's name did not resolve.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// The connection was not made within the connect limit.
    ConnectTimeout,
    /// The connection was reset or closed before the answer's head.
    Closed,
    /// The upstream refused the stream (HTTP/2 REFUSED_STREAM, or a GOAWAY below its id).
    StreamRefused,
    /// What came back is not HTTP.
    Unreadable,
    /// No head within the attempt's limit.
    HeadTimeout,
}

/// Whether any of the request can have reached the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// Not one byte was written.
    Nothing,
    /// At least one byte was written.
    Perhaps,
}

/// What an outcome proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// What it was.
    pub class: Class,
    /// Whether the function may have run.
    pub ran: Ran,
    /// Which limit, for a throttle.
    pub kind: Kind,
    /// Whose limit, for a throttle.
    pub scope: Scope,
    /// The line of the table that decided, in words; for `check --explain` and the log.
    pub because: &'static str,
}

/// How much an HTTP API's bare 429 proves (`retry.proof`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// An exact gateway body with the HTTP API's request id proves that the function did not run.
    #[default]
    Usual,
    /// Only what a function cannot easily forge proves it.
    Strict,
}

/// What stands behind the API (`retry.integration`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Integration {
    /// Anything: a marked INTEGRATION_FAILURE may have run.
    #[default]
    Any,
    /// Lambda proxy integrations only: a marked INTEGRATION_FAILURE did not run.
    Lambda,
}

/// One `[[classify]]` rule of the operator: first match wins, before the table. Every condition given must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomRule {
    /// The status that must match.
    pub status: Option<StatusCode>,
    /// Bytes that the first [`BODY_HEAD_BYTES_MAX`] of the body must contain.
    pub body_contains: Option<String>,
    /// A header that must be present with exactly this value.
    pub header: Option<(HeaderName, String)>,
    /// The class given.
    pub class: Class,
    /// Whether the function may have run.
    pub ran: Ran,
}

/// Everything that shapes the table: the operator's rules, the marker, and how much to believe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The operator's own rules, in file order.
    pub custom: Vec<CustomRule>,
    /// The header that gateway responses set to their type (`retry.marker_header`).
    pub marker_header: HeaderName,
    /// How much an HTTP API's bare 429 proves.
    pub proof: Proof,
    /// What stands behind the API.
    pub integration: Integration,
}

/// The most of a body that is looked at, in bytes. Longer bodies are classified by what came first, and delivered whole.
pub const BODY_HEAD_BYTES_MAX: usize = 64 * 1024;

impl Rules {
    /// Whether the body is evidence for this status: only then is it worth holding the answer back to look at it.
    pub fn wants_body(&self, _status: StatusCode, _headers: &HeaderMap) -> bool {
        todo!()
    }

    /// What the outcome proves.
    pub fn classify(&self, _outcome: &Outcome<'_>) -> Classified {
        todo!()
    }
}
