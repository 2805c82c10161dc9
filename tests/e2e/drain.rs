//! The end: told to stop, it goes on serving until nobody asks any more, and not for ever.

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::answers::{answer, ok, throttled_with};
use crate::support::{Client, Origin, Peer, Reply, Sidecar, Upstream, in_time};

#[tokio::test]
async fn a_draining_sidecar_is_not_ready_and_still_serves_whoever_comes() {
    let upstream = Upstream::answering([ok()]).await;
    let mut sidecar = Sidecar::before(upstream.addr, "").await;
    let mut kept = Client::connect(sidecar.addr).await;
    kept.send("GET", "/", &[], b"").await;
    assert_eq!(kept.answer_to("GET").await.header("connection"), None);

    sidecar.terminate();
    sidecar.is_draining().await;

    assert_eq!(Client::get(sidecar.admin, "/livez").await.status, 200);
    for _ in 0..3 {
        kept.send("GET", "/", &[], b"").await;
        let answer = kept.answer_to("GET").await;
        assert_eq!(answer.status, 200);
        // The connection ends with redrive, so its client goes on with another while there is one to be had.
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(kept.stream.read(&mut [0]).await.unwrap(), 0);
        kept = Client::connect(sidecar.addr).await;
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
    sidecar.is_draining().await;
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
    sidecar.is_draining().await;
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
    sidecar.is_draining().await;
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

#[tokio::test]
async fn a_client_that_asks_briefly_but_steadily_is_served_for_as_long_as_it_asks() {
    let upstream = Upstream::answering([ok()]).await;
    let mut sidecar = Sidecar::before(upstream.addr, "").await;
    sidecar.terminate();
    sidecar.is_draining().await;

    // Longer than quiet takes, with nothing in flight for most of the time: whoever only looks now and then sees nobody.
    for _ in 0..10 {
        assert_eq!(Client::get(sidecar.addr, "/").await.status, 200);
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    }

    sidecar.ended().await;
}

type H2 = SendRequest<Empty<bytes::Bytes>>;

/// A connection of a client that speaks HTTP/2, driven for as long as the set lives.
async fn over_http_2(sidecar: &Sidecar) -> (H2, JoinSet<()>) {
    let stream = TcpStream::connect(sidecar.addr).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        connection.await.expect("a clean end");
    });
    (sender, driver)
}

fn request(sidecar: &Sidecar) -> Request<Empty<bytes::Bytes>> {
    let uri = format!("http://{}/", sidecar.addr);
    Request::get(uri).body(Empty::new()).unwrap()
}

#[tokio::test]
async fn over_http_2_what_is_in_flight_is_answered_and_what_comes_next_goes_elsewhere() {
    let origin = Origin::new();
    let mut sidecar = Sidecar::before(origin.addr, "").await;
    let (mut client, mut driver) = over_http_2(&sidecar).await;
    let in_flight = client.send_request(request(&sidecar));
    let mut upstream = origin.accept().await;
    upstream.message().await;

    sidecar.terminate();
    sidecar.is_draining().await;
    // Whoever connects now is served, too, and not sent away at once.
    let (mut late, _late_driver) = over_http_2(&sidecar).await;
    let served = late.send_request(request(&sidecar));
    let mut another = origin.accept().await;
    another.message().await;
    upstream.write(answer("200 OK", &[], "early")).await;
    let early = in_time("an answer", in_flight).await.unwrap();
    assert_eq!(early.collect().await.unwrap().to_bytes(), "early");
    // GOAWAY: the first connection ends by itself, while redrive still serves.
    in_time("the connection's end", driver.join_next())
        .await
        .unwrap()
        .unwrap();
    another.write(answer("200 OK", &[], "late")).await;

    let late = in_time("an answer", served).await.unwrap();
    assert_eq!(late.status(), StatusCode::OK);
    assert_eq!(late.collect().await.unwrap().to_bytes(), "late");
    assert!(client.is_closed());
    sidecar.ended().await;
}

#[tokio::test]
async fn a_fresh_request_that_the_end_finds_waiting_is_told_why() {
    let upstream = Upstream::answering([Reply::Hang]).await;
    let toml = "pace.max_in_flight = 1\n[shutdown]\ngrace = \"1s\"\n";
    let mut sidecar = Sidecar::before(upstream.addr, toml).await;
    let mut hanging = Client::connect(sidecar.addr).await;
    hanging.send("GET", "/", &[], b"").await;
    upstream.saw(1).await;
    let mut fresh = Client::connect(sidecar.addr).await;
    fresh.send("POST", "/", &[], b"body").await;
    sidecar.reaches("redrive_waiting_requests", &[], 1.0).await;

    sidecar.terminate();
    let fresh = fresh.answer_to("POST").await;

    assert_eq!(
        (fresh.status, fresh.header("redrive-reason")),
        (503, Some("shutdown"))
    );
    sidecar.ended().await;
}
