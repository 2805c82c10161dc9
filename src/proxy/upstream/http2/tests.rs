//! A connection whose peer says nothing, over a pipe and under paused time.

use http_body_util::{BodyExt, Empty};
use prometheus::IntGauge;
use tokio::io::DuplexStream;

use super::*;
use crate::clock;

/// Both ends of a connection.
struct Ends {
    connection: Connection,
    upstream: h2::server::Connection<DuplexStream, bytes::Bytes>,
    open: IntGauge,
}

impl Ends {
    async fn new() -> Self {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let open = IntGauge::new("open", "open").unwrap();
        let held = Held::new(open.clone(), None);
        let limit = clock::now() + Duration::from_secs(1);
        let tracker = TaskTracker::new();
        let (connection, upstream) = tokio::join!(
            Connection::open(ours, held, Arc::default(), &tracker, limit),
            h2::server::handshake(theirs),
        );
        Self {
            connection: connection.unwrap(),
            upstream: upstream.unwrap(),
            open,
        }
    }
}

fn request() -> Request<RequestBody> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut request = Request::new(body);
    request
        .headers_mut()
        .insert(HOST, "upstream.test".parse().unwrap());
    in_http2(&mut request);
    request
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_given_up_with_all_that_it_was_asked() {
    let Ends {
        mut connection,
        mut upstream,
        open,
    } = Ends::new().await;
    let asked = clock::now();

    // It takes the request, and nothing after it.
    let (answer, taken) = tokio::join!(
        tokio::time::timeout(
            PING_EVERY * 9,
            connection.sender.try_send_request(request())
        ),
        upstream.accept()
    );
    let answer = answer.expect("it ends some time");

    let error = answer.expect_err("nobody answers").into_error();
    assert!(taken.is_some_and(|call| call.is_ok()));
    assert_eq!(refusal(&error), None, "nobody knows whether it ran");
    let waited = clock::now() - asked;
    assert!(waited >= PING_EVERY + PING_WAIT, "{waited:?}");
    assert!(waited < PING_EVERY * 2 + PING_WAIT, "{waited:?}");
    assert!(connection.sender.is_closed());
    tokio::time::sleep(CLOSE_WAIT).await;
    assert_eq!(open.get(), 0, "the socket is closed");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_whose_peer_is_gone_is_closed_before_a_request_finds_out() {
    let ends = Ends::new().await;

    tokio::time::sleep(PING_EVERY * 2 + PING_WAIT).await;

    assert!(ends.connection.sender.is_closed());
    assert_eq!(ends.open.get(), 0, "the socket is closed");
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_waited_for_as_long_as_pings_are_answered() {
    let Ends {
        mut connection,
        mut upstream,
        ..
    } = Ends::new().await;
    let serving = async move {
        let (_request, mut respond) = upstream.accept().await.unwrap().unwrap();
        let answering = async {
            tokio::time::sleep((PING_EVERY + PING_WAIT) * 10).await;
            respond
                .send_response(http::Response::new(()), true)
                .unwrap();
        };
        let polling = async { while let Some(Ok(_)) = upstream.accept().await {} };
        tokio::join!(answering, polling)
    };

    let answer = tokio::select! {
        answer = connection.sender.try_send_request(request()) => answer,
        _ = serving => panic!("it left without an answer"),
    };

    assert!(answer.is_ok_and(|answer| answer.status() == 200));
}

#[tokio::test(start_paused = true)]
async fn a_peer_without_settings_is_no_connection() {
    let (ours, _theirs) = tokio::io::duplex(64 * 1024);
    let open = IntGauge::new("open", "open").unwrap();
    let held = Held::new(open.clone(), None);
    let limit = clock::now() + Duration::from_secs(1);

    let made = Connection::open(ours, held, Arc::default(), &TaskTracker::new(), limit).await;

    let fault = made.err().expect("no SETTINGS came");
    assert_eq!(
        (fault.kind, fault.sent),
        (FaultKind::ConnectTimeout, Sent::Nothing)
    );
    tokio::time::sleep(CLOSE_WAIT).await;
    assert_eq!(open.get(), 0, "the socket is closed");
}
