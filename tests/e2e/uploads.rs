//! Request bodies: answered early, broken on either side, stalled, repeated whole.

use crate::answers::{answer, ok, throttled, throttled_with};
use crate::support::{Client, Message, Origin, Peer, Reply, Reserved, Sidecar, Upstream};

const ATTEMPTS: &str = "redrive_attempts_total";
const REQUESTS: &str = "redrive_requests_total";

/// Ten mebibytes in which no two stretches are alike.
fn large() -> Vec<u8> {
    (0..10 * 1024 * 1024_u32)
        .map(|index| index.wrapping_mul(2_654_435_761).to_be_bytes()[1])
        .collect()
}

/// The body in chunks of uneven size, without the last one.
fn chunks(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + body.len() / 100);
    for chunk in body.chunks(40_009) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes
}

const CHUNKED: &str =
    "POST /upload HTTP/1.1\r\nHost: sidecar.test\r\nTransfer-Encoding: chunked\r\n";

/// An upload, sized and then chunked, whose first attempt is answered like this before it has ended.
async fn check_early(first: Reply) {
    let body = large();
    for chunked in [false, true] {
        let upstream = Upstream::answering([first.clone(), ok()]).await;
        let sidecar = Sidecar::before(upstream.addr, "").await;
        let mut client = Client::connect(sidecar.addr).await;

        if chunked {
            client.raw(format!("{CHUNKED}\r\n").as_bytes()).await;
            client.raw(&chunks(&body)).await;
            client.raw(b"0\r\n\r\n").await;
        } else {
            client.send("POST", "/upload", &[], &body).await;
        }
        let answer = client.answer_to("POST").await;

        assert_eq!(
            (answer.status, answer.header("redrive-attempts")),
            (200, Some("2")),
            "chunked: {chunked}"
        );
        let seen = upstream.seen();
        assert_eq!(seen.len(), 2);
        assert!(
            seen[1].body == body,
            "the second attempt carries every byte; chunked: {chunked}, it has {}",
            seen[1].body.len()
        );
        assert_eq!(seen[1].header("content-length").is_none(), chunked);
        sidecar.settles("redrive_replay_bytes", &[], 0.0).await;
    }
}

#[tokio::test]
async fn an_upload_that_is_throttled_early_is_sent_again_whole() {
    check_early(Reply::Early(throttled())).await;
}

#[tokio::test]
async fn an_upload_that_is_throttled_early_over_a_closing_connection_is_sent_again_whole() {
    check_early(Reply::EarlyThenClose(64 * 1024, throttled())).await;
}

#[tokio::test]
async fn an_upload_that_is_throttled_before_its_first_byte_is_sent_again_whole() {
    check_early(Reply::EarlyThenClose(0, throttled())).await;
}

/// One upload whose connection is reset in its middle.
async fn reset_in_the_middle(origin: &Origin) {
    let mut upstream = origin.accept().await;
    upstream.head().await;
    upstream.read(100_000).await;
    upstream.reset();
}

#[tokio::test]
async fn a_post_that_is_reset_in_its_middle_is_told_and_not_sent_again() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let body = large();

    let posting = Client::post(sidecar.addr, "/upload", &body);
    let (answer, ()) = tokio::join!(posting, reset_in_the_middle(&origin));

    assert_eq!(
        (
            answer.status,
            answer.header("proxy-status"),
            answer.header("redrive-reason")
        ),
        (
            502,
            Some("redrive; error=connection_terminated"),
            Some("unsafe")
        )
    );
    assert_eq!(sidecar.total(ATTEMPTS, &[r#"class="broken""#]).await, 1.0);
    assert!(!origin.is_asked().await);
}

#[tokio::test]
async fn a_put_that_is_reset_in_its_middle_is_sent_again_whole() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let body = large();

    let putting = Client::request(sidecar.addr, "PUT", "/upload", &[], &body);
    let serving = async {
        reset_in_the_middle(&origin).await;
        let mut upstream = origin.accept().await;
        let request = upstream.message().await;
        upstream.write(answer("200 OK", &[], "done")).await;
        request
    };
    let (answer, request) = tokio::join!(putting, serving);

    assert_eq!(
        (answer.status, answer.header("redrive-attempts")),
        (200, Some("2"))
    );
    assert!(request.body == body);
}

#[tokio::test]
async fn a_large_upload_that_is_refused_early_is_answered_and_not_reset() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let body = large();

    for _ in 0..5 {
        let posting = Client::post(sidecar.addr, "/upload", &body);
        let (answer, ()) = tokio::join!(posting, refuse_early(&origin));

        assert_eq!((answer.status, answer.text().as_str()), (413, "too large"));
    }
}

async fn refuse_early(origin: &Origin) {
    let mut upstream = origin.accept().await;
    upstream.head().await;
    let refusal = answer(
        "413 Content Too Large",
        &[("Connection", "close")],
        "too large",
    );
    upstream.write(refusal).await;
    upstream.rest().await;
}

#[tokio::test]
async fn a_chunk_that_the_client_breaks_is_its_own_fault_and_costs_nothing() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Peer::connect(sidecar.addr).await;
    // Idempotent, so that nothing but the client's fault keeps it from being sent again.
    let head = CHUNKED.replace("POST", "PUT");
    client.write(format!("{head}\r\n5\r\nhello\r\n")).await;
    let mut upstream = origin.accept().await;
    upstream.head().await;
    upstream.read(b"5\r\nhello\r\n".len()).await;

    client.write("zz\r\nmore\r\n").await;
    let answer = client.message().await;

    assert!(
        answer.head.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{}",
        answer.head
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(client.rest().await, b"", "closed");
    assert_eq!(upstream.rest().await, b"", "nothing more goes up");
    assert!(!origin.is_asked().await);
    assert_eq!(
        sidecar.total(REQUESTS, &[r#"outcome="rejected""#]).await,
        1.0
    );
    assert_eq!(
        sidecar.total(ATTEMPTS, &[r#"class="cancelled""#]).await,
        1.0
    );
    assert_eq!(sidecar.total(ATTEMPTS, &[]).await, 1.0);
    assert_eq!(sidecar.total("redrive_retries_total", &[]).await, 0.0);
    assert_eq!(
        sidecar.total("redrive_retries_skipped_total", &[]).await,
        0.0
    );
    assert!(sidecar.total("redrive_retry_budget_tokens", &[]).await >= 500.0);
    sidecar.settles("redrive_replay_bytes", &[], 0.0).await;
}

#[tokio::test]
async fn a_client_that_stalls_in_its_body_is_rejected() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "[client]\nbody_idle = \"200ms\"\n").await;
    let mut client = Client::connect(sidecar.addr).await;
    client
        .raw(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf ")
        .await;
    let mut upstream = origin.accept().await;
    upstream.head().await;
    upstream.read(5).await;

    let answer = client.answer_to("PUT").await;

    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("paused"), "{}", answer.text());
    assert_eq!(upstream.rest().await, b"");
    sidecar
        .settles(REQUESTS, &[r#"outcome="rejected""#], 1.0)
        .await;
}

#[tokio::test]
async fn an_upload_that_rested_for_a_backoff_did_not_stall() {
    let body = large();
    let early = Reply::Early(throttled_with(&[("Retry-After", "1")]));
    let upstream = Upstream::answering([early, ok()]).await;
    // The wait before the retry is longer than the client may pause: redrive rests, not the client.
    let sidecar = Sidecar::before(upstream.addr, "[client]\nbody_idle = \"700ms\"\n").await;
    let mut client = Client::connect(sidecar.addr).await;
    client
        .raw(
            format!(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                body.len()
            )
            .as_bytes(),
        )
        .await;
    // Nothing of the body is there when the upstream answers, so the attempt was waiting for it.
    sidecar.reaches("redrive_waiting_requests", &[], 1.0).await;

    client.raw(&body).await;
    let answer = client.answer_to("POST").await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(upstream.seen()[1].body == body);
}

#[tokio::test]
async fn a_body_that_came_after_a_refused_attempt_is_sent_once_and_whole() {
    let reserved = Reserved::new();
    let sidecar = Sidecar::before(
        reserved.addr,
        "[retry]\nmax_attempts = { other = 1000 }\nbackoff = { max = \"30ms\" }\n",
    )
    .await;
    let mut client = Client::connect(sidecar.addr).await;
    client
        .raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n")
        .await;
    sidecar.reaches(ATTEMPTS, &[r#"class="unsent""#], 3.0).await;

    let origin = reserved.listen();
    client.raw(b"hello ").await;
    let mut upstream = origin.accept().await;
    client.raw(b"world").await;
    let request = upstream.message().await;
    upstream.write(answer("200 OK", &[], "done")).await;

    assert_eq!(client.answer_to("POST").await.status, 200);
    assert_eq!(request.body, b"hello world");
    assert_eq!(request.header("content-length"), Some("11"));
}

#[tokio::test]
async fn a_client_that_expects_to_be_told_to_continue_is_told_and_served() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let mut client = Peer::connect(sidecar.addr).await;
    client
        .write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        .await;

    let interim = client.head().await;
    client.write("body").await;
    let answer = client.message().await;

    assert_eq!(interim.head, "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(
        answer.head.starts_with("HTTP/1.1 200 OK\r\n"),
        "{}",
        answer.head
    );
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    for attempt in seen {
        assert_eq!(attempt.body, b"body");
        assert_eq!(attempt.header("expect"), None, "answered by redrive");
    }
}

#[tokio::test]
async fn the_trailers_of_a_request_reach_the_upstream_on_every_attempt() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let mut client = Client::connect(sidecar.addr).await;

    client
        .raw(
            format!(
                "{CHUNKED}Trailer: x-checksum\r\n\r\n4\r\nbody\r\n0\r\nx-checksum: abc\r\n\r\n"
            )
            .as_bytes(),
        )
        .await;
    let answer = client.answer_to("POST").await;

    assert_eq!(answer.status, 200);
    let seen: Vec<Message> = upstream.seen();
    assert_eq!(seen.len(), 2);
    for attempt in seen {
        assert_eq!(
            (attempt.body.as_slice(), attempt.trailers.as_str()),
            (b"body".as_slice(), "x-checksum: abc\n")
        );
    }
}

#[tokio::test]
async fn an_empty_body_stays_empty_and_framed_as_it_came() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let answer = Client::post(sidecar.addr, "/", b"").await;

    assert_eq!(answer.status, 200);
    for attempt in upstream.seen() {
        assert_eq!(attempt.header("content-length"), Some("0"));
        assert_eq!(attempt.header("transfer-encoding"), None);
        assert_eq!(attempt.body, b"");
    }
}
