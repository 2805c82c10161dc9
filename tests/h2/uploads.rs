//! Uploads that end before their end: the upstream must never take a part of one for all of it.

use crate::client::Client;
use crate::support::{Origin, Sidecar};
use crate::wire::{DATA, END_HEADERS, END_STREAM, Frame, HEADERS, RST_STREAM, request};

/// The codes that a client may reset a stream with, from NO_ERROR to HTTP_1_1_REQUIRED (RFC 9113, section 7).
const CODES: std::ops::Range<u32> = 0..14;

fn head(stream: u32) -> Vec<u8> {
    Frame::new(HEADERS, END_HEADERS, stream, request("PUT", "/")).bytes()
}

fn data(stream: u32, flags: u8, bytes: &[u8]) -> Vec<u8> {
    Frame::new(DATA, flags, stream, bytes).bytes()
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    Frame::new(RST_STREAM, 0, stream, code.to_be_bytes()).bytes()
}

#[tokio::test]
async fn an_upload_whose_stream_is_reset_in_its_middle_never_looks_whole() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Client::connect(sidecar.addr, &[]).await;

    for code in CODES {
        let stream = 2 * code + 1;
        client
            .send(&[head(stream), data(stream, 0, b"half")].concat())
            .await;
        let mut upstream = origin.accept().await;
        upstream.head().await;
        upstream.read(b"4\r\nhalf\r\n".len()).await;
        // What comes with the reset is passed on before anybody hears of it.
        client
            .send(&[data(stream, 0, b"more"), reset(stream, code)].concat())
            .await;

        let rest = upstream.rest().await;
        let is_whole = rest.ends_with(b"0\r\n\r\n");
        assert!(!is_whole, "code {code}: {}", rest.escape_ascii());
    }

    let gone = [r#"outcome="client_gone""#];
    let gone = sidecar.settles("redrive_requests_total", &gone, 14.0);
    gone.await;
    sidecar.settles("redrive_replay_bytes", &[], 0.0).await;
    let attempts = sidecar.total("redrive_attempts_total", &[]).await;
    assert_eq!(attempts, 14.0, "nothing is sent again");
}

#[tokio::test]
async fn an_upload_that_comes_to_its_end_is_whole() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Client::connect(sidecar.addr, &[]).await;

    client.send(&[head(1), data(1, 0, b"half")].concat()).await;
    let mut upstream = origin.accept().await;
    upstream.head().await;
    upstream.read(b"4\r\nhalf\r\n".len()).await;
    client.send(&data(1, END_STREAM, b"")).await;

    let end = upstream.read(b"0\r\n\r\n".len()).await;
    assert_eq!(end, b"0\r\n\r\n");
}
