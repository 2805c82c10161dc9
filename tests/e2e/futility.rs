//! A function that never answers stops costing its callers, and nobody else pays for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::answers::{ok, suspected};
use crate::support::{Client, Reply, Sidecar, Upstream};

/// What proves a door closed takes ten seconds of real time, the one test that does.
#[tokio::test]
async fn a_closed_door_stops_costing_its_callers_until_it_opens() {
    let repaired = Arc::new(AtomicBool::new(false));
    let is_repaired = Arc::clone(&repaired);
    let upstream = Upstream::scripted(move |_, seen| {
        if seen.head.contains("/sick") && !is_repaired.load(Ordering::Relaxed) {
            Reply::Bytes(suspected("500 Internal Server Error"))
        } else {
            ok()
        }
    })
    .await;
    let toml = "retry.backoff.max = \"20ms\"";
    let sidecar = Sidecar::before(upstream.addr, toml).await;
    let cells = "redrive_futile_cells";
    assert_eq!(sidecar.metric(cells).await, 0.0);

    let mut knocks = 0;
    loop {
        let answer = Client::get(sidecar.addr, "/sick").await;
        assert_eq!(answer.status, 500);
        let well = Client::get(sidecar.addr, "/well").await;
        assert_eq!((well.status, well.explained()), (200, ("-", "-", "-")));
        if answer.explained().1 == "futile" {
            break;
        }
        assert_eq!(answer.explained(), ("4", "attempts", "maybe"));
        knocks += 1;
        assert!(knocks < 150, "it never learns");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(knocks * 3 >= 20, "twenty retries at least: {knocks} knocks");
    assert_eq!(sidecar.metric(cells).await, 1.0);

    let reloaded = format!(
        "upstream = \"http://{}\"\n{toml}\npace.max_wait = \"9s\"",
        upstream.addr
    );
    sidecar.reload(&reloaded).await.unwrap();
    assert_eq!(sidecar.metric(cells).await, 1.0, "a reload forgets nothing");

    let before = upstream.count();
    for _ in 0..10 {
        let answer = Client::get(sidecar.addr, "/sick").await;
        assert_eq!((answer.status, answer.explained().1), (500, "futile"));
    }
    let cost = upstream.count() - before;
    // A retry that finds out whether it is open again may be among them.
    assert!((10..=12).contains(&cost), "{cost} attempts for 10 requests");
    let retried = Client::request(sidecar.addr, "DELETE", "/sick", &[], b"").await;
    assert_eq!(
        retried.explained(),
        ("4", "attempts", "maybe"),
        "another method is another door"
    );

    repaired.store(true, Ordering::Relaxed);
    let answer = Client::get(sidecar.addr, "/sick").await;
    assert_eq!(answer.status, 200);
    assert_eq!(sidecar.metric(cells).await, 0.0);
}
