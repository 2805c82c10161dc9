//! Requests that are malformed, ambiguous, too large or too slow: none reaches the upstream, and everybody is told.

use std::time::Duration;

use crate::answers::ok;
use crate::support::{Client, Message, Origin, Peer, Reply, Sidecar, Upstream};

const REQUESTS: &str = "redrive_requests_total";

fn status(answer: &Message) -> u16 {
    answer.head[9..12].parse().unwrap()
}

/// Sends these bytes and expects a problem with this status, a closed connection, and an upstream that saw nothing.
async fn check(request: &str, expected: u16) {
    check_error(request, expected, "http_request_error").await;
}

/// The same with another error type of `Proxy-Status`.
async fn check_error(request: &str, expected: u16, error: &str) {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Peer::connect(sidecar.addr).await;

    client.write(request).await;
    let answer = client.message().await;

    let said = format!("{request:?}\n{}", answer.head);
    assert_eq!(status(&answer), expected, "{said}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{said}"
    );
    let told = format!("redrive; error={error}");
    assert_eq!(answer.header("proxy-status"), Some(&*told), "{said}");
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["status"], expected, "{said}");
    assert_eq!(answer.header("connection"), Some("close"), "{said}");
    assert_eq!(client.rest().await, b"", "closed: {said}");
    assert!(!origin.is_asked().await, "{said}");
    sidecar
        .settles(REQUESTS, &[r#"outcome="rejected""#], 1.0)
        .await;
    assert_eq!(sidecar.total(REQUESTS, &[]).await, 1.0, "{said}");
}

#[tokio::test]
async fn a_request_without_exactly_one_good_host_is_refused() {
    check("GET / HTTP/1.1\r\n\r\n", 400).await;
    check("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400).await;
    check("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", 400).await;
    check("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400).await;
    check("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400).await;
    check("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400).await;
    check("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400).await;
    check("GET http://a/ HTTP/1.1\r\n\r\n", 400).await;
}

#[tokio::test]
async fn a_transfer_coding_other_than_chunked_alone_is_refused() {
    let with = |coding: &str| {
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n")
    };
    check(&with("gzip, chunked"), 501).await;
    check(&with("chunked\r\nTransfer-Encoding: chunked"), 501).await;
    check(&with("identity, chunked"), 501).await;
    check(&with("chunked, chunked"), 501).await;
    check(&with("identity"), 400).await;
    check(&with("chunked, gzip"), 400).await;
    check(&with("chunked, identity"), 400).await;
    check(&with("\x0bchunked"), 400).await;
}

#[tokio::test]
async fn a_length_that_is_no_length_is_refused() {
    let with = |lengths: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{lengths}\r\n\r\nbody");
    check(&with("Content-Length: 4\r\nContent-Length: 5"), 400).await;
    check(&with("Content-Length: 4\r\nContent-Length: 4"), 400).await;
    check(&with("Content-Length: 4, 4"), 400).await;
    check(&with("Content-Length: +4"), 400).await;
    check(&with("Content-Length: -4"), 400).await;
    check(&with("Content-Length: 0x4"), 400).await;
    check(&with("Content-Length:"), 400).await;
    check(&with("Content-Length: 99999999999999999999999"), 400).await;
}

#[tokio::test]
async fn a_header_that_is_no_header_is_refused() {
    check("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400).await;
    check("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400).await;
    check("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400).await;
    check(
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 4\r\n\r\nbody",
        400,
    )
    .await;
    check("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400).await;
    check("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400).await;
    check("GET / HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n", 400).await;
    check("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400).await;
}

#[tokio::test]
async fn a_request_line_that_is_none_is_refused() {
    check("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400).await;
    check("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400).await;
    check("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400).await;
    check("GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400).await;
    check("GET /\r\nHost: a\r\n\r\n", 400).await;
    check("G\0T / HTTP/1.1\r\nHost: a\r\n\r\n", 400).await;
    check(
        "\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03 a TLS client\r\n\r\n",
        400,
    )
    .await;
}

#[tokio::test]
async fn chunks_over_http_1_0_are_refused() {
    check(
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    )
    .await;
}

#[tokio::test]
async fn a_tunnel_is_refused_with_what_is_allowed() {
    check("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405).await;

    let sidecar = Sidecar::before(Origin::new().addr, "").await;
    let mut client = Peer::connect(sidecar.addr).await;
    client
        .write("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")
        .await;
    let answer = client.head().await;

    let allowed = answer.header("allow").unwrap_or_default();
    assert!(
        allowed.contains("GET") && !allowed.contains("CONNECT"),
        "{allowed}"
    );
}

#[tokio::test]
async fn options_for_the_server_itself_is_answered_here() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;

    let answer = Client::request(sidecar.addr, "OPTIONS", "*", &[], b"").await;

    assert_eq!(answer.status, 200);
    assert!(answer.header("allow").unwrap_or_default().contains("PATCH"));
    assert!(!origin.is_asked().await);
    sidecar.settles(REQUESTS, &[r#"outcome="ok""#], 1.0).await;
}

#[tokio::test]
async fn a_request_that_came_back_to_redrive_is_refused() {
    check_error(
        "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 redrive, 1.1 other\r\nVia: 1.1 redrive\r\n\r\n",
        508,
        "proxy_loop_detected",
    )
    .await;
}

#[tokio::test]
async fn what_the_upstream_refuses_is_refused_in_its_own_words() {
    for (status, body) in [("400 Bad Request", ""), ("431 Too Much", "too much")] {
        let bytes = crate::answers::answer(status, &[("X-Mine", "1")], body);
        let upstream = Upstream::answering([Reply::Bytes(bytes)]).await;
        let sidecar = Sidecar::before(upstream.addr, "").await;
        let mut client = Client::connect(sidecar.addr).await;

        for _ in 0..3 {
            client.send("GET", "/", &[], b"").await;
            let answer = client.answer_to("GET").await;
            assert!(answer.head.starts_with(&format!("HTTP/1.1 {status}\r\n")));
            assert_eq!(
                (answer.header("x-mine"), answer.text().as_str()),
                (Some("1"), body)
            );
        }
        // And what follows on the same connection and cannot be read is refused in ours.
        client.raw(b"nonsense\r\n\r\n").await;
        let answer = client.answer_to("GET").await;
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
    }
}

#[tokio::test]
async fn a_redrive_that_is_its_own_upstream_ends_the_circle() {
    let reserved = crate::support::Reserved::new();
    let circle = reserved.addr;
    let sidecar = Sidecar::configured(
        // On every address, since its own is refused as an upstream from the start.
        &format!("upstream = \"http://127.0.0.2:{}\"\n", circle.port()),
        &[("REDRIVE_LISTEN", &format!("0.0.0.0:{}", circle.port()))],
    )
    .await;

    let answer = Client::get(sidecar.addr, "/").await;

    assert_eq!(answer.status, 508);
    assert_eq!(
        sidecar.total("redrive_retries_total", &[]).await,
        0.0,
        "a circle is no reason to try again"
    );
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let line = format!("X-Large: {}\r\n", "x".repeat(1000));
    check(
        &format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", line.repeat(40)),
        431,
    )
    .await;
    check(
        &format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X: x\r\n".repeat(200)
        ),
        431,
    )
    .await;
}

#[tokio::test]
async fn a_head_just_below_the_limit_passes() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let large = "x".repeat(30_000);

    let answer = Client::request(sidecar.addr, "GET", "/", &[("X-Large", &large)], b"").await;

    assert_eq!(answer.status, 200);
    assert_eq!(upstream.seen()[0].header("x-large"), Some(large.as_str()));
}

#[tokio::test]
async fn a_length_beside_chunks_is_refused() {
    let with = |fields: &str| {
        format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n4\r\nbody\r\n0\r\n\r\n")
    };
    check(
        &with("Content-Length: 3\r\nTransfer-Encoding: chunked"),
        400,
    )
    .await;
    check(
        &with("Transfer-Encoding: chunked\r\nContent-Length: 3"),
        400,
    )
    .await;
}

#[tokio::test]
async fn one_client_connection_too_many_is_told_and_counted() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "[client]\nmax_connections = 2\n").await;
    let mut first = Client::connect(sidecar.addr).await;
    let mut second = Client::connect(sidecar.addr).await;
    for client in [&mut first, &mut second] {
        client.send("GET", "/", &[], b"").await;
        assert_eq!(client.answer_to("GET").await.status, 200);
    }

    let mut third = Peer::connect(sidecar.addr).await;
    let answer = third.message().await;

    assert_eq!(status(&answer), 503);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(
        answer.header("proxy-status"),
        Some("redrive; error=connection_limit_reached")
    );
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["status"], 503);
    assert_eq!(third.rest().await, b"");
    assert_eq!(
        sidecar
            .total("redrive_rejected_connections_total", &[])
            .await,
        1.0
    );
    assert_eq!(sidecar.total("redrive_client_connections", &[]).await, 2.0);

    drop(first);
    sidecar
        .settles("redrive_client_connections", &[], 1.0)
        .await;
    assert_eq!(Client::get(sidecar.addr, "/").await.status, 200);
}

#[tokio::test]
async fn a_head_that_never_ends_is_ended() {
    let sidecar =
        Sidecar::before(Origin::new().addr, "[client]\nheader_timeout = \"300ms\"\n").await;
    let mut client = Peer::connect(sidecar.addr).await;
    client.write("GET / HTTP/1.1\r\nHo").await;

    // It goes on and on, a byte at a time, and is not saved by that.
    let trickle = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if tokio::io::AsyncWriteExt::write_all(&mut client.stream, b"s")
                .await
                .is_err()
            {
                return;
            }
        }
    };
    crate::support::in_time("the end of the connection", trickle).await;

    sidecar
        .settles("redrive_client_connections", &[], 0.0)
        .await;
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_when_it_is_idle_for_too_long() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "[client]\nidle = \"300ms\"\n").await;
    let mut used = Peer::connect(sidecar.addr).await;
    let mut unused = Peer::connect(sidecar.addr).await;
    used.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(used.message().await.body, b"done");

    assert_eq!(used.rest().await, b"");
    assert_eq!(unused.rest().await, b"");
    sidecar
        .settles("redrive_client_connections", &[], 0.0)
        .await;
}

#[tokio::test]
async fn an_answer_that_takes_longer_than_a_connection_may_be_idle_still_comes() {
    let late = Reply::After(
        Duration::from_millis(700),
        crate::answers::answer("200 OK", &[], "late"),
    );
    let upstream = Upstream::answering([late]).await;
    let sidecar = Sidecar::before(
        upstream.addr,
        "[client]\nidle = \"200ms\"\nheader_timeout = \"200ms\"\n",
    )
    .await;

    let answer = Client::post(sidecar.addr, "/", b"body").await;

    assert_eq!(answer.text(), "late");
}

#[tokio::test]
async fn requests_that_are_sent_ahead_are_answered_in_order() {
    let upstream = Upstream::scripted(|_, request| {
        let path = request.head.split(' ').nth(1).unwrap_or_default();
        let bytes = crate::answers::answer("200 OK", &[], path);
        match path {
            "/slow" => Reply::After(Duration::from_millis(100), bytes),
            _ => Reply::Bytes(bytes),
        }
    })
    .await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let mut client = Peer::connect(sidecar.addr).await;

    client
        .write(
            "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n\
             POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody\
             POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n\
             GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .await;

    for path in ["/slow", "/body", "/chunks", "/last"] {
        assert_eq!(client.message().await.body, path.as_bytes());
    }
    assert_eq!(client.rest().await, b"");
    assert_eq!(upstream.count(), 4);
}

#[tokio::test]
async fn a_client_that_says_it_is_done_is_answered_where_that_is_wanted() {
    use tokio::io::AsyncWriteExt;

    let late = Reply::After(
        Duration::from_millis(100),
        crate::answers::answer("200 OK", &[], "late"),
    );
    let upstream = Upstream::answering([late]).await;
    let sidecar = Sidecar::before(upstream.addr, "[client]\nhalf_close = true\n").await;
    let mut client = Peer::connect(sidecar.addr).await;

    client
        .write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n")
        .await;
    client.stream.shutdown().await.unwrap();

    assert_eq!(client.message().await.body, b"late");
    assert_eq!(upstream.seen()[0].body, b"body");
    assert_eq!(client.rest().await, b"", "and then it is closed");
}
