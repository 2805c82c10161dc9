//! Where retrying ends: at once or after a while, with the upstream's own answer if there is an honest one, and a reason.

use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::net::TcpSocket;

use crate::answers::{ok, quota, suspected, throttled, throttled_with};
use crate::support::{Answer, Client, Reply, Sidecar, Upstream};

async fn skipped(sidecar: &Sidecar, reason: &str) -> f64 {
    let all = sidecar.total("redrive_retries_skipped_total", &[]).await;
    let label = format!("reason=\"{reason}\"");
    let named = sidecar
        .total("redrive_retries_skipped_total", &[&label])
        .await;
    assert!((all - named).abs() < 0.5, "one reason only: {all} {named}");
    named
}

#[track_caller]
fn is_own(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.status, status, "{}", answer.head);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let told = format!("redrive; error={error}");
    assert_eq!(answer.header("proxy-status"), Some(told.as_str()));
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string() && problem["detail"].is_string());
    // Only where it helps to come back is it said when.
    assert_eq!(answer.header("retry-after").is_some(), status == 503);
}

/// Whether the answer is the upstream's: its status line, every header in order, and its body to the byte; and nothing
/// more but what redrive has to say.
#[track_caller]
fn is_upstreams(answer: &Answer, original: &[u8]) {
    let text = String::from_utf8_lossy(original);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let fields = |head: &str| -> Vec<(String, String)> {
        let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect()
    };
    let (added, passed): (Vec<_>, Vec<_>) = fields(&answer.head)
        .into_iter()
        .partition(|(name, _)| name.starts_with("redrive-") || name == "date");
    assert_eq!(answer.head.lines().next(), head.lines().next());
    assert_eq!(passed, fields(head));
    assert_eq!(answer.text(), body);
    assert!(added.len() <= 5, "{added:?}");
}

#[tokio::test]
async fn endless_throttles_end_with_the_upstreams_own_answer() {
    let upstream = Upstream::answering([Reply::Bytes(throttled())]).await;
    let sidecar = Sidecar::before(upstream.addr, QUICK).await;

    let answer = Client::post(sidecar.addr, "/", b"once").await;

    is_upstreams(&answer, &throttled());
    assert_eq!(answer.explained(), ("10", "attempts", "no"));
    assert!(answer.waited() > 0.0);
    assert_eq!(upstream.count(), 10);
    assert_eq!(skipped(&sidecar, "attempts").await, 1.0);
    let ended = [r#"outcome="gave_up""#];
    assert_eq!(sidecar.total("redrive_requests_total", &ended).await, 1.0);
}

#[tokio::test]
async fn every_class_has_its_own_number_of_attempts() {
    let toml = "
        [retry]
        max_attempts = { throttled = 4, suspected = 3, other = 2 }
        backoff = { max = \"20ms\" }
    ";
    for (reply, expected) in [
        (Reply::Bytes(throttled()), (429, ("4", "attempts", "no"))),
        (
            Reply::Bytes(suspected("500 Internal Server Error")),
            (500, ("3", "attempts", "maybe")),
        ),
        (Reply::Cut, (502, ("2", "attempts", "maybe"))),
    ] {
        let upstream = Upstream::answering([reply]).await;
        let sidecar = Sidecar::before(upstream.addr, toml).await;

        let answer = Client::get(sidecar.addr, "/").await;

        assert_eq!((answer.status, answer.explained()), expected);
        assert_eq!(upstream.count().to_string(), expected.1.0);
    }
}

#[tokio::test]
async fn a_used_up_quota_is_delivered_at_once() {
    let upstream = Upstream::answering([Reply::Bytes(quota()), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let answer = Client::get(sidecar.addr, "/").await;

    is_upstreams(&answer, &quota());
    assert_eq!(answer.explained(), ("1", "quota", "no"));
    assert_eq!(answer.header("redrive-waited"), Some("0.000"));
    assert_eq!(answer.header("retry-after"), None);
    assert_eq!(upstream.count(), 1);
    assert_eq!(skipped(&sidecar, "quota").await, 1.0);
    let labels = [r#"kind="quota""#];
    assert_eq!(sidecar.total("redrive_throttled_total", &labels).await, 1.0);
}

#[tokio::test]
async fn an_old_429_is_not_delivered_after_an_attempt_that_may_have_run() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), Reply::Cut, ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "retry.max_attempts.other = 1").await;

    let answer = Client::get(sidecar.addr, "/").await;

    is_own(&answer, 502, "connection_terminated");
    assert_eq!(answer.explained(), ("2", "attempts", "maybe"));
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn an_old_429_is_delivered_after_attempts_that_never_arrived() {
    let first = throttled_with(&[("retry-after-ms", "1000"), ("Connection", "close")]);
    let upstream = Upstream::answering([Reply::ThenClose(first)]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("POST", "/", &[], b"once").await;
    sidecar.reaches("redrive_waiting_requests", &[], 1.0).await;

    let _port = upstream.leaves().await;
    let answer = client.answer_to("POST").await;

    assert_eq!(answer.status, 429);
    assert_eq!(answer.text(), r#"{"message":"Too Many Requests"}"#);
    assert_eq!(answer.explained(), ("4", "attempts", "no"));
    let unsent = [r#"class="unsent""#];
    assert_eq!(sidecar.total("redrive_attempts_total", &unsent).await, 3.0);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_502_that_says_that_nothing_ran() {
    let port = TcpSocket::new_v4().unwrap();
    port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let sidecar = Sidecar::before(port.local_addr().unwrap(), "").await;

    let answer = Client::post(sidecar.addr, "/", b"once").await;

    is_own(&answer, 502, "connection_refused");
    assert_eq!(answer.explained(), ("3", "attempts", "no"));
    let unsent = [r#"class="unsent""#];
    assert_eq!(sidecar.total("redrive_attempts_total", &unsent).await, 3.0);
}

#[tokio::test]
async fn callers_that_retry_share_their_attempts() {
    for (name, value, throttled_attempts, source) in [
        ("amz-sdk-request", "attempt=1; max=3", 3, "amz_sdk_request"),
        ("amz-sdk-request", "attempt=2; max=4", 2, "amz_sdk_request"),
        ("x-envoy-attempt-count", "1", 5, "envoy_attempt_count"),
        ("redrive-attempt", "1", 1, "redrive_attempt"),
    ] {
        let upstream = Upstream::answering([Reply::Bytes(throttled())]).await;
        let sidecar = Sidecar::before(upstream.addr, QUICK).await;

        let answer = Client::request(sidecar.addr, "GET", "/", &[(name, value)], b"").await;

        assert_eq!(answer.status, 429, "{value}");
        let attempts = throttled_attempts.to_string();
        assert_eq!(
            answer.explained(),
            (attempts.as_str(), "caller_retries", "no"),
            "{name}: {value}"
        );
        assert_eq!(upstream.count(), throttled_attempts, "{name}: {value}");
        assert_eq!(skipped(&sidecar, "caller_retries").await, 1.0);
        let source = format!("source=\"{source}\"");
        assert_eq!(
            sidecar
                .total("redrive_caller_retries_total", &[&source])
                .await,
            1.0
        );
    }
}

#[tokio::test]
async fn a_caller_that_sends_once_shares_nothing() {
    let upstream = Upstream::answering([Reply::Bytes(throttled())]).await;
    let sidecar = Sidecar::before(upstream.addr, QUICK).await;

    let once = [("amz-sdk-request", "attempt=1; max=1")];
    let answer = Client::request(sidecar.addr, "GET", "/", &once, b"").await;

    assert_eq!(answer.explained(), ("10", "attempts", "no"));
}

#[tokio::test]
async fn a_body_over_the_limit_is_sent_whole_and_once() {
    let body = vec![b'x'; 10_001];
    for chunked in [false, true] {
        let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
        let sidecar = Sidecar::before(upstream.addr, "replay.max_body = \"10000B\"").await;
        let mut client = Client::connect(sidecar.addr).await;

        send(&mut client, &body, chunked).await;
        let answer = client.answer_to("POST").await;

        assert_eq!(answer.status, 429);
        assert_eq!(answer.explained(), ("1", "body_too_large", "no"));
        assert_eq!(upstream.count(), 1);
        assert_eq!(upstream.seen()[0].body, body);
        assert_eq!(skipped(&sidecar, "body_too_large").await, 1.0);
    }
}

#[tokio::test]
async fn a_body_over_the_limit_that_is_wanted_is_no_matter() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "replay.max_body = \"10000B\"").await;

    let answer = Client::post(sidecar.addr, "/", &[b'x'; 50_000]).await;

    assert_eq!((answer.status, answer.explained()), (200, ("-", "-", "-")));
    assert_eq!(upstream.seen()[0].body.len(), 50_000);
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_sent_again() {
    let body = vec![b'x'; 10_000];
    for chunked in [false, true] {
        let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
        let sidecar = Sidecar::before(upstream.addr, "replay.max_body = \"10000B\"").await;
        let mut client = Client::connect(sidecar.addr).await;

        send(&mut client, &body, chunked).await;
        let answer = client.answer_to("POST").await;

        assert_eq!((answer.status, answer.explained().0), (200, "2"));
        let seen = upstream.seen();
        assert!(seen.len() == 2 && seen.iter().all(|attempt| attempt.body == body));
    }
}

#[tokio::test]
async fn a_body_that_does_not_fit_beside_others_is_sent_once() {
    let upstream =
        Upstream::answering([Reply::Bytes(throttled_with(&[("Retry-After", "20")]))]).await;
    let toml = "replay = { max_body = \"10000B\", max_total = \"15000B\" }";
    let sidecar = Sidecar::before(upstream.addr, toml).await;
    let mut first = Client::connect(sidecar.addr).await;
    first.send("POST", "/", &[], &[b'x'; 10_000]).await;
    sidecar.reaches("redrive_waiting_requests", &[], 1.0).await;
    let kept = sidecar.metric("redrive_replay_bytes").await;
    assert!((10_000.0..11_000.0).contains(&kept), "{kept}");

    let second = Client::post(sidecar.addr, "/", &[b'y'; 10_000]).await;

    assert_eq!(second.explained(), ("1", "memory", "no"));
    assert_eq!(upstream.seen()[1].body, [b'y'; 10_000]);
    assert_eq!(skipped(&sidecar, "memory").await, 1.0);
    assert_eq!(sidecar.metric("redrive_replay_bytes").await, kept);
}

#[tokio::test]
async fn who_finds_no_place_to_wait_is_shed_and_told_when_to_come_back() {
    let upstream = Upstream::answering([Reply::Hang]).await;
    let toml = "pace = { max_in_flight = 1, max_waiting = 0 }";
    let sidecar = Sidecar::before(upstream.addr, toml).await;
    let mut first = Client::connect(sidecar.addr).await;
    first.send("GET", "/", &[], b"").await;
    upstream.saw(1).await;

    let answer = Client::get(sidecar.addr, "/").await;

    is_own(&answer, 503, "connection_limit_reached");
    let seconds = answer.header("retry-after").unwrap().parse();
    assert!(seconds.is_ok_and(|seconds: NonZeroUsize| seconds.get() < 60));
    assert_eq!(upstream.count(), 1);
    let ended = [r#"outcome="shed""#];
    assert_eq!(sidecar.total("redrive_requests_total", &ended).await, 1.0);
}

#[tokio::test]
async fn who_waits_too_long_for_a_turn_is_shed() {
    let upstream = Upstream::answering([Reply::Hang]).await;
    let toml = "pace = { max_in_flight = 1, max_wait = \"150ms\" }";
    let sidecar = Sidecar::before(upstream.addr, toml).await;
    let mut first = Client::connect(sidecar.addr).await;
    first.send("GET", "/", &[], b"").await;
    upstream.saw(1).await;

    let answer = Client::get(sidecar.addr, "/").await;

    is_own(&answer, 503, "connection_limit_reached");
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_good_first_attempt_needs_no_explanation() {
    let late = Reply::After(
        Duration::from_millis(50),
        b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
    );
    for reply in [ok(), late] {
        let upstream = Upstream::answering([reply]).await;
        let sidecar = Sidecar::before(upstream.addr, "").await;

        let answer = Client::get(sidecar.addr, "/").await;

        assert!(!answer.head.contains("redrive"), "{}", answer.head);
        let ended = [r#"outcome="ok""#];
        assert_eq!(sidecar.total("redrive_requests_total", &ended).await, 1.0);
    }
}

async fn send(client: &mut Client, body: &[u8], chunked: bool) {
    if chunked {
        client.send_chunked("/", body, 999).await;
    } else {
        client.send("POST", "/", &[], body).await;
    }
}

/// The default numbers of attempts, without their default patience.
const QUICK: &str = "retry.backoff.max = \"20ms\"";
