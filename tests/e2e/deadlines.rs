//! Nothing waits or starts after a deadline, and a client's own limit holds whatever happens.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::answers::{answer, ok, throttled};
use crate::support::{Answer, Client, Origin, Peer, Reply, Sidecar, Upstream};

#[track_caller]
fn is_own_504(answer: &Answer) {
    assert_eq!(answer.status, 504, "{}", answer.head);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(
        answer.header("proxy-status"),
        Some("redrive; error=http_response_timeout")
    );
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["status"], 504);
}

#[tokio::test]
async fn a_clients_own_limit_ends_an_attempt_in_flight() {
    let upstream = Upstream::answering([Reply::Hang]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let limit = [("redrive-timeout", "300ms")];
    let answer = Client::request(sidecar.addr, "GET", "/", &limit, b"").await;

    is_own_504(&answer);
    assert_eq!(answer.explained(), ("1", "deadline", "maybe"));
    assert_eq!(upstream.count(), 1);
    let ended = [r#"outcome="gave_up""#];
    assert_eq!(sidecar.total("redrive_requests_total", &ended).await, 1.0);
}

#[tokio::test]
async fn a_clients_own_limit_ends_a_retry_in_flight() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), Reply::Hang]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let limit = [("redrive-timeout", "1s")];
    let answer = Client::request(sidecar.addr, "POST", "/", &limit, b"once").await;

    // The 429 would be a lie: the second attempt may have run.
    is_own_504(&answer);
    assert_eq!((answer.explained().0, answer.explained().2), ("2", "maybe"));
}

#[tokio::test]
async fn a_clients_own_limit_ends_its_wait_for_a_turn() {
    let upstream = Upstream::answering([Reply::Hang]).await;
    let sidecar = Sidecar::before(upstream.addr, "pace.max_in_flight = 1").await;
    let mut first = Client::connect(sidecar.addr).await;
    first.send("GET", "/first", &[], b"").await;
    upstream.saw(1).await;

    let limit = [("redrive-timeout", "200ms")];
    let answer = Client::request(sidecar.addr, "GET", "/second", &limit, b"").await;

    is_own_504(&answer);
    assert_eq!(upstream.count(), 1, "it was never sent");
}

#[tokio::test]
async fn a_clients_own_limit_ends_retrying() {
    let upstream = Upstream::answering([Reply::Bytes(throttled())]).await;
    let sidecar = Sidecar::before(upstream.addr, MANY_QUICK).await;

    let limit = [("redrive-timeout", "400ms")];
    let answer = Client::request(sidecar.addr, "GET", "/", &limit, b"").await;

    // Either the wait for the next attempt no longer fitted, or the limit cut the last attempt short.
    assert!(matches!(answer.status, 429 | 504), "{}", answer.head);
    assert_eq!(answer.explained().1, "deadline");
    assert!(upstream.count() > 1);
}

#[tokio::test]
async fn a_clients_own_limit_ends_looking_at_a_refusal_that_trickles() {
    let whole = String::from_utf8(throttled()).unwrap();
    let part = whole[..whole.len() - 5].to_owned().into_bytes();
    let upstream = Upstream::answering([Reply::Bytes(part)]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let mut patient = Client::connect(sidecar.addr).await;
    let mut hurried = Client::connect(sidecar.addr).await;

    patient.send("POST", "/", &[], b"once").await;
    upstream.saw(1).await;
    let limit = [("redrive-timeout", "100ms")];
    hurried.send("POST", "/", &limit, b"once").await;

    // The one that came later has its answer first. What came by then is passed on, and proves nothing.
    let (first, head) = tokio::select! {
        head = patient.head() => ("patient", head),
        head = hurried.head() => ("hurried", head),
    };
    assert_eq!(first, "hurried");
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
    assert!(head.contains("redrive-reason: unsafe\r\n"), "{head}");
}

#[tokio::test]
async fn nothing_is_retried_past_the_total() {
    let upstream = Upstream::answering([Reply::Bytes(throttled())]).await;
    let toml = format!("deadline.total = \"400ms\"\n{MANY_QUICK}");
    let sidecar = Sidecar::before(upstream.addr, &toml).await;

    let answer = Client::post(sidecar.addr, "/", b"once").await;

    assert_eq!(answer.status, 429);
    assert_eq!(
        (answer.explained().1, answer.explained().2),
        ("deadline", "no")
    );
    let skipped = [r#"reason="deadline""#];
    assert_eq!(
        sidecar
            .total("redrive_retries_skipped_total", &skipped)
            .await,
        1.0
    );
}

#[tokio::test]
async fn an_attempt_that_started_in_time_may_come_home_after_the_total() {
    let late = Reply::After(
        Duration::from_millis(600),
        answer("200 OK", &[], "late but good"),
    );
    let upstream = Upstream::answering([late]).await;
    let sidecar = Sidecar::before(upstream.addr, "deadline.total = \"200ms\"").await;

    let answer = Client::get(sidecar.addr, "/").await;

    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "late but good")
    );
}

#[tokio::test]
async fn an_attempt_without_an_answer_is_a_504_that_no_retry_was_due_for() {
    for method in ["GET", "POST"] {
        let upstream = Upstream::answering([Reply::Hang]).await;
        let sidecar = Sidecar::before(upstream.addr, "deadline.attempt = \"200ms\"").await;

        let answer = Client::request(sidecar.addr, method, "/", &[], b"").await;

        is_own_504(&answer);
        assert_eq!(answer.header("redrive-reason"), None, "{method}");
        assert_eq!(upstream.count(), 1, "{method}");
        let skipped = "redrive_retries_skipped_total";
        assert_eq!(sidecar.total(skipped, &[]).await, 0.0, "{method}");
        let class = [r#"class="timeout""#];
        assert_eq!(sidecar.total("redrive_attempts_total", &class).await, 1.0);
    }
}

#[tokio::test]
async fn an_attempt_without_an_answer_is_retried_for_a_get_where_the_policy_says_so() {
    let toml = "deadline.attempt = \"700ms\"\nretry.on = [\"timeout\"]";
    let upstream = Upstream::answering([Reply::Hang, ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, toml).await;

    let answer = Client::get(sidecar.addr, "/").await;

    assert_eq!(
        (answer.status, answer.explained()),
        (200, ("2", "-", "yes"))
    );

    let upstream = Upstream::answering([Reply::Hang, ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, toml).await;

    let answer = Client::post(sidecar.addr, "/", b"once").await;

    is_own_504(&answer);
    assert_eq!(answer.explained(), ("1", "unsafe", "maybe"));
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn an_upload_may_take_longer_than_an_attempt_and_the_limit_begins_with_its_end() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "deadline.attempt = \"300ms\"").await;
    for is_answered in [true, false] {
        let mut client = Client::connect(sidecar.addr).await;
        client
            .raw(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst")
            .await;
        let mut upstream = origin.accept().await;
        upstream.head().await;
        upstream.read(5).await;

        // One that began later has come to its limit meanwhile.
        let (later, _asked) = tokio::join!(Client::get(sidecar.addr, "/"), origin.accept());
        is_own_504(&later);
        client.raw(b"-last").await;
        assert_eq!(upstream.read(5).await, b"-last");
        if is_answered {
            let good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
            upstream.write(good).await;
        }

        let answer = client.answer_to("PUT").await;
        if is_answered {
            assert_eq!((answer.status, answer.text().as_str()), (200, "good"));
        } else {
            is_own_504(&answer);
        }
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_take_an_upload_is_not_waited_for_longer_than_an_attempt() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "deadline.attempt = \"300ms\"").await;
    let mut client = Peer::connect(sidecar.addr).await;
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
    client.write(head).await;
    let mut upstream = origin.accept().await;
    upstream.head().await;

    let uploading = async {
        // Until the connection ends; who writes on like that may miss the answer, so it is not looked for.
        while client.stream.write_all(&[b'x'; 1 << 16]).await.is_ok() {}
        std::future::pending::<()>().await;
    };
    let timed_out = [r#"class="timeout""#];
    tokio::select! {
        () = uploading => {}
        () = sidecar.reaches("redrive_attempts_total", &timed_out, 1.0) => {}
    }

    sidecar
        .settles("redrive_in_flight_requests", &[], 0.0)
        .await;
}

/// Retries until time is the only limit left.
const MANY_QUICK: &str = "
[retry]
max_attempts = { throttled = 1000 }
backoff = { max = \"30ms\" }
";
