//! A client and its connection over loopback, and a service that does what a test wants.

#[path = "tests/wakers.rs"]
mod wakers;

use std::future::ready;
use std::net::Ipv4Addr;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use prometheus::IntGauge;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::super::connection::Places;
use super::super::{Params, Terms};
use super::wire::Wire;
use super::*;
use crate::handover::Handover;
use crate::tcp::SharedTcp;

type Answer = Pin<Box<dyn Future<Output = Response<UnsyncBoxBody<Bytes, BoxError>>> + Send>>;

/// A client, and its connection as it is carried.
struct Rig<F> {
    client: TcpStream,
    carried: Pin<Box<dyn Future<Output = Result<Over<F>, Ended>> + Send>>,
    wire: Arc<Wire>,
    refused: Arc<AtomicUsize>,
}

impl<F> Rig<F>
where
    F: Fn(Request<Upload>) -> Answer + Send + Sync + 'static,
{
    async fn new(service: F) -> Self {
        Self::with(service, false).await
    }

    /// One that looks for the client's end itself, or does not.
    async fn with(service: F, looks_for_end: bool) -> Self {
        Self::over(service, looks_for_end, |tcp| Box::new(tcp)).await
    }

    /// The same over what is made of the client's TCP.
    async fn over(service: F, looks_for_end: bool, io: impl FnOnce(SharedTcp) -> Stream) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let tcp = SharedTcp::new(listener.accept().await.unwrap().0);
        let activity = Arc::new(Activity::new());
        let refused = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&refused);
        let gauge = IntGauge::new("open", "Open.").unwrap();
        let http1 = Box::new(Http1 {
            wire: Held::new(io(tcp.clone()), tcp, Arc::clone(&activity)),
            service,
            activity,
            manner: Terms::new(&Params::of_tests()).now(),
            refused: Arc::new(move || _ = counts.fetch_add(1, Ordering::SeqCst)),
            agreed_http2: None,
            looks_for_end,
            place: Places::new(&gauge).take(1).unwrap(),
        });
        Self {
            client: client.unwrap(),
            wire: http1.wire.share(),
            carried: Box::pin(http1.carry()),
            refused,
        }
    }

    /// Says this, and reads until what came ends so.
    async fn ask(&mut self, bytes: impl AsRef<[u8]>, end: &str) -> String {
        let mut read = Vec::new();
        let asked = async {
            self.client.write_all(bytes.as_ref()).await.unwrap();
            while !read.ends_with(end.as_bytes()) {
                let came = self.client.read_buf(&mut read).await.unwrap();
                assert_ne!(came, 0, "{}", read.escape_ascii());
            }
        };
        tokio::select! {
            biased;
            done = &mut self.carried => panic!("it has ended: {:?}", done.err()),
            () = asked => {}
        }
        String::from_utf8(read).unwrap()
    }

    /// Says this; what comes until the connection ends, and how it ended on this side.
    async fn last(mut self, bytes: impl AsRef<[u8]>) -> (String, Result<Over<F>, Ended>) {
        let mut read = Vec::new();
        let told = async {
            self.client.write_all(bytes.as_ref()).await.unwrap();
            let _whole_or_reset = self.client.read_to_end(&mut read).await;
            let _reset_or_not = self.client.shutdown().await;
        };
        let carried = async {
            let done = (&mut self.carried).await;
            drop(self.carried);
            done
        };
        let ((), done) = tokio::join!(told, carried);
        (String::from_utf8(read).unwrap(), done)
    }
}

fn whole(body: &'static str) -> Response<UnsyncBoxBody<Bytes, BoxError>> {
    let body = Full::new(Bytes::from_static(body.as_bytes()));
    Response::new(body.map_err(|never| match never {}).boxed_unsync())
}

fn answers(_: Request<Upload>) -> Answer {
    Box::pin(ready(whole("answer")))
}

/// Answers with the body that came.
fn echoes(request: Request<Upload>) -> Answer {
    Box::pin(async move {
        let body = request.into_body().collect().await;
        let body = body.map_or_else(|broken| Bytes::from(broken.to_string()), |it| it.to_bytes());
        Response::new(
            Full::new(body)
                .map_err(|never| match never {})
                .boxed_unsync(),
        )
    })
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn requests_are_answered_in_their_order_however_they_come() {
    let mut rig = Rig::new(echoes as fn(_) -> _).await;
    let posts = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\none\r\n\
        POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\nX: y\r\n\r\n\
        GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nthree";
    let expected = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none\
        HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo\
        HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n\
        HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nthree";

    for size in [1, 7, posts.len()] {
        let mut told = String::new();
        for (index, piece) in posts.as_bytes().chunks(size).enumerate() {
            let is_last = (index + 1) * size >= posts.len();
            told += &rig.ask(piece, if is_last { "three" } else { "" }).await;
        }

        assert_eq!(told, expected, "{size} bytes at a time");
    }
}

#[tokio::test]
async fn a_connection_that_waits_for_a_request_holds_nothing_that_came() {
    let mut rig = Rig::new(echoes as fn(_) -> _).await;

    for bytes in [GET.to_vec(), [GET, b"\r\n\r\n"].concat(), GET.repeat(3)] {
        let times = bytes.len() / GET.len();
        rig.ask(
            bytes,
            &"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".repeat(times),
        )
        .await;

        assert_eq!(rig.wire.kept_bytes(), 0);
    }
}

#[tokio::test]
async fn a_stop_ends_what_carries_nothing_at_once() {
    let fresh = Rig::new(answers as fn(_) -> _).await;
    let before = fresh.wire.stops();

    let mut other = Rig::new(answers as fn(_) -> _).await;
    other.ask(GET, "answer").await;

    assert!(before && other.wire.stops());
}

#[tokio::test]
async fn a_client_that_leaves_ends_it() {
    for begun in [&b""[..], GET, b"GET / HT"] {
        let mut rig = Rig::new(answers as fn(_) -> _).await;
        rig.ask(GET, "answer").await;

        rig.client.write_all(begun).await.unwrap();
        rig.client.shutdown().await.unwrap();

        assert!(rig.carried.await.is_ok(), "{}", begun.escape_ascii());
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_behind_the_answers_to_those_before() {
    for (nonsense, status) in [
        ("nonsense\r\n\r\n", "400"),
        (
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "400",
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0x\r\n",
            "400",
        ),
        (
            &format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(32 << 10)),
            "431",
        ),
    ] {
        let rig = Rig::new(answers as fn(_) -> _).await;
        let refused = Arc::clone(&rig.refused);

        let (told, done) = rig.last([GET, nonsense.as_bytes(), GET].concat()).await;

        let (_, refusal) = told.split_once("answer").unwrap();
        assert!(
            refusal.starts_with(&format!("HTTP/1.1 {status} ")),
            "{told}"
        );
        assert!(refusal.ends_with('}') && done.is_ok(), "{told}");
        assert_eq!(refused.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_stop_ends_what_carries_nothing_and_tells_who_is_answered() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let receiver = Mutex::new(Some(receiver));
    let asked = Arc::new(Notify::new());
    let asks = Arc::clone(&asked);
    let waits = move |_: Request<Upload>| -> Answer {
        asks.notify_one();
        let receiver = receiver.lock().unwrap().take().unwrap();
        Box::pin(async move { receiver.await.unwrap() })
    };
    let mut rig = Rig::new(waits).await;
    rig.client.write_all(GET).await.unwrap();
    tokio::select! {
        _ = &mut rig.carried => panic!("it has ended"),
        () = asked.notified() => {}
    }

    let is_at_rest = rig.wire.stops();
    assert!(sender.send(whole("answer")).is_ok());
    let (told, done) = rig.last(GET).await;

    assert!(!is_at_rest && done.is_ok());
    assert!(
        told.contains("\r\nconnection: close\r\n") && told.ends_with("answer"),
        "{told}"
    );
}

#[tokio::test]
async fn an_answer_that_breaks_goes_out_as_far_as_it_came_and_ends_with_a_reset() {
    let broken = Mutex::new(Vec::new());
    let breaks = move |_: Request<Upload>| -> Answer {
        let (mut sender, channel): (Sender<Bytes, BoxError>, _) = Channel::new(2);
        sender
            .try_send(http_body::Frame::data(Bytes::from_static(b"half")))
            .unwrap();
        sender.abort("it broke".into());
        broken.lock().unwrap().push(());
        Box::pin(ready(Response::new(channel.boxed_unsync())))
    };
    let rig = Rig::new(breaks).await;
    let mut client = rig.client;

    client.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let done = rig.carried.await;

    assert!(matches!(done, Err(Ended::Answer(Broke::Body(_)))));
    let mut told = Vec::new();
    let end = client.read_to_end(&mut told).await;
    assert!(told.ends_with(b"half"), "{}", told.escape_ascii());
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_passed_over_if_it_is_there_and_ends_the_connection_if_not() {
    let head = "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n";
    let mut rig = Rig::new(answers as fn(_) -> _).await;

    let told = rig.ask(format!("{head}body"), "answer").await;
    assert!(!told.contains("close"), "{told}");
    let (told, done) = rig.last(format!("{head}bo")).await;

    assert!(
        told.contains("\r\nconnection: close\r\n") && done.is_ok(),
        "{told}"
    );
}

#[tokio::test]
async fn a_client_that_still_sends_when_its_connection_is_closed_can_read_its_answer() {
    let Rig {
        mut client,
        carried,
        ..
    } = Rig::new(answers).await;
    let sends = async {
        let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2000000\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        client.readable().await.unwrap();
        for _ in 0..10 {
            client.write_all(&[b'x'; 50_000]).await.unwrap();
        }
        client.shutdown().await.unwrap();
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        String::from_utf8(read).unwrap()
    };

    let (done, read) = tokio::join!(carried, sends);

    assert!(done.is_ok());
    assert!(read.ends_with("answer"), "{read}");
}

#[tokio::test]
async fn a_client_that_does_not_leave_then_is_closed_on_all_the_same() {
    let mut rig = Rig::new(answers).await;
    let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2000000\r\n\r\n";
    rig.client.write_all(head).await.unwrap();

    // It may take a second; without a limit, for ever.
    let done = tokio::time::timeout(Duration::from_secs(20), rig.carried).await;

    assert!(done.is_ok_and(|done| done.is_ok()));
}

#[tokio::test]
async fn a_body_ends_with_its_connection() {
    let (sender, mut bodies) = tokio::sync::mpsc::unbounded_channel();
    let keeps = move |request: Request<Upload>| -> Answer {
        sender.send(request.into_body()).unwrap();
        Box::pin(std::future::pending())
    };
    let mut rig = Rig::new(keeps).await;
    let head = "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf";
    rig.client.write_all(head.as_bytes()).await.unwrap();
    let mut body = tokio::select! {
        _ = &mut rig.carried => panic!("it has ended"),
        body = bodies.recv() => body.unwrap(),
    };
    let half = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let mut more = pin!(body.frame());
    assert!(poll_fn(|cx| more.as_mut().poll(cx).is_pending().into()).await);

    drop(rig.carried);

    assert_eq!(half, "half");
    assert!(more.await.unwrap().is_err(), "a part does not look whole");
}

#[tokio::test]
async fn a_go_ahead_is_said_when_the_body_is_wanted_and_not_behind_the_answer() {
    let head = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let mut reads = Rig::new(echoes as fn(_) -> _).await;
    let turns_away = Rig::new(answers as fn(_) -> _).await;

    let told = reads.ask(head, "\r\n\r\n").await;
    let answer = reads.ask("body", "body").await;
    let (turned_away, _) = turns_away.last(head).await;

    assert_eq!(told, "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        turned_away.starts_with("HTTP/1.1 200 OK\r\n"),
        "{turned_away}"
    );
    assert!(turned_away.contains("\r\nconnection: close\r\n"));
}

#[tokio::test]
async fn a_connection_that_leaves_http_is_handed_over_with_what_came_behind() {
    let (sender, mut handovers) = tokio::sync::mpsc::unbounded_channel();
    let switches = move |mut request: Request<Upload>| -> Answer {
        let handover = request.extensions_mut().remove::<Handover>().unwrap();
        sender.send(handover).unwrap();
        let mut answer = whole("");
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        Box::pin(ready(answer))
    };
    let mut rig = Rig::new(switches).await;
    let request = "GET / HTTP/1.1\r\nUpgrade: other\r\n\r\nGET / is not looked at";

    rig.client.write_all(request.as_bytes()).await.unwrap();
    assert!(rig.carried.await.is_ok());
    let mut stream = handovers.recv().await.unwrap().taken().await.unwrap();
    let mut behind = [0; 22];
    stream.read_exact(&mut behind).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    drop(stream);

    let mut told = String::new();
    rig.client.read_to_string(&mut told).await.unwrap();
    assert_eq!(&behind, b"GET / is not looked at");
    assert_eq!(told, "HTTP/1.1 101 Switching Protocols\r\n\r\nhello");
}

#[tokio::test]
async fn an_answer_that_leaves_http_unasked_ends_the_connection() {
    let switches = |_: Request<Upload>| -> Answer {
        let mut answer = whole("");
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        Box::pin(ready(answer))
    };
    let rig = Rig::new(switches).await;

    let (told, done) = rig.last([GET, GET].concat()).await;

    assert!(done.is_ok());
    assert_eq!(told, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
}

#[tokio::test]
async fn a_long_upload_comes_whole_in_whatever_pieces() {
    let mut rig = Rig::new(echoes as fn(_) -> _).await;
    let body: String = ('a'..='z').cycle().take(300_000).collect();
    let head = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
    let (told, end) = (
        head + &body + "GET / HTTP/1.1\r\n\r\n",
        "content-length: 0\r\n\r\n",
    );

    let answers = rig.ask(told, end).await;

    assert!(answers.contains(&body), "{} bytes", answers.len());
}

#[tokio::test]
async fn who_looks_for_the_clients_end_finds_it_while_the_client_is_answered() {
    let never = |_: Request<Upload>| -> Answer { Box::pin(std::future::pending()) };
    let mut rig = Rig::with(never, true).await;

    // What came before does not hide it for ever, but is kept for its turn.
    rig.client.write_all(GET).await.unwrap();
    rig.client.shutdown().await.unwrap();

    assert!(matches!(rig.carried.await, Err(Ended::Left)));
}

#[tokio::test]
async fn the_first_bytes_show_whether_it_is_http_2() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore";
    for (bytes, is_http2) in [(&preface[..], true), (&preface[..20], false), (GET, false)] {
        let mut rig = Rig::new(answers as fn(_) -> _).await;

        rig.client.write_all(bytes).await.unwrap();
        rig.client.shutdown().await.unwrap();
        let done = rig.carried.await;

        match done {
            Ok(Over::SpeaksHttp2(opened)) if is_http2 => assert_eq!(opened.ahead, &preface[..]),
            Ok(Over::Ended) if !is_http2 => {}
            _ => panic!("{}", bytes.escape_ascii()),
        }
    }
}

/// A request with this body in one chunk.
fn chunked(body: &[u8]) -> Vec<u8> {
    let mut request = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    request.extend(format!("{:x}\r\n", body.len()).into_bytes());
    request.extend(body);
    request.extend(b"\r\n0\r\n\r\n");
    request
}

#[tokio::test]
async fn a_body_that_outlives_its_request_reads_nothing_of_the_next() {
    let first: Arc<Mutex<Option<Upload>>> = Arc::default();
    let kept = Arc::clone(&first);
    let service = move |request: Request<Upload>| -> Answer {
        let kept = Arc::clone(&kept);
        Box::pin(async move {
            let mut body = request.into_body();
            let old = kept.lock().unwrap().take();
            let Some(mut old) = old else {
                assert_eq!(
                    body.frame().await.unwrap().unwrap().into_data().unwrap(),
                    "one"
                );
                *kept.lock().unwrap() = Some(body);
                return whole("answer");
            };
            assert!(old.frame().await.unwrap().is_err());
            drop(old);
            assert_eq!(body.collect().await.unwrap().to_bytes(), "secret");
            whole("answer")
        })
    };
    let mut rig = Rig::new(service).await;

    let trailed =
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\nX: y\r\n\r\n";
    rig.ask(trailed, "answer").await;
    rig.ask(chunked(b"secret"), "answer").await;

    assert!(first.lock().unwrap().is_none());
}

#[tokio::test]
async fn a_body_that_was_read_to_its_last_byte_stays_whole_when_the_next_has_come() {
    for first in [
        chunked(b"one"),
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\none".to_vec(),
    ] {
        let (sender, mut bodies) = tokio::sync::mpsc::unbounded_channel();
        let begins = move |request: Request<Upload>| -> Answer {
            let sender = sender.clone();
            Box::pin(async move {
                let mut body = request.into_body();
                body.frame().await.unwrap().unwrap();
                sender.send(body).unwrap();
                whole("answer")
            })
        };
        let mut rig = Rig::new(begins).await;

        rig.ask(first, "answer").await;
        rig.ask(chunked(b"two"), "answer").await;

        let mut body = bodies.recv().await.unwrap();
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none(), "nothing of it is missing");
    }
}

#[tokio::test]
async fn a_body_that_outlives_its_request_cuts_nothing_off_the_next() {
    let bodies: Arc<Mutex<Vec<Upload>>> = Arc::default();
    let kept = Arc::clone(&bodies);
    let service = move |request: Request<Upload>| -> Answer {
        let kept = Arc::clone(&kept);
        Box::pin(async move {
            let mut body = request.into_body();
            let begun = body.frame().await.unwrap().unwrap().into_data().unwrap();
            let before: Vec<_> = std::mem::take(&mut *kept.lock().unwrap());
            drop(before);
            assert!(begun.len() < 40_000);
            kept.lock().unwrap().push(body);
            whole("answer")
        })
    };
    let mut rig = Rig::new(service).await;
    rig.ask(chunked(b"one"), "answer").await;

    let asked = rig.ask(chunked(&[b'x'; 40_000]), "answer");
    let _answered = tokio::time::timeout(Duration::from_secs(1), asked).await;

    let second = bodies.lock().unwrap().pop().expect("the second body");
    let rest = second.collect().await;
    assert!(
        rest.is_err() || rest.unwrap().to_bytes().len() > 3_000,
        "whole or broken, never short"
    );
}
