//! Which protocol the upstream is spoken to in, and on which connections: HTTP/2 where it chooses that, HTTP/1.1 where it or
//! the request requires it.

use h2::Reason;
use tokio::task::JoinSet;

use crate::answers::answer;
use crate::h2_origin::{Door, Origin, Secured, next};
use crate::support::frames::{self, Frame};
use crate::support::{Authority, Client, Peer, in_time};

const ATTEMPTS: &str = "redrive_attempts_total";
const OPEN: &str = "redrive_upstream_connections";
const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];

/// HTTP_1_1_REQUIRED (RFC 9113 section 7).
const HTTP_1_1_REQUIRED: u32 = 13;

/// SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113 section 6.5.2).
const MAX_CONCURRENT_STREAMS: u16 = 3;

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: sidecar.test\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// Answers 200 without a body.
async fn respond(peer: &mut Secured, stream: u32) {
    let ended = frames::END_STREAM | frames::END_HEADERS;
    peer.write(Frame::new(frames::HEADERS, ended, stream, [0x88]).bytes())
        .await;
}

#[tokio::test]
async fn a_post_that_requires_http_1_may_have_run_and_the_next_one_goes_in_http_1() {
    let door = Door::new(BOTH).await;
    let sidecar = door.sidecar("").await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("POST", "/", &[], b"").await;
    let mut refusing = door.accept_frames(&[]).await;
    let seen = next(&mut refusing, frames::HEADERS).await;

    refusing
        .write(Frame::reset(seen.stream, HTTP_1_1_REQUIRED).bytes())
        .await;

    let stopped = client.answer_to("POST").await;
    assert_eq!(stopped.status, 502);
    assert_eq!(stopped.header("redrive-reason"), Some("unsafe"));
    assert_eq!(stopped.header("redrive-ran"), Some("maybe"));
    let mut client = Client::connect(sidecar.addr).await;
    client.send("POST", "/next", &[], b"").await;
    let (mut taking, protocol) = door.accept().await;
    assert_eq!(protocol, b"http/1.1");
    taking.message().await;
    taking.write(answer("200 OK", &[], "done")).await;
    assert_eq!(client.answer_to("POST").await.status, 200);
}

#[tokio::test]
async fn a_request_that_requires_http_1_is_sent_again_in_it_and_the_next_ones_at_once() {
    let door = Door::new(BOTH).await;
    let sidecar = door.sidecar("").await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("PUT", "/", &[], b"the body").await;
    let mut refusing = door.accept_frames(&[]).await;
    let seen = next(&mut refusing, frames::DATA).await;

    refusing
        .write(Frame::reset(seen.stream, HTTP_1_1_REQUIRED).bytes())
        .await;

    let (mut taking, protocol) = door.accept().await;
    assert_eq!(protocol, b"http/1.1");
    assert_eq!(taking.message().await.body, b"the body");
    taking.write(answer("200 OK", &[], "done")).await;
    let first = client.answer_to("PUT").await;
    assert_eq!(
        (first.status, first.header("redrive-attempts")),
        (200, Some("2"))
    );
    let broken = sidecar.total(ATTEMPTS, &[r#"class="broken""#]).await;
    assert_eq!(broken, 1.0);
    client.send("GET", "/next", &[], b"").await;
    taking.message().await;
    taking.write(answer("200 OK", &[], "done")).await;
    let next_one = client.answer_to("GET").await;
    assert_eq!(
        (next_one.status, next_one.header("redrive-attempts")),
        (200, None)
    );
    // The old connection has nothing left to do.
    next(&mut refusing, frames::GOAWAY).await;
    sidecar.settles(OPEN, &[], 1.0).await;
}

#[tokio::test]
async fn streams_in_flight_go_on_when_another_one_requires_http_1() {
    let door = Door::new(BOTH).await;
    let sidecar = door.sidecar("").await;
    let mut stays = Client::connect(sidecar.addr).await;
    stays.send("PUT", "/stays", &[], b"").await;
    let mut peer = door.accept_frames(&[]).await;
    let staying = next(&mut peer, frames::HEADERS).await.stream;
    let mut moves = Client::connect(sidecar.addr).await;
    moves.send("PUT", "/moves", &[], b"").await;
    let moving = next(&mut peer, frames::HEADERS).await.stream;

    peer.write(Frame::reset(moving, HTTP_1_1_REQUIRED).bytes())
        .await;

    let (mut other, _) = door.accept().await;
    other.message().await;
    other.write(answer("200 OK", &[], "moved")).await;
    assert_eq!(moves.answer_to("PUT").await.text(), "moved");
    respond(&mut peer, staying).await;
    let stayed = stays.answer_to("PUT").await;
    assert_eq!(
        (stayed.status, stayed.header("redrive-attempts")),
        (200, None)
    );
}

#[tokio::test]
async fn an_upstream_that_requires_http_1_and_has_none_is_spoken_to_in_http_2_again() {
    let door = Door::new(&[b"h2"]).await;
    let sidecar = door.sidecar("").await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("PUT", "/", &[], b"").await;
    let mut peer = door.accept_frames(&[]).await;
    let seen = next(&mut peer, frames::HEADERS).await;
    peer.write(Frame::reset(seen.stream, HTTP_1_1_REQUIRED).bytes())
        .await;

    assert!(door.refuses().await, "no common protocol");

    let mut peer = door.accept_frames(&[]).await;
    let seen = next(&mut peer, frames::HEADERS).await;
    respond(&mut peer, seen.stream).await;
    let answer = client.answer_to("PUT").await;
    assert_eq!(
        (answer.status, answer.header("redrive-attempts")),
        (200, Some("3"))
    );
}

#[tokio::test]
async fn an_upgrade_has_an_http_1_connection_of_its_own() {
    let door = Door::new(BOTH).await;
    let sidecar = door.sidecar("").await;
    let mut plain = Client::connect(sidecar.addr).await;
    plain.send("GET", "/", &[], b"").await;
    let mut shared = door.accept_frames(&[]).await;
    let asked = next(&mut shared, frames::HEADERS).await.stream;
    let mut client = Peer::connect(sidecar.addr).await;
    client.write(HANDSHAKE).await;

    let (mut switched, protocol) = door.accept().await;
    assert_eq!(protocol, b"http/1.1");
    assert_eq!(switched.head().await.headers("upgrade"), ["websocket"]);
    switched.write(SWITCHED).await;
    assert!(client.head().await.head.starts_with("HTTP/1.1 101 "));
    client.write(b"ping").await;
    assert_eq!(switched.read(4).await, b"ping");
    switched.write(b"pong").await;
    assert_eq!(client.read(4).await, b"pong");

    // Everybody else goes on in HTTP/2, on the connection that there was.
    respond(&mut shared, asked).await;
    assert_eq!(plain.answer_to("GET").await.status, 200);
    plain.send("GET", "/", &[], b"").await;
    let asked = next(&mut shared, frames::HEADERS).await.stream;
    respond(&mut shared, asked).await;
    assert_eq!(plain.answer_to("GET").await.status, 200);
    assert_eq!(sidecar.total(OPEN, &[]).await, 2.0);
}

#[tokio::test]
async fn an_upgrade_takes_the_place_of_a_connection_that_carries_nothing() {
    for is_busy in [false, true] {
        let door = Door::new(BOTH).await;
        // Switched off, since the pace would let no more go than there are connections.
        let sidecar = door
            .sidecar("bypass = true\n[connections]\nmax = 1\n")
            .await;
        let mut plain = Client::connect(sidecar.addr).await;
        plain.send("GET", "/", &[], b"").await;
        let mut shared = door.accept_frames(&[]).await;
        let asked = next(&mut shared, frames::HEADERS).await.stream;
        let mut client = Peer::connect(sidecar.addr).await;
        if is_busy {
            client.write(HANDSHAKE).await;
            // What comes behind it has a stream at once.
            let mut other = Client::connect(sidecar.addr).await;
            other.send("GET", "/", &[], b"").await;
            let late = next(&mut shared, frames::HEADERS).await.stream;
            respond(&mut shared, late).await;
            assert_eq!(other.answer_to("GET").await.status, 200);
        }
        respond(&mut shared, asked).await;
        assert_eq!(plain.answer_to("GET").await.status, 200);
        if !is_busy {
            client.write(HANDSHAKE).await;
        }

        next(&mut shared, frames::GOAWAY).await;
        let (mut switched, _) = door.accept().await;
        switched.head().await;
        switched.write(SWITCHED).await;

        assert!(client.head().await.head.starts_with("HTTP/1.1 101 "));
    }
}

#[tokio::test]
async fn a_101_on_a_stream_switches_nothing() {
    let door = Door::new(BOTH).await;
    let sidecar = door
        .sidecar("[retry]\nmax_attempts = { other = 1 }\n")
        .await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("GET", "/", &[], b"").await;
    let mut peer = door.accept_frames(&[]).await;
    let asked = next(&mut peer, frames::HEADERS).await.stream;

    // `:status: 101`, a literal with the name of entry 8, and then nothing more.
    let switching = [&[0x08, 3][..], b"101"].concat();
    let ended = frames::END_STREAM | frames::END_HEADERS;
    peer.write(Frame::new(frames::HEADERS, ended, asked, switching).bytes())
        .await;

    assert_eq!(client.answer_to("GET").await.status, 502);
    assert_eq!(sidecar.total("redrive_tunnels", &[]).await, 0.0);
}

#[tokio::test]
async fn an_answer_of_two_lengths_is_no_answer() {
    let origin = Origin::new(100, |mut call| async move {
        let lengths = [("content-length", "4"), ("content-length", "5")];
        call.answer(200, &lengths, b"four".to_vec());
    })
    .await;
    let sidecar = origin.door.sidecar("").await;

    let answer = Client::post(sidecar.addr, "/", b"").await;

    assert_eq!((answer.status, origin.calls()), (502, 1));
}

#[tokio::test]
async fn a_farewell_does_not_say_that_the_streams_below_it_did_not_run() {
    for reason in [Reason::NO_ERROR, Reason::INTERNAL_ERROR] {
        let door = Door::new(BOTH).await;
        let sidecar = door.sidecar("").await;
        let mut client = Client::connect(sidecar.addr).await;
        client.send("POST", "/", &[], b"").await;
        let mut leaving = door.accept_frames(&[]).await;
        let seen = next(&mut leaving, frames::HEADERS).await.stream;

        leaving
            .write(Frame::goaway(seen, reason.into()).bytes())
            .await;
        drop(leaving);

        let answer = client.answer_to("POST").await;
        assert_eq!(answer.explained(), ("1", "unsafe", "maybe"), "{reason:?}");
        assert!(!door.is_asked().await);
    }
}

#[tokio::test]
async fn changed_roots_are_used_by_new_connections_and_old_ones_end_with_their_streams() {
    let door = Door::new(BOTH).await;
    let sidecar = door
        .sidecar("[retry]\nmax_attempts = { other = 1 }\n")
        .await;
    let mut first = Client::connect(sidecar.addr).await;
    first.send("GET", "/first", &[], b"").await;
    let mut old = door.accept_frames(&[]).await;
    let asked = next(&mut old, frames::HEADERS).await.stream;

    door.trust(&Authority::new());
    sidecar.reload_tls().await;
    let distrusting = tokio::join!(Client::get(sidecar.addr, "/"), door.refuses());
    door.trust(&door.authority);
    sidecar.reload_tls().await;
    let mut second = Client::connect(sidecar.addr).await;
    second.send("GET", "/second", &[], b"").await;
    let mut new = door.accept_frames(&[]).await;

    assert_eq!(
        (distrusting.0.status, distrusting.1),
        (502, true),
        "by the new roots it is a stranger"
    );
    let late = next(&mut new, frames::HEADERS).await.stream;
    respond(&mut new, late).await;
    assert_eq!(second.answer_to("GET").await.status, 200);
    respond(&mut old, asked).await;
    assert_eq!(first.answer_to("GET").await.status, 200);
    next(&mut old, frames::GOAWAY).await;
    sidecar.settles(OPEN, &[], 1.0).await;
}

#[tokio::test]
async fn a_connection_that_was_begun_with_old_roots_carries_its_own_request_alone() {
    let door = Door::new(BOTH).await;
    let sidecar = door
        .sidecar("[retry]\nmax_attempts = { other = 1 }\n")
        .await;
    let mut first = Client::connect(sidecar.addr).await;
    first.send("GET", "/", &[], b"").await;
    let begun = door.accept_begun().await;

    door.trust(&Authority::new());
    sidecar.reload_tls().await;

    let mut old = door.greet(begun, &[]).await;
    let asked = next(&mut old, frames::HEADERS).await.stream;
    let (second, is_refused) = tokio::join!(Client::get(sidecar.addr, "/"), door.refuses());
    assert_eq!((second.status, is_refused), (502, true));
    respond(&mut old, asked).await;
    assert_eq!(first.answer_to("GET").await.status, 200);
    next(&mut old, frames::GOAWAY).await;
}

#[tokio::test]
async fn an_upstream_that_turns_down_our_certificate_is_told_apart_from_one_that_hangs_up() {
    let door = Door::asking(BOTH, Some(&Authority::new())).await;
    let sidecar = door
        .sidecar("[retry]\nmax_attempts = { other = 1 }\n")
        .await;

    let (answer, is_refused) =
        tokio::join!(Client::post(sidecar.addr, "/", b"secret"), door.refuses());

    assert!(is_refused);
    assert_eq!(
        (answer.status, answer.header("proxy-status")),
        (502, Some("redrive; error=tls_alert_received"))
    );
    assert_eq!(answer.header("redrive-ran"), Some("no"));
}

#[tokio::test]
async fn a_connection_that_somebody_else_makes_is_not_waited_for_for_ever() {
    let door = Door::new(BOTH).await;
    let sidecar = door.sidecar("[deadline]\nconnect = \"25s\"\n").await;
    let mut first = Client::connect(sidecar.addr).await;
    first.send("GET", "/", &[], b"").await;
    let silent = door.accept_tcp().await;

    let mut second = Client::connect(sidecar.addr).await;
    second.send("GET", "/", &[], b"").await;

    // Its handshake still waits for an answer while the second one's is through.
    let mut peer = door.accept_frames(&[]).await;
    let one = next(&mut peer, frames::HEADERS).await.stream;
    respond(&mut peer, one).await;
    assert_eq!(second.answer_to("GET").await.status, 200);
    drop(silent);
    let mut later = Client::connect(sidecar.addr).await;
    later.send("GET", "/", &[], b"").await;
    for _ in 0..2 {
        let each = next(&mut peer, frames::HEADERS).await.stream;
        respond(&mut peer, each).await;
    }
    for mut client in [first, later] {
        assert_eq!(client.answer_to("GET").await.status, 200);
    }
}

#[tokio::test]
async fn a_request_that_waits_for_a_connection_takes_a_stream_that_becomes_free() {
    let door = Door::new(BOTH).await;
    let sidecar = door.sidecar("").await;
    let mut first = Client::connect(sidecar.addr).await;
    first.send("GET", "/first", &[], b"").await;
    let mut peer = door.accept_frames(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
    let asked = next(&mut peer, frames::HEADERS).await.stream;
    // It makes a connection whose handshake nobody answers, and another one waits for that.
    let mut second = Client::connect(sidecar.addr).await;
    second.send("GET", "/second", &[], b"").await;
    let _silent = door.accept_tcp().await;
    let mut third = Client::connect(sidecar.addr).await;
    third.send("GET", "/third", &[], b"").await;

    respond(&mut peer, asked).await;
    assert_eq!(first.answer_to("GET").await.status, 200);

    let asked = next(&mut peer, frames::HEADERS).await.stream;
    respond(&mut peer, asked).await;
    assert_eq!(third.answer_to("GET").await.status, 200);
}

#[tokio::test]
async fn requests_that_wait_for_a_stream_go_when_the_upstream_takes_more() {
    let door = Door::new(BOTH).await;
    // Switched off, since the pace would let no more go than there are connections.
    let sidecar = door
        .sidecar("bypass = true\n[connections]\nmax = 1\n")
        .await;
    let mut clients = JoinSet::new();
    for _ in 0..3 {
        let addr = sidecar.addr;
        clients.spawn(async move { Client::get(addr, "/").await.status });
    }
    let mut peer = door.accept_frames(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
    let mut asked = vec![next(&mut peer, frames::HEADERS).await.stream];

    peer.write(Frame::settings(&[(MAX_CONCURRENT_STREAMS, 3)]).bytes())
        .await;

    for _ in 0..2 {
        asked.push(next(&mut peer, frames::HEADERS).await.stream);
    }
    for stream in asked {
        respond(&mut peer, stream).await;
    }
    let statuses = in_time("all answers", clients.join_all()).await;
    assert_eq!(statuses, [200; 3]);
}
