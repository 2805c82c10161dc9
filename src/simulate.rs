//! `redrive simulate`: what would this configuration do, told by the decision code itself under virtual time.
//!
//! A discrete-event model: clients that ask at random moments, sidecars that do not know one another, a gateway with a token
//! bucket and a concurrency limit, and a network in between. Every sidecar holds the very same [`pace::Controller`],
//! [`retry::Session`] and [`Budget`](crate::retry::budget::Budget) as the proxy does; there is no socket
//! and no sleep. Other policies run under the same arrivals for comparison, and an *oracle*, which has its queue at the
//! gateway's door and knows when a place becomes free: nobody can serve more.
//!
//! A run is a function of its [`Params`], the seed included. The walk: `load.rs` makes arrivals, `world.rs` runs the events in the
//! order of `agenda.rs`, `sender.rs` decides as a policy does for those in `request.rs`, `gateway.rs` accepts or refuses, `tally.rs` counts,
//! `report.rs` tells. A run that is to be drawn keeps a `timeline.rs`, of which `plot.rs` makes a picture.

mod agenda;
mod gateway;
mod load;
mod oracle;
mod plot;
mod report;
mod request;
mod rival;
mod sender;
mod tally;
mod timeline;
mod world;

use std::time::Duration;

use serde::Serialize;

pub use self::report::{GaveUp, Report, Row};
use crate::{pace, retry};

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Params {
    /// The upstream's limits and manners.
    pub gateway: Gateway,
    /// What the clients of the sidecars ask for, all together.
    pub load: Load,
    /// How many sidecars share it evenly; at least one.
    pub sidecars: usize,
    /// Senders beside them, each with as much load as one sidecar, following another policy.
    pub neighbours: Option<Neighbours>,
    /// The policies that the sidecars follow, one run each.
    pub policies: Vec<Policy>,
    /// How far the sidecars' clocks are apart, at most.
    pub clocks_apart: Duration,
    /// How long a client waits for its answer.
    pub deadline: Duration,
    /// How long requests keep coming.
    pub duration: Duration,
    /// How long at the beginning nothing is counted.
    pub warm_up: Duration,
    /// Everything random follows from it.
    pub seed: u64,
    /// `[retry]`, for [`Policy::Redrive`].
    pub retry: retry::Policy,
    /// `[budget]`, for [`Policy::Redrive`].
    pub budget: retry::budget::Params,
    /// `[pace]`, for [`Policy::Redrive`].
    pub pace: pace::Params,
}

/// The upstream.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Requests per second and burst of its token bucket.
    pub rate: Option<Rate>,
    /// Executions at the same time.
    pub concurrency: Option<u32>,
    /// Mean and spread of an execution; log-normal.
    pub service: Service,
    /// One way through the network: evenly between these two.
    pub network: (Duration, Duration),
    /// What the first execution in a new environment costs; `None`: all are warm.
    pub cold_start: Option<ColdStart>,
    /// Whether its answers tell which limit refused.
    pub tells_kind: bool,
    /// What happens to it, in any order.
    pub disturbances: Vec<Disturbance>,
}

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Tokens per second; above zero.
    pub per_second: f64,
    /// The most tokens that it holds; at least one.
    pub burst: f64,
}

/// How long executions take.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// On average.
    pub mean: Duration,
    /// The standard deviation of the logarithm; zero: always the mean.
    pub sigma: f64,
}

/// Environments are made when more executions run at once than ever before, and stay.
#[derive(Clone, Copy, Debug)]
pub struct ColdStart {
    /// How much longer the first execution in one takes.
    pub extra: Duration,
    /// How many can be made in a second; what needs one more is refused as by the concurrency limit. At least one.
    pub per_second: f64,
}

/// Something that happens to the gateway from one moment to another.
#[derive(Clone, Copy, Debug)]
pub struct Disturbance {
    /// From when, counted from the start.
    pub from: Duration,
    /// Until when.
    pub until: Duration,
    /// What.
    pub what: Trouble,
}

/// What can happen to a gateway.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// Its limits are multiplied by this.
    Limits(f64),
    /// It refuses everything at once, without a reason.
    Refuses,
    /// It swallows everything; senders give up after this time.
    Swallows(Duration),
}

/// What clients ask for.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Requests per second on average, at random moments.
    pub per_second: f64,
    /// Bursts within that average.
    pub bursts: Option<Bursts>,
}

/// Load that comes in bursts.
#[derive(Clone, Copy, Debug)]
pub struct Bursts {
    /// How many times the load of the time between.
    pub factor: f64,
    /// How long each lasts.
    pub span: Duration,
    /// From the start of one to the start of the next; longer than `span`.
    pub every: Duration,
}

/// Senders beside the sidecars.
#[derive(Clone, Copy, Debug)]
pub struct Neighbours {
    /// How many.
    pub count: usize,
    /// What they do.
    pub policy: Policy,
}

/// What a sender does about refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// redrive, as configured.
    Redrive,
    /// The same with nothing to stop a retry but its deadline: attempts without number, paid by nobody.
    RedriveOpen,
    /// No retries.
    None,
    /// Three retries at once, as nginx and HAProxy do.
    Immediate,
    /// Eight retries with full jitter from 100 ms, without a budget.
    Exponential,
    /// Three attempts, a quota of 500 tokens at 5 a retry, jitter from 1 s: the AWS SDKs' standard mode.
    AwsStandard,
    /// A fifth of the requests and ten a second may be retried, up to eight times each: Finagle's, Linkerd's and tower's budget.
    Finagle,
}

impl Policy {
    /// Every policy, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Redrive,
        Self::RedriveOpen,
        Self::None,
        Self::Immediate,
        Self::Exponential,
        Self::AwsStandard,
        Self::Finagle,
    ];

    /// The word for it, in table, JSON and flags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::RedriveOpen => "redrive-open",
            Self::None => "none",
            Self::Immediate => "immediate",
            Self::Exponential => "exponential",
            Self::AwsStandard => "aws-standard",
            Self::Finagle => "finagle",
        }
    }
}

/// Runs a simulation and tells what it found: as a table, or as one JSON object.
pub fn told(params: &Params, json: bool) -> String {
    let report = run(params);
    if json {
        serde_json::to_string(&report).expect("a report holds numbers and words only")
    } else {
        report.to_string()
    }
}

/// Runs redrive, as configured, once more, and draws what happened when: a picture in SVG.
pub fn plot(params: &Params) -> String {
    let timeline = world::World::new(params, Policy::Redrive).watched();
    plot::svg(params, &timeline)
}

/// Runs every policy, and the oracle, under the same arrivals.
pub fn run(params: &Params) -> Report {
    let oracle = oracle::run(params);
    let mut report = Report::new(&oracle, params);
    for policy in &params.policies {
        let tally = world::World::new(params, *policy).run();
        report.add(*policy, &tally, &oracle, params);
    }
    report
}
