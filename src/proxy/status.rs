//! What the operator sees of the proxy at one moment, as the admin's `/status` tells it.
//!
//! Only words of the closed vocabularies and names from the configuration: nothing that a client sent. The names of the fields are
//! part of the interface, as metrics' names are; times are in seconds and say so.

use serde::Serialize;

use super::lane::{Bucket, Lane};
use super::metrics::{Gauges, RequestOutcome};
use crate::pace::Snapshot;
use crate::retry::Reason;
use crate::retry::classify::Class;

/// Everything at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The version that runs.
    pub version: &'static str,
    /// Whether everything is passed straight through.
    pub bypass: bool,
    /// Requests whose answer is not at its end yet.
    pub in_flight: i64,
    /// Requests that wait, whatever for.
    pub waiting: i64,
    /// Connections to all upstreams.
    pub upstream_connections: i64,
    /// Cells where retries are known to be in vain.
    pub futile_cells: i64,
    /// The memory of kept request bodies.
    pub replay: Replay,
    /// Every learned window, under the name of the route that it belongs to.
    pub windows: Vec<Window>,
    /// Every retry budget, likewise.
    pub budgets: Vec<Budget>,
    /// Every route, in the order of the file; `default` comes last.
    pub routes: Vec<Route>,
}

/// The memory of kept request bodies.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Replay {
    /// Bytes in use.
    pub bytes: i64,
    /// `replay.max_total`.
    pub limit_bytes: i64,
}

/// One learned window.
#[derive(Clone, Debug, Serialize)]
pub struct Window {
    /// The route that it is named after.
    pub route: String,
    /// How many attempts may be in flight.
    pub window: f64,
    /// Whether it decides who goes.
    pub gate_closed: bool,
    /// Attempts in flight.
    pub in_flight: usize,
    /// Requests that wait for their turn.
    pub waiting: usize,
    /// Attempts per second that the upstream is believed to take; null while nothing limits.
    pub learned_requests_per_second: Option<f64>,
    /// The throttled share of the attempts of the last ten seconds.
    pub throttle_share: f64,
    /// How long an attempt takes.
    pub service_seconds: f64,
    /// Whether single probes go instead of requests.
    pub outage: bool,
    /// Whether waits are cut because of a sustained overload.
    pub overload: bool,
    /// Whether others make the throttles, so that first attempts go freely.
    pub unresponsive: bool,
}

/// One retry budget.
#[derive(Clone, Debug, Serialize)]
pub struct Budget {
    /// The route that it is named after.
    pub route: String,
    /// What it holds.
    pub tokens: f64,
    /// `budget.capacity`.
    pub capacity_tokens: f64,
}

/// One route and what came of its requests since the start.
#[derive(Clone, Debug, Serialize)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// Scheme, host and port of its upstream.
    pub upstream: String,
    /// Whether its retries are decided and not made.
    pub dry_run: bool,
    /// Requests by outcome.
    pub requests: Counts,
    /// Attempts by class.
    pub attempts: Counts,
    /// Retries by the class that caused them.
    pub retries: Counts,
    /// Retries not made, by reason.
    pub retries_skipped: Counts,
}

/// Counts since the start by a closed vocabulary, in its order; what never happened is left out.
#[derive(Clone, Debug)]
pub struct Counts(Vec<(&'static str, u64)>);

impl Counts {
    fn of(counts: impl Iterator<Item = (&'static str, u64)>) -> Self {
        Self(counts.filter(|(_, count)| *count > 0).collect())
    }
}

impl Serialize for Counts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl Status {
    pub(super) fn new(
        bypass: bool,
        gauges: &Gauges,
        windows: Vec<Window>,
        budgets: Vec<Budget>,
        routes: Vec<Route>,
    ) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            bypass,
            in_flight: gauges.in_flight.get(),
            waiting: gauges.waiting.get(),
            upstream_connections: gauges.upstream_connections.get(),
            futile_cells: gauges.futile_cells.get(),
            replay: Replay {
                bytes: gauges.replay_bytes.get(),
                limit_bytes: gauges.replay_limit_bytes.get(),
            },
            windows,
            budgets,
            routes,
        }
    }
}

impl Window {
    pub(super) fn new(route: &str, seen: &Snapshot) -> Self {
        Self {
            route: route.to_owned(),
            window: seen.window,
            gate_closed: seen.is_gate_closed,
            in_flight: seen.in_flight,
            waiting: seen.waiting,
            learned_requests_per_second: seen.learned_per_second,
            throttle_share: seen.throttle_share,
            service_seconds: seen.service_time.as_secs_f64(),
            outage: seen.is_outage,
            overload: seen.is_overload,
            unresponsive: seen.is_unresponsive,
        }
    }
}

impl Budget {
    pub(super) fn new(bucket: &Bucket) -> Self {
        let (route, tokens) = bucket.show();
        Self {
            route: route.to_owned(),
            tokens,
            capacity_tokens: bucket.capacity(),
        }
    }
}

impl Route {
    pub(super) fn new(lane: &Lane) -> Self {
        let (metrics, target) = (&lane.metrics, &lane.target);
        let classes = || Class::ALL.into_iter();
        Self {
            name: lane.name.clone(),
            upstream: format!("{}://{}", target.scheme, target.authority),
            dry_run: lane.policy.dry_run,
            requests: Counts::of(
                RequestOutcome::ALL
                    .into_iter()
                    .map(|outcome| (outcome.as_str(), metrics.requests(outcome).get())),
            ),
            attempts: Counts::of(
                classes().map(|class| (class.as_str(), metrics.attempts(class).get())),
            ),
            retries: Counts::of(
                classes().map(|class| (class.as_str(), metrics.retries(class).get())),
            ),
            retries_skipped: Counts::of(
                Reason::ALL
                    .into_iter()
                    .map(|reason| (reason.as_str(), metrics.skipped(reason).get())),
            ),
        }
    }
}
