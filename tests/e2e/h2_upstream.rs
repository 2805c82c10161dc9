//! HTTP/2 to the upstream: what is shared, what is refused, what is cut, and what of that may be sent again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h2::Reason;
use http::{HeaderMap, Request, Response};
use tokio::sync::{Barrier, Mutex, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::answers::answer;
use crate::h2_origin::{Door, Origin, next};
use crate::support::frames::{self, Frame};
use crate::support::{Answer, Client, Peer, Sidecar, in_time};

const ATTEMPTS: &str = "redrive_attempts_total";
/// All of an answer in one frame.
const ENDED: u8 = frames::END_STREAM | frames::END_HEADERS;
const OPEN: &str = "redrive_upstream_connections";

async fn all_get(sidecar: &Sidecar, count: usize) -> Vec<u16> {
    let mut clients = JoinSet::new();
    for _ in 0..count {
        let addr = sidecar.addr;
        clients.spawn(async move { Client::get(addr, "/").await.status });
    }
    in_time("all answers", clients.join_all()).await
}

/// An origin that takes so many streams a connection, and answers only when so many requests are there.
async fn answering_together(streams: u32, requests: usize) -> Origin {
    let all_there = Arc::new(Barrier::new(requests));
    Origin::new(streams, move |mut call| {
        let all_there = Arc::clone(&all_there);
        async move {
            all_there.wait().await;
            call.answer(200, &[], Vec::new());
        }
    })
    .await
}

#[tokio::test]
async fn requests_at_the_same_time_share_one_connection() {
    let origin = answering_together(100, 20).await;
    let sidecar = origin.door.sidecar("").await;

    let statuses = all_get(&sidecar, 20).await;

    assert_eq!(statuses, [200; 20]);
    assert_eq!(origin.connections(), 1);
    assert_eq!(sidecar.total(OPEN, &[]).await, 1.0);
    assert_eq!(sidecar.total("redrive_retries_total", &[]).await, 0.0);
}

#[tokio::test]
async fn streams_that_run_out_are_followed_by_another_connection() {
    let origin = answering_together(2, 6).await;
    let sidecar = origin.door.sidecar("").await;

    let statuses = all_get(&sidecar, 6).await;

    assert_eq!(statuses, [200; 6]);
    assert_eq!(origin.connections(), 3);
    assert_eq!(sidecar.total("redrive_retries_total", &[]).await, 0.0);
}

#[tokio::test]
async fn a_request_waits_for_a_stream_where_no_more_connections_are_allowed() {
    let (busy, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let peak = Arc::clone(&most);
    let origin = Origin::new(2, move |mut call| {
        let (busy, peak) = (Arc::clone(&busy), Arc::clone(&peak));
        async move {
            peak.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            busy.fetch_sub(1, Ordering::SeqCst);
            call.answer(200, &[], Vec::new());
        }
    })
    .await;
    // Switched off, since the pace would let no more go than there are connections.
    let toml = "bypass = true\n[connections]\nmax = 1\n";
    let sidecar = origin.door.sidecar(toml).await;

    let statuses = all_get(&sidecar, 12).await;

    assert_eq!(statuses, [200; 12]);
    assert_eq!(origin.connections(), 1);
    assert!(most.load(Ordering::SeqCst) <= 2);
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_whatever_its_method() {
    for method in ["GET", "POST"] {
        let origin = Origin::new(100, |mut call| async move {
            if call.index == 0 {
                return call.respond.send_reset(Reason::REFUSED_STREAM);
            }
            let (body, _) = call.body().await;
            call.answer(200, &[], body);
        })
        .await;
        let sidecar = origin.door.sidecar("").await;

        let answer = Client::request(sidecar.addr, method, "/", &[], b"the body").await;

        assert_eq!((answer.status, answer.text().as_str()), (200, "the body"));
        assert_eq!(answer.header("redrive-attempts"), Some("2"), "{method}");
        assert_eq!((origin.calls(), origin.connections()), (2, 1));
        let unsent = sidecar.total(ATTEMPTS, &[r#"class="unsent""#]).await;
        assert_eq!(unsent, 1.0);
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_may_have_run_and_a_post_is_not_sent_again() {
    for (method, attempts) in [("POST", 1), ("PUT", 2)] {
        let origin = Origin::new(100, |mut call| async move {
            call.body().await;
            if call.index == 0 {
                call.respond.send_reset(Reason::INTERNAL_ERROR);
            } else {
                call.answer(200, &[], Vec::new());
            }
        })
        .await;
        let sidecar = origin.door.sidecar("").await;

        let answer = Client::request(sidecar.addr, method, "/", &[], b"the body").await;

        assert_eq!(origin.calls(), attempts, "{method}");
        if method == "POST" {
            assert_eq!(answer.explained(), ("1", "unsafe", "maybe"));
            assert_eq!(answer.status, 502);
        } else {
            assert_eq!(answer.status, 200);
        }
        let broken = sidecar.total(ATTEMPTS, &[r#"class="broken""#]).await;
        assert_eq!((broken, origin.connections()), (1.0, 1));
    }
}

#[tokio::test]
async fn a_stream_above_the_last_of_a_farewell_is_sent_again_elsewhere() {
    let door = Door::new(&[b"h2"]).await;
    let sidecar = door.sidecar("").await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("POST", "/", &[], b"the body").await;
    let mut leaving = door.accept_frames(&[]).await;
    let unseen = next(&mut leaving, frames::HEADERS).await;

    leaving
        .write(Frame::goaway(unseen.stream - 1, 0).bytes())
        .await;

    let mut staying = door.accept_frames(&[]).await;
    let seen = next(&mut staying, frames::HEADERS).await;
    assert_eq!(next(&mut staying, frames::DATA).await.payload, b"the body");
    let answer = Frame::new(frames::HEADERS, ENDED, seen.stream, [0x88]);
    staying.write(answer.bytes()).await;
    let answer = client.answer_to("POST").await;
    assert_eq!(
        (answer.status, answer.header("redrive-attempts")),
        (200, Some("2"))
    );
}

#[tokio::test]
async fn a_farewell_lets_the_streams_in_flight_end_and_takes_no_more() {
    let door = Door::new(&[b"h2"]).await;
    let sidecar = door.sidecar("").await;
    let mut first = Client::connect(sidecar.addr).await;
    first.send("POST", "/first", &[], b"").await;
    let mut leaving = door.accept_frames(&[]).await;
    let early = next(&mut leaving, frames::HEADERS).await;
    leaving.write(Frame::goaway(early.stream, 0).bytes()).await;
    let ping = Frame::new(frames::PING, 0, 0, [7; 8]);
    leaving.write(ping.bytes()).await;
    // What comes before its answer has been read.
    while next(&mut leaving, frames::PING).await.payload != [7; 8] {}

    let mut second = Client::connect(sidecar.addr).await;
    second.send("POST", "/second", &[], b"").await;
    let mut staying = door.accept_frames(&[]).await;
    let late = next(&mut staying, frames::HEADERS).await;

    for (peer, stream, client) in [
        (&mut staying, late.stream, &mut second),
        (&mut leaving, early.stream, &mut first),
    ] {
        peer.write(Frame::new(frames::HEADERS, ENDED, stream, [0x88]).bytes())
            .await;
        let answer = client.answer_to("POST").await;
        assert_eq!(
            (answer.status, answer.header("redrive-attempts")),
            (200, None)
        );
    }
    sidecar.settles(OPEN, &[], 1.0).await;
}

#[tokio::test]
async fn an_upstream_that_chooses_http_1_is_spoken_to_in_it() {
    let door = Door::new(&[b"http/1.1"]).await;
    let sidecar = door.sidecar("").await;
    let mut clients = JoinSet::new();
    for _ in 0..3 {
        let addr = sidecar.addr;
        clients.spawn(async move { Client::post(addr, "/", b"body").await.status });
    }

    let mut peers = Vec::new();
    for _ in 0..3 {
        let (mut peer, _) = door.accept().await;
        assert!(peer.message().await.head.starts_with("POST / HTTP/1.1\r\n"));
        peers.push(peer);
    }
    for peer in &mut peers {
        peer.write(answer("200 OK", &[], "done")).await;
    }

    assert_eq!(
        in_time("all answers", clients.join_all()).await,
        [200, 200, 200]
    );
}

#[tokio::test]
async fn a_client_that_leaves_resets_its_own_stream_and_no_other() {
    let (reset, mut resets) = mpsc::unbounded_channel();
    let go = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&go);
    let origin = Origin::new(100, move |mut call| {
        let (reset, gate) = (reset.clone(), Arc::clone(&gate));
        async move {
            if call.request.uri().path() == "/leaves" {
                let reason = std::future::poll_fn(|cx| call.respond.poll_reset(cx)).await;
                reset.send(reason.ok()).unwrap();
            } else {
                gate.acquire().await.unwrap().forget();
                call.answer(200, &[], Vec::new());
            }
        }
    })
    .await;
    let sidecar = origin.door.sidecar("").await;
    let mut stays = Client::connect(sidecar.addr).await;
    stays.send("POST", "/stays", &[], b"").await;
    let mut leaves = Client::connect(sidecar.addr).await;
    leaves.send("POST", "/leaves", &[], b"").await;
    in_time("both requests", async {
        while origin.calls() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;

    drop(leaves);

    let reason = in_time("a reset", resets.recv()).await.unwrap();
    assert_eq!(reason, Some(Reason::CANCEL));
    go.add_permits(1);
    assert_eq!(stays.answer_to("POST").await.status, 200);
    assert_eq!(origin.connections(), 1);
    let cancelled = sidecar.total(ATTEMPTS, &[r#"class="cancelled""#]).await;
    assert_eq!(cancelled, 1.0);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_answer_resets_its_own_stream_and_no_other() {
    let door = Door::new(&[b"h2"]).await;
    let sidecar = door.sidecar("").await;
    let mut stays = Client::connect(sidecar.addr).await;
    stays.send("GET", "/stays", &[], b"").await;
    let mut peer = door.accept_frames(&[]).await;
    let staying = next(&mut peer, frames::HEADERS).await.stream;
    let mut leaves = Client::connect(sidecar.addr).await;
    leaves.send("GET", "/leaves", &[], b"").await;
    let leaving = next(&mut peer, frames::HEADERS).await.stream;
    peer.write(Frame::new(frames::HEADERS, frames::END_HEADERS, leaving, [0x88]).bytes())
        .await;
    leaves.head().await;

    drop(leaves);

    let reset = next(&mut peer, frames::RST_STREAM).await;
    assert_eq!(reset.stream, leaving);
    assert_eq!(reset.code(0), u32::from(Reason::CANCEL));
    peer.write(Frame::new(frames::HEADERS, ENDED, staying, [0x88]).bytes())
        .await;
    assert_eq!(stays.answer_to("GET").await.status, 200);
    assert_eq!(sidecar.total(OPEN, &[]).await, 1.0);
}

#[tokio::test]
async fn an_upload_that_its_client_breaks_off_does_not_look_whole() {
    let (hear, mut heard) = mpsc::unbounded_channel();
    let origin = Origin::new(100, move |mut call| {
        let hear = hear.clone();
        async move {
            let body = call.request.body_mut();
            let first = body.data().await.map(|data| data.is_ok());
            hear.send(first).unwrap();
            let then = body.data().await.map(|data| data.is_ok());
            hear.send(then).unwrap();
        }
    })
    .await;
    let sidecar = origin.door.sidecar("").await;
    let mut client = Client::connect(sidecar.addr).await;
    client
        .raw(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        .await;
    assert_eq!(in_time("data", heard.recv()).await, Some(Some(true)));

    drop(client);

    assert_eq!(in_time("its end", heard.recv()).await, Some(Some(false)));
    assert_eq!(origin.calls(), 1);
}

#[tokio::test]
async fn nor_does_one_whose_stream_the_client_resets_and_calls_that_no_error() {
    let (hear, mut heard) = mpsc::unbounded_channel();
    let origin = Origin::new(100, move |mut call| {
        let hear = hear.clone();
        async move {
            let body = call.request.body_mut();
            let mut last = Some(true);
            while last == Some(true) {
                last = body.data().await.map(|data| data.is_ok());
                hear.send(last).unwrap();
            }
        }
    })
    .await;
    let sidecar = origin.door.sidecar("").await;
    let mut client = Peer::connect(sidecar.addr).await;
    let post = b"\x83\x86\x84\x41\x01a"; // POST, http, /, and an authority
    let head = Frame::new(frames::HEADERS, frames::END_HEADERS, 1, *post).bytes();
    let data = |text: &[u8]| Frame::new(frames::DATA, 0, 1, text).bytes();
    let settings = Frame::settings(&[]).bytes();
    let first = data(b"half");
    client
        .write([frames::PREFACE, &settings, &head, &first].concat())
        .await;
    assert_eq!(in_time("data", heard.recv()).await, Some(Some(true)));

    let reset = Frame::reset(1, Reason::NO_ERROR.into()).bytes();
    client.write([data(b"more"), reset].concat()).await;

    let mut last = Some(Some(true));
    while last == Some(Some(true)) {
        last = in_time("its end", heard.recv()).await;
    }
    assert_eq!(last, Some(Some(false)));
    assert_eq!(origin.calls(), 1);
}

#[tokio::test]
async fn an_answer_whose_stream_ends_in_its_middle_does_not_look_whole() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        let door = Door::new(&[b"h2"]).await;
        let sidecar = door.sidecar("").await;
        let mut client = Peer::connect(sidecar.addr).await;
        client
            .write("GET / HTTP/1.1\r\nHost: sidecar.test\r\n\r\n")
            .await;
        let mut peer = door.accept_frames(&[]).await;
        let asked = next(&mut peer, frames::HEADERS).await.stream;
        let head = Frame::new(frames::HEADERS, frames::END_HEADERS, asked, [0x88]);
        let half = Frame::new(frames::DATA, 0, asked, *b"half");
        peer.write([head.bytes(), half.bytes()].concat()).await;
        let mut answer = client.head().await;

        peer.write(Frame::reset(asked, reason.into()).bytes()).await;
        let rest = client.body_of(&mut answer).await;

        assert!(rest.is_err(), "the client can tell: {reason:?}");
        let broken = [r#"outcome="upstream_error""#];
        sidecar
            .settles("redrive_requests_total", &broken, 1.0)
            .await;
        assert_eq!(sidecar.total(ATTEMPTS, &[]).await, 1.0);
        assert_eq!(sidecar.total(OPEN, &[]).await, 1.0);
    }
}

#[tokio::test]
async fn an_upload_may_be_answered_before_its_end_and_what_is_left_of_it_refused() {
    let door = Door::new(&[b"h2"]).await;
    let sidecar = door.sidecar("").await;
    let mut client = Client::connect(sidecar.addr).await;
    client
        .raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf")
        .await;
    let mut peer = door.accept_frames(&[]).await;
    let asked = next(&mut peer, frames::DATA).await.stream;

    // RFC 9113 section 8.1: a whole answer, and then an end that is no error.
    let head = Frame::new(frames::HEADERS, frames::END_HEADERS, asked, [0x88]);
    let body = Frame::new(frames::DATA, frames::END_STREAM, asked, *b"enough");
    let reset = Frame::reset(asked, Reason::NO_ERROR.into());
    peer.write([head.bytes(), body.bytes(), reset.bytes()].concat())
        .await;

    let answer = client.answer_to("POST").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "enough"));
    assert_eq!(sidecar.total(OPEN, &[]).await, 1.0);
}

#[tokio::test]
async fn large_bodies_pass_both_ways_and_are_repeated_byte_for_byte() {
    let origin = Origin::new(100, |mut call| async move {
        let (body, _) = call.body().await;
        if call.index == 0 {
            let throttled = [("x-amzn-errortype", "TooManyRequestsException")];
            let message = br#"{"message":"Too Many Requests"}"#.to_vec();
            call.answer(429, &throttled, message);
        } else {
            call.answer(200, &[], body);
        }
    })
    .await;
    let sidecar = origin.door.sidecar("").await;
    let mut body = vec![0; 5_000_000];
    fastrand::Rng::with_seed(7).fill(&mut body);

    let answer = Client::post(sidecar.addr, "/", &body).await;

    assert_eq!(
        (answer.status, answer.header("redrive-attempts")),
        (200, Some("2"))
    );
    assert!(answer.body == body, "the same bytes came back");
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn an_answer_that_nobody_reads_holds_up_no_other() {
    let origin = Origin::new(100, |mut call| async move {
        let size = if call.request.uri().path() == "/unread" {
            50_000_000
        } else {
            100_000
        };
        call.answer(200, &[], vec![b'x'; size]);
        // The stream ends with this call's handle.
        let _until_read = std::future::poll_fn(|cx| call.respond.poll_reset(cx)).await;
    })
    .await;
    let sidecar = origin.door.sidecar("").await;
    let mut unread = Vec::new();
    for _ in 0..8 {
        let mut client = Client::connect(sidecar.addr).await;
        client.send("GET", "/unread", &[], b"").await;
        client.head().await;
        unread.push(client);
    }

    let answer = in_time("an answer", Client::get(sidecar.addr, "/")).await;

    assert_eq!((answer.status, answer.body.len()), (200, 100_000));
    assert_eq!(origin.connections(), 1);
}

/// What the origin saw of one request with this configuration.
async fn seen_with(toml: &str, headers: &[(&str, &str)]) -> (Answer, Request<()>, SocketAddr) {
    let (see, mut seen) = mpsc::unbounded_channel();
    let origin = Origin::new(100, move |mut call| {
        let see = see.clone();
        async move {
            let mut request = Request::new(());
            *request.uri_mut() = call.request.uri().clone();
            *request.headers_mut() = call.request.headers().clone();
            see.send(request).unwrap();
            call.answer(200, &[], Vec::new());
        }
    })
    .await;
    let sidecar = origin.door.sidecar(toml).await;
    let answer = Client::request(sidecar.addr, "GET", "/a?b=c", headers, b"").await;
    let request = in_time("a request", seen.recv()).await.unwrap();
    (answer, request, origin.door.addr)
}

#[tokio::test]
async fn the_head_is_one_of_http_2_and_says_nothing_about_connections() {
    let hop_by_hop = [
        ("Connection", "keep-alive, X-Mine"),
        ("Keep-Alive", "timeout=5"),
        ("X-Mine", "1"),
        ("TE", "trailers, deflate"),
        ("X-Kept", "1"),
    ];
    let (answer, seen, addr) = seen_with("", &hop_by_hop).await;

    assert_eq!(answer.status, 200);
    assert_eq!(seen.uri().to_string(), format!("https://{addr}/a?b=c"));
    for gone in [
        "host",
        "connection",
        "keep-alive",
        "x-mine",
        "transfer-encoding",
    ] {
        assert!(!seen.headers().contains_key(gone), "{gone}");
    }
    assert_eq!(seen.headers()["te"], "trailers");
    assert_eq!(seen.headers()["x-kept"], "1");
    assert_eq!(seen.headers()["redrive-attempt"], "1");

    let (_, seen, _) = seen_with("host = \"client\"", &[]).await;
    assert_eq!(seen.uri().to_string(), "https://sidecar.test/a?b=c");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let said = Arc::new(Mutex::new(None));
    let heard = Arc::clone(&said);
    let origin = Origin::new(100, move |mut call| {
        let heard = Arc::clone(&heard);
        async move {
            let (body, trailers) = call.body().await;
            *heard.lock().await = trailers;
            let response = Response::builder().header("trailer", "x-sum");
            let response = response.body(()).unwrap();
            let mut stream = call.respond.send_response(response, false).unwrap();
            stream.send_data(body.into(), false).unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "2".parse().unwrap());
            stream.send_trailers(trailers).unwrap();
        }
    })
    .await;
    let sidecar = origin.door.sidecar("").await;
    let mut client = Peer::connect(sidecar.addr).await;

    client
        .write(
            "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\nTrailer: x-sum\r\n\
             Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 1\r\n\r\n",
        )
        .await;
    let answer = client.message().await;

    assert_eq!(answer.body, b"body");
    assert_eq!(answer.trailers, "x-sum: 2\n");
    let said = said.lock().await.clone().unwrap();
    assert_eq!(said["x-sum"], "1");
}

#[tokio::test]
async fn a_connection_that_is_too_old_or_unused_is_followed_by_another() {
    for limit in ["idle = \"200ms\"", "max_age = \"200ms\""] {
        let door = Door::new(&[b"h2"]).await;
        let sidecar = door.sidecar(&format!("[connections]\n{limit}\n")).await;
        let mut client = Client::connect(sidecar.addr).await;
        client.send("GET", "/", &[], b"").await;
        let mut peer = door.accept_frames(&[]).await;
        let seen = next(&mut peer, frames::HEADERS).await;
        peer.write(Frame::new(frames::HEADERS, ENDED, seen.stream, [0x88]).bytes())
            .await;
        assert_eq!(client.answer_to("GET").await.status, 200);

        let farewell = next(&mut peer, frames::GOAWAY).await;

        assert_eq!(farewell.code(4), 0, "nothing is wrong");
        peer.rest().await;
        sidecar.settles(OPEN, &[], 0.0).await;
    }
}
