//! Who gets which stream, over pipes and under paused time.

use std::time::Duration;

use prometheus::IntGauge;
use tokio::io::DuplexStream;
use tokio_util::task::TaskTracker;

use super::*;
use crate::proxy::upstream::wire::Held;

const PARAMS: ConnectionParams = ConnectionParams {
    max: 10,
    idle: Duration::from_secs(5),
    max_age: Duration::from_secs(60),
};

/// The upstream's end of a connection.
type Upstream = h2::server::Connection<DuplexStream, bytes::Bytes>;

/// A connection whose upstream takes this many streams.
async fn connection(streams: &Streams, room: u32, open: &IntGauge) -> (Connection, Upstream) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let held = Held::new(open.clone(), None);
    let limit = clock::now() + Duration::from_secs(1);
    let (tracker, mut upstream) = (TaskTracker::new(), h2::server::Builder::new());
    let (connection, upstream) = tokio::join!(
        Connection::open(ours, held, streams.freed(), &tracker, limit),
        upstream.max_concurrent_streams(room).handshake(theirs),
    );
    (connection.unwrap(), upstream.unwrap())
}

fn gauge() -> IntGauge {
    IntGauge::new("open", "open").unwrap()
}

/// Polls the upstream's end to the end of the connection.
async fn ended(mut upstream: Upstream) {
    let ended = async { while let Some(Ok(_)) = upstream.accept().await {} };
    let in_time = tokio::time::timeout(Duration::from_secs(1), ended).await;
    in_time.expect("the connection ends");
}

#[tokio::test(start_paused = true)]
async fn a_connection_past_its_age_gets_no_more_streams_and_ends_with_its_last() {
    let (streams, open) = (Streams::new(PARAMS), gauge());
    let (connection, mut upstream) = connection(&streams, 9, &open).await;
    let first = streams.add(connection, 0);
    let serving = async { while let Some(Ok(_)) = upstream.accept().await {} };
    let aging = tokio::time::timeout(PARAMS.max_age, serving).await;

    let late = streams.take();

    assert!(late.is_none() && aging.is_err());
    streams.sweep(clock::now());
    assert!(!first.sender().is_closed(), "its stream goes on");
    drop(first);
    ended(upstream).await;
}

#[tokio::test(start_paused = true)]
async fn an_unused_connection_ends_and_one_in_use_does_not() {
    let (streams, open) = (Streams::new(PARAMS), gauge());
    let (used, mut upstream) = connection(&streams, 1, &open).await;
    let (unused, idle_upstream) = connection(&streams, 1, &open).await;
    let stream = streams.add(used, 0);
    drop(streams.add(unused, 0));
    let serving = async { while let Some(Ok(_)) = upstream.accept().await {} };
    let idling = tokio::time::timeout(PARAMS.idle, serving).await;

    streams.sweep(clock::now());

    ended(idle_upstream).await;
    assert!(idling.is_err() && !stream.sender().is_closed());
}

#[tokio::test(start_paused = true)]
async fn the_oldest_connection_with_room_gets_the_next_stream() {
    let (streams, open) = (Streams::new(PARAMS), gauge());
    let (oldest, _upstream) = connection(&streams, 2, &open).await;
    let (newest, _other) = connection(&streams, 2, &open).await;
    let of_oldest = streams.add(oldest, 0);
    let of_newest = streams.add(newest, 0);

    let third = streams.take().unwrap();
    let fourth = streams.take().unwrap();

    assert!(Arc::ptr_eq(&third.shared, &of_oldest.shared));
    assert!(Arc::ptr_eq(&fourth.shared, &of_newest.shared));
    assert!(third.reused && streams.take().is_none());
    assert_eq!(open.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_gets_the_stream_that_becomes_free() {
    let (streams, open) = (Streams::new(PARAMS), gauge());
    let (connection, _upstream) = connection(&streams, 1, &open).await;
    let only = streams.add(connection, 0);

    let (first, second, ()) = tokio::join!(
        streams.or(tokio::time::sleep(Duration::from_secs(2))),
        streams.or(tokio::time::sleep(Duration::from_secs(1))),
        async { drop(only) },
    );

    assert!(first.is_break(), "it waited first");
    assert!(second.is_continue(), "what else it waited for came first");
}
