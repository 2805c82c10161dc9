//! Answers that are throttles or quotas, with the bytes that AWS sends.

use super::*;

#[test]
fn a_marker_tells_the_gateway_response_that_answered() {
    let marked = |status, marker| {
        rest(status, "SomeException", r#"{"message":"customised"}"#).header("x-gw-error", marker)
    };

    check(&marked(429, "THROTTLED"), THROTTLED_RATE);
    check(&marked(503, "THROTTLED"), THROTTLED_RATE);
    check(&marked(429, "QUOTA_EXCEEDED"), QUOTA);
    check(&marked(504, "INTEGRATION_FAILURE"), SUSPECTED_CONCURRENCY);
    check(
        &marked(504, "INTEGRATION_FAILURE").rules(|r| r.integration = Integration::Lambda),
        (Class::Suspected, Ran::No, Kind::Concurrency, Scope::Unknown),
    );
}

#[test]
fn another_marker_is_permanent_and_ran_as_the_status_says() {
    let marked = |status, body: &str| {
        rest(status, "SomeException", body).header("x-gw-error", "INTEGRATION_TIMEOUT")
    };

    check(&marked(403, ""), plain(Class::Permanent, Ran::Yes));
    check(&marked(504, ""), plain(Class::Permanent, Ran::Maybe));
    check(
        &marked(504, r#"{"message": "Endpoint request timed out"}"#),
        plain(Class::Permanent, Ran::Yes),
    );
    check(&marked(429, ""), plain(Class::Permanent, Ran::Maybe));
}

#[test]
fn the_marker_header_has_the_configured_name() {
    let answer = rest(503, "SomeException", "").header("x-why", "THROTTLED");

    check(&answer, PERMANENT);
    check(
        &answer.rules(|r| r.marker_header = HeaderName::from_static("x-why")),
        THROTTLED_RATE,
    );
}

#[test]
fn a_used_up_quota_is_told_from_a_throttle_by_message_or_by_name() {
    let name = "LimitExceededException";

    check(&rest(429, name, r#"{"message":"Limit Exceeded"}"#), QUOTA);
    check(&rest(429, name, ""), QUOTA);
    check(&http_api(429, r#"{"message":"Limit Exceeded"}"#), QUOTA);
    check(
        &rest(
            429,
            "TooManyRequestsException",
            r#"{"message":"Limit Exceeded"}"#,
        ),
        QUOTA,
    );
}

#[test]
fn a_rest_throttle_is_proven_by_its_name_and_its_exact_body() {
    let name = "TooManyRequestsException";

    check(
        &rest(429, name, r#"{"message":"Too Many Requests"}"#),
        THROTTLED_RATE,
    );
    check(
        &rest(429, name, "{ \"message\" :\r\n \"Too Many Requests\" }\n"),
        THROTTLED_RATE,
    );
    check(
        &rest(
            429,
            "com.amazon.coral.service#TooManyRequestsException:http://internal.amazon.com/coral/#x",
            r#"{"message":"Too Many Requests"}"#,
        ),
        THROTTLED_RATE,
    );
}

#[test]
fn lambda_names_the_limit_that_refused_the_call() {
    let check_reason = |reason: &str, kind, scope| {
        let body = format!(r#"{{"Reason":"{reason}","Type":"User","message":"Rate Exceeded."}}"#);
        let answer =
            function_url(429, &body).header("x-amzn-errortype", "TooManyRequestsException");
        check(&answer, (Class::Throttled, Ran::No, kind, scope));
    };

    check_reason(
        "ReservedFunctionConcurrentInvocationLimitExceeded",
        Kind::Concurrency,
        Scope::Function,
    );
    check_reason(
        "ReservedFunctionInvocationRateLimitExceeded",
        Kind::Rate,
        Scope::Function,
    );
    check_reason(
        "ConcurrentInvocationLimitExceeded",
        Kind::Concurrency,
        Scope::Account,
    );
    check_reason(
        "ConcurrentSnapshotCreateLimitExceeded",
        Kind::Concurrency,
        Scope::Account,
    );
    check_reason(
        "FunctionInvocationRateLimitExceeded",
        Kind::Rate,
        Scope::Account,
    );
    check_reason("CallerRateLimitExceeded", Kind::Rate, Scope::Account);
    check_reason("ReservedSomethingNew", Kind::Unknown, Scope::Function);
    check_reason("SomethingNew", Kind::Unknown, Scope::Account);
}

#[test]
fn lambdas_body_is_compared_as_json() {
    check(
        &answer(429).body(
            "{\"message\": \"Rate Exceeded.\", \"Type\": \"User\",\n \"Reason\": \"CallerRateLimitExceeded\"}",
        ),
        (Class::Throttled, Ran::No, Kind::Rate, Scope::Account),
    );
}

#[test]
fn an_http_api_throttle_proves_as_much_as_the_operator_lets_it() {
    let throttle = http_api(429, r#"{"message":"Too Many Requests"}"#);

    check(&throttle, THROTTLED_RATE);
    check(
        &throttle.rules(|r| r.proof = Proof::Strict),
        (Class::Throttled, Ran::Maybe, Kind::Rate, Scope::Api),
    );
}

#[test]
fn a_service_throttle_is_known_by_its_name_in_header_or_body() {
    let coral = "ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/";
    let bedrock = answer(429)
        .header("x-amzn-errortype", coral)
        .body(r#"{"message":"Too many requests, please wait before trying again."}"#);
    check(&bedrock, THROTTLED_UNPROVEN);
    check_because(&bedrock, "429 ThrottlingException");

    for body in [
        r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#,
        r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"Rate exceeded"}"#,
        r#"{"__type":"TooManyRequestsException"}"#,
    ] {
        check(&answer(400).body(body), THROTTLED_UNPROVEN);
    }
    for name in ["ThrottlingException", "TooManyRequestsException"] {
        check(
            &answer(400).header("x-amzn-errortype", name),
            THROTTLED_UNPROVEN,
        );
    }
}

#[test]
fn a_bare_429_is_a_throttle_that_proves_nothing() {
    check(&answer(429), THROTTLED_UNPROVEN);
    check(
        &rest(429, "ForbiddenException", "blocked"),
        THROTTLED_UNPROVEN,
    );
}

#[test]
fn strict_proof_accepts_no_429_of_an_http_api() {
    let strict = |body| http_api(429, body).rules(|r| r.proof = Proof::Strict);

    check(
        &strict(r#"{"message":"Too Many Requests"}"#)
            .header("x-amzn-errortype", "TooManyRequestsException"),
        (Class::Throttled, Ran::Maybe, Kind::Rate, Scope::Api),
    );
    check(
        &strict(r#"{"Reason":"CallerRateLimitExceeded","message":"Rate Exceeded."}"#),
        THROTTLED_UNPROVEN,
    );
}
