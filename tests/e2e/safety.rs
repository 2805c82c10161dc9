//! What may be sent again: only what did not run, or what may run twice.

use crate::answers::{
    answer, aws_json_throttle, bare_429, gateway_timeout, http_api_429, marked, ok, suspected,
    throttled,
};
use crate::support::{Client, Reply, Sidecar, Upstream};

/// Sends one request to an upstream that answers `first` and then good ones, and checks what became of it: its status,
/// then attempts, reason and ran as the headers tell (`-` for nothing), and that the upstream saw as many.
async fn check(
    toml: &str,
    method: &str,
    headers: &[(&str, &str)],
    first: Vec<u8>,
    expected: (u16, (&str, &str, &str)),
) {
    let shown = format!("{method} {}", String::from_utf8_lossy(&first));
    let upstream = Upstream::answering([Reply::Bytes(first), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, toml).await;
    let body: &[u8] = if method == "GET" { b"" } else { b"once" };

    let answer = Client::request(sidecar.addr, method, "/", headers, body).await;

    assert_eq!(
        (answer.status, answer.explained()),
        expected,
        "{shown} {toml}"
    );
    let attempts = expected.1.0.parse().unwrap_or(1);
    assert_eq!(upstream.count(), attempts, "{shown} {toml}");
    assert!(upstream.seen().iter().all(|attempt| attempt.body == body));
}

const RETRIED: (u16, (&str, &str, &str)) = (200, ("2", "-", "yes"));

const fn kept_back(status: u16) -> (u16, (&'static str, &'static str, &'static str)) {
    (status, ("1", "unsafe", "maybe"))
}

#[tokio::test]
async fn a_429_that_proves_nothing_is_retried_for_a_get_and_not_for_a_post() {
    check("", "GET", &[], bare_429(), RETRIED).await;
    check("", "PUT", &[], bare_429(), RETRIED).await;
    check("", "DELETE", &[], bare_429(), RETRIED).await;
    check("", "POST", &[], bare_429(), kept_back(429)).await;
    check("", "PATCH", &[], bare_429(), kept_back(429)).await;
}

#[tokio::test]
async fn a_suspected_throttle_is_retried_for_a_get_and_not_for_a_post() {
    for (status, code) in [
        ("500 Internal Server Error", 500),
        ("502 Bad Gateway", 502),
        ("504 Gateway Timeout", 504),
    ] {
        check("", "GET", &[], suspected(status), RETRIED).await;
        check("", "POST", &[], suspected(status), kept_back(code)).await;
    }
}

#[tokio::test]
async fn a_post_that_was_kept_back_is_counted_as_unsafe() {
    let upstream = Upstream::answering([Reply::Bytes(suspected("502 Bad Gateway"))]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let answer = Client::post(sidecar.addr, "/", b"once").await;

    assert_eq!(answer.status, 502);
    assert_eq!(answer.text(), r#"{"message": "Internal server error"}"#);
    let skipped = "redrive_retries_skipped_total";
    assert_eq!(sidecar.total(skipped, &[r#"reason="unsafe""#]).await, 1.0);
    assert_eq!(sidecar.total(skipped, &[]).await, 1.0);
    let ended = [r#"outcome="upstream_error""#];
    assert_eq!(sidecar.total("redrive_requests_total", &ended).await, 1.0);
}

#[tokio::test]
async fn a_post_with_an_idempotency_key_is_retried_with_the_same_key() {
    let refused = Reply::Bytes(suspected("500 Internal Server Error"));
    let upstream = Upstream::answering([refused.clone(), refused, ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let key = [("Idempotency-Key", "order-4711")];
    let answer = Client::request(sidecar.addr, "POST", "/orders", &key, b"one book").await;

    assert_eq!(answer.status, 200);
    let seen = upstream.seen();
    assert_eq!(seen.len(), 3);
    for attempt in seen {
        assert_eq!(attempt.headers("idempotency-key"), ["order-4711"]);
        assert_eq!(attempt.body, b"one book");
    }
}

#[tokio::test]
async fn a_key_that_the_upstream_does_not_get_makes_no_post_harmless() {
    let empty = [("Idempotency-Key", "")];
    let refused = Reply::Bytes(suspected("500 Internal Server Error"));
    let upstream = Upstream::answering([refused, ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let answer = Client::request(sidecar.addr, "POST", "/orders", &empty, b"one book").await;

    assert_eq!(answer.status, 500);
    assert_eq!(answer.explained(), ("1", "unsafe", "maybe"));
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_key_that_is_named_as_one_hops_own_gets_there_all_the_same() {
    let named = [
        ("Connection", "idempotency-key"),
        ("Idempotency-Key", "order-4711"),
    ];
    let refused = Reply::Bytes(suspected("500 Internal Server Error"));
    let upstream = Upstream::answering([refused, ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let answer = Client::request(sidecar.addr, "POST", "/orders", &named, b"one book").await;

    assert_eq!(answer.status, 200);
    for attempt in upstream.seen() {
        assert_eq!(attempt.headers("idempotency-key"), ["order-4711"]);
    }
}

#[tokio::test]
async fn a_key_that_would_not_get_there_is_replaced_where_one_is_to_be_added() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "retry.idempotency_key = \"add\"").await;

    let empty = [("Idempotency-Key", "")];
    Client::request(sidecar.addr, "POST", "/orders", &empty, b"one book").await;

    let seen = upstream.seen();
    let keys = seen[0].headers("idempotency-key");
    assert!(matches!(keys[..], [key] if !key.is_empty()), "{keys:?}");
}

#[tokio::test]
async fn an_added_idempotency_key_is_one_a_request_and_the_same_on_every_attempt() {
    let upstream = Upstream::scripted(|_, seen| match seen.header("redrive-attempt") {
        Some("3") => ok(),
        _ => Reply::Bytes(suspected("500 Internal Server Error")),
    })
    .await;
    let sidecar = Sidecar::before(upstream.addr, "retry.idempotency_key = \"add\"").await;

    let first = Client::post(sidecar.addr, "/", b"one").await;
    let second = Client::post(sidecar.addr, "/", b"two").await;
    let third = Client::get(sidecar.addr, "/").await;

    assert_eq!([first.status, second.status, third.status], [200, 200, 200]);
    let seen = upstream.seen();
    let keys: Vec<Option<&str>> = seen
        .iter()
        .map(|attempt| attempt.header("idempotency-key"))
        .collect();
    assert_eq!(keys.len(), 9);
    assert!(keys[0].is_some_and(|key| !key.is_empty()));
    assert!(keys[..3].iter().all(|key| *key == keys[0]), "{keys:?}");
    assert!(keys[3..6].iter().all(|key| *key == keys[3]), "{keys:?}");
    assert_ne!(keys[0], keys[3]);
    assert_eq!(keys[6..], [None, None, None], "a GET needs none");
}

#[tokio::test]
async fn a_marker_says_what_the_gateway_did() {
    check("", "POST", &[], marked("503 Busy", "THROTTLED"), RETRIED).await;
    check(
        "",
        "GET",
        &[],
        marked("503 Busy", "QUOTA_EXCEEDED"),
        (503, ("1", "quota", "no")),
    )
    .await;
    let failed = || marked("503 Busy", "INTEGRATION_FAILURE");
    check("", "GET", &[], failed(), RETRIED).await;
    check("", "POST", &[], failed(), kept_back(503)).await;
    let lambda = "retry.integration = \"lambda\"";
    check(lambda, "POST", &[], failed(), RETRIED).await;
}

#[tokio::test]
async fn a_marker_without_an_error_type_is_somebody_elses_header() {
    let forged = answer("503 Busy", &[("x-gw-error", "THROTTLED")], "busy");
    check("", "POST", &[], forged, (503, ("-", "-", "-"))).await;
}

#[tokio::test]
async fn a_504_of_a_function_that_ran_is_not_retried() {
    let timed_out = || gateway_timeout("Endpoint request timed out");
    check("", "GET", &[], timed_out(), (504, ("-", "-", "-"))).await;
    check("", "POST", &[], timed_out(), (504, ("-", "-", "-"))).await;
}

#[tokio::test]
async fn a_504_of_a_broken_network_is_retried_for_a_get_and_not_for_a_post() {
    let broken = || gateway_timeout("Network error communicating with endpoint");
    check("", "GET", &[], broken(), RETRIED).await;
    check("", "POST", &[], broken(), kept_back(504)).await;
}

#[tokio::test]
async fn a_400_that_names_a_throttle_is_retried_for_a_get_and_not_for_a_post() {
    check("", "GET", &[], aws_json_throttle(), RETRIED).await;
    check("", "POST", &[], aws_json_throttle(), kept_back(400)).await;
}

#[tokio::test]
async fn an_http_apis_429_proves_enough_for_a_post_unless_proof_is_strict() {
    let strict = "retry.proof = \"strict\"";
    check("", "POST", &[], http_api_429(), RETRIED).await;
    check(strict, "POST", &[], http_api_429(), kept_back(429)).await;
    check(strict, "GET", &[], http_api_429(), RETRIED).await;
    check(strict, "POST", &[], throttled(), RETRIED).await;
}

#[tokio::test]
async fn an_error_of_the_function_itself_is_delivered_as_it_is() {
    for (status, code) in [
        ("404 Not Found", 404),
        ("500 Oops", 500),
        ("503 Service Unavailable", 503),
    ] {
        let own = answer(status, &[("Content-Type", "text/plain")], "my own words");
        check("", "GET", &[], own, (code, ("-", "-", "-"))).await;
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_retried_for_a_get() {
    for broken in [Reply::Cut, Reply::Reset] {
        let upstream = Upstream::answering([broken, ok()]).await;
        let sidecar = Sidecar::before(upstream.addr, "").await;

        let answer = Client::get(sidecar.addr, "/").await;

        assert_eq!((answer.status, answer.explained()), RETRIED);
        let broken = [r#"class="broken""#];
        assert_eq!(sidecar.total("redrive_retries_total", &broken).await, 1.0);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_under_a_post_is_a_502_that_says_that_it_may_have_run() {
    for broken in [Reply::Cut, Reply::Reset] {
        let upstream = Upstream::answering([broken, ok()]).await;
        let sidecar = Sidecar::before(upstream.addr, "").await;

        let answer = Client::post(sidecar.addr, "/", b"once").await;

        assert_eq!((answer.status, answer.explained()), kept_back(502));
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(
            answer.header("proxy-status"),
            Some("redrive; error=connection_terminated")
        );
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(problem["status"], 502);
        assert_eq!(upstream.count(), 1);
    }
}

#[tokio::test]
async fn what_an_earlier_attempt_may_have_done_is_not_forgotten() {
    let upstream = Upstream::answering([Reply::Cut, Reply::Bytes(throttled())]).await;
    let sidecar = Sidecar::before(upstream.addr, "retry.max_attempts.throttled = 1").await;

    let answer = Client::request(sidecar.addr, "PUT", "/", &[], b"twice").await;

    assert_eq!(answer.status, 429);
    assert_eq!(answer.explained(), ("2", "attempts", "maybe"));
}
