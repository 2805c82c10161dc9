//! redrive's own answers: problem details (RFC 9457) with a `Proxy-Status` (RFC 9209).

use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response};

use super::body::{ResponseBody, full};
use super::error::Error;
use crate::clock;
use crate::retry::classify::{Fault, FaultKind};

/// The answer for an error: short and factual for the client; the cause's details are for the log.
pub fn problem(error: &Error) -> Response<ResponseBody> {
    let status = error.status();
    let problem = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": error.to_string(),
    });
    let mut response = Response::new(full(problem.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(DATE, date());
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    let proxy_status = format!("redrive; error={}", error.proxy_status());
    headers.insert(
        PROXY_STATUS,
        HeaderValue::try_from(proxy_status).expect("error types are tokens"),
    );
    match error {
        Error::Connect => {
            headers.insert(ALLOW, HeaderValue::from_static(ALLOWED));
        }
        Error::Shed { retry_after } => {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(*retry_after)));
        }
        // A place or a descriptor comes back with the next upload or connection that ends.
        Error::SlowUpload
        | Error::NoAnswer(Fault {
            kind: FaultKind::NoDescriptor,
            ..
        }) => {
            headers.insert(RETRY_AFTER, HeaderValue::from(1));
        }
        _ => {}
    }
    response
}

/// The answer to `OPTIONS *`: about redrive itself, since no upstream path is named.
pub fn options() -> Response<ResponseBody> {
    let mut response = Response::new(full(""));
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(ALLOWED));
    headers.insert(DATE, date());
    response
}

/// redrive is the origin of its own answers, so it dates them (RFC 9110 section 6.6.1); the upstream's stay as they are.
fn date() -> HeaderValue {
    HeaderValue::try_from(httpdate::fmt_http_date(clock::wall())).expect("dates are visible ASCII")
}

/// Rounded up: coming back early would not help.
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// What redrive forwards; everything but CONNECT.
const ALLOWED: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE, PATCH";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::classify::Sent;
    use http::StatusCode;

    #[test]
    fn an_unreachable_upstream_is_a_problem_that_names_the_cause() {
        let response = problem(&Error::NoAnswer(Fault {
            kind: FaultKind::Refused,
            sent: Sent::Nothing,
        }));

        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        assert_eq!(
            response.headers()["proxy-status"],
            "redrive; error=connection_refused"
        );
    }

    #[test]
    fn a_shed_request_is_told_when_to_come_back_in_whole_seconds() {
        let response = problem(&Error::Shed {
            retry_after: Duration::from_millis(1200),
        });

        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "2");
    }
}
