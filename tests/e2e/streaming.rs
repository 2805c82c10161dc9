//! Bodies pass while they come, both ways, and an answer that was begun is never begun again.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::answers::ok;
use crate::support::{Client, Origin, Peer, Reply, Sidecar, Upstream, in_time};

const REQUESTS: &str = "redrive_requests_total";

/// redrive with one request on its way: the client's side and the upstream's.
async fn exchange(request: &str) -> (Sidecar, Peer, Peer, Origin) {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Peer::connect(sidecar.addr).await;
    client.write(request).await;
    let mut upstream = origin.accept().await;
    upstream.head().await;
    (sidecar, client, upstream, origin)
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn an_answer_reaches_the_client_while_it_comes() {
    let (sidecar, mut client, mut upstream, _origin) = exchange(GET).await;

    upstream
        .write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .await;
    let head = client.head().await;
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    assert_eq!(client.read(10).await, b"5\r\nfirst\r\n");
    upstream.write("6\r\nsecond\r\n0\r\n\r\n").await;

    assert_eq!(client.read(16).await, b"6\r\nsecond\r\n0\r\n\r\n");
    sidecar.settles(REQUESTS, &[r#"outcome="ok""#], 1.0).await;
}

#[tokio::test]
async fn an_error_answer_that_trickles_reaches_the_client_while_it_comes() {
    let (_sidecar, mut client, mut upstream, _origin) =
        exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;

    upstream
        .write("HTTP/1.1 500 Internal Server Error\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .await;
    client.head().await;
    assert_eq!(client.read(10).await, b"5\r\nfirst\r\n");
    upstream.write("0\r\n\r\n").await;

    assert_eq!(client.read(5).await, b"0\r\n\r\n");
}

#[tokio::test]
async fn an_upload_reaches_the_upstream_while_it_comes() {
    let (_sidecar, mut client, mut upstream, _origin) =
        exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nfirst ").await;

    assert_eq!(upstream.read(6).await, b"first ");
    client.write("later").await;
    assert_eq!(upstream.read(5).await, b"later");
    upstream.write("HTTP/1.1 204 No Content\r\n\r\n").await;

    assert!(client.head().await.head.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn an_upload_goes_on_after_its_answer_has_begun() {
    let (sidecar, mut client, mut upstream, _origin) =
        exchange("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            .await;
    assert_eq!(upstream.read(10).await, b"5\r\nfirst\r\n");

    upstream
        .write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        .await;
    client.head().await;
    assert_eq!(client.read(8).await, b"3\r\none\r\n");
    client.write("5\r\nlater\r\n0\r\n\r\n").await;
    assert_eq!(upstream.read(15).await, b"5\r\nlater\r\n0\r\n\r\n");
    upstream.write("3\r\ntwo\r\n0\r\n\r\n").await;

    assert_eq!(client.read(13).await, b"3\r\ntwo\r\n0\r\n\r\n");
    sidecar.settles(REQUESTS, &[r#"outcome="ok""#], 1.0).await;
    sidecar.settles("redrive_replay_bytes", &[], 0.0).await;
}

#[tokio::test]
async fn an_upload_goes_on_although_its_client_takes_nothing_of_the_answer() {
    // Far more than the buffers on the way hold, in both directions.
    const LENGTH: usize = 64 * 1024 * 1024;
    let framing = format!("Content-Length: {LENGTH}\r\n\r\n");
    let request = format!("PUT / HTTP/1.1\r\nHost: a\r\n{framing}");
    let (_sidecar, mut client, mut upstream, _origin) = exchange(&request).await;

    upstream
        .write(format!("HTTP/1.1 200 OK\r\n{framing}"))
        .await;
    let (mut from_client, mut to_client) = upstream.stream.split();
    let block = vec![b'x'; 65_536];
    let answering = async {
        for _ in 0..LENGTH / block.len() {
            to_client.write_all(&block).await.unwrap();
        }
    };
    let uploading = async {
        let (mut sent, mut buffer, mut read) = (0, vec![0; 65_536], 0);
        while read < LENGTH {
            tokio::select! {
                written = client.stream.write(&block), if sent < LENGTH => sent += written.unwrap(),
                count = from_client.read(&mut buffer) => read += count.unwrap(),
            }
        }
        read
    };
    let read = in_time("64 MiB", async {
        tokio::select! {
            () = answering => panic!("somebody hoards what the client does not read"),
            read = uploading => read,
        }
    });

    assert_eq!(read.await, LENGTH);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_a_large_answer_back_and_loses_none_of_it() {
    const LENGTH: usize = 200 * 1024 * 1024;
    let (_sidecar, mut client, mut upstream, _origin) = exchange(GET).await;
    let block: Vec<u8> = (0..65_536_u32).map(|index| (index % 253) as u8).collect();

    upstream
        .write(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"
        ))
        .await;
    let mut sent = 0;
    while let Ok(written) = tokio::time::timeout(
        Duration::from_millis(300),
        upstream.stream.write(&block[sent % block.len()..]),
    )
    .await
    {
        sent += written.unwrap();
        assert!(
            sent < LENGTH / 2,
            "somebody hoards what the client does not read"
        );
    }
    let sending = async {
        while sent < LENGTH {
            let rest = &block[sent % block.len()..];
            let rest = &rest[..rest.len().min(LENGTH - sent)];
            sent += upstream.stream.write(rest).await.unwrap();
        }
    };
    let reading = async {
        client.head().await;
        let mut buffer = vec![0; 65_536];
        let mut read = 0;
        while read < LENGTH {
            let start = read % block.len();
            let count = client.stream.read(&mut buffer[start..]).await.unwrap();
            assert_eq!(
                buffer[start..start + count],
                block[start..start + count],
                "at {read}"
            );
            read += count;
        }
        read
    };
    let (_, read) = in_time("200 MiB", async { tokio::join!(sending, reading) }).await;

    assert_eq!(read, LENGTH);
}

#[tokio::test]
async fn an_answer_that_breaks_in_its_middle_is_broken_for_the_client_too_and_never_sent_again() {
    let heads = [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst",
    ];
    for (head, is_reset) in [(heads[0], false), (heads[0], true), (heads[1], false)] {
        let (sidecar, mut client, mut upstream, origin) = exchange(GET).await;
        upstream.write(head).await;
        let mut answer = client.head().await;

        if is_reset {
            upstream.reset();
        } else {
            drop(upstream);
        }
        let rest = client.body_of(&mut answer).await;

        assert!(rest.is_err(), "the client can tell: {head:?}");
        sidecar
            .settles(REQUESTS, &[r#"outcome="upstream_error""#], 1.0)
            .await;
        assert_eq!(
            sidecar
                .total("redrive_retries_skipped_total", &[r#"reason="started""#])
                .await,
            1.0
        );
        assert!(!origin.is_asked().await);
        assert_eq!(sidecar.total("redrive_attempts_total", &[]).await, 1.0);
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_reaches_the_client_whole() {
    let (sidecar, mut client, mut upstream, _origin) = exchange(GET).await;

    upstream.write("HTTP/1.1 200 OK\r\n\r\nup to the end").await;
    drop(upstream);
    let answer = client.message().await;

    assert_eq!(answer.body, b"up to the end");
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    sidecar.settles(REQUESTS, &[r#"outcome="ok""#], 1.0).await;
}

#[tokio::test]
async fn an_answer_without_a_body_tells_what_it_told_and_leaves_the_connection_usable() {
    let cases = [
        ("HEAD", "200 OK", "Content-Length: 1234\r\n", Some("1234")),
        ("HEAD", "200 OK", "", None),
        ("HEAD", "200 OK", "Transfer-Encoding: chunked\r\n", None),
        ("GET", "204 No Content", "ETag: \"a\"\r\n", None),
        ("GET", "304 Not Modified", "ETag: \"a\"\r\n", None),
        // The length of what a 304 does not carry is left out of it, which RFC 9110 section 15.4.5 allows.
        ("GET", "304 Not Modified", "Content-Length: 1234\r\n", None),
        (
            "HEAD",
            "429 Too Many Requests",
            "Content-Length: 17\r\n",
            Some("17"),
        ),
    ];
    for (method, status, header, length) in cases {
        let bytes = format!("HTTP/1.1 {status}\r\n{header}\r\n");
        let upstream = Upstream::answering([Reply::Bytes(bytes.into())]).await;
        let sidecar =
            Sidecar::before(upstream.addr, "[retry]\nmax_attempts = { throttled = 1 }\n").await;
        let mut client = Client::connect(sidecar.addr).await;

        for _ in 0..2 {
            client.send(method, "/", &[], b"").await;
            let answer = client.answer_to(method).await;
            assert!(
                answer.head.starts_with(&format!("HTTP/1.1 {status}\r\n")),
                "{}",
                answer.head
            );
            assert_eq!(
                answer.header("content-length"),
                length,
                "{method} {status} {header:?}"
            );
            assert_eq!(
                answer.header("etag").is_some(),
                header.starts_with("ETag"),
                "{status}"
            );
        }

        assert_eq!(upstream.accepted(), 1, "{method} {status} {header:?}");
        sidecar
            .settles("redrive_in_flight_requests", &[], 0.0)
            .await;
    }
}

#[tokio::test]
async fn the_trailers_of_an_answer_reach_a_client_that_wants_them() {
    let (_sidecar, mut client, mut upstream, _origin) =
        exchange("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n").await;

    upstream
        .write(
            "HTTP/1.1 200 OK\r\nTrailer: x-checksum\r\nTransfer-Encoding: chunked\r\n\r\n\
             4\r\nbody\r\n0\r\nx-checksum: abc\r\n\r\n",
        )
        .await;
    let answer = client.message().await;

    assert_eq!(
        (answer.body.as_slice(), answer.trailers.as_str()),
        (b"body".as_slice(), "x-checksum: abc\n")
    );
    assert_eq!(answer.header("trailer"), Some("x-checksum"));
}

#[tokio::test]
async fn interim_answers_of_the_upstream_are_not_the_answer() {
    let (sidecar, mut client, mut upstream, _origin) = exchange(GET).await;

    upstream
        .write(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone",
        )
        .await;
    let answer = client.message().await;

    assert!(
        answer.head.starts_with("HTTP/1.1 200 OK\r\n"),
        "{}",
        answer.head
    );
    assert_eq!(answer.body, b"done");
    assert_eq!(
        sidecar
            .total("redrive_attempts_total", &[r#"class="ok""#])
            .await,
        1.0
    );
}

#[tokio::test]
async fn interim_answers_without_an_end_are_no_answer() {
    let origin = Origin::new();
    let toml = "[deadline]\nattempt = \"300ms\"\n[retry]\nmax_attempts = { other = 1 }\n";
    let sidecar = Sidecar::before(origin.addr, toml).await;
    let mut client = Peer::connect(sidecar.addr).await;
    client.write(GET).await;
    let mut upstream = origin.accept().await;
    upstream.head().await;

    let flood = "HTTP/1.1 102 Processing\r\n\r\n".repeat(1000);
    let flooding = async { while upstream.stream.write_all(flood.as_bytes()).await.is_ok() {} };
    in_time("the end of the connection", flooding).await;
    let answer = client.message().await;

    assert!(answer.head.starts_with("HTTP/1.1 504 "), "{}", answer.head);
    assert!(!origin.is_asked().await);
}

#[tokio::test]
async fn an_upstream_that_leaves_http_unasked_gave_no_answer() {
    let (_sidecar, mut client, mut upstream, _origin) =
        exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;

    upstream
        .write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n")
        .await;
    let answer = client.message().await;

    assert!(answer.head.starts_with("HTTP/1.1 502 "), "{}", answer.head);
    assert_eq!(
        answer.header("proxy-status"),
        Some("redrive; error=http_protocol_error")
    );
    assert_eq!(answer.header("redrive-ran"), Some("maybe"));
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_an_answer_that_it_understands() {
    let (_sidecar, mut client, mut upstream, _origin) = exchange("GET / HTTP/1.0\r\n\r\n").await;

    upstream
        .write(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n3\r\n, 2\r\n0\r\n\r\n",
        )
        .await;
    let answer = client.head().await;

    assert!(
        answer.head.starts_with("HTTP/1.0 200 OK\r\n") || answer.head.starts_with("HTTP/1.1 200"),
        "{}",
        answer.head
    );
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(client.rest().await, b"body, 2");
}

#[tokio::test]
async fn an_answer_that_breaks_in_its_middle_does_not_look_whole_to_a_client_of_http_1_0() {
    let (_sidecar, mut client, mut upstream, _origin) = exchange("GET / HTTP/1.0\r\n\r\n").await;
    upstream
        .write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .await;
    client.head().await;
    assert_eq!(client.read(5).await, b"hello");

    drop(upstream);
    let end = in_time("the end", client.stream.read(&mut [0; 8])).await;

    // Its length is told by the end of the connection alone, so that must not be an orderly one.
    assert!(end.is_err(), "{end:?}");
}

#[tokio::test]
async fn a_client_of_http_1_0_may_keep_its_connection() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let mut client = Peer::connect(sidecar.addr).await;

    for _ in 0..2 {
        client
            .write("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .await;
        let answer = client.message().await;
        assert_eq!(answer.body, b"done");
        assert_eq!(answer.header("connection"), Some("keep-alive"));
    }
}
