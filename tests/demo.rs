//! The demo on real sockets, with a shorter schedule: its counts add up, and it shows what it is there to show.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use redrive::demo::{Moment, Plan, Report, Shape, SideReport, Stage};
use tokio::sync::{Notify, watch};

/// One burst, as the demo itself plays them, and less quiet around it.
fn plan() -> Plan {
    Plan {
        shape: Shape {
            period: Duration::from_secs(3),
            burst_after: Duration::from_millis(300),
            ..Shape::default()
        },
        length: Some(Duration::from_secs(3)),
        ..Plan::default()
    }
}

async fn play(
    plan: &Plan,
    stop: impl Future<Output = ()>,
    watch: impl FnMut(&Moment),
) -> (Report, Duration) {
    let stage = Stage::build(plan.gateway)
        .await
        .expect("free ports on loopback");
    let mut watch = watch;
    let mut elapsed = Duration::ZERO;
    let report = stage
        .play(plan, stop, |moment| {
            elapsed = moment.elapsed;
            watch(moment);
        })
        .await
        .expect("a stage that stays up");
    (report, elapsed)
}

/// `sent` is all that ended well or badly, and the gateway served exactly those that ended well.
#[track_caller]
fn assert_counts_add_up(side: &SideReport) {
    assert_eq!(side.sent, side.ok + side.failed, "{side:?}");
    assert_eq!(side.unanswered, 0, "{side:?}");
    assert_eq!(side.failures.values().sum::<u64>(), side.failed, "{side:?}");
    assert_eq!(side.gateway_served, side.ok, "{side:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_that_fails_directly_succeeds_through_redrive_and_every_count_adds_up() {
    let mut last = None;

    let (report, _) = play(&plan(), std::future::pending(), |moment| {
        last = Some(*moment);
    })
    .await;

    let (direct, redrive) = (&report.direct, &report.redrive);
    assert_counts_add_up(direct);
    assert_counts_add_up(redrive);
    assert_eq!(direct.sent, redrive.sent, "both sides are sent the same");
    assert_eq!(direct.sent, 195 + 56, "the schedule's requests");
    assert_eq!(
        direct.gateway_requests, direct.sent,
        "a client that does not retry sends each request once"
    );
    assert_eq!(
        direct.failures.get("429").copied(),
        Some(direct.failed),
        "the limits are what direct requests fail of"
    );
    assert!(redrive.gateway_requests > redrive.sent, "{redrive:?}");
    let (direct_share, redrive_share) = (direct.success.unwrap(), redrive.success.unwrap());
    assert!(redrive_share >= 0.99, "{redrive:?}");
    assert!(direct_share < 0.99, "{direct:?}");
    let last = last.expect("a last look at the end");
    assert_eq!((last.direct_ok, last.redrive_ok), (direct.ok, redrive.ok));
    assert_eq!(last.redrive_waiting, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_without_an_end_goes_on_until_it_is_stopped_and_is_then_reported() {
    let plan = Plan {
        length: None,
        ..plan()
    };
    let enough = Arc::new(Notify::new());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let stop = {
        let enough = Arc::clone(&enough);
        async move { enough.notified().await }
    };

    let (report, elapsed) = play(&plan, stop, |moment| {
        let mut seen = seen.lock().unwrap();
        seen.push(*moment);
        // Past the first period: the schedule has begun again by itself.
        if moment.sent > 260 {
            enough.notify_one();
        }
    })
    .await;

    let seen = seen.lock().unwrap();
    assert!(seen.is_sorted_by_key(|moment| moment.sent));
    for side in [&report.direct, &report.redrive] {
        assert!(side.sent > 260, "{side:?}");
        assert_eq!(
            side.sent,
            side.ok + side.failed + side.unanswered,
            "{side:?}"
        );
    }
    assert!(report.traffic.seconds > 3.0);
    assert!(report.traffic.seconds <= elapsed.as_secs_f64());
}

/// Others of what may change while it serves: budget, window, waits, connections, memory, and what is logged.
fn settings(n: u32) -> [(&'static str, String); 6] {
    [
        ("REDRIVE_BUDGET__CAPACITY", format!("{}", 400 + n % 7)),
        ("REDRIVE_PACE__MAX_WAIT", format!("{}s", 8 + n % 3)),
        ("REDRIVE_PACE__MAX_WAITING", format!("{}", 1000 + n % 5)),
        ("REDRIVE_CONNECTIONS__MAX", format!("{}", 200 + n % 2)),
        ("REDRIVE_REPLAY__MAX_TOTAL", format!("{}MiB", 60 + n % 3)),
        ("REDRIVE_CLIENT__IDLE", format!("{}s", 60 + n % 10)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reloads_and_a_drain_under_its_endless_load_lose_not_one_request() {
    let plan = Plan {
        length: None,
        ..plan()
    };
    let stage = Stage::build(plan.gateway).await.unwrap();
    let (operator, (tell, mut told)) = (stage.operator(), watch::channel(None::<Moment>));
    let operating = async move {
        for n in 0..1000 {
            operator.reload(&settings(n)).await.unwrap();
        }
        // A whole burst has come by then, and there is traffic behind the drain as well.
        told.wait_for(|it| it.is_some_and(|it| it.elapsed > plan.shape.period))
            .await
            .unwrap();
        operator.drain();
        let sent = told.borrow_and_update().map_or(0, |it| it.sent);
        let enough = |it: Moment| it.sent > sent + 100 && it.redrive_waiting < 5;
        told.wait_for(|it| it.is_some_and(enough)).await.unwrap();
    };

    let watch = |moment: &Moment| {
        tell.send_replace(Some(*moment));
    };
    let report = stage.play(&plan, operating, watch).await.unwrap();

    assert_counts_add_up(&report.direct);
    assert_counts_add_up(&report.redrive);
    let own: Vec<_> = report
        .redrive
        .failures
        .keys()
        .filter(|kind| kind.parse::<u16>().is_err())
        .collect();
    assert!(own.is_empty(), "{report:?}");
    assert!(report.redrive.success.unwrap() >= 0.99, "{report:?}");
}

#[tokio::test]
async fn limits_that_contradict_themselves_are_an_error_before_anything_is_sent() {
    let gateway = redrive::gateway::Params {
        rate: None,
        burst: Some(1),
        ..redrive::gateway::Params::default()
    };

    let error = Stage::build(gateway).await.err().expect("no such gateway");

    assert_eq!(error.to_string(), "the embedded gateway cannot start");
}
