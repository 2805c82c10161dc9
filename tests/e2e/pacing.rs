//! The learned window at work: what is sent when, who waits, and whom nobody slows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redrive::gateway::{Front, Gateway, Params};
use tokio::task::JoinSet;

use crate::answers::{answer, ok, quota, suspected, throttled, throttled_with};
use crate::support::{Answer, Client, Reply, Sidecar, Upstream, in_time};

const WAIT: &str = "redrive_wait_seconds";

/// The outcome of so many requests, one every so often, each on a connection of its own.
async fn load(addr: SocketAddr, paths: Vec<String>, every: Duration) -> Vec<(String, Answer)> {
    let mut clients = JoinSet::new();
    for path in paths {
        clients.spawn(async move {
            let answer = Client::get(addr, &path).await;
            (path, answer)
        });
        tokio::time::sleep(every).await;
    }
    clients.join_all().await
}

fn paths(count: usize, path: impl Fn(usize) -> &'static str) -> Vec<String> {
    (0..count).map(|n| path(n).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_above_the_limit_succeeds_as_a_whole_with_few_attempts() {
    let gateway = Gateway::bind(Params {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        rate: Some(100),
        burst: Some(50),
        concurrency: None,
        service_time: Duration::from_millis(50),
        quota: None,
        front: Front::Rest,
    })
    .await
    .unwrap();
    let (upstream, counts) = (gateway.local_addr(), gateway.counts());
    let mut running = JoinSet::new();
    running.spawn(gateway.run(std::future::pending()));
    let sidecar = Sidecar::pacing(upstream, "").await;

    let answers = load(
        sidecar.addr,
        paths(300, |_| "/a/b"),
        Duration::from_millis(3),
    )
    .await;

    assert!(answers.iter().all(|(_, answer)| answer.status == 200));
    let attempts = counts.snapshot().requests;
    assert!(attempts <= 400, "{attempts} attempts for 300 successes");
    assert!(attempts > 300, "a burst that no limit met proves nothing");
}

#[tokio::test]
async fn one_retry_after_delays_nobody_else() {
    let upstream = Upstream::scripted(|_, seen| {
        if seen.head.starts_with("GET /told") {
            Reply::Bytes(throttled_with(&[("Retry-After", "60")]))
        } else {
            ok()
        }
    })
    .await;
    let sidecar = Sidecar::pacing(upstream.addr, "deadline.total = \"90s\"").await;
    let mut told = Client::connect(sidecar.addr).await;
    told.send("GET", "/told", &[], b"").await;
    sidecar.reaches("redrive_waiting_requests", &[], 1.0).await;

    let answers = load(sidecar.addr, paths(50, |_| "/a/b"), Duration::ZERO).await;

    for (_, answer) in answers {
        assert_eq!(answer.status, 200);
    }
    assert_eq!(sidecar.total(&format!("{WAIT}_sum"), &[]).await, 0.0);
    assert_eq!(sidecar.metric("redrive_waiting_requests").await, 1.0);
}

#[tokio::test]
async fn two_requests_that_are_told_to_come_back_later_hold_everybody_for_a_moment() {
    let upstream = Upstream::scripted(|index, _| match index {
        1 | 2 => Reply::Bytes(throttled_with(&[("Retry-After", "60")])),
        _ => ok(),
    })
    .await;
    let sidecar = Sidecar::pacing(upstream.addr, "retry.max_attempts.throttled = 1").await;
    for status in [200, 429, 429] {
        assert_eq!(Client::get(sidecar.addr, "/a/b").await.status, status);
    }
    assert_eq!(sidecar.total(&format!("{WAIT}_sum"), &[]).await, 0.0);

    let next = Client::get(sidecar.addr, "/a/b").await;

    assert_eq!(next.status, 200);
    let waited = sidecar.total(&format!("{WAIT}_sum"), &[]).await;
    assert!(
        (1.0..30.0).contains(&waited),
        "a moment, whatever was asked for: {waited}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_always_fails_slows_no_other() {
    let upstream = Upstream::scripted(|_, seen| {
        if seen.head.starts_with("GET /sick") {
            Reply::Bytes(suspected("500 Internal Server Error"))
        } else {
            Reply::After(Duration::from_millis(20), answer("200 OK", &[], "done"))
        }
    })
    .await;
    let sidecar = Sidecar::pacing(upstream.addr, "").await;
    let mix = paths(500, |n| if n % 10 == 0 { "/sick/one" } else { "/a/b" });

    let answers = load(sidecar.addr, mix, Duration::from_millis(4)).await;

    let (sick, healthy): (Vec<_>, Vec<_>) = answers
        .iter()
        .partition(|(path, _)| path.starts_with("/sick"));
    assert!(sick.iter().all(|(_, answer)| answer.status == 500));
    assert!(healthy.iter().all(|(_, answer)| answer.status == 200));
    assert_eq!(sidecar.total("redrive_gate_closed", &[]).await, 0.0);
    // Without a wait there is nothing to explain.
    assert!(
        healthy
            .iter()
            .all(|(_, answer)| answer.header("redrive-waited").is_none())
    );
}

/// Loads an upstream that is away until everybody has an answer, and says what the clients saw.
async fn outage(sidecar: &Sidecar) -> Vec<Answer> {
    let answers = load(
        sidecar.addr,
        paths(300, |_| "/a/b"),
        Duration::from_millis(10),
    )
    .await;
    let waits = sidecar.total(&format!("{WAIT}_count"), &[]).await;
    let in_time = sidecar
        .total(&format!("{WAIT}_bucket"), &[r#"le="2.5""#])
        .await;
    assert_eq!(in_time, waits, "nobody waits past max_wait");
    answers.into_iter().map(|(_, answer)| answer).collect()
}

const MAX_WAIT: &str = "pace.max_wait = \"2s\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_connections_are_refused_nobody_is_held_hostage() {
    let upstream = Upstream::answering([ok()]).await;
    let addr = upstream.addr;
    let sidecar = Sidecar::pacing(addr, MAX_WAIT).await;
    assert_eq!(Client::get(sidecar.addr, "/a/b").await.status, 200);
    let _port = upstream.leaves().await;

    let answers = outage(&sidecar).await;

    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer.status, 502 | 503))
    );
    let shed = answers.iter().filter(|answer| answer.status == 503);
    let mut hints = shed.map(|answer| answer.header("retry-after"));
    assert!(hints.any(|hint| hint.is_some()) && hints.all(|hint| hint.is_some()));
    let attempts = sidecar.total("redrive_attempts_total", &[]).await;
    assert!(
        attempts < 300.0,
        "single attempts look whether it is back, {attempts} did"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overloaded_upstream_is_left_alone_and_found_again() {
    let is_well = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&is_well);
    let upstream = Upstream::scripted(move |_, _| {
        if state.load(Ordering::SeqCst) {
            ok()
        } else {
            let hint = [("retry-after-ms", "10")];
            Reply::Bytes(answer("503 Service Unavailable", &hint, "busy"))
        }
    })
    .await;
    let sidecar = Sidecar::pacing(upstream.addr, MAX_WAIT).await;
    assert_eq!(Client::get(sidecar.addr, "/a/b").await.status, 200);
    is_well.store(false, Ordering::SeqCst);

    let answers = outage(&sidecar).await;
    assert!(answers.iter().all(|answer| answer.status == 503));

    is_well.store(true, Ordering::SeqCst);
    in_time("the way back", async {
        while Client::get(sidecar.addr, "/a/b").await.status != 200 {}
    })
    .await;
    let healthy = load(
        sidecar.addr,
        paths(20, |_| "/a/b"),
        Duration::from_millis(50),
    )
    .await;
    assert!(healthy.iter().all(|(_, answer)| answer.status == 200));
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_gives_its_place_back() {
    let upstream = Upstream::answering([Reply::Hang, ok()]).await;
    let sidecar = Sidecar::pacing(
        upstream.addr,
        "pace = { max_in_flight = 1, max_waiting = 1 }",
    )
    .await;
    let mut first = Client::connect(sidecar.addr).await;
    first.send("GET", "/first", &[], b"").await;
    upstream.saw(1).await;
    let mut second = Client::connect(sidecar.addr).await;
    second.send("GET", "/second", &[], b"").await;
    sidecar.reaches("redrive_waiting_requests", &[], 1.0).await;

    drop(second);
    sidecar.settles("redrive_waiting_requests", &[], 0.0).await;
    let mut third = Client::connect(sidecar.addr).await;
    third.send("GET", "/third", &[], b"").await;
    sidecar.reaches("redrive_waiting_requests", &[], 1.0).await;
    drop(first);

    assert_eq!(third.answer_to("GET").await.status, 200);
    assert_eq!(upstream.count(), 2, "the second was never sent");
}

#[tokio::test]
async fn once_a_rate_is_learned_a_throttled_answer_says_when_to_come_back() {
    let upstream = Upstream::scripted(|index, seen| match index {
        0 => ok(),
        _ if seen.head.starts_with("GET /quota") => Reply::Bytes(quota()),
        _ => Reply::Bytes(throttled()),
    })
    .await;
    let sidecar = Sidecar::pacing(upstream.addr, "retry.max_attempts = { throttled = 1 }").await;
    assert_eq!(Client::get(sidecar.addr, "/a/b").await.status, 200);
    assert_eq!(
        sidecar
            .metric(r#"redrive_gate_closed{route="default"}"#)
            .await,
        0.0
    );
    assert_eq!(
        sidecar.metric(r#"redrive_window{route="default"}"#).await,
        512.0
    );

    let first = Client::get(sidecar.addr, "/a/b").await;
    let mut latest = first.clone();
    for _ in 0..4 {
        latest = Client::get(sidecar.addr, "/a/b").await;
    }
    let of_quota = Client::get(sidecar.addr, "/quota").await;

    assert_eq!((first.status, latest.status), (429, 429));
    assert_eq!(first.header("retry-after"), None, "nothing is learned yet");
    let seconds: u32 = latest.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&seconds));
    assert_eq!(of_quota.status, 429);
    assert_eq!(of_quota.header("retry-after"), None);
    assert_eq!(
        sidecar
            .metric(r#"redrive_gate_closed{route="default"}"#)
            .await,
        1.0
    );
    let learned = r#"redrive_learned_requests_per_second{route="default"}"#;
    assert!(sidecar.metric(learned).await > 0.0);
    let unresponsive = r#"redrive_window_unresponsive{route="default"}"#;
    assert!(
        sidecar
            .metrics()
            .await
            .contains(&format!("{unresponsive} 0"))
    );
}
