//! HTTP/2 with prior knowledge on the client's side.

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::channel::Channel;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::answers::{answer, ok, throttled};
use crate::support::{Origin, Reply, Sidecar, Upstream, in_time};

type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// A connection of a client, driven for as long as the set lives.
async fn connect(sidecar: &Sidecar) -> (SendRequest<Body>, JoinSet<()>) {
    let stream = TcpStream::connect(sidecar.addr).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        let _ended = connection.await;
    });
    (sender, driver)
}

fn request(sidecar: &Sidecar, method: &str, path: &str, body: &'static [u8]) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", sidecar.addr))
        .body(Full::new(Bytes::from_static(body)).boxed_unsync())
        .unwrap()
}

#[tokio::test]
async fn a_throttled_request_over_http_2_becomes_a_good_one() {
    for (method, body) in [("GET", b"".as_slice()), ("POST", b"a body")] {
        let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
        let sidecar = Sidecar::before(upstream.addr, "").await;
        let (mut client, _driver) = connect(&sidecar).await;

        let request = request(&sidecar, method, "/orders?id=1", body);
        let answer = in_time("an answer", client.send_request(request))
            .await
            .unwrap();

        assert_eq!(
            (answer.status(), answer.version()),
            (StatusCode::OK, Version::HTTP_2)
        );
        assert_eq!(answer.headers()["redrive-attempts"], "2");
        assert_eq!(answer.collect().await.unwrap().to_bytes(), "done");
        let seen = upstream.seen();
        assert_eq!(seen.len(), 2);
        for attempt in seen {
            assert!(
                attempt
                    .head
                    .starts_with(&format!("{method} /orders?id=1 HTTP/1.1\r\n")),
                "{}",
                attempt.head
            );
            assert_eq!(attempt.header("via"), Some("2 redrive"));
            assert_eq!(attempt.headers("host").len(), 1);
            assert_eq!(attempt.body, body);
        }
    }
}

#[tokio::test]
async fn cookies_that_came_apart_go_up_together() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let (mut client, _driver) = connect(&sidecar).await;
    let mut request = request(&sidecar, "GET", "/", b"");
    for cookie in ["a=1", "b=2", "c=3; d=4"] {
        request
            .headers_mut()
            .append("cookie", cookie.parse().unwrap());
    }

    let answer = client.send_request(request).await.unwrap();

    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(upstream.seen()[0].headers("cookie"), ["a=1; b=2; c=3; d=4"]);
}

#[tokio::test]
async fn the_clients_authority_is_its_host() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "host = \"client\"\n").await;
    let (mut client, _driver) = connect(&sidecar).await;
    let mut request = request(&sidecar, "GET", "/", b"");
    *request.uri_mut() = "http://shop.example:81/a".parse().unwrap();

    assert_eq!(
        client.send_request(request).await.unwrap().status(),
        StatusCode::OK
    );

    let seen = &upstream.seen()[0];
    assert_eq!(seen.headers("host"), ["shop.example:81"]);
    assert!(seen.head.starts_with("GET /a HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_hundred_streams_of_one_connection_are_all_answered() {
    let upstream = Upstream::scripted(|index, request| {
        if index % 3 == 0 {
            Reply::Bytes(throttled())
        } else {
            let path = request.head.split(' ').nth(1).unwrap_or_default();
            Reply::Bytes(answer("200 OK", &[], path))
        }
    })
    .await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let (client, _driver) = connect(&sidecar).await;
    let mut streams = JoinSet::new();

    for number in 0..100 {
        let path = format!("/{number}");
        let request = request(&sidecar, "POST", &path, b"a body");
        let mut client = client.clone();
        streams.spawn(async move {
            let answer = client.send_request(request).await.unwrap();
            let status = answer.status();
            let body = answer.collect().await.unwrap().to_bytes();
            (status, body == path.as_bytes())
        });
    }
    let answers = in_time("all answers", streams.join_all()).await;

    assert!(
        answers.iter().all(|it| *it == (StatusCode::OK, true)),
        "{answers:?}"
    );
    assert_eq!(sidecar.total("redrive_client_connections", &[]).await, 1.0);
}

#[tokio::test]
async fn a_stream_that_is_reset_cancels_its_attempt_and_no_other() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let (mut client, _driver) = connect(&sidecar).await;
    let doomed = client.send_request(request(&sidecar, "PUT", "/doomed", b"a body"));
    let mut doomed = Box::pin(doomed);
    let (mut cancelled, ()) = tokio::join!(origin.accept(), async {
        let polled = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(doomed.as_mut().poll(cx).is_pending())
        });
        assert!(polled.await);
    });
    cancelled.message().await;

    drop(doomed);

    assert_eq!(cancelled.rest().await, b"", "the upstream is told");
    sidecar
        .settles("redrive_requests_total", &[r#"outcome="client_gone""#], 1.0)
        .await;
    assert_eq!(
        sidecar
            .total("redrive_attempts_total", &[r#"class="cancelled""#])
            .await,
        1.0
    );
    let (answered, ()) = tokio::join!(
        client.send_request(request(&sidecar, "GET", "/next", b"")),
        async {
            let mut next = origin.accept().await;
            next.message().await;
            next.write(answer("200 OK", &[], "next")).await;
        }
    );
    assert_eq!(answered.unwrap().status(), StatusCode::OK);
    sidecar
        .settles("redrive_in_flight_requests", &[], 0.0)
        .await;
    sidecar.settles("redrive_replay_bytes", &[], 0.0).await;
}

#[tokio::test]
async fn a_stream_that_is_reset_during_its_upload_is_a_client_that_left() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let (mut client, _driver) = connect(&sidecar).await;
    let (mut upload, body) = Channel::<Bytes, std::convert::Infallible>::new(4);
    upload.send_data(Bytes::from_static(b"half")).await.unwrap();
    let doomed = request(&sidecar, "PUT", "/", b"").map(|_| body.boxed_unsync());
    let mut sending = JoinSet::new();
    sending.spawn(async move {
        let _cut = client.send_request(doomed).await;
    });
    let mut upstream = origin.accept().await;
    upstream.head().await;
    upstream.read(4).await;

    sending.shutdown().await;

    upstream.rest().await;
    sidecar
        .settles("redrive_requests_total", &[r#"outcome="client_gone""#], 1.0)
        .await;
    drop(upload);
    sidecar.settles("redrive_replay_bytes", &[], 0.0).await;
}
