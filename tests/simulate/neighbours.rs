//! Mixed fleets: one sidecar with default settings beside clients that send as much each and do not retry.
//!
//! What goes directly is the measure: with the same arrivals, the sidecar's requests sent once. What does not hold stands in the
//! README: neighbours that leave some of a limit over, and some whose executions take long.

use std::time::Duration;

use redrive::simulate::{Params, Policy, run};

use crate::scenario::{as_told, rate_limited, row};

const SEEDS: std::ops::RangeInclusive<u64> = 1..=24;

/// The share of requests that succeed with redrive and directly: means, since a single run is decided by when it was found out.
fn shares(params: &Params) -> (f64, f64) {
    let direct = Params {
        policies: vec![Policy::None],
        ..params.clone()
    };
    let mean = |params: &Params| {
        let run = |seed| {
            row(&Params {
                seed,
                ..params.clone()
            })
        };
        SEEDS.map(|seed| run(seed).success).sum::<f64>() / SEEDS.count() as f64
    };
    (mean(params), mean(&direct))
}

#[track_caller]
fn does_no_worse_than_direct(flags: &str) {
    let mut params = as_told(flags);
    params.policies = vec![Policy::Redrive];

    let (polite, direct) = shares(&params);

    assert!(polite >= direct - 0.05, "{polite} {direct}");
}

/// A bucket of 100/s and 50, short executions; each of eleven sends so many a second.
#[track_caller]
fn does_no_worse_beside_ten(per_second: u32, time: &str) {
    does_no_worse_than_direct(&format!(
        "--rate 100 --load {per_second} --service-time 20ms --neighbours 10:none --duration {time}"
    ));
}

#[test]
fn beside_neighbours_that_use_up_a_limit_or_exceed_it_by_a_fifth() {
    for per_second in [10, 11, 12] {
        does_no_worse_beside_ten(per_second, "60s");
    }
}

#[test]
fn beside_neighbours_that_exceed_it_by_half_and_manyfold() {
    for per_second in [14, 18, 30, 50] {
        does_no_worse_beside_ten(per_second, "60s");
    }
}

#[test]
fn behind_a_concurrency_limit_too() {
    for per_second in [11, 15, 20, 30, 40] {
        does_no_worse_than_direct(&format!(
            "--concurrency 10 --load {per_second} --neighbours 10:none --duration 60s"
        ));
    }
    does_no_worse_than_direct("--concurrency 30 --load 45 --neighbours 10:none --duration 20s");
}

#[test]
fn behind_a_concurrency_limit_within_the_first_seconds() {
    for per_second in [11, 15, 20, 30, 40] {
        does_no_worse_than_direct(&format!(
            "--concurrency 10 --load {per_second} --neighbours 10:none --duration 20s"
        ));
    }
    does_no_worse_than_direct("--concurrency 10 --load 50 --neighbours 3:none --duration 20s");
}

#[test]
fn whoever_is_starved_at_first_is_not_for_long() {
    // Each of them once was, for good: with three in a hundred of its requests.
    for (per_second, seed) in [(14, 3), (14, 5), (18, 5), (18, 6)] {
        let mut params = as_told(&format!(
            "--rate 100 --load {per_second} --service-time 20ms --neighbours 10:none --duration 5m --seed {seed}"
        ));
        params.policies = vec![Policy::Redrive, Policy::None];

        let rows = run(&params).rows;

        assert!(rows[0].success >= rows[1].success - 0.05, "{rows:?}");
    }
}

#[test]
fn within_the_first_seconds() {
    for per_second in [11, 14, 18, 30, 50] {
        does_no_worse_beside_ten(per_second, "20s");
    }
}

#[test]
fn beside_three_neighbours_of_its_own_size() {
    does_no_worse_than_direct("--rate 100 --load 60 --neighbours 3:none --duration 60s");
}

#[test]
fn polite_senders_alone_are_never_taken_for_others() {
    let row = row(&rate_limited(30, 5.0));

    // A single one that went freely would throttle all the others.
    assert!(row.attempts_per_success < 1.08, "{row:?}");
}

#[test]
fn polite_senders_keep_a_beat_by_clocks_that_are_a_little_apart() {
    let mut params = as_told("--rate 100 --load 500 --sidecars 10 --duration 60s");
    params.policies = vec![Policy::Redrive];
    params.clocks_apart = Duration::from_millis(150);

    let row = row(&params);

    assert!(row.attempts_per_success < 1.1, "{row:?}");
}

#[test]
fn in_a_minute_polite_senders_without_a_common_clock_send_no_more_than_they_would_directly() {
    let mut params = as_told("--rate 100 --load 500 --sidecars 10 --duration 60s");
    params.policies = vec![Policy::Redrive, Policy::None];
    params.clocks_apart = Duration::from_secs(1);

    let rows = run(&params).rows;

    assert!(
        rows[0].attempts_per_success <= rows[1].attempts_per_success,
        "{rows:?}"
    );
}

#[test]
fn a_burst_is_over_before_anybody_is_doubted() {
    let mut params = as_told("--rate 100 --load 60 --bursts 5 --service-time 20ms --duration 20s");
    params.policies = vec![Policy::Redrive];
    params.warm_up = Duration::ZERO;
    for seed in SEEDS {
        params.seed = seed;

        let row = row(&params);

        assert!(row.attempts_per_success <= 1.08, "{seed} {row:?}");
    }
}

#[test]
fn polite_senders_behind_a_concurrency_limit_are_not_taken_for_others() {
    let mut params = as_told("--concurrency 100 --load 5000 --sidecars 100 --duration 60s");
    params.policies = vec![Policy::Redrive];

    let row = row(&params);

    assert!(row.attempts_per_success < 1.35, "{row:?}");
}

#[test]
fn polite_senders_before_a_small_limit_do_not_take_one_another_for_others() {
    // One that carries eight or nine tenths of it, and many that want twice as much, or many times.
    for (sidecars, load, attempts_max) in [
        (1, 80, 1.15),
        (1, 90, 1.35),
        (10, 500, 1.35),
        (20, 200, 1.45),
        (40, 200, 1.5),
        (20, 300, 1.5),
        (20, 500, 2.0),
        (100, 1000, 2.0),
    ] {
        let mean = attempts_of_eight_runs(&format!(
            "--concurrency 10 --load {load} --sidecars {sidecars} --duration 60s"
        ));

        assert!(mean <= attempts_max, "{sidecars} {load} {mean}");
    }
}

#[test]
fn polite_senders_that_took_one_another_for_others_find_out() {
    let mean = attempts_of_eight_runs("--concurrency 10 --load 500 --sidecars 10 --duration 10m");

    // Without the checks it is 2.1.
    assert!(mean <= 1.5, "{mean}");
}

/// The mean of the attempts per success, of eight seeds.
fn attempts_of_eight_runs(flags: &str) -> f64 {
    let mut params = as_told(flags);
    params.policies = vec![Policy::Redrive];
    let attempts = |seed: u32| {
        params.seed = u64::from(seed);
        row(&params).attempts_per_success
    };

    (1..=8).map(attempts).sum::<f64>() / 8.0
}

#[test]
fn polite_senders_far_above_a_limit_throttle_one_another_no_more_than_near_it() {
    for overload in [10, 15] {
        let mut params = as_told(&format!(
            "--rate 100 --load {} --sidecars 10 --duration 60s",
            100 * overload
        ));
        params.policies = vec![Policy::Redrive];

        let row = row(&params);

        assert!(row.attempts_per_success < 1.1, "{row:?}");
    }
}

#[test]
fn behind_a_limit_of_one_a_second_attempts_seldom_run_out() {
    let mut params = as_told("--rate 1 --burst 1 --load 0.5 --service-time 20ms --duration 10m");
    params.policies = vec![Policy::Redrive];

    let (polite, direct) = shares(&params);

    assert!(polite >= 0.95, "{polite} {direct}");
}
