//! One connection and its peer, over loopback: what is written, what is believed, and what the connection is good for then.

use std::io::{Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use prometheus::{IntCounter, IntGauge, Registry};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::dns::Resolver;
use crate::proxy::body::{BoxError, none};
use crate::proxy::upstream::{
    AnswerBody, Broken, ConnectionParams, Params, Tally, TlsParams, Trust, Upstream,
};
use crate::retry::classify::{Fault, Sent};
use crate::tcp::SharedTcp;
use crate::tls::Expiries;

/// A connection, and its peer.
async fn pair() -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(addr), listener.accept());
    let transport = Transport::Plain(SharedTcp::new(ours.unwrap()));
    let connection = Connection::open(transport, HeaderCase::default(), held());
    (connection, theirs.unwrap().0)
}

async fn send(
    connection: &mut Connection,
    request: Request<RequestBody>,
    tasks: &TaskTracker,
) -> Result<Answered, Unanswered> {
    let (head, body) = request.into_parts();
    let cancelled = cancelled();
    let (head, mut tally) = (Head::from(&head), Tally::new(&cancelled));
    let sent = connection.send(head, body, &mut tally, tasks).await;
    sent.map(|answer| match answer {
        Answer::Whole(answered) => *answered,
        Answer::Stream(_) => unreachable!("HTTP/1.1 has no streams"),
    })
}

fn held() -> Held {
    Held::new(gauge(), None)
}

fn gauge() -> IntGauge {
    IntGauge::new("open", "open").unwrap()
}

fn get() -> Request<RequestBody> {
    Request::get("/a").header("host", "a").body(none()).unwrap()
}

/// An upload, and who sends its body.
fn post() -> (Request<RequestBody>, Sender<Bytes, BoxError>) {
    let (sender, body) = Channel::new(1);
    let request = Request::post("/a").header("host", "a");
    (request.body(body.boxed_unsync()).unwrap(), sender)
}

const POST_HEAD: &str = "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

async fn piece(body: &mut Sender<Bytes, BoxError>) {
    body.send_data(Bytes::from_static(b"piece")).await.unwrap();
}

/// Polls once what cannot be through yet.
async fn begin<T>(future: &mut Pin<&mut impl Future<Output = T>>) {
    let is_pending = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await;
    assert!(is_pending);
}

/// Reads at the peer until just this has come.
async fn comes(peer: &mut (impl AsyncRead + Unpin), expected: &str) {
    let mut read = vec![0; expected.len()];
    let all = peer.read_exact(&mut read);
    let all = tokio::time::timeout(std::time::Duration::from_secs(5), all).await;
    all.expect(expected).unwrap();
    assert_eq!(String::from_utf8(read).unwrap(), expected);
}

/// An upstream that takes connections where this listens.
async fn upstream() -> (Upstream, TcpListener) {
    upstream_over(http::uri::Scheme::HTTP, TlsParams::default()).await
}

async fn upstream_over(scheme: http::uri::Scheme, tls: TlsParams) -> (Upstream, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let seconds = std::time::Duration::from_secs;
    let params = Params {
        scheme,
        authority: authority.parse().unwrap(),
        base_path: String::new(),
        tls,
        connections: ConnectionParams {
            max: 10,
            idle: seconds(50),
            max_age: seconds(300),
        },
    };
    let expiry = Expiries::register(&Registry::new()).unwrap().place();
    let (case, resolver) = (HeaderCase::default(), Resolver::of_system());
    let upstream = Upstream::new(&params, case, gauge(), resolver, &expiry).unwrap();
    (upstream, listener)
}

/// A GET that is sent.
async fn sent(upstream: &Upstream) -> Result<http::Response<AnswerBody>, Fault> {
    request_of(upstream, get()).await
}

/// A request that is sent.
async fn request_of(
    upstream: &Upstream,
    request: Request<RequestBody>,
) -> Result<http::Response<AnswerBody>, Fault> {
    let cancelled = cancelled();
    let mut tally = Tally::new(&cancelled);
    let connect = std::time::Duration::from_secs(5);
    let (head, body) = request.into_parts();
    let head = Head::from(&head);
    let sending = upstream.send(head, body, Trust::Any, &mut tally, connect);
    sending.await
}

fn cancelled() -> IntCounter {
    IntCounter::new("cancelled", "cancelled").unwrap()
}

/// Takes a connection, and answers a GET with these bytes, and then with the end of the connection if that is wanted.
async fn answer(listener: &TcpListener, answer: &[u8], closes: bool) -> TcpStream {
    let (mut peer, _) = listener.accept().await.unwrap();
    comes(&mut peer, "GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    peer.write_all(answer).await.unwrap();
    if closes {
        peer.shutdown().await.unwrap();
    }
    peer
}

/// What a GET is answered with that is answered like this.
async fn answered(
    (upstream, listener): &(Upstream, TcpListener),
    bytes: &[u8],
    closes: bool,
) -> (Result<http::Response<AnswerBody>, Fault>, TcpStream) {
    tokio::join!(sent(upstream), answer(listener, bytes, closes))
}

/// Whether the next request comes over the same connection.
async fn is_kept((upstream, listener): &(Upstream, TcpListener), mut peer: TcpStream) -> bool {
    let mut byte = [0];
    tokio::select! {
        _ = sent(upstream) => unreachable!("nobody answers"),
        read = peer.read(&mut byte) => matches!(read, Ok(1)),
        _ = listener.accept() => false,
    }
}

#[tokio::test]
async fn a_connection_that_ended_or_on_which_something_came_unasked_gets_nothing() {
    for unasked in ["", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"] {
        let (mut connection, mut peer) = pair().await;
        peer.write_all(unasked.as_bytes()).await.unwrap();
        peer.shutdown().await.unwrap();
        while !connection.socket.may_be_readable() {
            tokio::task::yield_now().await;
        }

        let sent = send(&mut connection, get(), &TaskTracker::new()).await;

        let unanswered = sent.err().unwrap();
        assert_eq!(unanswered.kind, FaultKind::Closed);
        assert!(unanswered.untouched.is_some());
        drop(connection);
        let mut read = Vec::new();
        let _ended_or_reset = peer.read_to_end(&mut read).await;
        assert!(read.is_empty(), "{read:?}");
    }
}

#[tokio::test]
async fn an_answer_may_come_in_pieces_and_behind_others_that_are_none() {
    let (mut connection, mut peer) = pair().await;
    let whole = "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
        HTTP/1.1 201 Created\r\ncontent-length: 4\r\n\r\n";
    let tasks = TaskTracker::new();
    peer.set_nodelay(true).unwrap();
    let answering = async {
        comes(&mut peer, "GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
        for piece in whole.as_bytes().chunks(3) {
            peer.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
    };

    let (answered, ()) = tokio::join!(send(&mut connection, get(), &tasks), answering);

    let answered = answered.ok().unwrap();
    assert_eq!(answered.head.status, StatusCode::CREATED);
    assert_eq!(answered.framing, Framing::Sized(4));
    assert!(answered.came.is_empty());
}

#[tokio::test]
async fn an_answer_is_taken_although_the_upload_is_refused() {
    let (mut connection, mut peer) = pair().await;
    let ((request, mut body), tasks) = (post(), TaskTracker::new());
    let mut sending = Box::pin(send(&mut connection, request, &tasks));
    let mut sending = sending.as_mut();
    begin(&mut sending).await;
    comes(&mut peer, POST_HEAD).await;

    peer.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    peer.set_zero_linger().unwrap();
    drop(peer);
    piece(&mut body).await;

    let answered = sending.await.ok().unwrap();
    assert_eq!(answered.head.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!answered.keeps_alive);
}

#[tokio::test]
async fn an_upload_goes_on_by_itself_when_its_answer_has_begun() {
    let (mut connection, mut peer) = pair().await;
    let ((request, mut body), tasks) = (post(), TaskTracker::new());
    let answering = async {
        comes(&mut peer, POST_HEAD).await;
        peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n")
            .await
            .unwrap();
    };

    let (answered, ()) = tokio::join!(send(&mut connection, request, &tasks), answering);
    piece(&mut body).await;
    drop(body);

    assert!(answered.is_ok());
    comes(&mut peer, "5\r\npiece\r\n0\r\n\r\n").await;
    let apart = connection.take_apart().unwrap();
    assert!(apart.written().await);
    assert!(connection.is_quiet());
}

#[tokio::test]
async fn an_upload_that_breaks_behind_the_answers_head_closes_the_connection_under_the_answer() {
    let (mut connection, mut peer) = pair().await;
    let ((request, body), tasks) = (post(), TaskTracker::new());
    let answering = async {
        comes(&mut peer, POST_HEAD).await;
        peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n")
            .await
            .unwrap();
    };
    let (answered, ()) = tokio::join!(send(&mut connection, request, &tasks), answering);
    assert!(answered.is_ok());

    let mut byte = [0];
    let mut reading = Box::pin(connection.socket.read(&mut byte));
    let mut reading = reading.as_mut();
    begin(&mut reading).await;
    body.abort("the client left".into());

    assert!(reading.await.is_err(), "whoever reads is told");
    assert_eq!(peer.read(&mut [0]).await.unwrap(), 0, "so is the peer");
}

#[tokio::test]
async fn a_body_that_is_shorter_than_its_length_is_no_request() {
    let (mut connection, mut peer) = pair().await;
    let ((mut request, mut body), tasks) = (post(), TaskTracker::new());
    request.headers_mut().insert("content-length", 6.into());
    piece(&mut body).await;
    drop(body);

    let sent = send(&mut connection, request, &tasks).await;

    let unanswered = sent.err().unwrap();
    assert_eq!(unanswered.kind, FaultKind::Closed);
    assert!(unanswered.untouched.is_none());
    drop(connection);
    let mut read = Vec::new();
    peer.read_to_end(&mut read).await.unwrap();
    assert!(!read.ends_with(b"piece\r\n"), "nothing is made up");
}

#[tokio::test]
async fn a_connection_is_kept_only_behind_a_whole_answer_and_nothing_else() {
    let check = async |answer: &str, body: &str, expected: bool| {
        let rig = upstream().await;
        let (response, peer) = answered(&rig, answer.as_bytes(), false).await;
        let came = response.unwrap().into_body().collect().await.unwrap();
        assert_eq!(came.to_bytes(), body.as_bytes(), "{answer:?}");
        assert_eq!(is_kept(&rig, peer).await, expected, "{answer:?}");
    };

    check("HTTP/1.1 204 No Content\r\n\r\n", "", true).await;
    check(
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody",
        "body",
        true,
    )
    .await;
    check(
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbodyHTTP/1.1 200 OK",
        "body",
        false,
    )
    .await;
    check(
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody",
        "body",
        false,
    )
    .await;
    let chunks =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n2\r\n..\r\n0\r\n\r\n";
    check(chunks, "body..", true).await;
    check(&format!("{chunks}\r\n"), "body..", false).await;
    check(
        "HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\nbody",
        "body",
        false,
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_ends_early_never_looks_whole() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n",
    ] {
        let rig = upstream().await;
        let (response, _peer) = answered(&rig, answer.as_bytes(), true).await;
        let mut body = response.unwrap().into_body();

        let first = body.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "body");
        assert!(!body.is_end_stream(), "{answer:?}");
        let second = body.frame().await.unwrap();
        assert!(matches!(second, Err(Broken::CutShort)), "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_its_connection() {
    let rig = upstream().await;

    let (response, _peer) = answered(&rig, b"HTTP/1.1 200 OK\r\n\r\nbody", true).await;

    let body = response.unwrap().into_body();
    assert_eq!(body.size_hint().exact(), None);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "body");
}

#[tokio::test]
async fn a_large_answer_comes_whole_however_fast_it_is() {
    let length = 3 * BUFFER_BYTES_MAX + 7;
    let data: Vec<u8> = (0..length)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect();
    let sized = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n");
    for (head, end) in [(sized, ""), (chunked, "\r\n0\r\n\r\n")] {
        let rig = upstream().await;
        let whole = [head.as_bytes(), &data, end.as_bytes()].concat();

        let reading = async { sent(&rig.0).await.unwrap().into_body().collect().await };
        let (came, peer) = tokio::join!(reading, answer(&rig.1, &whole, false));

        assert!(came.unwrap().to_bytes() == data, "{head:?}");
        assert!(is_kept(&rig, peer).await);
    }
}

#[tokio::test]
async fn what_is_no_answer_is_told_as_such() {
    for (answer, kind) in [
        ("220 mail.example\r\n\r\n", FaultKind::Unreadable),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: +4\r\n\r\n",
            FaultKind::Unreadable,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            FaultKind::Unreadable,
        ),
        ("HTTP/1.1 200 OK\r\ncontent-le", FaultKind::Closed),
        ("HTTP/1.1 100 Continue\r\n\r\n", FaultKind::Closed),
        ("", FaultKind::Closed),
    ] {
        let rig = upstream().await;
        let (response, _peer) = answered(&rig, answer.as_bytes(), true).await;

        let fault = response.err().unwrap();
        assert_eq!(
            (fault.kind, fault.sent),
            (kind, Sent::Perhaps),
            "{answer:?}"
        );
    }
}

#[test]
fn a_body_is_framed_as_its_head_says_or_else_as_it_is() {
    #[track_caller]
    fn check(
        head: &[(HeaderName, &str)],
        body: RequestBody,
        framing: Framing,
        left: &[(HeaderName, &str)],
    ) {
        let fields = |fields: &[(HeaderName, &str)]| {
            let fields = fields.iter().cloned();
            HeaderMap::from_iter(fields.map(|(name, value)| (name, value.parse().unwrap())))
        };
        let mut headers = Cow::Owned(fields(head));
        assert_eq!(frame(&mut headers, &body), framing, "{head:?}");
        assert_eq!(*headers, fields(left), "{head:?}");
    }
    let full = || crate::proxy::body::full("body");
    let unknown = || post().0.into_body();
    let length = || [(CONTENT_LENGTH, "4")];
    let coding = || [(TRANSFER_ENCODING, "chunked")];
    let both = || [(TRANSFER_ENCODING, "chunked"), (CONTENT_LENGTH, "4")];
    let nothing = || [(CONTENT_LENGTH, "0")];

    check(&[], none(), Framing::Nothing, &[]);
    check(&[], full(), Framing::Sized(4), &length());
    check(&[], unknown(), Framing::Chunked, &coding());
    check(&length(), unknown(), Framing::Sized(4), &length());
    check(&coding(), unknown(), Framing::Chunked, &coding());
    check(&both(), unknown(), Framing::Chunked, &coding());
    check(&nothing(), none(), Framing::Nothing, &nothing());
    // Nothing of what is unclear is passed on.
    for unclear in [[(CONTENT_LENGTH, "+4")], [(CONTENT_LENGTH, "4, 4")]] {
        check(&unclear, full(), Framing::Sized(4), &length());
        check(&unclear, unknown(), Framing::Chunked, &coding());
        check(&unclear, none(), Framing::Nothing, &nothing());
    }
    let mut twice: Cow<'_, HeaderMap> = Cow::Owned(HeaderMap::new());
    for length in ["4", "5"] {
        twice
            .to_mut()
            .append(CONTENT_LENGTH, length.parse().unwrap());
    }
    assert_eq!(frame(&mut twice, &unknown()), Framing::Chunked);
    assert!(!twice.contains_key(CONTENT_LENGTH));
}

/// A POST whose body is on its way, and its peer, which has the head.
async fn posted<'a>(
    (upstream, listener): &'a (Upstream, TcpListener),
) -> (
    impl Future<Output = Result<http::Response<AnswerBody>, Fault>> + 'a,
    Sender<Bytes, BoxError>,
    TcpStream,
) {
    let (request, body) = post();
    let mut sending = Box::pin(async move { request_of(upstream, request).await });
    let accepting = async {
        let (mut peer, _) = listener.accept().await.unwrap();
        comes(&mut peer, POST_HEAD).await;
        peer
    };
    let peer = tokio::select! {
        _ = &mut sending => unreachable!("nobody answers"),
        peer = accepting => peer,
    };
    (sending, body, peer)
}

/// Resets the connection.
fn reset(peer: TcpStream) {
    peer.set_zero_linger().unwrap();
}

/// Sends pieces until nobody takes them any more.
async fn refused(mut body: Sender<Bytes, BoxError>) {
    while body.send_data(Bytes::from_static(b"piece")).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

const ENDLESS: &[u8] = b"HTTP/1.1 200 OK\r\n\r\npart";

#[tokio::test]
async fn an_answer_without_a_length_is_not_whole_if_the_upload_met_a_reset_before_it() {
    let rig = upstream().await;
    let (sending, mut body, mut peer) = posted(&rig).await;

    peer.write_all(ENDLESS).await.unwrap();
    reset(peer);
    piece(&mut body).await;

    let answer = sending.await.ok().unwrap();
    let came = answer.into_body().collect().await;
    assert!(came.is_err(), "cut short, looks whole: {came:?}");
}

#[tokio::test]
async fn an_answer_without_a_length_is_not_whole_if_the_upload_meets_a_reset_behind_its_head() {
    let rig = upstream().await;
    let (sending, body, mut peer) = posted(&rig).await;

    peer.write_all(ENDLESS).await.unwrap();
    let answer = sending.await.ok().unwrap();
    reset(peer);
    refused(body).await;

    let came = answer.into_body().collect().await;
    assert!(came.is_err(), "cut short, looks whole: {came:?}");
}

#[tokio::test]
async fn an_answer_without_a_length_is_whole_though_the_upload_is_refused_behind_its_end() {
    let rig = upstream().await;
    let (sending, body, mut peer) = posted(&rig).await;

    peer.write_all(ENDLESS).await.unwrap();
    let answer = sending.await.ok().unwrap();
    drop(peer);
    refused(body).await;

    let came = answer.into_body().collect().await;
    assert_eq!(came.unwrap().to_bytes(), "part");
}

#[tokio::test]
async fn who_was_not_heard_to_the_end_cannot_leave_http() {
    let (mut connection, mut peer) = pair().await;
    let ((request, mut body), tasks) = (post(), TaskTracker::new());
    let mut sending = Box::pin(send(&mut connection, request, &tasks));
    let mut sending = sending.as_mut();
    begin(&mut sending).await;
    comes(&mut peer, POST_HEAD).await;

    peer.write_all(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n")
        .await
        .unwrap();
    reset(peer);
    piece(&mut body).await;

    let unanswered = sending.await.err().expect("no tunnel");
    assert_eq!(unanswered.kind, FaultKind::Closed);
    assert!(unanswered.untouched.is_none());
}

#[tokio::test]
async fn news_are_heard_by_a_task_that_has_run_for_long() {
    let (mut connection, mut peer) = pair().await;
    peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    while !connection.socket.may_be_readable() {
        tokio::task::yield_now().await;
    }
    while tokio::task::coop::has_budget_remaining() {
        tokio::task::coop::consume_budget().await;
    }

    let sent = send(&mut connection, get(), &TaskTracker::new()).await;

    assert!(sent.is_err_and(|it| it.untouched.is_some()));
}

#[tokio::test]
async fn a_request_that_is_given_up_on_its_way_leaves_no_connection_to_the_next() {
    let rig = upstream().await;
    let (sending, mut body, peer) = posted(&rig).await;

    piece(&mut body).await;
    drop(sending);

    assert!(!is_kept(&rig, peer).await, "half a request is on it");
}

#[tokio::test]
async fn an_answer_that_is_given_up_on_its_way_leaves_no_connection_to_the_next() {
    let rig = upstream().await;
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nbody";
    let (response, peer) = answered(&rig, answer, false).await;

    let mut body = response.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);

    assert!(
        !is_kept(&rig, peer).await,
        "half an answer is to come on it"
    );
}

#[tokio::test]
async fn a_connection_whose_answer_ends_before_its_upload_waits_for_that() {
    for ends_well in [true, false] {
        let rig = upstream().await;
        let (sending, mut body, mut peer) = posted(&rig).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        peer.write_all(answer).await.unwrap();
        let answer = sending.await.ok().unwrap();
        assert!(answer.into_body().is_end_stream());

        let other = async {
            let accepted = tokio::time::timeout(std::time::Duration::from_secs(5), rig.1.accept());
            let (mut other, _) = accepted.await.expect("another connection").unwrap();
            comes(&mut other, "GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
        };
        tokio::select! {
            _ = sent(&rig.0) => unreachable!("nobody answers"),
            () = other => {}
        }
        piece(&mut body).await;
        comes(&mut peer, "5\r\npiece\r\n").await;
        if ends_well {
            drop(body);
            comes(&mut peer, "0\r\n\r\n").await;
            let mut turns = 0..1000;
            while rig.0.idle_connections() == 0 && turns.next().is_some() {
                tokio::task::yield_now().await;
            }
        } else {
            body.abort("the client left".into());
        }

        assert_eq!(is_kept(&rig, peer).await, ends_well);
    }
}

#[tokio::test]
async fn what_goes_on_by_itself_counts_as_sent_though_nothing_of_it_is_taken_yet() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    ours.set_nonblocking(true).unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    while ours.write(&[0; 4096]).is_ok() {}
    let transport = Transport::Plain(SharedTcp::new(TcpStream::from_std(ours).unwrap()));
    let mut connection = Connection::open(transport, HeaderCase::default(), held());
    let ((head, body), cancelled, tasks) = (get().into_parts(), cancelled(), TaskTracker::new());
    let mut tally = Tally::new(&cancelled);
    let sending = connection.send(Head::from(&head), body, &mut tally, &tasks);
    let mut sending = Box::pin(sending);
    begin(&mut sending.as_mut()).await; // and finds no room for a byte

    peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    let answered = sending.await;

    assert!(answered.is_ok());
    assert_eq!(tally.sent(), Sent::Perhaps);
}

/// An upload that leaves no time for anything else, and breaks a while after somebody has answered.
struct Greedy {
    is_answered: Arc<AtomicBool>,
    polls_left: usize,
}

impl Body for Greedy {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.is_answered.load(Ordering::Acquire) {
            self.polls_left -= 1;
        }
        if self.polls_left == 0 {
            return Poll::Ready(Some(Err("nobody has read the answer".into())));
        }
        if !self.is_answered.load(Ordering::Acquire) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        while std::pin::pin!(tokio::task::coop::consume_budget())
            .poll(cx)
            .is_ready()
        {}
        Poll::Pending
    }
}

#[tokio::test]
async fn an_answer_is_read_while_its_upload_never_has_to_wait() {
    let (mut connection, peer) = pair().await;
    let mut peer = peer.into_std().unwrap();
    peer.set_nonblocking(false).unwrap();
    let is_answered = Arc::new(AtomicBool::new(false));
    let greedy = Greedy {
        is_answered: Arc::clone(&is_answered),
        polls_left: 10_000,
    };
    let request = Request::post("/a").header("host", "a");
    let request = request.body(greedy.boxed_unsync()).unwrap();
    let peer = std::thread::spawn(move || {
        peer.read_exact(&mut [0; POST_HEAD.len()]).unwrap();
        peer.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        is_answered.store(true, Ordering::Release);
        peer
    });

    let answered = send(&mut connection, request, &TaskTracker::new()).await;

    let answered = answered.ok().unwrap();
    assert_eq!(answered.head.status, StatusCode::PAYLOAD_TOO_LARGE);
    drop(peer.join().unwrap());
}

mod secured;
