//! What an attempt's outcome proves: the classification table, as a pure function of evidence.
//!
//! AWS hides a throttle behind several statuses, and the same status behind several causes, so status alone decides
//! nothing here: the error type, the exact body, the front door's fingerprint and the time it took decide together.
//! The table itself is `table.rs`, one line of evidence after the other; the words it answers in are `words.rs`.
//! Knows nothing of policy: whether the outcome is retried is for the [`Policy`](crate::retry::Policy) to say.
//!
//! `ran = no` is a promise that a POST may be sent again, so it takes proof: a fault before the first byte, or an answer
//! whose error type or body says which limit refused it. A bare status never proves it. The proof is as good as the
//! backend is honest: `x-amzn-ErrorType` can be set by a function too, and whoever builds such an answer by hand is
//! believed. Where that is a concern, a `[[classify]]` rule or `unsafe_methods = "never"` is the remedy.

mod body;
mod evidence;
mod table;
#[cfg(test)]
mod tests;
mod words;

use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};

use self::evidence::Evidence;
pub use self::words::{
    Class, Classified, Distrust, Fault, FaultKind, Integration, Kind, Proof, Ran, Scope, Sent,
    UnknownWord,
};
use super::fields::rare;

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

impl Rules {
    /// Whether the body is evidence for this status: only then is it worth holding the answer back to look at it.
    pub fn wants_body(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        match status.as_u16() {
            429 | 500 | 502 | 503 | 504 => true,
            // AWS services of the JSON protocols throttle with a 400; nobody else's 400 is worth the delay.
            400 if evidence::is_json(headers) => true,
            _ => self.custom.iter().any(|rule| {
                rule.body_contains.is_some()
                    && rule
                        .status
                        .map_or(status.as_u16() >= 400, |named| named == status)
            }),
        }
    }

    /// What the outcome proves. The operator's rules come first, then the table.
    pub fn classify(&self, outcome: &Outcome<'_>) -> Classified {
        let (status, headers, body_head, body_complete, elapsed) = match *outcome {
            Outcome::Failed(fault) => return table::fault(fault),
            Outcome::Answered {
                status,
                headers,
                body_head,
                body_complete,
                elapsed,
            } => (status, headers, body_head, body_complete, elapsed),
        };
        let mut custom = self.custom.iter();
        if let Some(rule) = custom.find(|rule| rule.fits(status, headers, body_head)) {
            return rule.gives();
        }
        table::answer(&Evidence {
            status: status.as_u16(),
            error_type: evidence::error_type(headers),
            marker: rare(headers, &self.marker_header).and_then(evidence::readable),
            headers,
            body: body::Body::read(body_head, body_complete),
            elapsed,
            proof: self.proof,
            integration: self.integration,
        })
    }
}

impl CustomRule {
    /// Whether every condition given holds. A rule without a condition fits nothing, or one typing error in a file would
    /// take over every answer there is.
    fn fits(&self, status: StatusCode, headers: &HeaderMap, body_head: &[u8]) -> bool {
        let conditional =
            self.status.is_some() || self.body_contains.is_some() || self.header.is_some();
        conditional
            && self.status.is_none_or(|named| named == status)
            && self.header.as_ref().is_none_or(|(name, value)| {
                headers
                    .get_all(name)
                    .iter()
                    .any(|present| present.as_bytes() == value.as_bytes())
            })
            && self
                .body_contains
                .as_ref()
                .is_none_or(|text| body::contains(body_head, text.as_bytes()))
    }

    /// What the operator says it is. The rule names no limit, so none is guessed, but for a quota, which is one.
    fn gives(&self) -> Classified {
        Classified {
            class: self.class,
            ran: self.ran,
            kind: if self.class == Class::Quota {
                Kind::Quota
            } else {
                Kind::Unknown
            },
            scope: Scope::Unknown,
            because: "a [[classify]] rule of the configuration",
        }
    }
}

/// The most of a body that is looked at, in bytes. Longer bodies are classified by what came first, and delivered whole.
pub const BODY_HEAD_BYTES_MAX: usize = 64 * 1024;
