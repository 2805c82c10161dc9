//! redrive's own limits on what one connection may do, and that they harm nobody else.

use crate::client::{Client, Fault};
use crate::support::{Message, Origin, Peer, Reply, Sidecar, Upstream, in_time};
use crate::wire::{ACK, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, RST_STREAM};
use crate::wire::{WINDOW_UPDATE, field, request};

const GONE: [&str; 1] = [r#"outcome="client_gone""#];

fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn headers(stream: u32, flags: u8, method: &str, path: &str) -> Vec<u8> {
    Frame::new(HEADERS, flags, stream, request(method, path)).bytes()
}

fn cancel(stream: u32) -> Vec<u8> {
    Frame::new(RST_STREAM, 0, stream, 8_u32.to_be_bytes()).bytes()
}

fn window(stream: u32, increment: u32) -> Vec<u8> {
    Frame::new(WINDOW_UPDATE, 0, stream, increment.to_be_bytes()).bytes()
}

/// The setting that closes the window of every stream.
const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];

#[tokio::test]
async fn a_request_that_is_cancelled_in_the_same_breath_goes_nowhere() {
    let upstream = Upstream::answering([Reply::Bytes(answer(b"done"))]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let mut client = Client::connect(sidecar.addr, &[]).await;

    // So that there are connections to the upstream on which a request could go at once.
    let streams = (1..=20).map(|number| 2 * number + 1);
    for stream in streams.clone() {
        client.get(stream, "/asked").await;
    }
    for _ in streams.clone() {
        client.until("an answer", |it| it.kind == DATA).await;
    }

    let cancelled = streams.map(|stream| stream + 100).map(|stream| {
        let head = headers(stream, END_STREAM | END_HEADERS, "GET", "/cancelled");
        [head, cancel(stream)].concat()
    });
    client.send(&cancelled.collect::<Vec<_>>().concat()).await;
    client.get(201, "/asked").await;

    assert_eq!(client.answer(201).await, 200);
    let seen = upstream.seen();
    let is_asked = |it: &&Message| it.head.starts_with("GET /asked ");
    assert_eq!(seen.iter().filter(is_asked).count(), seen.len(), "{seen:?}");
    let attempts = sidecar.total("redrive_attempts_total", &[]).await;
    assert_eq!(attempts, 21.0);
}

#[tokio::test]
async fn a_client_that_cancels_whatever_it_asks_is_shown_out() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Client::connect(sidecar.addr, &[]).await;

    let mut asked = 0;
    while asked <= 100 {
        let stream = 2 * asked + 1;
        client.get(stream, "/cancelled").await;
        let mut upstream = origin.accept().await;
        upstream.head().await;
        client.send(&cancel(stream)).await;
        upstream.rest().await;
        asked += 1;
    }

    assert_eq!(client.fault().await, Fault::Closed);
    assert_eq!(sidecar.total("redrive_requests_total", &GONE).await, 101.0);
    let tokens = sidecar.total("redrive_retry_budget_tokens", &[]).await;
    assert_eq!(tokens, 500.0, "the budget is untouched");
}

#[tokio::test]
async fn an_answer_whose_window_stays_closed_is_given_up_and_no_other() {
    let big: &'static [u8] = &[b'x'; 1 << 20];
    let upstream = Upstream::scripted(move |_, seen: &Message| {
        let is_big = seen.head.starts_with("GET /big ");
        Reply::Bytes(answer(if is_big { big } else { b"done" }))
    })
    .await;
    let toml = "[client]\nbody_idle = \"1s\"\n[connections]\nmax = 1\n";
    let sidecar = Sidecar::before(upstream.addr, toml).await;
    let mut client = Client::connect(sidecar.addr, &NO_WINDOW).await;
    client.get(1, "/big").await;
    client.until("a head", |it| it.kind == HEADERS).await;

    // There is one turn, and the first answer has it.
    client.get(3, "/other").await;
    client.send(&window(3, 100)).await;

    assert_eq!(client.answer(3).await, 200);
    sidecar.settles("redrive_requests_total", &GONE, 1.0).await;
    client.send(&window(1, 1 << 30)).await;
    let reset = |it: &Frame| it.kind == RST_STREAM && it.stream == 1;
    client.until("the end of the answer", reset).await;
    client.get(5, "/other").await;
    client.send(&window(5, 100)).await;
    assert_eq!(client.answer(5).await, 200);
}

#[tokio::test]
async fn an_answer_that_is_taken_slowly_comes_whole() {
    let upstream = Upstream::answering([Reply::Bytes(answer(&[b'x'; 300]))]).await;
    let toml = "[client]\nbody_idle = \"1s\"\n";
    let sidecar = Sidecar::before(upstream.addr, toml).await;
    let mut client = Client::connect(sidecar.addr, &NO_WINDOW).await;
    client.get(1, "/").await;
    client.until("a head", |it| it.kind == HEADERS).await;

    let mut taken = 0;
    while taken < 300 {
        client.send(&window(1, 100)).await;
        let data = client.until("data", |it| it.kind == DATA).await;
        taken += data.payload.len();
    }

    assert_eq!(taken, 300);
}

/// Reads a whole goodbye: the server's wish to go, and its going when it knows that the client has heard of it.
async fn is_told_goodbye(client: &mut Client, last: u32) {
    let first = loop {
        let frame = client.next().await.expect("a goodbye before the end");
        if frame.kind == GOAWAY {
            break frame;
        }
    };
    assert_eq!(first.code(), "NO_ERROR");
    let ping = client.until("a PING", |it| it.kind == PING).await;
    let pong = Frame::new(PING, ACK, 0, ping.payload);
    client.send(&pong.bytes()).await;
    let second = client.next().await.expect("the last stream");
    assert_eq!(
        (second.kind, &second.payload[..4]),
        (GOAWAY, &last.to_be_bytes()[..])
    );
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn an_idle_connection_is_closed_with_a_goodbye() {
    let upstream = Upstream::answering([Reply::Bytes(answer(b"done"))]).await;
    let sidecar = Sidecar::before(upstream.addr, "[client]\nidle = \"1s\"\n").await;
    let mut client = Client::connect(sidecar.addr, &[]).await;
    client.get(1, "/").await;
    assert_eq!(client.answer(1).await, 200);

    is_told_goodbye(&mut client, 1).await;

    sidecar
        .settles("redrive_client_connections", &[], 0.0)
        .await;
}

#[tokio::test]
async fn so_is_one_on_which_nothing_was_asked() {
    let upstream = Upstream::answering([Reply::Bytes(answer(b"done"))]).await;
    let toml = "[client]\nheader_timeout = \"1s\"\n";
    let sidecar = Sidecar::before(upstream.addr, toml).await;
    let mut client = Client::connect(sidecar.addr, &[]).await;

    is_told_goodbye(&mut client, 0).await;
}

/// redrive with one turn, and who has it: the first upload, on stream 1.
async fn one_turn() -> (Origin, Sidecar, Client, Peer) {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "[connections]\nmax = 1\n").await;
    let mut client = Client::connect(sidecar.addr, &[]).await;
    let length = field(b"content-length", b"32768");
    let head = [request("PUT", "/first"), length].concat();
    let head = Frame::new(HEADERS, END_HEADERS, 1, head);
    client.send(&head.bytes()).await;
    let mut upstream = origin.accept().await;
    upstream.head().await;
    (origin, sidecar, client, upstream)
}

#[tokio::test]
async fn uploads_that_wait_for_their_turn_leave_room_for_the_one_that_has_it() {
    let (_origin, sidecar, mut client, mut upstream) = one_turn().await;
    let frame = vec![b'x'; 16 << 10];

    for stream in (3..200).step_by(2) {
        let head = headers(stream, END_HEADERS, "PUT", "/waits");
        let part = Frame::new(DATA, 0, stream, frame.clone()).bytes();
        client.send(&[head, part.repeat(4)].concat()).await;
    }
    sidecar.reaches("redrive_waiting_requests", &[], 99.0).await;
    client
        .send(&Frame::new(DATA, 0, 1, frame.clone()).bytes())
        .await;
    client
        .send(&Frame::new(DATA, END_STREAM, 1, frame).bytes())
        .await;

    upstream.read(32 << 10).await;
    upstream.write(answer(b"done")).await;
    assert_eq!(client.answer(1).await, 200);
}

#[tokio::test]
async fn an_upload_that_sends_more_than_it_may_is_stopped() {
    let (_origin, sidecar, mut client, _upstream) = one_turn().await;
    let part = Frame::new(DATA, 0, 3, vec![b'x'; 16 << 10]).bytes();

    let head = headers(3, END_HEADERS, "PUT", "/waits");
    client.send(&[head, part.repeat(5)].concat()).await;

    let code = "FLOW_CONTROL_ERROR".to_owned();
    assert_eq!(client.fault().await, Fault::Stream(3, code));
    sidecar.settles("redrive_waiting_requests", &[], 0.0).await;
}

#[tokio::test]
async fn a_connection_lives_as_long_as_its_requests_when_the_server_stops() {
    let origin = Origin::new();
    let mut sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Client::connect(sidecar.addr, &[]).await;
    client.get(1, "/").await;
    let mut upstream = origin.accept().await;
    upstream.head().await;

    sidecar.terminate();
    let goodbye = client.until("a goodbye", |it| it.kind == GOAWAY).await;
    upstream.write(answer(b"done")).await;

    assert_eq!(goodbye.code(), "NO_ERROR");
    assert_eq!(in_time("an answer", client.answer(1)).await, 200);
}
