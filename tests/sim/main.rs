//! The decisions under virtual time: many sidecars, one limited upstream, no socket and no clock.
//!
//! The model below is the whole world: requests arrive, attempts take a fixed time to be answered, and the upstream is a token
//! bucket that knows nothing of the code under test. Every run is a function of its seed, which every assertion names. The
//! properties are the promises that must hold whatever the upstream does: bounded amplification, no retry after the deadline,
//! no lockstep, and bursts that become served requests.

mod world;

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::time::Duration;

use redrive::retry::{MaxAttempts, Policy, Reason};

use crate::world::{BUDGET, Load, Report, Upstream, World, default_policy};

const SEEDS: std::ops::Range<u64> = 1..4;

/// Ten sidecars, a minute, and per sidecar so many requests per second, with a tenfold second in every ten.
fn bursty(base_per_second: u32) -> Load {
    Load {
        sidecars: 10,
        span: Duration::from_secs(60),
        base_per_second,
        burst_factor: 10,
    }
}

fn steady(base_per_second: u32) -> Load {
    Load {
        burst_factor: 1,
        ..bursty(base_per_second)
    }
}

fn limited(per_second: u64, burst: u64) -> Upstream {
    Upstream::new(per_second, burst, None)
}

fn no_retries() -> Policy {
    let once = NonZeroU32::MIN;
    Policy {
        max_attempts: MaxAttempts {
            throttled: once,
            suspected: once,
            other: once,
        },
        ..default_policy()
    }
}

/// Runs the load under the default policy with every seed, and hands each report to the check.
fn for_every_seed(load: Load, upstream: &Upstream, check: impl Fn(u64, &Report)) {
    for seed in SEEDS {
        println!("seed {seed}");
        check(
            seed,
            &World::new(default_policy(), upstream.clone(), load, seed).run(),
        );
    }
}

/// What the budget grants one sidecar beyond its requests, in thousandths of a retry.
fn granted_milli(requests: u64, elapsed: Duration) -> u128 {
    let by_time = u128::from(BUDGET.per_second_milli) * elapsed.as_nanos() / 1_000_000_000;
    u128::from(BUDGET.capacity_milli + BUDGET.ratio_milli * requests) + by_time
}

#[test]
fn a_dead_upstream_gets_no_more_than_the_budget_on_top_of_the_requests() {
    for_every_seed(steady(40), &limited(0, 0), |seed, report| {
        assert_eq!(report.served, 0, "seed {seed}");
        for sidecar in &report.sidecars {
            let spent_milli = u128::from(sidecar.retries * BUDGET.cost.throttled_milli);
            let granted_milli = granted_milli(sidecar.requests, report.elapsed);
            assert!(spent_milli <= granted_milli, "seed {seed}: {sidecar:?}");
        }
        let stopped = report.stopped(Reason::Budget);
        assert!(
            stopped > report.requests() / 2,
            "seed {seed}: it was the budget, {stopped} times"
        );
    });
}

#[test]
fn retries_that_fail_stay_within_the_budget_while_others_succeed() {
    for_every_seed(steady(40), &limited(200, 150), |seed, report| {
        for sidecar in &report.sidecars {
            let spent_milli = u128::from(sidecar.retries_failed * BUDGET.cost.throttled_milli);
            let granted_milli = granted_milli(sidecar.requests, report.elapsed);
            assert!(spent_milli <= granted_milli, "seed {seed}: {sidecar:?}");
        }
        assert!(
            report.stopped(Reason::Budget) > 0,
            "seed {seed}: the bound was reached"
        );
    });
}

#[test]
fn no_retry_starts_at_or_after_its_deadline() {
    for (upstream, load) in [
        (limited(0, 0), steady(2)),
        (limited(200, 100), bursty(10)),
        (
            Upstream::new(20, 10, Some(Duration::from_secs(9))),
            steady(4),
        ),
    ] {
        for_every_seed(load, &upstream, |seed, report| {
            let latest = report.latest_retry_age.expect("there are retries");
            assert!(latest < world::DEADLINE, "seed {seed}: {latest:?}");
            let late = report.stopped(Reason::Deadline) + report.stopped(Reason::HintTooLong);
            assert!(late > 0, "seed {seed}: some had no time left");
        });
    }
}

#[test]
fn nobody_comes_back_before_the_upstream_asked() {
    let asked = Duration::from_secs(9);
    for_every_seed(
        steady(4),
        &Upstream::new(20, 10, Some(asked)),
        |seed, report| {
            let waits = report.waits.iter().flatten();
            assert!(
                waits.clone().count() > 100,
                "seed {seed}: there are retries"
            );
            assert!(waits.clone().all(|wait| *wait >= asked), "seed {seed}");
        },
    );
}

#[test]
fn no_two_requests_wait_alike() {
    for_every_seed(bursty(9), &limited(200, 150), |seed, report| {
        let sequences: Vec<_> = report
            .waits
            .iter()
            .filter(|waits| waits.len() > 1)
            .collect();
        let different: HashSet<_> = sequences.iter().collect();

        assert!(sequences.len() > 100, "seed {seed}: there are retries");
        assert_eq!(different.len(), sequences.len(), "seed {seed}");
    });
}

#[test]
fn a_burst_that_loses_a_third_when_sent_directly_is_served_whole() {
    for_every_seed(bursty(9), &limited(200, 150), |seed, report| {
        let direct = World::new(no_retries(), limited(200, 150), bursty(9), seed).run();

        assert_eq!(
            direct.attempts(),
            direct.requests(),
            "seed {seed}: direct means once"
        );
        let share = direct.share_served();
        assert!(
            (0.6..0.8).contains(&share),
            "seed {seed}: {share:.3} directly"
        );
        let share = report.share_served();
        assert!(share >= 0.99, "seed {seed}: {share:.4}, {report:?}");
    });
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    let run = |seed| World::new(default_policy(), limited(200, 150), bursty(9), seed).run();

    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
