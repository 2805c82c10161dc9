//! Upgrades: what goes up and comes back, when a handshake is sent again, and the tunnel behind a 101.

use crate::answers::{answer, throttled};
use crate::support::{Message, Origin, Peer, Reserved, Sidecar};

const TUNNELS: &str = "redrive_tunnels";
const OPEN: &str = "redrive_client_connections";
const UPSTREAM_OPEN: &str = "redrive_upstream_connections";
const SKIPPED: &str = "redrive_retries_skipped_total";

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: sidecar.test\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

const GET: &str = "GET / HTTP/1.1\r\nHost: sidecar.test\r\n\r\n";

/// Both ends of a tunnel through a sidecar.
struct Tunnel {
    client: Peer,
    upstream: Peer,
    sidecar: Sidecar,
    origin: Origin,
    asked: Message,
    switched: Message,
}

impl Tunnel {
    /// A tunnel through a sidecar with this on top of its configuration.
    async fn open(toml: &str) -> Self {
        let origin = Origin::new();
        let sidecar = Sidecar::before(origin.addr, toml).await;
        let mut client = Peer::connect(sidecar.addr).await;
        client.write(HANDSHAKE).await;
        let mut upstream = origin.accept().await;
        let asked = upstream.head().await;
        upstream.write(SWITCHED).await;
        let switched = client.head().await;
        Self {
            client,
            upstream,
            sidecar,
            origin,
            asked,
            switched,
        }
    }

    /// Bytes pass both ways.
    async fn carries(&mut self) {
        self.client.write(b"ping").await;
        assert_eq!(self.upstream.read(4).await, b"ping");
        self.upstream.write(b"pong").await;
        assert_eq!(self.client.read(4).await, b"pong");
    }
}

/// The number of a status line.
fn status(message: &Message) -> &str {
    &message.head[9..12]
}

#[tokio::test]
async fn a_handshake_passes_both_ways_and_bytes_are_carried_as_they_are() {
    let mut tunnel = Tunnel::open("").await;

    assert!(tunnel.asked.head.starts_with("GET /chat HTTP/1.1\r\n"));
    for (name, value) in [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        assert_eq!(tunnel.asked.headers(name), [value], "{name}");
    }
    assert_eq!(status(&tunnel.switched), "101");
    for (name, value) in [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ] {
        assert_eq!(tunnel.switched.headers(name), [value], "{name}");
    }
    // What looks like HTTP is carried like everything else.
    let down = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n";
    tunnel.upstream.write(down).await;
    assert_eq!(tunnel.client.read(down.len()).await, down);
    let up: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let (_, received) = tokio::join!(tunnel.client.write(&up), tunnel.upstream.read(up.len()));
    assert!(received == up, "300,000 bytes pass unchanged");
}

#[tokio::test]
async fn what_follows_a_handshake_at_once_is_not_lost() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Peer::connect(sidecar.addr).await;

    client.write(format!("{HANDSHAKE}first up")).await;
    let mut upstream = origin.accept().await;
    upstream.head().await;
    upstream.write(format!("{SWITCHED}first down")).await;

    client.head().await;
    assert_eq!(client.read(10).await, b"first down");
    assert_eq!(upstream.read(8).await, b"first up");
}

/// What would be refused as a request: a fragment, two lengths, and the beginning of another.
const LIKE_REQUESTS: &str =
    "GET /a#b HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nGET";

#[tokio::test]
async fn what_looks_like_a_request_behind_a_handshake_is_carried_as_it_is() {
    for is_sent_at_once in [true, false] {
        let origin = Origin::new();
        let sidecar = Sidecar::before(origin.addr, "").await;
        let mut client = Peer::connect(sidecar.addr).await;
        let other = HANDSHAKE.replace("websocket", "other");
        let (with, before) = if is_sent_at_once {
            (LIKE_REQUESTS, "")
        } else {
            ("", LIKE_REQUESTS)
        };

        client.write(format!("{other}{with}")).await;
        let mut upstream = origin.accept().await;
        upstream.head().await;
        client.write(before).await;
        upstream.write(SWITCHED).await;
        client.head().await;
        client.write("the rest").await;

        let carried = upstream.read(LIKE_REQUESTS.len() + 8).await;
        let carried = String::from_utf8_lossy(&carried);
        assert_eq!(carried, format!("{LIKE_REQUESTS}the rest"));
    }
}

#[tokio::test]
async fn a_client_that_leaves_with_its_handshake_unanswered_is_noticed() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Peer::connect(sidecar.addr).await;
    client.write(format!("{HANDSHAKE}first up")).await;
    let mut upstream = origin.accept().await;
    upstream.head().await;

    drop(client);

    assert_eq!(upstream.rest().await, b"");
    sidecar.settles(OPEN, &[], 0.0).await;
}

#[tokio::test]
async fn each_direction_of_a_tunnel_is_closed_by_itself() {
    for upstream_first in [false, true] {
        let Tunnel {
            client,
            upstream,
            sidecar,
            ..
        } = Tunnel::open("").await;
        let (mut first, mut second) = if upstream_first {
            (upstream, client)
        } else {
            (client, upstream)
        };

        first.write(b"done").await;
        tokio::io::AsyncWriteExt::shutdown(&mut first.stream)
            .await
            .unwrap();
        assert_eq!(second.rest().await, b"done");
        second.write(b"not yet").await;
        assert_eq!(first.read(7).await, b"not yet");
        drop(second);

        assert_eq!(first.rest().await, b"");
        sidecar.settles(TUNNELS, &[], 0.0).await;
    }
}

#[tokio::test]
async fn a_tunnel_is_counted_with_its_connections_until_it_ends() {
    let mut tunnel = Tunnel::open("").await;
    tunnel.carries().await;

    for gauge in [TUNNELS, OPEN, UPSTREAM_OPEN] {
        tunnel.sidecar.settles(gauge, &[], 1.0).await;
    }
    let family = "redrive_requests_total";
    let ok = [r#"outcome="ok""#];
    assert_eq!(tunnel.sidecar.total(family, &ok).await, 1.0);

    drop((tunnel.client, tunnel.upstream));
    for gauge in [TUNNELS, OPEN, UPSTREAM_OPEN] {
        tunnel.sidecar.settles(gauge, &[], 0.0).await;
    }
}

#[tokio::test]
async fn when_one_side_is_gone_the_other_is_closed() {
    let mut tunnel = Tunnel::open("").await;
    tunnel.carries().await;
    tunnel.client.reset();
    assert_eq!(tunnel.upstream.rest().await, b"");
    tunnel.sidecar.settles(TUNNELS, &[], 0.0).await;

    let mut tunnel = Tunnel::open("").await;
    tunnel.carries().await;
    tunnel.upstream.reset();
    assert_eq!(tunnel.client.rest().await, b"");
    tunnel.sidecar.settles(TUNNELS, &[], 0.0).await;
}

#[tokio::test]
async fn a_throttled_handshake_is_sent_again() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Peer::connect(sidecar.addr).await;
    client.write(HANDSHAKE).await;

    let mut upstream = origin.accept().await;
    upstream.head().await;
    upstream.write(throttled()).await;
    drop(upstream);
    let mut retried = origin.accept().await;
    let again = retried.head().await;
    retried.write(SWITCHED).await;
    let switched = client.head().await;

    assert_eq!(again.header("redrive-attempt"), Some("2"));
    assert_eq!(again.header("upgrade"), Some("websocket"));
    assert_eq!(
        (status(&switched), switched.header("redrive-attempts")),
        ("101", Some("2"))
    );
    client.write(b"ping").await;
    assert_eq!(retried.read(4).await, b"ping");
}

#[tokio::test]
async fn a_handshake_that_could_not_be_sent_is_sent_again() {
    let reserved = Reserved::new();
    let policy = "[retry]\nmax_attempts = { other = 1000 }\nbackoff = { max = \"30ms\" }\n";
    let sidecar = Sidecar::before(reserved.addr, policy).await;
    let mut client = Peer::connect(sidecar.addr).await;
    client.write(HANDSHAKE).await;
    let unsent = [r#"class="unsent""#];
    sidecar
        .reaches("redrive_attempts_total", &unsent, 1.0)
        .await;

    let mut upstream = reserved.listen().accept().await;
    upstream.head().await;
    upstream.write(SWITCHED).await;

    assert_eq!(status(&client.head().await), "101");
}

#[tokio::test]
async fn a_handshake_that_may_have_arrived_is_not_sent_again() {
    let error = answer("503 Service Unavailable", &[("Retry-After", "0")], "busy");
    for (reply, expected) in [(Some(error), "503"), (None, "502")] {
        let origin = Origin::new();
        let sidecar = Sidecar::before(origin.addr, "").await;
        let mut client = Peer::connect(sidecar.addr).await;
        client.write(HANDSHAKE).await;
        let mut upstream = origin.accept().await;
        upstream.head().await;
        match reply {
            Some(reply) => upstream.write(reply).await,
            None => drop(upstream),
        }

        let told = client.message().await;

        assert_eq!(
            (status(&told), told.header("redrive-reason")),
            (expected, Some("upgrade"))
        );
        let skipped = [r#"reason="upgrade""#];
        assert_eq!(sidecar.total(SKIPPED, &skipped).await, 1.0);
        assert!(!origin.is_asked().await);
    }
}

#[tokio::test]
async fn an_answer_other_than_101_is_an_ordinary_one() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Peer::connect(sidecar.addr).await;
    client.write(HANDSHAKE).await;
    let mut upstream = origin.accept().await;
    upstream.head().await;
    upstream.write(answer("403 Forbidden", &[], "no")).await;

    let refused = client.message().await;
    client.write(GET).await;
    upstream.head().await;
    upstream.write(answer("200 OK", &[], "yes")).await;
    let next = client.message().await;

    assert_eq!(
        (status(&refused), refused.body.as_slice()),
        ("403", &b"no"[..])
    );
    assert_eq!((status(&next), next.body.as_slice()), ("200", &b"yes"[..]));
    assert_eq!(sidecar.metric(TUNNELS).await, 0.0);
}

#[tokio::test]
async fn an_offer_of_another_http_is_not_passed_on_and_the_request_is_retried_like_any_other() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Peer::connect(sidecar.addr).await;
    client
        .write(
            "GET / HTTP/1.1\r\nHost: sidecar.test\r\nConnection: Upgrade, HTTP2-Settings\r\n\
             Upgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n\r\n",
        )
        .await;

    drop(origin.accept().await);
    let mut upstream = origin.accept().await;
    let asked = upstream.head().await;
    upstream.write(answer("200 OK", &[], "good")).await;

    assert_eq!(status(&client.message().await), "200");
    for name in ["upgrade", "connection", "http2-settings"] {
        assert_eq!(asked.header(name), None, "{}", asked.head);
    }
}

#[tokio::test]
async fn a_tunnel_takes_no_turn_but_a_connection() {
    let toml = "[pace]\nmax_in_flight = 1\n[connections]\nmax = 2\n";
    let mut tunnel = Tunnel::open(toml).await;
    tunnel.carries().await;

    let mut client = Peer::connect(tunnel.sidecar.addr).await;
    client.write(GET).await;
    let mut upstream = tunnel.origin.accept().await;
    upstream.head().await;
    upstream.write(answer("200 OK", &[], "good")).await;
    assert_eq!(status(&client.message().await), "200");

    let mut tunnel = Tunnel::open("[connections]\nmax = 1\n").await;
    tunnel.carries().await;
    let mut client = Peer::connect(tunnel.sidecar.addr).await;
    client
        .write("GET / HTTP/1.1\r\nHost: sidecar.test\r\nredrive-timeout: 300ms\r\n\r\n")
        .await;
    assert_eq!(status(&client.message().await), "504");
    assert!(!tunnel.origin.is_asked().await);
}

#[tokio::test]
async fn a_drain_waits_for_a_tunnel_and_its_end_closes_it() {
    let mut tunnel = Tunnel::open("[shutdown]\ngrace = \"20s\"\n").await;
    tunnel.sidecar.terminate();
    tunnel.carries().await;
    drop((tunnel.client, tunnel.upstream));
    // Long before its grace is over.
    tunnel.sidecar.ended().await;

    let mut tunnel = Tunnel::open("[shutdown]\ngrace = \"1500ms\"\n").await;
    tunnel.sidecar.terminate();
    tunnel.carries().await;
    assert_eq!(tunnel.client.rest().await, b"");
    assert_eq!(tunnel.upstream.rest().await, b"");
    tunnel.sidecar.ended().await;
}
