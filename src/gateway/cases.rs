//! The cases of `redrive verify`: every way of failing that has a name, each on a path of its own below [`PATH`].
//!
//! What `deploy/verify` builds in an AWS account is answered here as the fact sheets say that AWS answers it, so that the
//! command can be tried without an account, and a client can be shown an answer that no limit provokes. Limits are the real
//! ones of `door`, one set a case; the other answers are fixed. They are not among the counts.
//!
//! Captured or documented: the bodies and error types of `rest` and of function URLs. Inferred, not captured: `http` but for
//! its throttle and its 404, and the status of a throttled function behind it.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::Params;
use super::door::{Counts, Door, Refusal};
use super::front::{self, Answer, Front};

/// Every case.
#[derive(Debug)]
pub(super) struct Cases(Vec<Case>);

/// One case: a front door, and what it says.
#[derive(Debug)]
pub(super) struct Case {
    name: &'static str,
    /// The door that dresses the answer.
    pub(super) front: Front,
    script: Script,
}

#[derive(Debug)]
enum Script {
    /// Good answers within these limits.
    Limits {
        counts: Counts,
        /// The answer past them, where the API's owner has changed the front's own.
        refused: Option<Answer>,
    },
    /// Always this one, so long after the request.
    Fails { after: Duration, answer: Answer },
}

impl Cases {
    /// All of them, with every limit unused.
    pub(super) fn new() -> Self {
        let mut cases = rest();
        cases.extend(marked());
        cases.extend(http_api());
        cases.extend(function_url());
        Self(cases)
    }

    /// The case that a target asks for.
    pub(super) fn at(&self, target: &str) -> Option<&Case> {
        let name = target.strip_prefix(PATH)?.strip_prefix('/')?;
        self.0.iter().find(|case| case.name == name)
    }

    /// Where each case is, as the stack of `deploy/verify` says it.
    pub(super) fn index(&self) -> Answer {
        let places: Map<String, Value> = self
            .0
            .iter()
            .map(|case| {
                let at = format!("/{}", case.name);
                (case.name.to_owned(), json!({ "at": at }))
            })
            .collect();
        let index = json!({ "redrive_verify": 1, "cases": places });
        front::json(StatusCode::OK, None, index.to_string())
    }
}

impl Case {
    /// The answer, once it is due.
    pub(super) async fn answer(&self) -> Answer {
        match &self.script {
            Script::Fails { after, answer } => {
                tokio::time::sleep(*after).await;
                answer.clone()
            }
            Script::Limits { counts, refused } => {
                let end = counts.door(|door, now| {
                    door.enter(now)?;
                    Door::invoke(door, now)
                });
                match end {
                    Ok(end) => {
                        tokio::time::sleep_until(end.into()).await;
                        front::json(StatusCode::OK, None, r#"{"ran":true}"#)
                    }
                    Err(refusal) => {
                        let own = || self.front.refusal(refusal);
                        refused.clone().unwrap_or_else(own)
                    }
                }
            }
        }
    }
}

fn rest() -> Vec<Case> {
    let front = Front::Rest;
    let fails = |name, status, error_type, body| {
        let answer = front::json(status, Some(error_type), body);
        always(name, front, Duration::ZERO, answer)
    };
    let internal = |name, status| {
        let body = r#"{"message": "Internal server error"}"#;
        fails(name, status, INTERNAL, body)
    };
    vec![
        limited("rest-ok", front, OPEN),
        limited("rest-rate", front, ONE_PER_SECOND),
        limited("rest-quota", front, ONE_IN_ALL),
        fails(
            "rest-no-key",
            StatusCode::FORBIDDEN,
            "ForbiddenException",
            r#"{"message":"Forbidden"}"#,
        ),
        fails(
            "rest-no-route",
            StatusCode::FORBIDDEN,
            "MissingAuthenticationTokenException",
            r#"{"message":"Missing Authentication Token"}"#,
        ),
        internal("rest-no-permission", StatusCode::INTERNAL_SERVER_ERROR),
        fails(
            "rest-authorizer",
            StatusCode::INTERNAL_SERVER_ERROR,
            "AuthorizerConfigurationException",
            r#"{"message":null}"#,
        ),
        limited("rest-throttled", front, NONE_AT_ONCE),
        limited("rest-concurrency", front, ONE_AT_ONCE),
        internal("rest-crash", StatusCode::BAD_GATEWAY),
        internal("rest-malformed", StatusCode::BAD_GATEWAY),
        internal("rest-function-timeout", StatusCode::BAD_GATEWAY),
        always(
            "rest-timeout",
            front,
            REST_TIMEOUT,
            front::json(
                StatusCode::GATEWAY_TIMEOUT,
                Some(INTERNAL),
                r#"{"message": "Endpoint request timed out"}"#,
            ),
        ),
        fails(
            "rest-unreachable",
            StatusCode::GATEWAY_TIMEOUT,
            INTERNAL,
            r#"{"message": "Network error communicating with endpoint"}"#,
        ),
    ]
}

/// A REST API with the gateway responses of `deploy/gateway`: their template writes the message without a space before it.
fn marked() -> Vec<Case> {
    let refused = |refusal| match refusal {
        Refusal::Rate => Front::Rest.refusal(refusal).marked("THROTTLED"),
        Refusal::Quota => Front::Rest.refusal(refusal).marked("QUOTA_EXCEEDED"),
        Refusal::Concurrency => front::json(
            StatusCode::INTERNAL_SERVER_ERROR,
            Some(INTERNAL),
            r#"{"message":"Internal server error"}"#,
        )
        .marked("INTEGRATION_FAILURE"),
    };
    let case = |name, limits, refusal| Case {
        name,
        front: Front::Rest,
        script: Script::Limits {
            counts: Counts::new(&limits),
            refused: Some(refused(refusal)),
        },
    };
    vec![
        case("marked-rate", ONE_PER_SECOND, Refusal::Rate),
        case("marked-quota", ONE_IN_ALL, Refusal::Quota),
        case("marked-throttled", NONE_AT_ONCE, Refusal::Concurrency),
    ]
}

fn http_api() -> Vec<Case> {
    let front = Front::Http;
    let fails = |name, after, status, body| {
        let answer = front::json(status, None, body);
        always(name, front, after, answer)
    };
    vec![
        limited("http-ok", front, OPEN),
        limited("http-rate", front, ONE_PER_SECOND),
        fails(
            "http-no-route",
            Duration::ZERO,
            StatusCode::NOT_FOUND,
            r#"{"message":"Not Found"}"#,
        ),
        limited("http-throttled", front, NONE_AT_ONCE),
        fails(
            "http-crash",
            Duration::ZERO,
            StatusCode::INTERNAL_SERVER_ERROR,
            r#"{"message":"Internal Server Error"}"#,
        ),
        fails(
            "http-timeout",
            HTTP_TIMEOUT,
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"message":"Service Unavailable"}"#,
        ),
    ]
}

fn function_url() -> Vec<Case> {
    let front = Front::FunctionUrl;
    let failed = |name| {
        let answer = front::text(StatusCode::BAD_GATEWAY, "Internal Server Error");
        always(name, front, Duration::ZERO, answer)
    };
    vec![
        limited("url-ok", front, OPEN),
        limited("url-throttled", front, NONE_AT_ONCE),
        limited("url-concurrency", front, ONE_AT_ONCE),
        failed("url-crash"),
        failed("url-function-timeout"),
        always(
            "url-forbidden",
            front,
            Duration::ZERO,
            front::json(
                StatusCode::FORBIDDEN,
                Some("AccessDeniedException"),
                r#"{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}"#,
            ),
        ),
    ]
}

fn limited(name: &'static str, front: Front, limits: Params) -> Case {
    Case {
        name,
        front,
        script: Script::Limits {
            counts: Counts::new(&limits),
            refused: None,
        },
    }
}

fn always(name: &'static str, front: Front, after: Duration, answer: Answer) -> Case {
    Case {
        name,
        front,
        script: Script::Fails { after, answer },
    }
}

/// Where the cases are. API Gateway has no such path; neither will a real API.
pub(super) const PATH: &str = "/-/verify";
/// Where a GET is answered with the place of each case.
pub(super) const INDEX_PATH: &str = "/-/verify/index";
/// What a REST API calls whatever went wrong behind it.
const INTERNAL: &str = "InternalServerErrorException";
/// The integration timeout of that case's method; a REST API's own is 29 s.
const REST_TIMEOUT: Duration = Duration::from_secs(1);
/// The integration timeout of that case's route; an HTTP API's own is 30 s. Above the 5 s that part a refusal from a timeout.
const HTTP_TIMEOUT: Duration = Duration::from_secs(6);

const OPEN: Params = Params::unlimited();
const ONE_PER_SECOND: Params = Params {
    rate: Some(1),
    ..OPEN
};
const ONE_IN_ALL: Params = Params {
    quota: Some(1),
    ..OPEN
};
const NONE_AT_ONCE: Params = Params {
    concurrency: Some(0),
    ..OPEN
};
/// The service time is long enough for a second request to arrive within it.
const ONE_AT_ONCE: Params = Params {
    concurrency: Some(1),
    service_time: Duration::from_secs(1),
    ..OPEN
};
