//! What happens to an upstream: outages, limits that move, environments that are cold.

use std::time::Duration;

use redrive::simulate::{ColdStart, Disturbance, Params, Trouble};

use crate::scenario::{rate_limited, row, seconds, slot_limited};

/// The same with something that happens from one second to another, counted from shortly before.
fn disturbed(mut params: Params, from: u64, until: u64, what: Trouble) -> Params {
    params.warm_up = seconds(from.saturating_sub(5));
    params.duration = seconds(until + 20);
    params.gateway.disturbances = vec![Disturbance {
        from: seconds(from),
        until: seconds(until),
        what,
    }];
    params
}

#[track_caller]
fn recovers(params: &Params, within: f64, attempts_max: f64) {
    let row = row(params);
    let recovery = row.recovery_seconds;
    assert!(recovery.is_some_and(|seconds| seconds <= within), "{row:?}");
    assert!(row.attempts_per_success <= attempts_max, "{row:?}");
}

#[test]
fn after_an_outage_of_half_a_minute_all_is_well_within_two_seconds() {
    for (sidecars, attempts_max) in [(1, 1.12), (10, 1.15), (100, 1.45)] {
        let params = slot_limited(100, sidecars, 1.2);
        recovers(
            &disturbed(params, 10, 40, Trouble::Refuses),
            2.0,
            attempts_max,
        );
    }
}

#[test]
fn after_a_black_hole_all_is_well_within_eight_seconds() {
    for sidecars in [1, 10] {
        let params = slot_limited(100, sidecars, 0.8);
        let swallows = Trouble::Swallows(seconds(5));
        recovers(&disturbed(params, 10, 40, swallows), 8.0, 1.30);
    }
}

#[test]
fn a_limit_that_doubles_is_used_within_three_seconds() {
    for sidecars in [1, 10] {
        let params = rate_limited(sidecars, 1.5);
        recovers(&disturbed(params, 0, 20, Trouble::Limits(0.5)), 3.0, 1.05);
    }
}

#[test]
fn a_limit_that_is_halved_has_settled_after_six_seconds() {
    for (sidecars, attempts_max) in [(1, 1.05), (10, 1.05), (100, 1.12)] {
        let mut params = disturbed(rate_limited(sidecars, 0.8), 20, 100, Trouble::Limits(0.5));
        params.warm_up = seconds(26);
        params.duration = seconds(40);

        let row = row(&params);

        assert!(row.goodput_of_oracle >= 0.98, "{row:?}");
        assert!(row.attempts_per_success <= attempts_max, "{row:?}");
    }
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
fn environments_that_are_cold_cost_little() {
    for sidecars in [1, 10, 100] {
        let mut params = slot_limited(100, sidecars, 0.8);
        params.gateway.cold_start = Some(ColdStart {
            extra: Duration::from_secs(1),
            per_second: 100.0,
        });
        params.warm_up = Duration::ZERO;
        params.duration = seconds(30);

        let row = row(&params);

        assert!(row.goodput_of_oracle >= 0.95, "{row:?}");
        // Whose the throttles of the first second are is asked for until it is known, which costs some.
        assert!(row.attempts_per_success <= 1.17, "{row:?}");
    }
}
