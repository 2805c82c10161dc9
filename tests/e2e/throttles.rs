//! A throttled answer becomes a good one.

use crate::answers::{ok, throttled};
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
