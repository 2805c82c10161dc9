//! A collector that is gone, slow or silent, and the end of the process.

use crate::answers::{answer, ok};
use crate::support::{Client, Collector, Process, Reply, Reserved, Upstream};

const LOST: &str = "spans were lost on the way to the collector";

#[tokio::test]
async fn a_dead_collector_costs_a_line_in_the_log_and_nothing_else() {
    let upstream = Upstream::answering([ok()]).await;
    let nobody = Reserved::new();
    let env = [
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://{}", nobody.addr),
        ),
        ("OTEL_BSP_SCHEDULE_DELAY", "10".into()),
    ];
    let mut redrive = Process::with(upstream.addr, "", &env).await;

    assert_eq!(Client::get(redrive.addr, "/").await.status, 200);
    let told = redrive.event("the loss", |it| it["message"] == LOST).await;
    for _ in 0..20 {
        assert_eq!(Client::get(redrive.addr, "/").await.status, 200);
    }
    redrive.terminate();
    let rest = redrive.rest_of_log().await;

    let cause = told["cause"].as_str().unwrap();
    assert!(cause.contains("refused"), "{cause}");
    let later: Vec<_> = rest.iter().filter(|it| it["message"] == LOST).collect();
    assert_eq!(later.len(), 1, "once a minute, and at the end: {rest:?}");
    let lost = |event: &serde_json::Value| event["spans_failed"].as_u64().unwrap();
    assert_eq!(lost(&told) + lost(later[0]), 2 * 21);
}

#[tokio::test]
async fn a_collector_that_refuses_is_told_with_its_answer() {
    let upstream = Upstream::answering([ok()]).await;
    let refused = answer("401 Unauthorized", &[], "who are you");
    let collector = Collector::answering(Reply::Bytes(refused)).await;
    let mut redrive = Process::with(upstream.addr, "", &collector.env()).await;

    Client::get(redrive.addr, "/").await;

    let told = redrive.event("the loss", |it| it["message"] == LOST).await;
    assert_eq!(told["cause"], "answered 401 Unauthorized");
}

#[tokio::test]
async fn what_is_left_is_sent_when_the_process_ends() {
    let upstream = Upstream::answering([ok()]).await;
    let collector = Collector::new().await;
    let mut env = collector.env();
    env[1].1 = "3600000".into();
    let mut redrive = Process::with(upstream.addr, "", &env).await;

    Client::get(redrive.addr, "/").await;
    redrive.terminate();
    let rest = redrive.rest_of_log().await;

    assert_eq!(collector.spans().len(), 2, "{rest:?}");
    assert!(rest.iter().all(|it| it["message"] != LOST), "{rest:?}");
}

#[tokio::test]
async fn a_silent_collector_does_not_keep_the_process_and_what_it_did_not_take_is_told() {
    let upstream = Upstream::answering([ok()]).await;
    let collector = Collector::answering(Reply::Hang).await;
    let mut redrive = Process::with(upstream.addr, "", &collector.env()).await;

    Client::get(redrive.addr, "/").await;
    collector.upstream().saw(1).await;
    assert_eq!(Client::get(redrive.addr, "/").await.status, 200);
    redrive.terminate();
    let rest = redrive.rest_of_log().await;

    let told = rest.iter().find(|it| it["message"] == LOST).unwrap();
    assert_eq!(told["spans_failed"], 4);
}

#[tokio::test]
async fn an_endpoint_that_is_none_costs_the_traces_alone() {
    let upstream = Upstream::answering([ok()]).await;
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[".to_owned())];

    let redrive = Process::with(upstream.addr, "", &env).await;

    let told = redrive.before_ready();
    assert_eq!(told[0]["message"], "no traces are exported", "{told:?}");
    assert_eq!(Client::get(redrive.addr, "/").await.status, 200);
}

#[tokio::test]
async fn what_switches_opentelemetry_off_switches_traces_off() {
    let upstream = Upstream::answering([ok()]).await;
    let collector = Collector::new().await;
    for switch in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ] {
        let mut env = collector.env();
        env.push((switch.0, switch.1.into()));
        let redrive = Process::with(upstream.addr, "", &env).await;

        assert!(redrive.before_ready().is_empty());
        assert_eq!(Client::get(redrive.addr, "/").await.status, 200);
    }
    assert!(
        upstream
            .seen()
            .iter()
            .all(|it| it.header("traceparent").is_none())
    );
}
