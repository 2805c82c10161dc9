//! A client that leaves takes everything with it: the wait, the attempt, the copy of its body.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::answers::{answer, ok, throttled, throttled_with};
use crate::support::{Client, Origin, Peer, Reply, Sidecar, Upstream, in_time};

const ATTEMPTS: &str = "redrive_attempts_total";
const REQUESTS: &str = "redrive_requests_total";

/// Nothing of any request is left, and no retry was paid for.
async fn nothing_is_left(sidecar: &Sidecar) {
    for gauge in [
        "redrive_in_flight_requests",
        "redrive_waiting_requests",
        "redrive_replay_bytes",
        "redrive_client_connections",
    ] {
        sidecar.settles(gauge, &[], 0.0).await;
    }
    assert!(sidecar.total("redrive_retry_budget_tokens", &[]).await >= 500.0);
}

#[tokio::test]
async fn a_client_that_leaves_during_the_attempt_ends_it() {
    for body in ["", "a body that is kept"] {
        let origin = Origin::new();
        let sidecar = Sidecar::before(origin.addr, "").await;
        let mut client = Client::connect(sidecar.addr).await;
        client.send("PUT", "/", &[], body.as_bytes()).await;
        let mut upstream = origin.accept().await;
        upstream.message().await;

        drop(client);

        assert_eq!(upstream.rest().await, b"", "the upstream is told");
        sidecar
            .settles(REQUESTS, &[r#"outcome="client_gone""#], 1.0)
            .await;
        assert_eq!(
            sidecar.total(ATTEMPTS, &[r#"class="cancelled""#]).await,
            1.0
        );
        assert_eq!(sidecar.total(ATTEMPTS, &[]).await, 1.0);
        assert!(!origin.is_asked().await);
        nothing_is_left(&sidecar).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_its_request_backs_off_leaves_no_retry_behind() {
    let upstream = Upstream::scripted(|_, request| {
        if request.head.starts_with("POST /leaves") {
            Reply::Bytes(throttled_with(&[("Retry-After", "3")]))
        } else {
            ok()
        }
    })
    .await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("POST", "/leaves", &[], b"a body").await;
    sidecar.reaches("redrive_waiting_requests", &[], 1.0).await;

    drop(client);

    sidecar
        .settles(REQUESTS, &[r#"outcome="client_gone""#], 1.0)
        .await;
    assert_eq!(
        sidecar
            .total(
                "redrive_retries_skipped_total",
                &[r#"reason="client_gone""#]
            )
            .await,
        1.0
    );
    nothing_is_left(&sidecar).await;
    assert_eq!(Client::get(sidecar.addr, "/stays").await.status, 200);
    assert_eq!(upstream.count(), 2, "one attempt of each");
    assert_eq!(sidecar.total("redrive_retries_total", &[]).await, 0.0);
}

#[tokio::test]
async fn a_client_that_leaves_during_its_own_upload_ends_the_attempt() {
    for framing in [
        "Content-Length: 100\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let origin = Origin::new();
        let sidecar = Sidecar::before(origin.addr, "").await;
        let mut client = Peer::connect(sidecar.addr).await;
        client
            .write(format!("PUT / HTTP/1.1\r\nHost: a\r\n{framing}"))
            .await;
        let mut upstream = origin.accept().await;
        upstream.head().await;
        upstream.read(4).await;

        drop(client);

        upstream.rest().await;
        sidecar
            .settles(REQUESTS, &[r#"outcome="client_gone""#], 1.0)
            .await;
        assert_eq!(
            sidecar.total(ATTEMPTS, &[r#"class="cancelled""#]).await,
            1.0
        );
        assert!(!origin.is_asked().await);
        nothing_is_left(&sidecar).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_an_upload_that_backs_off_leaves_no_retry_behind() {
    let early = Reply::Early(throttled_with(&[("Retry-After", "5")]));
    let upstream = Upstream::answering([early, ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let mut client = Client::connect(sidecar.addr).await;
    client
        .raw(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhalf")
        .await;
    sidecar.reaches("redrive_waiting_requests", &[], 1.0).await;
    // Nobody reads on before the retry, so the end of the connection stands behind these bytes.
    client.raw(&[b'x'; 30_000]).await;

    drop(client);

    sidecar
        .settles(REQUESTS, &[r#"outcome="client_gone""#], 1.0)
        .await;
    nothing_is_left(&sidecar).await;
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_answer_ends_it() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Peer::connect(sidecar.addr).await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream = origin.accept().await;
    upstream.message().await;
    upstream
        .write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .await;
    client.head().await;
    client.read(10).await;

    drop(client);

    assert_eq!(upstream.rest().await, b"", "the upstream is told");
    sidecar
        .settles(REQUESTS, &[r#"outcome="client_gone""#], 1.0)
        .await;
    assert_eq!(sidecar.total(ATTEMPTS, &[r#"class="ok""#]).await, 1.0);
    assert_eq!(sidecar.total(ATTEMPTS, &[]).await, 1.0);
    nothing_is_left(&sidecar).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_cut_off() {
    let origin = Origin::new();
    let toml = "[client]\nbody_idle = \"400ms\"\n[connections]\nmax = 1\n";
    let sidecar = Sidecar::before(origin.addr, toml).await;
    let mut deaf = Peer::connect(sidecar.addr).await;
    deaf.write("GET /deaf HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream = origin.accept().await;
    upstream.message().await;
    upstream
        .write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        .await;
    deaf.head().await;

    // Until its connection is closed under it: nobody hoards what the client does not take.
    let sending = async {
        let block = [b'x'; 65_536];
        while tokio::io::AsyncWriteExt::write_all(&mut upstream.stream, &block)
            .await
            .is_ok()
        {}
    };
    in_time("the end of the upstream's connection", sending).await;

    sidecar
        .settles(REQUESTS, &[r#"outcome="client_gone""#], 1.0)
        .await;
    // Its turn and its place among the connections are another's now.
    let mut next = Client::connect(sidecar.addr).await;
    next.send("GET", "/next", &[], b"").await;
    let mut upstream = origin.accept().await;
    upstream.message().await;
    upstream.write(answer("200 OK", &[], "next")).await;
    assert_eq!(next.answer_to("GET").await.text(), "next");
    let mut got = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(&mut deaf.stream, &mut got);
    assert!(
        in_time("the end", end).await.is_err(),
        "half an answer must not end like a whole one"
    );
    drop(next);
    nothing_is_left(&sidecar).await;
}

#[tokio::test]
async fn a_client_that_takes_its_answer_slowly_gets_all_of_it() {
    const LENGTH: usize = 24 * 1024 * 1024;
    let body = "x".repeat(LENGTH);
    let upstream = Upstream::answering([Reply::Bytes(answer("200 OK", &[], &body))]).await;
    let toml = "[client]\nbody_idle = \"1s\"\n";
    let sidecar = Sidecar::before(upstream.addr, toml).await;
    let mut slow = Peer::connect(sidecar.addr).await;
    slow.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    slow.head().await;

    for _ in 0..24 {
        // Longer altogether than a client may take nothing.
        tokio::time::sleep(Duration::from_millis(60)).await;
        slow.read(LENGTH / 24).await;
    }

    sidecar.settles(REQUESTS, &[r#"outcome="ok""#], 1.0).await;
}

#[tokio::test]
async fn a_client_that_says_it_is_done_has_left_unless_that_is_wanted() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Peer::connect(sidecar.addr).await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream = origin.accept().await;
    upstream.message().await;

    tokio::io::AsyncWriteExt::shutdown(&mut client.stream)
        .await
        .unwrap();

    assert_eq!(upstream.rest().await, b"", "the upstream is told");
    sidecar
        .settles(REQUESTS, &[r#"outcome="client_gone""#], 1.0)
        .await;
    nothing_is_left(&sidecar).await;
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_for_its_turn_is_never_sent() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "[pace]\nmode = \"off\"\nmax_in_flight = 1\n").await;
    let mut first = Client::connect(sidecar.addr).await;
    first.send("GET", "/first", &[], b"").await;
    let mut upstream = origin.accept().await;
    upstream.message().await;
    let mut second = Client::connect(sidecar.addr).await;
    second.send("GET", "/second", &[], b"").await;
    sidecar.reaches("redrive_waiting_requests", &[], 1.0).await;

    drop(second);
    sidecar
        .settles(REQUESTS, &[r#"outcome="client_gone""#], 1.0)
        .await;
    upstream.write(answer("200 OK", &[], "done")).await;

    assert_eq!(first.answer_to("GET").await.status, 200);
    assert!(!origin.is_asked().await);
    assert_eq!(sidecar.total(ATTEMPTS, &[]).await, 1.0);
    drop(first);
    nothing_is_left(&sidecar).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attempt_that_the_upstream_saw_is_counted_once_whoever_leaves_when() {
    // The upstream keeps its connections: a request written to one that it has just closed is counted, and never seen.
    let upstream = Upstream::scripted(|index, _| match index % 4 {
        0 | 2 => Reply::Bytes(throttled()),
        1 => Reply::After(Duration::from_millis(5), answer("200 OK", &[], "done")),
        _ => ok(),
    })
    .await;
    let sidecar = Sidecar::before(
        upstream.addr,
        "[retry]\nbackoff = { throttle_base = \"5ms\", max = \"10ms\" }\n",
    )
    .await;
    let mut rng = fastrand::Rng::with_seed(0x5eed);
    let mut clients = JoinSet::new();

    for number in 0..200 {
        let addr = sidecar.addr;
        let leaves = (number % 3 == 0).then(|| Duration::from_micros(rng.u64(0..12_000)));
        let starts = Duration::from_micros(rng.u64(0..100_000));
        clients.spawn(async move {
            tokio::time::sleep(starts).await;
            let mut client = Client::connect(addr).await;
            client.send("PUT", "/", &[], b"a body").await;
            match leaves {
                Some(after) => tokio::time::sleep(after).await,
                None => assert!(matches!(client.answer_to("PUT").await.status, 200 | 429)),
            }
        });
    }
    clients.join_all().await;

    nothing_but_the_budget_is_left(&sidecar).await;
    let counted = sidecar.total(ATTEMPTS, &[]).await;
    in_time("what was counted", async {
        while (upstream.count() as f64) < counted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(upstream.count() as f64, counted);
    // A client that is gone before its request is even looked at is no request; one that stays always is.
    let gone = sidecar.total(REQUESTS, &[r#"outcome="client_gone""#]).await;
    let requests = sidecar.total(REQUESTS, &[]).await;
    assert!(gone > 0.0 && gone <= 67.0, "{gone} left");
    assert!(requests - gone >= 133.0 && requests <= 200.0, "{requests}");
}

async fn nothing_but_the_budget_is_left(sidecar: &Sidecar) {
    for gauge in ["redrive_in_flight_requests", "redrive_client_connections"] {
        sidecar.settles(gauge, &[], 0.0).await;
    }
}
