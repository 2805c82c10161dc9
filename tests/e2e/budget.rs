//! Retries that fail are paid for, and when the budget is empty they end, whatever happens.

use crate::answers::{ok, throttled};
use crate::support::{Answer, Client, Reply, Sidecar, Upstream};

const TOKENS: &str = "redrive_retry_budget_tokens";

/// Sends this many GETs, so many at a time.
async fn crowd(sidecar: &Sidecar, requests: usize, at_a_time: usize) -> Vec<Answer> {
    let addr = sidecar.addr;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..at_a_time {
        running.spawn(async move {
            let mut answers = Vec::new();
            for _ in 0..requests / at_a_time {
                answers.push(Client::get(addr, "/").await);
            }
            answers
        });
    }
    running.join_all().await.into_iter().flatten().collect()
}

#[tokio::test]
async fn six_hundred_endless_throttles_cost_no_more_retries_than_the_budget_holds() {
    let upstream = Upstream::answering([Reply::Bytes(throttled())]).await;
    let toml = "
        budget = { capacity = 50, ratio = 0.1, min_per_second = 0 }
        retry.backoff = { max = \"10ms\" }
    ";
    let sidecar = Sidecar::before(upstream.addr, toml).await;
    assert_eq!(sidecar.total(TOKENS, &[]).await, 50.0);

    let answers = crowd(&sidecar, 600, 60).await;

    assert_eq!(answers.len(), 600);
    assert!(answers.iter().all(|answer| answer.status == 429));
    let retries = upstream.count() - 600;
    // capacity + ratio x requests, as nothing comes with time.
    assert!(retries <= 50 + 60, "{retries} retries");
    assert!(retries >= 50, "{retries} retries");
    let stopped = answers
        .iter()
        .filter(|answer| answer.explained().1 == "budget");
    let skipped = [r#"reason="budget""#];
    let counted = sidecar
        .total("redrive_retries_skipped_total", &skipped)
        .await;
    assert_eq!(stopped.count().to_string(), counted.to_string());
    assert!(counted >= 400.0, "{counted}");
    assert!(sidecar.total(TOKENS, &[]).await < 2.0);
}

#[tokio::test]
async fn time_earns_no_more_than_it_says() {
    let upstream = Upstream::answering([Reply::Bytes(throttled())]).await;
    let toml = "
        budget = { capacity = 5, ratio = 0, min_per_second = 10, cost = { other = 1 } }
        retry.backoff = { max = \"10ms\" }
    ";
    let start = redrive::clock::now();
    let sidecar = Sidecar::before(upstream.addr, toml).await;

    let answers = crowd(&sidecar, 100, 10).await;

    let seconds = (redrive::clock::now() - start).as_secs_f64();
    let retries = upstream.count() - answers.len();
    assert!(retries >= 5, "{retries} retries");
    let bound = 5.0 + (10.0 * seconds).ceil();
    assert!(
        f64::from(u32::try_from(retries).unwrap()) <= bound,
        "{retries} retries in {seconds} s"
    );
}

#[tokio::test]
async fn a_retry_that_succeeds_gets_its_cost_back() {
    let upstream = Upstream::scripted(|_, seen| match seen.header("redrive-attempt") {
        Some("1") => Reply::Bytes(throttled()),
        _ => ok(),
    })
    .await;
    let sidecar = Sidecar::before(upstream.addr, ONE_TOKEN).await;

    let answers = crowd(&sidecar, 20, 1).await;

    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(upstream.count(), 40);
    assert_eq!(sidecar.total(TOKENS, &[]).await, 1.0);
}

#[tokio::test]
async fn a_retry_that_fails_stays_paid() {
    let upstream = Upstream::answering([Reply::Bytes(throttled())]).await;
    let sidecar = Sidecar::before(upstream.addr, ONE_TOKEN).await;

    let answers = crowd(&sidecar, 3, 1).await;

    assert_eq!(answers[0].explained(), ("2", "budget", "no"));
    assert_eq!(answers[1].explained(), ("1", "budget", "no"));
    assert_eq!(answers[2].explained(), ("1", "budget", "no"));
    assert_eq!(upstream.count(), 4);
    assert_eq!(sidecar.total(TOKENS, &[]).await, 0.0);
    let ended = [r#"outcome="gave_up""#];
    assert_eq!(sidecar.total("redrive_requests_total", &ended).await, 3.0);
}

#[tokio::test]
async fn every_class_has_its_own_price() {
    let upstream = Upstream::answering([Reply::Cut]).await;
    let toml = "budget = { capacity = 7, ratio = 0, min_per_second = 0 }";
    let sidecar = Sidecar::before(upstream.addr, toml).await;

    let answers = crowd(&sidecar, 2, 1).await;

    assert_eq!(answers[0].explained(), ("3", "attempts", "maybe"));
    assert_eq!(answers[1].explained(), ("1", "budget", "maybe"));
    assert_eq!(sidecar.total(TOKENS, &[]).await, 1.0);
}

/// Exactly one retry, once.
const ONE_TOKEN: &str = "
    budget = { capacity = 1, ratio = 0, min_per_second = 0, cost = { other = 1 } }
";
