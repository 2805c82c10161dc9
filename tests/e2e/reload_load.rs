//! A thousand reloads under steady load, and a drain behind them: not one request is lost.
//!
//! "Not lost" is counted three times over: every client has a whole answer that belongs to its request, redrive's own counters
//! tell of exactly as many requests, and the gateway has seen exactly as many attempts as redrive has made.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use redrive::gateway::{self, Gateway};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::{Client, Sidecar, in_time};

/// What a client has been answered.
#[derive(Debug, Default)]
struct Heard {
    answers: u64,
    good: u64,
    retried: u64,
    reconnects: u64,
}

/// What goes on at all clients.
#[derive(Debug, Default)]
struct Load {
    answers: AtomicU64,
    ends: AtomicBool,
}

impl Load {
    /// Waits until so many more answers have come.
    async fn goes_on(&self, more: u64) {
        let enough = self.answers.load(Ordering::SeqCst) + more;
        in_time("more answers", async {
            while self.answers.load(Ordering::SeqCst) < enough {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

/// Sends one request after the other until it is told to stop; a connection is kept for as long as it lasts.
async fn client(addr: SocketAddr, number: usize, load: Arc<Load>) -> Heard {
    let mut heard = Heard::default();
    let mut connection = Client::connect(addr).await;
    while !load.ends.load(Ordering::SeqCst) {
        let (turn, routes) = (heard.answers, ["orders", "users", "other"]);
        let path = format!("/{}/{number}-{turn}", routes[number % routes.len()]);
        let body = vec![b'x'; 1 + number * 1000];
        connection.send("POST", &path, &[], &body).await;
        let answer = connection.answer_to("POST").await;
        heard.answers += 1;
        load.answers.fetch_add(1, Ordering::SeqCst);
        match answer.status {
            200 => {
                let function: Value = serde_json::from_slice(&answer.body).expect("a whole answer");
                assert_eq!(function["path"], path, "somebody else's answer");
                assert_eq!(function["bytes"], body.len());
                heard.good += 1;
            }
            // A POST that may have run is not sent again.
            500 => assert_eq!(answer.text(), r#"{"message": "Internal server error"}"#),
            429 => assert_eq!(answer.text(), r#"{"message":"Too Many Requests"}"#),
            503 => assert!(answer.header("retry-after").is_some()),
            status => panic!("{status}: {}", answer.text()),
        }
        let attempts = answer.header("redrive-attempts");
        heard.retried += u64::from(attempts.is_some_and(|attempts| attempts != "1"));
        if answer.header("connection") == Some("close") {
            heard.reconnects += 1;
            connection = Client::connect(addr).await;
        }
    }
    heard
}

/// The n-th configuration: others in routes, limits, budgets, windows, memory and connections; every tenth is none.
fn configuration(upstream: &str, n: usize) -> String {
    let orders = [
        "budget = { capacity = 300 }",
        "pace = { max_wait = \"5s\" }",
        "deadline = { total = \"20s\" }\nretry = { max_attempts = { throttled = 20 } }",
    ][n % 3];
    let fault = if n % 10 == 9 { "budgett = {}\n" } else { "" };
    let users = if n.is_multiple_of(2) {
        format!(
            "[[route]]\nname = \"users\"\npath = \"/users/*\"\npace = {{ max_in_flight = {} }}\n",
            2 + n % 4
        )
    } else {
        String::new()
    };
    format!(
        "upstream = \"{upstream}\"\n{fault}\
         budget = {{ capacity = {capacity} }}\n\
         pace = {{ max_wait = \"{wait}s\", max_waiting = {waiting} }}\n\
         replay = {{ max_total = \"{total}MiB\" }}\n\
         connections = {{ max = {connections} }}\n\
         client = {{ idle = \"{idle}s\" }}\n\
         log = {{ requests = \"none\" }}\n\
         [[route]]\nname = \"orders-{name}\"\npath = \"/orders/*\"\n{orders}\n{users}",
        capacity = 200 + n % 7,
        wait = 8 + n % 3,
        waiting = 1000 + n % 5,
        total = 10 + n % 3,
        connections = 64 + n % 2,
        idle = 60 + n % 10,
        name = n % 5,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reloads_and_a_drain_lose_not_one_request() {
    let limits = gateway::Params {
        listen: ([127, 0, 0, 1], 0).into(),
        rate: Some(400),
        burst: Some(5),
        concurrency: Some(4),
        service_time: Duration::from_millis(5),
        ..gateway::Params::default()
    };
    let gateway = Gateway::bind(limits).await.unwrap();
    let (upstream, counts) = (format!("http://{}", gateway.local_addr()), gateway.counts());
    let mut running = JoinSet::new();
    running.spawn(gateway.run(std::future::pending()));
    let adaptive = [("REDRIVE_PACE__MODE", "adaptive")];
    let mut sidecar = Sidecar::configured(&configuration(&upstream, 0), &adaptive).await;
    let load = Arc::new(Load::default());
    let mut clients = JoinSet::new();
    for number in 0..8 {
        clients.spawn(client(sidecar.addr, number, Arc::clone(&load)));
    }
    load.goes_on(20).await;

    for n in 1..=RELOADS {
        load.goes_on(2).await;
        let reloaded = sidecar.reload(&configuration(&upstream, n)).await;
        assert_eq!(reloaded.is_err(), n % 10 == 9, "{reloaded:?}");
    }
    sidecar.terminate();
    sidecar.is_draining().await;
    load.goes_on(50).await;
    load.ends.store(true, Ordering::SeqCst);
    let heard = clients.join_all().await;

    sidecar
        .settles("redrive_in_flight_requests", &[], 0.0)
        .await;
    let sum = |of: fn(&Heard) -> u64| heard.iter().map(of).sum::<u64>();
    let (answers, seen) = (sum(|it| it.answers), counts.snapshot());
    let counted = |family| {
        let sidecar = &sidecar;
        async move { sidecar.total(family, &[]).await }
    };
    assert_eq!(counted("redrive_requests_total").await, answers as f64);
    assert_eq!(
        counted("redrive_attempts_total").await,
        seen.requests as f64
    );
    assert_eq!(seen.served, sum(|it| it.good));
    assert_eq!((seen.unfinished, seen.in_flight), (0, 0));
    assert_eq!(counted("redrive_waiting_requests").await, 0.0);
    assert!(sum(|it| it.retried) > 0, "nothing was throttled: {heard:?}");
    assert!(sum(|it| it.reconnects) > 0, "nobody was told: {heard:?}");
    println!("{answers} answers, {seen:?}");
    sidecar.ended().await;
}

const RELOADS: usize = 1000;
