//! Mixed fleets: one sidecar beside ten clients that send as much each and do not retry.

use std::time::Duration;

use redrive::simulate::{Neighbours, Params, Policy};

use crate::scenario::{rate_limited, row, seconds};

/// A bucket of 100/s and 50, short executions; each of the eleven sends so many a second. Measured from the first request on.
#[track_caller]
fn does_no_worse_than_direct(per_second: f64) {
    let mut params = rate_limited(1, 1.0);
    params.gateway.rate.as_mut().unwrap().per_second = 100.0;
    params.gateway.rate.as_mut().unwrap().burst = 50.0;
    params.gateway.service.mean = Duration::from_millis(20);
    params.load.per_second = per_second;
    params.warm_up = Duration::ZERO;
    params.neighbours = Some(Neighbours {
        count: 10,
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
    assert!(polite.wait_p99_seconds <= 10.5, "{polite:?}");
}

#[test]
fn beside_neighbours_that_exceed_the_limit_by_half() {
    does_no_worse_than_direct(14.0);
}

#[test]
fn beside_neighbours_that_exceed_the_limit_twofold() {
    does_no_worse_than_direct(18.0);
}

#[test]
fn beside_neighbours_that_exceed_the_limit_threefold() {
    does_no_worse_than_direct(30.0);
}

#[test]
fn beside_neighbours_that_exceed_the_limit_fivefold() {
    does_no_worse_than_direct(50.0);
}

#[test]
fn beside_three_neighbours_of_its_own_size() {
    let mut params = rate_limited(1, 0.6);
    params.duration = seconds(90);
    params.neighbours = Some(Neighbours {
        count: 3,
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
fn polite_senders_alone_are_never_taken_for_others() {
    let row = row(&rate_limited(30, 5.0));

    // A single one that went freely would throttle all the others.
    assert!(row.attempts_per_success < 1.08, "{row:?}");
}
