//! Answers that look like the gateway's and are not, the operator's own rules, and which bodies are looked at.

use super::*;

#[test]
fn a_throttles_name_without_its_exact_body_proves_nothing() {
    for body in [
        "",
        "Too Many Requests",
        r#"{"message":"too many requests"}"#,
        r#"{"Message":"Too Many Requests"}"#,
        r#"{"message":"Too Many Requests","orderId":7}"#,
        r#"{"message":"Too Many Requests","message":"Too Many Requests"}"#,
        r#"{"message":["Too Many Requests"]}"#,
        r#"[{"message":"Too Many Requests"}]"#,
        r#"{"message":"Too Many Requests"} and more"#,
    ] {
        check(
            &rest(429, "TooManyRequestsException", body),
            THROTTLED_UNPROVEN,
        );
        check(&http_api(429, body), THROTTLED_UNPROVEN);
    }
}

#[test]
fn a_throttles_body_without_a_front_doors_fingerprint_proves_nothing() {
    let body = r#"{"message":"Too Many Requests"}"#;

    check(&answer(429).body(body), THROTTLED_UNPROVEN);
    check(
        &rest(429, "toomanyrequestsexception", body),
        THROTTLED_UNPROVEN,
    );
    check(&rest(429, "ForbiddenException", body), THROTTLED_UNPROVEN);
}

#[test]
fn a_body_that_says_two_things_says_nothing() {
    for (first, second) in [("Limit Exceeded", "other"), ("other", "Limit Exceeded")] {
        let body = format!(r#"{{"message":"{first}","message":"{second}"}}"#);
        check(&answer(429).body(&body), THROTTLED_UNPROVEN);
    }
}

#[test]
fn a_body_that_was_cut_short_is_no_json() {
    let mut cut = rest(
        429,
        "TooManyRequestsException",
        r#"{"message":"Too Many Requests"}"#,
    );
    cut.complete = false;
    check(&cut, THROTTLED_UNPROVEN);

    let mut cut = function_url(502, "Internal Server Error");
    cut.complete = false;
    check(&cut, PERMANENT);
}

#[test]
fn a_body_nested_without_end_is_no_json() {
    let deep = "[".repeat(BODY_HEAD_BYTES_MAX);

    check(&answer(429).body(&deep), THROTTLED_UNPROVEN);
    check(
        &answer(500).body(&format!(r#"{{"message":{deep}"#)),
        PERMANENT,
    );
}

#[test]
fn a_function_that_is_rate_limited_elsewhere_is_not_lambda() {
    for body in [
        r#"{"message":"Rate Exceeded."}"#,
        r#"{"Reason":"CallerRateLimitExceeded","message":"Rate exceeded"}"#,
        r#"{"Reason":null,"message":"Rate Exceeded."}"#,
        r#"{"reason":"CallerRateLimitExceeded","message":"Rate Exceeded."}"#,
    ] {
        check(&function_url(429, body), THROTTLED_UNPROVEN);
    }
}

#[test]
fn an_internal_error_in_other_words_is_the_functions_own() {
    check(
        &answer(500).body(r#"{"message":"Internal Server Error"}"#),
        PERMANENT,
    );
    check(
        &http_api(502, r#"{"message":"Internal Server Error"}"#),
        PERMANENT,
    );
    check(
        &rest(
            500,
            "InternalServerErrorException",
            r#"{"message": "Internal server error", "trace": 1}"#,
        ),
        PERMANENT,
    );
    check(
        &rest(
            503,
            "InternalServerErrorException",
            r#"{"message": "Internal server error"}"#,
        ),
        PERMANENT,
    );
    check(
        &rest(502, "AuthorizerConfigurationException", ""),
        PERMANENT,
    );
}

#[test]
fn a_502_without_the_fingerprint_is_the_functions_own() {
    check(&answer(502).body("Internal Server Error"), PERMANENT);
    check(
        &http_api(502, "Internal Server Error").header("x-amzn-requestid", "9f0b7a52"),
        PERMANENT,
    );
    check(&rest(502, "", "Internal Server Error"), PERMANENT);
    check(
        &answer(502)
            .header("server", "awselb/2.0")
            .header("content-type", "application/json")
            .body(r#"{"error":"mine"}"#),
        PERMANENT,
    );
    check(
        &answer(502)
            .header("server", "nginx")
            .header("content-type", "text/html")
            .body("<html>502 Bad Gateway</html>"),
        PERMANENT,
    );
    check(
        &answer(502)
            .header("x-cache", "Error from cloudfront")
            .header("content-type", "text/html")
            .body("<html>my own page</html>"),
        PERMANENT,
    );
}

#[test]
fn a_503_in_the_http_apis_words_needs_its_id() {
    check(
        &answer(503).body(r#"{"message":"Service Unavailable"}"#),
        PERMANENT,
    );
}

#[test]
fn a_400_that_names_no_throttle_is_permanent() {
    check(
        &answer(400).body(r#"{"__type":"ValidationException"}"#),
        PERMANENT,
    );
    check(
        &answer(400).body(r#"{"message":"ThrottlingException"}"#),
        PERMANENT,
    );
}

#[test]
fn a_marker_is_believed_only_beside_an_error_type_on_an_error() {
    check(
        &answer(429).header("x-gw-error", "THROTTLED"),
        THROTTLED_UNPROVEN,
    );
    check(
        &rest(429, ":http://address/", "").header("x-gw-error", "THROTTLED"),
        THROTTLED_UNPROVEN,
    );
    check(
        &rest(200, "SomeException", "").header("x-gw-error", "THROTTLED"),
        OK,
    );
    check(
        &rest(
            429,
            "TooManyRequestsException",
            r#"{"message":"Too Many Requests"}"#,
        )
        .header("x-gw-error", ""),
        THROTTLED_RATE,
    );
}

fn rule(status: Option<u16>, body_contains: Option<&str>) -> CustomRule {
    CustomRule {
        status: status.map(|status| StatusCode::from_u16(status).unwrap()),
        body_contains: body_contains.map(str::to_owned),
        header: None,
        class: Class::Throttled,
        ran: Ran::No,
    }
}

#[test]
fn the_operators_rules_come_before_the_table_and_in_file_order() {
    let later = CustomRule {
        class: Class::Permanent,
        ran: Ran::Yes,
        ..rule(Some(503), None)
    };
    let both = [rule(Some(503), Some("slow down")), later];
    let answer = answer(503)
        .header("retry-after", "1")
        .rules(|r| r.custom = both.to_vec());

    check(
        &answer.clone().body("please slow down"),
        plain(Class::Throttled, Ran::No),
    );
    check(&answer.body("other"), PERMANENT);
}

#[test]
fn an_operators_rule_fits_when_all_its_conditions_hold() {
    let strict = CustomRule {
        header: Some((HeaderName::from_static("x-app"), "Busy".to_owned())),
        ..rule(None, Some("slow"))
    };
    let base = answer(418)
        .rules(|r| r.custom = vec![strict])
        .body("so slow");

    check(
        &base.clone().header("x-app", "idle").header("x-app", "Busy"),
        plain(Class::Throttled, Ran::No),
    );
    check(&base.clone().header("x-app", "busy"), PERMANENT);
    check(&base, PERMANENT);
    check(&base.header("x-app", "Busy").body("fast"), PERMANENT);
}

#[test]
fn an_operators_rule_without_conditions_fits_nothing() {
    let empty = answer(418).rules(|r| r.custom = vec![rule(None, None)]);

    check(&empty, PERMANENT);
}

#[test]
fn an_operators_quota_counts_as_one() {
    let quota = CustomRule {
        class: Class::Quota,
        ..rule(Some(402), None)
    };

    check(
        &answer(402).rules(|r| r.custom = vec![quota]),
        (Class::Quota, Ran::No, Kind::Quota, Scope::Unknown),
    );
}

#[track_caller]
fn check_wants_body(answer: &Answer, wanted: bool) {
    let status = StatusCode::from_u16(answer.status).unwrap();

    assert_eq!(
        answer.rules.wants_body(status, &answer.headers),
        wanted,
        "status {status}"
    );
}

#[test]
fn a_body_is_looked_at_only_where_it_is_evidence() {
    for status in [429, 500, 502, 503, 504] {
        check_wants_body(&answer(status), true);
    }
    for status in [200, 304, 400, 401, 403, 404, 413, 501] {
        check_wants_body(&answer(status), false);
    }
    for (content_type, wanted) in [
        ("application/json", true),
        ("Application/JSON ; charset=utf-8", true),
        ("application/x-amz-json-1.1", true),
        ("text/html", false),
        ("application/jsonx", false),
    ] {
        check_wants_body(&answer(400).header("content-type", content_type), wanted);
    }
}

#[test]
fn an_operators_rule_about_bodies_has_them_looked_at() {
    let with =
        |status, text, wanted_by| answer(status).rules(|r| r.custom = vec![rule(wanted_by, text)]);

    check_wants_body(&with(200, Some("error"), Some(200)), true);
    check_wants_body(&with(418, Some("error"), Some(200)), false);
    check_wants_body(&with(418, Some("error"), None), true);
    check_wants_body(&with(200, Some("error"), None), false);
    check_wants_body(&with(418, None, Some(418)), false);
}
