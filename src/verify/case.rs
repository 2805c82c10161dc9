//! The cases, and what the classification table makes of each.
//!
//! Status and error type are those that AWS documents or that were captured from it; class and `ran` are what follows from
//! them, and so what the proxy acts on. An answer in another status that comes to the same class is no fault of redrive's,
//! and is told apart from one that does not.

use super::observation::Seen;
use crate::retry::classify::{Class, Ran};

/// One case.
#[derive(Debug)]
pub(super) struct Case {
    /// Its name in the index; what comes before the first dash is the front door.
    pub(super) name: &'static str,
    /// How it is asked for.
    pub(super) pattern: Pattern,
    /// What should come of it.
    pub(super) expected: Expected,
}

/// How a case is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// One request.
    Once,
    /// Four at once, again and again, until one of them is not answered well.
    Until,
}

/// What should come of a case.
#[derive(Debug)]
pub(super) struct Expected {
    /// The answer's status.
    pub(super) status: u16,
    /// What the classifier should call it.
    pub(super) class: Class,
    /// What the classifier should say of the function.
    pub(super) ran: Ran,
    /// The value of `x-amzn-ErrorType`.
    pub(super) error_type: Option<&'static str>,
    /// The value of the marker header.
    pub(super) marker: Option<&'static str>,
}

impl Expected {
    /// Whether the classifier came to what was expected, by whatever evidence.
    pub(super) fn is_met_by(&self, seen: &Seen) -> bool {
        (self.class, self.ran) == (seen.classified.class, seen.classified.ran)
    }

    /// Whether the evidence is the expected one, too.
    pub(super) fn is_evidenced_by(&self, seen: &Seen) -> bool {
        seen.status == Some(self.status)
            && seen.error_type.as_deref() == self.error_type
            && seen.marker.as_deref() == self.marker
    }
}

/// `name pattern: status class ran, "error type", "marker"`, one per line.
macro_rules! cases {
    ($($name:literal $pattern:ident: $status:literal $class:ident $ran:ident, $error_type:expr, $marker:expr;)+) => {
        &[$(Case {
            name: $name,
            pattern: Pattern::$pattern,
            expected: Expected {
                status: $status,
                class: Class::$class,
                ran: Ran::$ran,
                error_type: $error_type,
                marker: $marker,
            },
        }),+]
    };
}

/// Every case, in the order in which they are asked for.
pub(super) const CASES: &[Case] = cases! {
    "rest-ok" Once: 200 Ok Yes, None, None;
    "rest-rate" Until: 429 Throttled No, Some("TooManyRequestsException"), None;
    "rest-quota" Until: 429 Quota No, Some("LimitExceededException"), None;
    "rest-no-key" Once: 403 Permanent Yes, Some("ForbiddenException"), None;
    "rest-no-route" Once: 403 Permanent Yes, Some("MissingAuthenticationTokenException"), None;
    "rest-no-permission" Once: 500 Suspected Maybe, INTERNAL, None;
    "rest-authorizer" Once: 500 Suspected No, Some("AuthorizerConfigurationException"), None;
    "rest-throttled" Once: 500 Suspected Maybe, INTERNAL, None;
    "rest-concurrency" Until: 500 Suspected Maybe, INTERNAL, None;
    "rest-crash" Once: 502 Suspected Maybe, INTERNAL, None;
    "rest-malformed" Once: 502 Suspected Maybe, INTERNAL, None;
    "rest-function-timeout" Once: 502 Suspected Maybe, INTERNAL, None;
    "rest-timeout" Once: 504 Timeout Yes, INTERNAL, None;
    "rest-unreachable" Once: 504 Broken Maybe, INTERNAL, None;

    "marked-rate" Until: 429 Throttled No, Some("TooManyRequestsException"), Some("THROTTLED");
    "marked-quota" Until: 429 Quota No, Some("LimitExceededException"), Some("QUOTA_EXCEEDED");
    "marked-throttled" Once: 500 Suspected Maybe, INTERNAL, Some("INTEGRATION_FAILURE");

    "http-ok" Once: 200 Ok Yes, None, None;
    "http-rate" Until: 429 Throttled No, None, None;
    "http-no-route" Once: 404 Permanent Yes, None, None;
    "http-throttled" Once: 500 Suspected Maybe, None, None;
    "http-crash" Once: 500 Suspected Maybe, None, None;
    "http-timeout" Once: 503 Timeout Maybe, None, None;

    "url-ok" Once: 200 Ok Yes, None, None;
    "url-throttled" Once: 429 Throttled No, Some("TooManyRequestsException"), None;
    "url-concurrency" Until: 429 Throttled No, Some("TooManyRequestsException"), None;
    "url-crash" Once: 502 Suspected Maybe, None, None;
    "url-function-timeout" Once: 502 Suspected Maybe, None, None;
    "url-forbidden" Once: 403 Permanent Yes, Some("AccessDeniedException"), None;
};

/// What a REST API calls whatever went wrong behind it.
const INTERNAL: Option<&str> = Some("InternalServerErrorException");
