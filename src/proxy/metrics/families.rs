//! The families that the path of a request registers: names, help and labels, which are an interface.

use prometheus::core::Collector;
use prometheus::{Error, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

/// The families of the whole proxy.
pub struct Families {
    pub(super) counters: Counters,
    pub(super) durations: Durations,
    /// What goes up and down.
    pub gauges: Gauges,
}

/// What only goes up.
pub(super) struct Counters {
    pub(super) requests: IntCounterVec,
    pub(super) attempts: IntCounterVec,
    pub(super) retries: IntCounterVec,
    pub(super) skipped: IntCounterVec,
    pub(super) throttled: IntCounterVec,
    pub(super) responses: IntCounterVec,
    pub(super) hints: IntCounterVec,
    pub(super) callers: IntCounterVec,
}

/// How long things take.
pub(super) struct Durations {
    pub(super) request: HistogramVec,
    pub(super) attempt: HistogramVec,
    pub(super) wait: HistogramVec,
}

/// What goes up and down.
#[derive(Clone)]
pub struct Gauges {
    /// Requests that have no end yet.
    pub in_flight: IntGauge,
    /// Requests that wait.
    pub waiting: IntGauge,
    /// Connections to upstreams.
    pub upstream_connections: IntGauge,
    /// Connections that left HTTP.
    pub tunnels: IntGauge,
    /// Cells whose retries are futile.
    pub futile_cells: IntGauge,
    /// Bytes of request bodies kept.
    pub replay_bytes: IntGauge,
    /// The most bytes of request bodies that are kept.
    pub replay_limit_bytes: IntGauge,
}

impl Families {
    /// Registers every family of the path.
    ///
    /// # Errors
    /// When a name is taken already.
    pub fn register(registry: &Registry) -> Result<Self, Error> {
        Ok(Self {
            counters: Counters::register(registry)?,
            durations: Durations::register(registry)?,
            gauges: Gauges::register(registry)?,
        })
    }
}

impl Counters {
    fn register(registry: &Registry) -> Result<Self, Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        Ok(Self {
            requests: counter(
                "redrive_requests_total",
                "Requests by how they ended for the client.",
                &["route", "outcome"],
            )?,
            attempts: counter(
                "redrive_attempts_total",
                "Attempts that the upstream may have seen, and those that could not be sent.",
                &["route", "class"],
            )?,
            retries: counter(
                "redrive_retries_total",
                "Attempts after the first, by the class of the attempt that caused them.",
                &["route", "class"],
            )?,
            skipped: counter(
                "redrive_retries_skipped_total",
                "Retries that were not made, and why.",
                &["route", "reason"],
            )?,
            throttled: counter(
                "redrive_throttled_total",
                "Attempts that were throttled or met a quota, by what the answer tells of the limit.",
                &["route", "kind", "scope"],
            )?,
            responses: counter(
                "redrive_upstream_responses_total",
                "Answers of the upstream by status.",
                &["route", "status"],
            )?,
            hints: counter(
                "redrive_hints_total",
                "Hints of the upstream about when to come back.",
                &["source"],
            )?,
            callers: counter(
                "redrive_caller_retries_total",
                "Requests of callers that retry, too.",
                &["source"],
            )?,
        })
    }
}

impl Durations {
    fn register(registry: &Registry) -> Result<Self, Error> {
        let histogram = |name: &str, help: &str| {
            let opts = HistogramOpts::new(name, help).buckets(BUCKETS_SECONDS.to_vec());
            registered(registry, HistogramVec::new(opts, &["route"])?)
        };
        Ok(Self {
            request: histogram(
                "redrive_request_duration_seconds",
                "From a request's arrival to its answer's end.",
            )?,
            attempt: histogram(
                "redrive_attempt_duration_seconds",
                "From an attempt's start to its answer's head.",
            )?,
            wait: histogram(
                "redrive_wait_seconds",
                "How long requests waited in redrive, backing off included.",
            )?,
        })
    }
}

impl Gauges {
    fn register(registry: &Registry) -> Result<Self, Error> {
        let gauge = |name: &str, help: &str| registered(registry, IntGauge::new(name, help)?);
        Ok(Self {
            in_flight: gauge(
                "redrive_in_flight_requests",
                "Requests whose answer has not ended.",
            )?,
            waiting: gauge(
                "redrive_waiting_requests",
                "Requests that wait for their turn or back off.",
            )?,
            upstream_connections: gauge(
                "redrive_upstream_connections",
                "Open connections to upstreams.",
            )?,
            tunnels: gauge(
                "redrive_tunnels",
                "Open tunnels: connections of clients that left HTTP by an upgrade.",
            )?,
            futile_cells: gauge(
                "redrive_futile_cells",
                "Cells whose retries were all in vain of late.",
            )?,
            replay_bytes: gauge(
                "redrive_replay_bytes",
                "Bytes of request bodies kept for a retry.",
            )?,
            replay_limit_bytes: gauge(
                "redrive_replay_limit_bytes",
                "The most bytes of request bodies that are kept.",
            )?,
        })
    }
}

pub(super) fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// API Gateway answers within 30 s, so that is where the buckets end.
const BUCKETS_SECONDS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0,
];
