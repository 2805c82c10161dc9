//! The window held against the figures that it was designed for, and the simulator against laws that need no simulator.
//!
//! Every run is a function of its seed. The budget is open and attempts are unlimited, so that it is the window that is
//! measured; deadline 10 s, executions log-normal around their mean (sigma 0.5), one way through the network 2.5 to 15 ms. The
//! targets are goodput as a share of the oracle's and attempts per success, and how far a run may be from them is said once.

use std::num::NonZeroU32;
use std::time::Duration;

use http::HeaderName;
use redrive::pace::{self, Mode};
use redrive::retry::backoff::Backoff;
use redrive::retry::budget;
use redrive::retry::classify::{Integration, Proof, Rules};
use redrive::retry::{IdempotencyKey, MaxAttempts, Retriable, UnsafeMethods};
use redrive::simulate::{
    Bursts, Disturbance, Gateway, Load, Neighbours, Params, Policy, Rate, Report, Row, Service,
    Trouble, run,
};

const GOODPUT_WITHIN: f64 = 0.02;
const ATTEMPTS_WITHIN: f64 = 0.03;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Retries as many as the window lets, paid by nobody.
fn open_retry() -> redrive::retry::Policy {
    let many = NonZeroU32::MAX;
    redrive::retry::Policy {
        on: Retriable {
            throttled: true,
            suspected: true,
            overloaded: true,
            unsent: true,
            broken: true,
            timeout: true,
        },
        max_attempts: MaxAttempts {
            throttled: many,
            suspected: many,
            other: many,
        },
        unsafe_methods: UnsafeMethods::Proven,
        idempotency_key: IdempotencyKey::Keep,
        backoff: Backoff {
            throttle_base: seconds(1),
            base: Duration::from_millis(50),
            max: seconds(20),
        },
        futility: false,
        add_retry_after: true,
        dry_run: false,
        rules: Rules {
            custom: Vec::new(),
            marker_header: HeaderName::from_static("x-gw-error"),
            proof: Proof::Usual,
            integration: Integration::Any,
        },
    }
}

/// A bucket of 1000/s and 500, and twice as much load.
fn rate_limited(sidecars: usize, overload: f64) -> Params {
    Params {
        gateway: Gateway {
            rate: Some(Rate {
                per_second: 1_000.0,
                burst: 500.0,
            }),
            concurrency: None,
            service: Service {
                mean: Duration::from_millis(100),
                sigma: 0.5,
            },
            network: (Duration::from_micros(2_500), Duration::from_millis(15)),
            tells_kind: true,
            disturbances: Vec::new(),
        },
        load: Load {
            per_second: 1_000.0 * overload,
            bursts: None,
        },
        sidecars,
        neighbours: None,
        policies: vec![Policy::Redrive],
        deadline: seconds(10),
        duration: seconds(60),
        warm_up: seconds(35),
        seed: 1,
        retry: open_retry(),
        budget: budget::Params {
            capacity_milli: 0,
            ratio_milli: 0,
            per_second_milli: 0,
            cost: budget::Cost {
                throttled_milli: 0,
                suspected_milli: 0,
                other_milli: 0,
            },
        },
        pace: pace::Params {
            mode: Mode::Adaptive,
            max_wait: seconds(10),
            max_waiting: 1_000_000,
            patient: false,
            limit: None,
            max_in_flight: 100_000,
        },
    }
}

/// So many slots at 100 ms an execution, and so many times as much load as they carry.
fn slot_limited(slots: u32, sidecars: usize, overload: f64) -> Params {
    let mut params = rate_limited(sidecars, overload);
    params.gateway.rate = None;
    params.gateway.concurrency = Some(slots);
    params.load.per_second = 10.0 * f64::from(slots) * overload;
    params
}

fn bursty(mut params: Params, factor: f64) -> Params {
    params.load.bursts = Some(Bursts {
        factor,
        span: seconds(1),
        every: seconds(10),
    });
    params
}

fn row(params: &Params) -> Row {
    let report: Report = run(params);
    println!("{report}");
    report.rows[0]
}

#[track_caller]
fn near(params: &Params, goodput_of_oracle: f64, attempts_per_success: f64) {
    let row = row(params);
    let off = row.goodput_of_oracle - goodput_of_oracle;
    assert!(off.abs() <= GOODPUT_WITHIN, "goodput: {row:?}");
    let off = row.attempts_per_success - attempts_per_success;
    assert!(off.abs() <= ATTEMPTS_WITHIN, "attempts: {row:?}");
}

#[test]
fn one_sidecar_at_twice_a_rate_limit() {
    near(&rate_limited(1, 2.0), 1.00, 1.01);
}

#[test]
fn ten_sidecars_at_twice_a_rate_limit() {
    near(&rate_limited(10, 2.0), 1.00, 1.02);
}

#[test]
fn a_hundred_sidecars_at_twice_a_rate_limit() {
    near(&rate_limited(100, 2.0), 1.00, 1.05);
}

#[test]
fn ten_sidecars_just_above_a_rate_limit() {
    near(&rate_limited(10, 1.2), 1.00, 1.02);
}

#[test]
fn one_sidecar_at_twice_a_concurrency_limit() {
    near(&slot_limited(100, 1, 2.0), 0.95, 1.06);
}

#[test]
fn ten_sidecars_at_twice_a_concurrency_limit() {
    near(&slot_limited(100, 10, 2.0), 0.95, 1.07);
}

#[test]
fn a_hundred_sidecars_at_twice_a_concurrency_limit() {
    near(&slot_limited(100, 100, 2.0), 0.96, 1.16);
}

#[test]
fn ten_sidecars_at_five_times_a_concurrency_limit() {
    near(&slot_limited(100, 10, 5.0), 0.95, 1.07);
}

#[test]
fn bursts_that_fit_into_the_deadline_are_served_whole() {
    near(&bursty(rate_limited(10, 0.855), 10.0), 1.00, 1.04);
}

#[test]
fn small_concurrency_limits_carry_their_load() {
    for (params, attempts_max) in [
        (bursty(slot_limited(10, 1, 0.6), 5.0), 1.10),
        (slot_limited(10, 1, 0.8), 1.15),
    ] {
        let row = row(&params);
        assert!(row.success >= 0.99, "{row:?}");
        assert!(row.attempts_per_success <= attempts_max, "{row:?}");
    }
}

#[test]
fn below_the_limit_nothing_waits_and_nothing_is_sent_twice() {
    let row = row(&rate_limited(10, 0.5));

    assert!(row.success == 1.0, "{row:?}");
    // The edges of the measured span count an attempt here and its answer there.
    assert!((row.attempts_per_success - 1.0).abs() < 0.005, "{row:?}");
    assert!(row.wait_p99_seconds == 0.0, "{row:?}");
}

#[test]
fn a_limit_that_is_halved_and_restored_collapses_nothing() {
    let mut params = rate_limited(10, 0.8);
    params.warm_up = seconds(50);
    params.gateway.disturbances = vec![Disturbance {
        from: seconds(20),
        until: seconds(40),
        what: Trouble::Limits(0.5),
    }];

    let row = row(&params);

    // All of the load; the oracle is still busy with what had to wait.
    assert!(row.goodput_per_second >= 0.98 * 800.0, "{row:?}");
    assert!(row.attempts_per_success <= 1.05, "{row:?}");
}

#[test]
fn without_retries_the_gateway_s_own_law_is_found() {
    let mut params = slot_limited(10, 1, 0.8);
    params.policies = vec![Policy::None];
    params.duration = seconds(600);

    let row = row(&params);

    // Erlang's loss formula for ten slots and a load of eight.
    assert!((row.success - (1.0 - 0.1217)).abs() < 0.01, "{row:?}");
    assert!((row.attempts_per_success * row.success - 1.0).abs() < 0.01);
}

#[test]
fn plain_retries_pay_many_times_what_the_window_pays() {
    let mut params = rate_limited(10, 2.0);
    params.policies = vec![Policy::Exponential, Policy::Immediate, Policy::None];

    let rows = run(&params).rows;

    for (row, attempts) in rows.iter().zip([12.43, 6.31, 2.00]) {
        assert!((row.goodput_of_oracle - 1.0).abs() < 0.02, "{row:?}");
        assert!(
            (row.attempts_per_success / attempts - 1.0).abs() < 0.05,
            "{row:?}"
        );
    }
}

#[test]
fn beside_clients_that_do_not_retry_it_does_hardly_worse_than_they() {
    let mut params = rate_limited(1, 1.0);
    params.load.per_second = 200.0;
    params.duration = seconds(120);
    params.neighbours = Some(Neighbours {
        count: 9,
        policy: Policy::None,
    });
    let direct = Params {
        policies: vec![Policy::None],
        ..params.clone()
    };

    let (polite, direct) = (row(&params), row(&direct));

    assert!(
        polite.success >= direct.success - 0.05,
        "{polite:?} {direct:?}"
    );
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    let mut params = bursty(slot_limited(10, 3, 0.8), 5.0);
    let text = |params: &Params| run(params).to_string();

    let first = text(&params);
    assert_eq!(first, text(&params));
    params.seed += 1;
    assert_ne!(first, text(&params));
}
