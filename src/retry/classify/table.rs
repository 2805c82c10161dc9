//! The classification table, line by line: the first line that fits decides, so the stronger evidence stands above.
//!
//! Statuses and bodies are those that AWS documents or that were captured from it. Two traps are kept in mind throughout:
//! the SDKs count `LimitExceededException` among the throttles, but from API Gateway it is a quota of a day, week or
//! month; and a function can answer with any status, header and body that a gateway can. So a line that says
//! `ran = no` asks for everything that the front door in question has to show.

use std::time::Duration;

use super::evidence::Evidence;
use super::words::{
    Class, Classified, Fault, FaultKind, Integration, Kind, Proof, Ran, Scope, Sent,
};

/// One line: the evidence it takes, and what that proves.
struct Line {
    fits: fn(&Evidence<'_>) -> bool,
    proves: Classified,
}

/// What an answer proves.
pub(super) fn answer(evidence: &Evidence<'_>) -> Classified {
    let unmarked = first(UNMARKED, evidence).unwrap_or(OTHERWISE);
    if evidence.marker().is_none() {
        return unmarked;
    }
    // A marker that is none of the table's names a cause that a retry does not cure. It does not say whether the function
    // ran, so that stays as it would be without it.
    first(MARKED, evidence).unwrap_or(Classified {
        class: Class::Permanent,
        kind: Kind::Unknown,
        scope: Scope::Unknown,
        because: "marker of another gateway response",
        ..unmarked
    })
}

/// What a missing answer proves.
pub(super) fn fault(fault: Fault) -> Classified {
    let (class, ran, because) = match (fault.kind, fault.sent) {
        (FaultKind::HeadTimeout, _) => (Class::Timeout, Ran::Maybe, "no head within the limit"),
        // RFC 9113, section 8.7: what was refused this way has not been processed, whatever was written.
        (FaultKind::StreamRefused, _) => (Class::Unsent, Ran::No, "stream refused unprocessed"),
        // Not among the proofs of section 8.7: it says how to ask again, and not that nothing was done.
        (FaultKind::Http1Required, _) => (Class::Broken, Ran::Maybe, "HTTP/1.1 required instead"),
        // A certificate may be turned down after the request went out (TLS 1.3), so even these are not taken on trust.
        (_, Sent::Perhaps) => (Class::Broken, Ran::Maybe, "broke after a byte was written"),
        (FaultKind::Refused, _) => (Class::Unsent, Ran::No, "connection refused"),
        (FaultKind::Dns, _) => (Class::Unsent, Ran::No, "name did not resolve"),
        (FaultKind::Tls | FaultKind::TlsAlert, _) => {
            (Class::Unsent, Ran::No, "TLS handshake failed")
        }
        (FaultKind::Certificate(_), _) => (
            Class::Unsent,
            Ran::No,
            "upstream's certificate is not trusted",
        ),
        (FaultKind::ConnectTimeout, _) => (Class::Unsent, Ran::No, "connect limit passed"),
        (FaultKind::Closed | FaultKind::Unreadable, _) => {
            (Class::Unsent, Ran::No, "closed before a byte was written")
        }
    };
    proves(class, ran, Kind::Unknown, Scope::Unknown, because)
}

fn first(lines: &[Line], evidence: &Evidence<'_>) -> Option<Classified> {
    let line = lines.iter().find(|line| (line.fits)(evidence))?;
    Some(line.proves)
}

const fn proves(
    class: Class,
    ran: Ran,
    kind: Kind,
    scope: Scope,
    because: &'static str,
) -> Classified {
    Classified {
        class,
        ran,
        kind,
        scope,
        because,
    }
}

/// `class, ran, kind, scope: "because", if evidence`, one per line.
macro_rules! lines {
    ($($class:ident, $ran:ident, $kind:ident, $scope:ident: $because:literal, if $fits:expr;)+) => {
        &[$(Line {
            fits: $fits,
            proves: proves(Class::$class, Ran::$ran, Kind::$kind, Scope::$scope, $because),
        }),+]
    };
}

/// Gateway responses whose type the API's owner has put into the marker header.
const MARKED: &[Line] = lines! {
    Throttled, No, Rate, Api: "marker THROTTLED",
        if |a| a.marker() == Some("THROTTLED");
    Quota, No, Quota, Api: "marker QUOTA_EXCEEDED",
        if |a| a.marker() == Some("QUOTA_EXCEEDED");
    Suspected, No, Concurrency, Unknown: "marker INTEGRATION_FAILURE, Lambda integrations only",
        if |a| a.marker() == Some("INTEGRATION_FAILURE") && a.integration == Integration::Lambda;
    Suspected, Maybe, Concurrency, Unknown: "marker INTEGRATION_FAILURE",
        if |a| a.marker() == Some("INTEGRATION_FAILURE");
};

/// Everything else.
const UNMARKED: &[Line] = lines! {
    Ok, Yes, Unknown, Unknown: "status below 400",
        if |a| a.status < 400;

    // 429. The quota first: its message and its name must not be taken for the throttle that shares its status.
    Quota, No, Quota, Api: "429 that names a used-up quota (Limit Exceeded)",
        if |a| a.status == 429 && (a.says("Limit Exceeded") || a.is_type("LimitExceededException"));
    Throttled, No, Rate, Api: "429 made by a REST API (error type and exact body)",
        if |a| is_rest_throttle(a) && !a.is_doubted();
    // Lambda's own refusals. `Reserved...` comes first, because the account's reasons are part of those names.
    Throttled, No, Concurrency, Function: "429 made by Lambda: the function's reserved concurrency",
        if |a| a.lambda_refused("ReservedFunctionConcurrent");
    Throttled, No, Rate, Function: "429 made by Lambda: the function's reserved rate",
        if |a| a.lambda_refused("ReservedFunctionInvocationRate");
    Throttled, No, Unknown, Function: "429 made by Lambda: another limit reserved for the function",
        if |a| a.lambda_refused("Reserved");
    Throttled, No, Concurrency, Account: "429 made by Lambda: the account's concurrency",
        if |a| a.lambda_refused("Concurrent");
    Throttled, No, Rate, Account: "429 made by Lambda: the account's rate",
        if |a| a.lambda_refused("Rate");
    Throttled, No, Unknown, Account: "429 made by Lambda: another limit of the account",
        if |a| a.lambda_refused("");
    Throttled, No, Rate, Api: "429 made by an HTTP API (request id and exact body)",
        if |a| a.proof == Proof::Usual && is_http_api_throttle(a);
    Throttled, Maybe, Rate, Api: "429 made by an HTTP API, which strict proof does not accept",
        if is_http_api_throttle;
    Throttled, Maybe, Unknown, Unknown: "429 ThrottlingException",
        if |a| a.status == 429 && a.is_type("ThrottlingException");
    Throttled, Maybe, Unknown, Unknown: "400 that names a throttle (AWS JSON protocol)",
        if |a| a.status == 400 && (a.names("ThrottlingException") || a.names("TooManyRequestsException"));
    Throttled, Maybe, Unknown, Unknown: "429 that proves nothing more",
        if |a| a.status == 429;

    // 5xx. The authorizer first: it has been seen with the body of the line below.
    Suspected, No, Unknown, Unknown: "500 AuthorizerConfigurationException: the authorizer failed",
        if |a| a.status == 500 && a.is_type("AuthorizerConfigurationException");
    Suspected, Maybe, Concurrency, Unknown: "REST API's `Internal server error`, which hides Lambda throttles",
        if |a| matches!(a.status, 500 | 502 | 504) && a.says_only("Internal server error");
    Suspected, Maybe, Concurrency, Unknown: "HTTP API's `Internal Server Error`, which hides Lambda throttles",
        if |a| a.status == 500 && a.is_http_api() && a.says_only("Internal Server Error");
    Suspected, Maybe, Unknown, Unknown: "502 made by a load balancer, which hides Lambda throttles",
        if |a| a.status == 502 && a.is_load_balancer();
    Suspected, Maybe, Unknown, Unknown: "502 made by a function URL",
        if |a| a.status == 502 && a.is_function_url() && a.body.is_text("Internal Server Error");
    Suspected, Maybe, Unknown, Unknown: "HTTP API's `Service Unavailable`, too early for its timeout",
        if |a| is_http_api_unavailable(a) && a.elapsed < TOO_EARLY_FOR_A_TIMEOUT;
    Timeout, Maybe, Unknown, Unknown: "HTTP API's `Service Unavailable`, as late as its timeout",
        if is_http_api_unavailable;
    Overloaded, Maybe, Unknown, Unknown: "503 of Lambda@Edge over its limit",
        if |a| a.status == 503 && a.is_edge_limit();
    Overloaded, Maybe, Unknown, Unknown: "502 or 503 made by CloudFront",
        if |a| matches!(a.status, 502 | 503) && a.is_cloudfront();
    Overloaded, Maybe, Unknown, Unknown: "503 that says when to come back",
        if |a| a.status == 503 && a.has_hint();
    Timeout, Yes, Unknown, Unknown: "504 `Endpoint request timed out`: the function ran, and may still run",
        if |a| a.status == 504 && a.says("Endpoint request timed out");
    Broken, Maybe, Unknown, Unknown: "504 `Network error communicating with endpoint`",
        if |a| a.status == 504 && a.says("Network error communicating with endpoint");
    Timeout, Maybe, Unknown, Unknown: "504 that proves nothing more",
        if |a| a.status == 504;
};

/// What is left: the function's own error, or one that a retry does not change.
const OTHERWISE: Classified = proves(
    Class::Permanent,
    Ran::Yes,
    Kind::Unknown,
    Scope::Unknown,
    "an error that no line of the table knows",
);

fn is_rest_throttle(a: &Evidence<'_>) -> bool {
    a.status == 429 && a.is_type("TooManyRequestsException") && a.says_only("Too Many Requests")
}

fn is_http_api_throttle(a: &Evidence<'_>) -> bool {
    a.status == 429 && a.is_http_api() && a.says_only("Too Many Requests")
}

fn is_http_api_unavailable(a: &Evidence<'_>) -> bool {
    a.status == 503 && a.is_http_api() && a.says_only("Service Unavailable")
}

/// An HTTP API answers a timed-out integration with the same 503 as one that it could not call. Its integration timeout is
/// 30 s by default; a refusal comes in far less than this.
const TOO_EARLY_FOR_A_TIMEOUT: Duration = Duration::from_secs(5);
