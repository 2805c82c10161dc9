//! What is simulated: a bucket or slots, so many sidecars, so much load, and nothing that stops a retry but its deadline.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use clap::Parser;
use http::HeaderName;
use redrive::cli::{Cli, Command};
use redrive::config::{Config, Sources};
use redrive::pace::{self, Mode};
use redrive::retry::backoff::Backoff;
use redrive::retry::budget;
use redrive::retry::classify::{Integration, Proof, Rules};
use redrive::retry::{IdempotencyKey, MaxAttempts, Retriable, UnsafeMethods};
use redrive::simulate::{Bursts, Gateway, Load, Params, Policy, Rate, Report, Row, Service, run};

/// What `redrive simulate` with these flags runs, with default settings.
pub(crate) fn as_told(flags: &str) -> Params {
    let line = format!("redrive simulate {flags}");
    let cli = Cli::try_parse_from(line.split(' ')).expect("flags of a simulation");
    let Command::Simulate(args) = cli.into_command() else {
        panic!("a simulation");
    };
    let sources = Sources {
        env: BTreeMap::new(),
        ..args.sources()
    };
    args.params(&Config::load(&sources).expect("the defaults are valid"))
}

pub(crate) fn seconds(n: u64) -> Duration {
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
pub(crate) fn rate_limited(sidecars: usize, overload: f64) -> Params {
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
            cold_start: None,
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
        clocks_apart: Duration::from_millis(20),
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
pub(crate) fn slot_limited(slots: u32, sidecars: usize, overload: f64) -> Params {
    let mut params = rate_limited(sidecars, overload);
    params.gateway.rate = None;
    params.gateway.concurrency = Some(slots);
    params.load.per_second = 10.0 * f64::from(slots) * overload;
    params
}

pub(crate) fn bursty(mut params: Params, factor: f64) -> Params {
    params.load.bursts = Some(Bursts {
        factor,
        span: seconds(1),
        every: seconds(10),
    });
    params
}

/// Runs it; what it found is shown when the test fails.
pub(crate) fn row(params: &Params) -> Row {
    let report: Report = run(params);
    println!("{report}");
    report.rows[0]
}
