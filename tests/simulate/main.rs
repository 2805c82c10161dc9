//! The window held against the figures that it was designed for, and the simulator against laws that need no simulator.
//!
//! Every run is a function of its seed. The budget is open and attempts are unlimited, so that it is the window that is
//! measured; deadline 10 s, executions log-normal around their mean (sigma 0.5), one way through the network 2.5 to 15 ms. The
//! targets are goodput as a share of the oracle's and attempts per success, and how far a run may be from them is said once.

mod events;
mod figures;
mod neighbours;
mod scenario;

use redrive::simulate::{Params, Policy, run};

use crate::scenario::{bursty, rate_limited, row, seconds, slot_limited};

#[test]
fn below_the_limit_nothing_waits_and_nothing_is_sent_twice() {
    let row = row(&rate_limited(10, 0.5));

    assert!(row.success == 1.0, "{row:?}");
    // The edges of the measured span count an attempt here and its answer there.
    assert!((row.attempts_per_success - 1.0).abs() < 0.005, "{row:?}");
    assert!(row.wait_p99_seconds == 0.0, "{row:?}");
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
fn a_run_is_a_function_of_its_seed() {
    let mut params = bursty(slot_limited(10, 3, 0.8), 5.0);
    let text = |params: &Params| run(params).to_string();

    let first = text(&params);
    assert_eq!(first, text(&params));
    params.seed += 1;
    assert_ne!(first, text(&params));
}
