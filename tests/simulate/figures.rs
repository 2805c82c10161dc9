//! The figures that the window was designed for: goodput as a share of the oracle's, and attempts per success.

use redrive::simulate::Params;

use crate::scenario::{bursty, rate_limited, row, slot_limited};

/// How far a run may be from its figures.
const GOODPUT_WITHIN: f64 = 0.02;
const ATTEMPTS_WITHIN: f64 = 0.03;

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
