//! The limits hold under many clients, and the counts are true.

use std::time::Duration;

use redrive::gateway::{Params, Seen};
use tokio::task::JoinSet;

use crate::support::{Client, FOREVER, GET, Tally, load, start};

#[tokio::test]
async fn exactly_the_burst_is_let_through_however_many_clients_compete() {
    let gateway = start(Params {
        rate: Some(0),
        burst: Some(70),
        ..Params::default()
    })
    .await;

    let tally = load(gateway.addr, 50, 4).await;

    assert_eq!(
        tally,
        Tally {
            ok: 70,
            refused: 130
        }
    );
}

#[tokio::test]
async fn no_more_executions_run_than_the_concurrency_allows() {
    let gateway = start(Params {
        concurrency: Some(5),
        service_time: FOREVER,
        ..Params::default()
    })
    .await;
    let addr = gateway.addr;
    let mut clients = JoinSet::new();
    for _ in 0..50 {
        clients.spawn(async move { Client::connect(addr).await.ask(GET).await });
    }

    for _ in 0..45 {
        let answer = clients.join_next().await.unwrap().unwrap();
        assert_eq!(answer.status(), "500");
    }
    gateway.until(|seen| seen.requests == 50).await;

    let expected = Seen {
        requests: 50,
        throttled_by_concurrency: 45,
        in_flight: 5,
        most_in_flight: 5,
        ..Seen::default()
    };
    assert_eq!(gateway.counts.snapshot(), expected);
}

#[tokio::test]
async fn the_counts_are_what_the_clients_saw() {
    let gateway = start(Params {
        rate: Some(2_000),
        burst: Some(300),
        concurrency: Some(5),
        service_time: Duration::from_millis(2),
        quota: Some(900),
        ..Params::default()
    })
    .await;

    let tally = load(gateway.addr, 50, 20).await;

    let seen = gateway.counts.snapshot();
    assert_eq!(seen.requests, 1_000);
    assert_eq!(seen.quota_refused, 100);
    assert_eq!(seen.served, tally.ok);
    assert_eq!(
        seen.throttled_by_rate + seen.throttled_by_concurrency + seen.quota_refused,
        tally.refused
    );
    assert_eq!(seen.in_flight, 0);
    assert!((1..=5).contains(&seen.most_in_flight), "{seen:?}");
}

#[tokio::test]
async fn a_client_that_was_answered_finds_its_place_free() {
    let gateway = start(Params {
        concurrency: Some(1),
        service_time: Duration::from_millis(1),
        ..Params::default()
    })
    .await;

    let tally = load(gateway.addr, 1, 50).await;

    assert_eq!(tally, Tally { ok: 50, refused: 0 });
}

#[tokio::test]
async fn a_client_that_leaves_does_not_end_its_execution() {
    let gateway = start(Params {
        concurrency: Some(1),
        service_time: FOREVER,
        ..Params::default()
    })
    .await;
    let mut leaver = gateway.client().await;
    leaver.send(GET).await;
    gateway.until(|seen| seen.in_flight == 1).await;

    drop(leaver);

    let tally = load(gateway.addr, 5, 10).await;
    assert_eq!(tally, Tally { ok: 0, refused: 50 });
    assert_eq!(gateway.counts.snapshot().in_flight, 1);
}

#[tokio::test]
async fn a_client_that_leaves_in_its_upload_is_counted_as_unfinished() {
    let gateway = start(Params::default()).await;
    let mut leaver = gateway.client().await;
    leaver
        .send("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")
        .await;

    drop(leaver);

    gateway.until(|seen| seen.unfinished == 1).await;
    assert_eq!(gateway.counts.snapshot().served, 0);
}

#[tokio::test]
async fn the_counts_are_told_over_the_wire_and_not_counted() {
    let gateway = start(Params {
        quota: Some(1),
        ..Params::default()
    })
    .await;
    let mut client = gateway.client().await;
    client.ask(GET).await;
    client.ask(GET).await;

    let answer = client.ask("GET /-/counts HTTP/1.1\r\n\r\n").await;

    assert_eq!(
        answer.json(),
        serde_json::json!({
            "requests": 2, "served": 1, "throttled_by_rate": 0, "throttled_by_concurrency": 0, "quota_refused": 1,
            "too_large": 0, "unfinished": 0, "in_flight": 0, "most_in_flight": 1,
        })
    );
    assert_eq!(gateway.counts.snapshot().requests, 2);
}
