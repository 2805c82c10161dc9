//! One connection of the gateway, byte by byte.

use tokio::io::{AsyncReadExt, DuplexStream, duplex};

use super::*;
use crate::clock;

const GET: &str = "GET / HTTP/1.1\r\n\r\n";

/// Serves a client, which is given its side of the connection, in virtual time. Returns how long the connection lived
/// and what was seen.
async fn serve_client<F: Future<Output = ()>>(
    client: impl FnOnce(DuplexStream, CancellationToken) -> F,
) -> (Duration, super::super::Seen) {
    let (ours, theirs) = duplex(64 * 1024);
    let closing = CancellationToken::new();
    let service = Arc::new(Service::new(&Params::default()));
    let start = clock::now();
    let server = async {
        serve(ours, Arc::clone(&service), closing.clone()).await;
        clock::now() - start
    };
    let (lived, ()) = tokio::join!(server, client(theirs, closing.clone()));
    (lived, service.counts.snapshot())
}

/// What the gateway says until it closes its side.
async fn everything(stream: &mut DuplexStream) -> String {
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_at_once_when_the_gateway_closes() {
    let (lived, _) = serve_client(|mut stream, closing| async move {
        closing.cancel();
        assert_eq!(everything(&mut stream).await, "");
    })
    .await;

    assert_eq!(lived, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_request_in_flight_says_that_the_gateway_closes() {
    serve_client(|mut stream, closing| async move {
        stream.write_all(GET.as_bytes()).await.unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        closing.cancel();

        let said = everything(&mut stream).await;

        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        assert!(said.contains("\r\nConnection: close\r\n"), "{said}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_execution_takes_the_service_time() {
    let (lived, seen) = serve_client(|mut stream, _| async move {
        let closing = GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        stream.write_all(closing.as_bytes()).await.unwrap();
        everything(&mut stream).await;
    })
    .await;

    assert_eq!(lived, Params::default().service_time);
    assert_eq!(seen.served, 1);
}

#[tokio::test(start_paused = true)]
async fn every_wait_for_a_client_ends() {
    async fn check(sent: &'static str, answer: &str, wait: Duration) {
        let (lived, seen) = serve_client(|mut stream, _| async move {
            stream.write_all(sent.as_bytes()).await.unwrap();
            let said = everything(&mut stream).await;
            assert!(said.starts_with(answer), "{sent:?}: {said:?}");
            // Leaves only when the gateway has: until then it is a client that never closes.
            stream.write_all(b"x").await.ok();
            while stream.write_all(&[0; 1024]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await;

        assert_eq!(lived, wait, "{sent:?}");
        assert_eq!(seen.in_flight, 0, "{sent:?}");
    }

    check("", "", IDLE_TIME_MAX).await;
    check("GET / HT", "HTTP/1.1 408 ", HEAD_TIME_MAX + LINGER_TIME_MAX).await;
    check(
        "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc",
        "HTTP/1.1 408 ",
        UPLOAD_TIME_MAX + LINGER_TIME_MAX,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_accepts_no_answer_is_left() {
    let (lived, seen) = serve_client(|mut stream, _| async move {
        let asks = "GET /-/counts HTTP/1.1\r\n\r\n".repeat(1_000);
        // Fails in the end: the gateway stops reading when its answers are not read.
        stream.write_all(asks.as_bytes()).await.ok();
        tokio::time::sleep(2 * SEND_TIME_MAX).await;
    })
    .await;

    assert_eq!(lived, SEND_TIME_MAX);
    assert_eq!(seen.requests, 0);
}
