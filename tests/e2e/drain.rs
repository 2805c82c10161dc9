//! The end: told to stop, it goes on serving until nobody asks any more, and not for ever.

use crate::answers::{answer, ok, throttled_with};
use crate::support::{Client, Origin, Peer, Reply, Sidecar, Upstream, in_time};

/// Waits until the drain has begun.
async fn draining(sidecar: &Sidecar) {
    in_time("the drain", async {
        while Client::get(sidecar.admin, "/readyz").await.status != 503 {}
    })
    .await;
}

#[tokio::test]
async fn a_draining_sidecar_is_not_ready_and_still_serves_whoever_comes() {
    let upstream = Upstream::answering([ok()]).await;
    let mut sidecar = Sidecar::before(upstream.addr, "").await;
    let mut kept = Client::connect(sidecar.addr).await;

    sidecar.terminate();
    draining(&sidecar).await;

    assert_eq!(Client::get(sidecar.admin, "/livez").await.status, 200);
    for _ in 0..3 {
        assert_eq!(Client::get(sidecar.addr, "/").await.status, 200);
        kept.send("GET", "/", &[], b"").await;
        assert_eq!(kept.answer_to("GET").await.status, 200);
    }
    assert_eq!(Client::get(sidecar.admin, "/metrics").await.status, 200);
    sidecar.ended().await;
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_end() {
    let origin = Origin::new();
    let mut sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("POST", "/", &[], b"body").await;
    let mut upstream = origin.accept().await;
    upstream.message().await;

    sidecar.terminate();
    draining(&sidecar).await;
    // Longer than quiet takes: what is in flight is not quiet.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    upstream.write(answer("200 OK", &[], "late")).await;

    assert_eq!(client.answer_to("POST").await.text(), "late");
    sidecar.ended().await;
}

#[tokio::test]
async fn an_answer_that_is_being_read_is_read_to_its_end_before_the_end() {
    let origin = Origin::new();
    let mut sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Peer::connect(sidecar.addr).await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream = origin.accept().await;
    upstream.message().await;
    upstream
        .write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        .await;
    let mut answer = client.head().await;

    sidecar.terminate();
    draining(&sidecar).await;
    upstream.write("rest").await;

    client.body_of(&mut answer).await.unwrap();
    assert_eq!(answer.body, b"halfrest");
    sidecar.ended().await;
}

#[tokio::test]
async fn the_drain_ends_with_its_grace_whatever_is_in_flight() {
    let upstream = Upstream::answering([Reply::Hang]).await;
    let mut sidecar = Sidecar::before(upstream.addr, "[shutdown]\ngrace = \"300ms\"\n").await;
    let mut client = Peer::connect(sidecar.addr).await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    upstream.saw(1).await;

    sidecar.terminate();
    sidecar.ended().await;

    assert_eq!(client.rest().await, b"", "cut off");
}

#[tokio::test]
async fn who_still_waits_for_a_turn_at_the_end_is_answered() {
    let upstream = Upstream::scripted(|_, seen| {
        if seen.head.starts_with("GET /refused ") {
            Reply::Bytes(throttled_with(&[("Retry-After", "1")]))
        } else {
            Reply::Hang
        }
    })
    .await;
    let toml = "pace.max_in_flight = 1\n[shutdown]\ngrace = \"2s\"\n";
    let mut sidecar = Sidecar::before(upstream.addr, toml).await;
    let mut refused = Client::connect(sidecar.addr).await;
    refused.send("GET", "/refused", &[], b"").await;
    sidecar.reaches("redrive_waiting_requests", &[], 1.0).await;
    let mut hanging = Client::connect(sidecar.addr).await;
    hanging.send("GET", "/hanging", &[], b"").await;
    upstream.saw(2).await;
    let mut fresh = Client::connect(sidecar.addr).await;
    fresh.send("GET", "/fresh", &[], b"").await;
    sidecar.reaches("redrive_waiting_requests", &[], 2.0).await;

    sidecar.terminate();
    let refused = refused.answer_to("GET").await;
    let fresh = fresh.answer_to("GET").await;

    assert_eq!(refused.status, 429);
    assert_eq!(refused.explained(), ("1", "shutdown", "no"));
    assert_eq!(
        (fresh.status, fresh.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(upstream.count(), 2);
    sidecar.ended().await;
}

#[tokio::test]
async fn a_retry_that_would_come_after_the_end_is_not_waited_for() {
    let hinted = Reply::Bytes(throttled_with(&[("Retry-After", "20")]));
    let upstream = Upstream::answering([hinted]).await;
    let mut sidecar = Sidecar::before(upstream.addr, "[shutdown]\ngrace = \"5s\"\n").await;
    let mut waiting = Client::connect(sidecar.addr).await;
    waiting.send("POST", "/", &[], b"body").await;
    sidecar.reaches("redrive_waiting_requests", &[], 1.0).await;

    sidecar.terminate();
    let waited = waiting.answer_to("POST").await;
    draining(&sidecar).await;
    let came_later = Client::post(sidecar.addr, "/", b"body").await;

    for answer in [waited, came_later] {
        assert_eq!(
            (
                answer.status,
                answer.header("redrive-reason"),
                answer.header("retry-after"),
                answer.header("x-amzn-errortype")
            ),
            (
                429,
                Some("shutdown"),
                Some("20"),
                Some("TooManyRequestsException")
            )
        );
    }
    assert_eq!(upstream.count(), 2);
    assert_eq!(
        sidecar
            .total("redrive_retries_skipped_total", &[r#"reason="shutdown""#])
            .await,
        2.0
    );
    sidecar.ended().await;
}

#[tokio::test]
async fn a_retry_that_fits_into_the_drain_is_made() {
    let hinted = Reply::Bytes(throttled_with(&[("Retry-After", "1")]));
    let upstream = Upstream::answering([hinted, ok()]).await;
    let mut sidecar = Sidecar::before(upstream.addr, "").await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("POST", "/", &[], b"body").await;
    sidecar.reaches("redrive_waiting_requests", &[], 1.0).await;

    sidecar.terminate();

    assert_eq!(client.answer_to("POST").await.status, 200);
    assert_eq!(upstream.count(), 2);
    sidecar.ended().await;
}
