//! Heads and bodies as clients send them, broken ones included.

use super::*;

/// Reads one request from `input`, handed over one byte at a time: no split of it may matter.
async fn read(input: &str) -> Result<(Head, Weight), Unreadable> {
    let mut parts = one_by_one(input.as_bytes());
    let head = parts.head().await?;
    let weight = parts.body(head.framing, 100).await?;
    Ok((head, weight))
}

/// A reader whose every read gives one byte.
struct OneByOne<'a>(&'a [u8]);

impl AsyncRead for OneByOne<'_> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        if let Some((first, rest)) = self.0.split_first() {
            buf.put_slice(&[*first]);
            self.0 = rest;
        }
        std::task::Poll::Ready(Ok(()))
    }
}

fn one_by_one(bytes: &[u8]) -> Wire<OneByOne<'_>> {
    Wire::new(OneByOne(bytes))
}

async fn weight_of(input: &str) -> Weight {
    read(input).await.expect("a sound request").1
}

#[tokio::test]
async fn the_head_of_a_plain_request_is_read_whole() {
    let (head, weight) = read("GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Y: z\r\n\r\n")
        .await
        .unwrap();

    assert_eq!(head.method, "GET");
    assert_eq!(head.target, "/a?b=c");
    assert_eq!(head.headers, 2);
    assert!(head.keep_alive && !head.expects_continue);
    assert_eq!(weight, Weight::ZERO);
}

#[tokio::test]
async fn a_body_weighs_the_same_however_it_is_framed() {
    let sized = weight_of("POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\nfoobar").await;
    let chunked = weight_of(
        "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nfoo\r\n03 \r\nbar\r\n0\r\nTrailer: t\r\n\r\n",
    )
    .await;

    // The published FNV-1a vector for "foobar".
    assert_eq!(
        sized,
        Weight {
            bytes: 6,
            fnv1a: 0x85944171f73967e8
        }
    );
    assert_eq!(chunked, sized);
}

#[tokio::test]
async fn a_connection_goes_on_as_its_version_and_header_say() {
    #[track_caller]
    fn check(keep_alive: bool, head: &Head) {
        assert_eq!(head.keep_alive, keep_alive);
    }
    for (input, keep_alive) in [
        ("GET / HTTP/1.1\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
    ] {
        check(keep_alive, &read(input).await.unwrap().0);
    }
}

#[tokio::test]
async fn what_two_readers_could_frame_differently_is_refused() {
    for lines in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 3",
        "Content-Length: +3",
        "Content-Length: 99999999999999999999",
        "Content-Length:",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ] {
        let read = read(&format!("POST / HTTP/1.1\r\n{lines}\r\n\r\nabc")).await;
        assert!(
            matches!(read, Err(Unreadable::Refused(StatusCode::BAD_REQUEST))),
            "{lines}: {read:?}"
        );
    }
}

#[tokio::test]
async fn a_malformed_chunk_is_refused() {
    for body in [
        "x\r\n",
        "\r\n",
        "-1\r\n",
        "3\r\nabcd\r\n",
        "3\nabc",
        "11111111111111111\r\n",
    ] {
        let input = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let read = read(&input).await;
        assert!(
            matches!(read, Err(Unreadable::Refused(StatusCode::BAD_REQUEST))),
            "{body:?}: {read:?}"
        );
    }
}

#[tokio::test]
async fn a_body_is_too_large_from_the_first_byte_over_the_limit() {
    let zeros = "0".repeat(100);
    let limit = format!("POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n{zeros}");
    assert_eq!(weight_of(&limit).await.bytes, 100);

    let chunks = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n";
    for over in [
        "POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n".to_owned(),
        format!("{chunks}{zeros}\r\n1\r\n"),
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_owned(),
    ] {
        let read = read(&over).await;
        assert!(matches!(read, Err(Unreadable::TooLarge)), "{read:?}");
    }
}

#[tokio::test]
async fn a_head_over_its_limits_is_refused_and_one_at_its_limit_is_read() {
    let frame = "GET / HTTP/1.1\r\nA: \r\n\r\n".len();
    for (padding, sound) in [
        (HEAD_BYTES_MAX - frame, true),
        (HEAD_BYTES_MAX - frame + 1, false),
    ] {
        let input = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(padding));
        let mut whole = Wire::new(input.as_bytes());
        assert_eq!(
            whole.head().await.is_ok(),
            sound,
            "{padding} bytes of padding"
        );
    }

    let lines = format!(
        "GET / HTTP/1.1\r\n{}\r\n",
        "A: b\r\n".repeat(HEADERS_MAX + 1)
    );
    let read = read(&lines).await;
    assert!(
        matches!(
            read,
            Err(Unreadable::Refused(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            ))
        ),
        "{read:?}"
    );
}

#[tokio::test]
async fn endless_lines_and_endless_trailers_are_refused() {
    let start = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for input in [
        format!("{start}1;{}", "x".repeat(2 * LINE_BYTES_MAX)),
        format!("{start}0\r\n{}", "A: b\r\n".repeat(HEADERS_MAX + 1)),
    ] {
        let read = read(&input).await;
        assert!(matches!(read, Err(Unreadable::Refused(_))), "{read:?}");
    }
}

#[tokio::test]
async fn connect_is_refused() {
    let read = read("CONNECT a:443 HTTP/1.1\r\n\r\n").await;
    assert!(matches!(
        read,
        Err(Unreadable::Refused(StatusCode::METHOD_NOT_ALLOWED))
    ));
}

#[tokio::test]
async fn a_stream_that_ends_in_the_middle_is_broken() {
    for input in [
        "GET / HT",
        "POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\nfoo",
    ] {
        let read = read(input).await;
        assert!(matches!(read, Err(Unreadable::Broken(_))), "{read:?}");
    }
}
