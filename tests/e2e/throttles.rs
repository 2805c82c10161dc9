//! A throttled answer becomes a good one.

use crate::answers::{answer, function_url, ok, throttled, throttled_with};
use crate::support::{Client, Reply, Sidecar, Upstream};

#[tokio::test]
async fn a_throttled_get_becomes_a_good_one() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let answer = Client::get(sidecar.addr, "/orders?id=1").await;

    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert_eq!(answer.header("redrive-attempts"), Some("2"));
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    assert!(
        seen[1].head.starts_with("GET /orders?id=1 HTTP/1.1\r\n"),
        "{}",
        seen[1].head
    );
    assert_eq!(
        (
            seen[0].header("redrive-attempt"),
            seen[1].header("redrive-attempt")
        ),
        (Some("1"), Some("2"))
    );
    assert_eq!(
        sidecar
            .metric(r#"redrive_requests_total{outcome="ok_after_retry",route="default"}"#)
            .await,
        1.0
    );
    assert_eq!(
        sidecar
            .metric(r#"redrive_attempts_total{class="throttled",route="default"}"#)
            .await,
        1.0
    );
    assert_eq!(
        sidecar
            .metric(r#"redrive_attempts_total{class="ok",route="default"}"#)
            .await,
        1.0
    );
}

#[tokio::test]
async fn a_large_post_reaches_the_upstream_whole_on_every_attempt() {
    let upstream =
        Upstream::answering([Reply::Bytes(throttled()), Reply::Bytes(throttled()), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let body: Vec<u8> = (0..10 * 1024 * 1024_u32)
        .map(|index| (index % 251) as u8)
        .collect();

    let answer = Client::post(sidecar.addr, "/upload", &body).await;

    assert_eq!(answer.status, 200);
    let seen = upstream.seen();
    assert_eq!(seen.len(), 3);
    assert!(
        seen.iter().all(|attempt| attempt.body == body),
        "every attempt carries the same bytes"
    );
}

#[tokio::test]
async fn a_throttled_head_becomes_a_good_one() {
    let upstream = Upstream::answering([
        Reply::Bytes(headless(&throttled())),
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n".to_vec()),
    ])
    .await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let answer = Client::request(sidecar.addr, "HEAD", "/orders", &[], b"").await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-length"), Some("4"));
    assert_eq!(answer.explained().0, "2");
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn a_chunked_post_reaches_the_upstream_whole_on_every_attempt() {
    let upstream =
        Upstream::answering([Reply::Bytes(throttled()), Reply::Bytes(throttled()), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let body: Vec<u8> = (0..300_000_u32).map(|index| (index % 241) as u8).collect();

    let mut client = Client::connect(sidecar.addr).await;
    client.send_chunked("/upload", &body, 7_001).await;
    let answer = client.answer_to("POST").await;

    assert_eq!(answer.status, 200);
    let seen = upstream.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|attempt| attempt.body == body));
}

#[tokio::test]
async fn a_chunked_body_of_a_get_reaches_the_upstream_whole_on_every_attempt() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let mut client = Client::connect(sidecar.addr).await;
    client
        .raw(
            b"GET /search HTTP/1.1\r\nHost: sidecar.test\r\nTransfer-Encoding: chunked\r\n\r\n\
              5\r\nquery\r\n0\r\n\r\n",
        )
        .await;
    let answer = client.answer_to("GET").await;

    assert_eq!(answer.status, 200);
    let bodies: Vec<Vec<u8>> = upstream.seen().into_iter().map(|it| it.body).collect();
    assert_eq!(bodies, [b"query", b"query"]);
}

#[tokio::test]
async fn a_post_that_lambda_itself_refused_is_sent_again() {
    let upstream = Upstream::answering([Reply::Bytes(function_url()), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let answer = Client::post(sidecar.addr, "/", b"once").await;

    assert_eq!(answer.status, 200);
    assert_eq!(upstream.seen()[1].body, b"once");
    let labels = [r#"kind="concurrency""#, r#"scope="function""#];
    assert_eq!(sidecar.total("redrive_throttled_total", &labels).await, 1.0);
}

#[tokio::test]
async fn a_retry_goes_where_only_one_attempt_may_be_in_flight() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "pace.max_in_flight = 1").await;

    let answer = Client::get(sidecar.addr, "/").await;

    assert_eq!((answer.status, upstream.count()), (200, 2));
}

#[tokio::test]
async fn who_backs_off_leaves_its_place_to_others() {
    let upstream = Upstream::scripted(|_, seen| {
        if seen.head.starts_with("GET /slow ") {
            Reply::Bytes(throttled_with(&[("Retry-After", "20")]))
        } else {
            ok()
        }
    })
    .await;
    let sidecar = Sidecar::before(
        upstream.addr,
        "pace = { max_in_flight = 1, max_wait = \"1s\" }",
    )
    .await;
    let mut patient = Client::connect(sidecar.addr).await;
    patient.send("GET", "/slow", &[], b"").await;
    sidecar.reaches("redrive_waiting_requests", &[], 1.0).await;

    let answer = Client::get(sidecar.addr, "/fast").await;

    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_long_refusal_does_not_keep_the_only_connection_from_its_retry() {
    let long = answer("429 Too Many Requests", &[], &"x".repeat(300_000));
    let upstream = Upstream::answering([Reply::Bytes(long), ok()]).await;
    let toml = "connections.max = 1\ndeadline.attempt = \"2s\"";
    let sidecar = Sidecar::before(upstream.addr, toml).await;

    let answer = Client::get(sidecar.addr, "/").await;

    assert_eq!((answer.status, upstream.count()), (200, 2));
}

#[tokio::test]
async fn a_long_refusal_that_waits_and_who_comes_meanwhile_do_not_keep_each_other_from_their_turn()
{
    let long = answer(
        "429 Too Many Requests",
        &[("Retry-After", "1")],
        &"x".repeat(900_000),
    );
    let upstream = Upstream::answering([Reply::Bytes(long), ok()]).await;
    let toml = "connections.max = 1\npace.max_wait = \"5s\"";
    let sidecar = Sidecar::before(upstream.addr, toml).await;
    let mut refused = Client::connect(sidecar.addr).await;
    refused.send("GET", "/", &[], b"").await;
    sidecar.reaches("redrive_waiting_requests", &[], 1.0).await;

    let meanwhile = Client::get(sidecar.addr, "/").await;
    let refused = refused.answer_to("GET").await;

    assert_eq!([refused.status, meanwhile.status], [200, 200]);
    assert_eq!(upstream.count(), 3);
}

/// An answer to HEAD: the same head, and no body.
fn headless(answer: &[u8]) -> Vec<u8> {
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    answer[..end + 4].to_vec()
}
