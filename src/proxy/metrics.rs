//! What the path of a request counts.
//!
//! Labels come from configuration and from closed vocabularies, never from a client. Every series exists from the start
//! at 0, and its handle is looked up once, when its route is built.

use http::StatusCode;
use prometheus::core::Collector;
use prometheus::{
    Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry,
};

use crate::retry::Reason;
use crate::retry::callers::CallerSource;
use crate::retry::classify::{Class, Classified, Kind, Scope};
use crate::retry::hint::Source;

/// How a request ended, as its client sees it; the `outcome` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// Good at the first attempt.
    Ok,
    /// Good after a retry.
    OkAfterRetry,
    /// An error answer of the 4xx kind that no retry would change.
    ClientError,
    /// It failed and the policy allowed no retry.
    UpstreamError,
    /// It failed and retries stopped.
    GaveUp,
    /// Not let through, since too many wait.
    Shed,
    /// Not fit to be forwarded.
    Rejected,
    /// The client left first.
    ClientGone,
}

/// The families of the whole proxy.
pub struct Families {
    requests: IntCounterVec,
    attempts: IntCounterVec,
    retries: IntCounterVec,
    skipped: IntCounterVec,
    throttled: IntCounterVec,
    responses: IntCounterVec,
    request_duration: HistogramVec,
    attempt_duration: HistogramVec,
    wait: HistogramVec,
    hints: IntCounterVec,
    callers: IntCounterVec,
    /// Requests that have no end yet.
    pub in_flight: IntGauge,
    /// Requests that wait.
    pub waiting: IntGauge,
    /// Connections to upstreams.
    pub upstream_connections: IntGauge,
    /// Cells whose retries are futile.
    pub futile_cells: IntGauge,
}

/// One route's handles.
pub struct RouteMetrics {
    requests: [IntCounter; RequestOutcome::ALL.len()],
    attempts: [IntCounter; Class::ALL.len()],
    retries: [IntCounter; Class::ALL.len()],
    skipped: [IntCounter; Reason::ALL.len()],
    throttled: [[IntCounter; Scope::ALL.len()]; Kind::ALL.len()],
    responses: [IntCounter; STATUSES.len() + 1],
    hints: [IntCounter; Source::ALL.len()],
    callers: [IntCounter; CallerSource::ALL.len()],
    /// From arrival to the answer's end.
    pub request_duration: Histogram,
    /// From an attempt's start to its answer's head.
    pub attempt_duration: Histogram,
    /// How long the request waited in redrive.
    pub wait: Histogram,
}

impl RequestOutcome {
    /// The closed vocabulary.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::OkAfterRetry,
        Self::ClientError,
        Self::UpstreamError,
        Self::GaveUp,
        Self::Shed,
        Self::Rejected,
        Self::ClientGone,
    ];

    /// The word in label and log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::OkAfterRetry => "ok_after_retry",
            Self::ClientError => "client_error",
            Self::UpstreamError => "upstream_error",
            Self::GaveUp => "gave_up",
            Self::Shed => "shed",
            Self::Rejected => "rejected",
            Self::ClientGone => "client_gone",
        }
    }
}

impl Families {
    /// Registers every family of the path.
    ///
    /// # Errors
    /// When a name is taken already.
    pub fn register(registry: &Registry) -> Result<Self, Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let gauge = |name: &str, help: &str| registered(registry, IntGauge::new(name, help)?);
        let histogram = |name: &str, help: &str| {
            let opts = HistogramOpts::new(name, help).buckets(BUCKETS_SECONDS.to_vec());
            registered(registry, HistogramVec::new(opts, &["route"])?)
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
            request_duration: histogram(
                "redrive_request_duration_seconds",
                "From a request's arrival to its answer's end.",
            )?,
            attempt_duration: histogram(
                "redrive_attempt_duration_seconds",
                "From an attempt's start to its answer's head.",
            )?,
            wait: histogram(
                "redrive_wait_seconds",
                "How long requests waited in redrive, backing off included.",
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
            futile_cells: gauge(
                "redrive_futile_cells",
                "Cells whose retries were all in vain of late.",
            )?,
        })
    }

    /// The handles of one route; all its series exist from now on.
    pub fn route(&self, name: &str) -> RouteMetrics {
        RouteMetrics {
            requests: RequestOutcome::ALL
                .map(|it| self.requests.with_label_values(&[name, it.as_str()])),
            attempts: Class::ALL.map(|it| self.attempts.with_label_values(&[name, it.as_str()])),
            retries: Class::ALL.map(|it| self.retries.with_label_values(&[name, it.as_str()])),
            skipped: Reason::ALL.map(|it| self.skipped.with_label_values(&[name, it.as_str()])),
            throttled: Kind::ALL.map(|kind| {
                Scope::ALL.map(|scope| {
                    self.throttled
                        .with_label_values(&[name, kind.as_str(), scope.as_str()])
                })
            }),
            responses: std::array::from_fn(|index| {
                let status = STATUSES
                    .get(index)
                    .map_or_else(|| "other".to_owned(), u16::to_string);
                self.responses.with_label_values(&[name, &status])
            }),
            hints: Source::ALL.map(|it| self.hints.with_label_values(&[it.as_str()])),
            callers: CallerSource::ALL.map(|it| self.callers.with_label_values(&[it.as_str()])),
            request_duration: self.request_duration.with_label_values(&[name]),
            attempt_duration: self.attempt_duration.with_label_values(&[name]),
            wait: self.wait.with_label_values(&[name]),
        }
    }
}

impl RouteMetrics {
    /// Requests that ended so.
    pub fn requests(&self, outcome: RequestOutcome) -> &IntCounter {
        &self.requests[position(&RequestOutcome::ALL, outcome)]
    }

    /// Attempts of this class.
    pub fn attempts(&self, class: Class) -> &IntCounter {
        &self.attempts[position(&Class::ALL, class)]
    }

    /// Retries that an attempt of this class caused.
    pub fn retries(&self, class: Class) -> &IntCounter {
        &self.retries[position(&Class::ALL, class)]
    }

    /// Retries not made for this reason.
    pub fn skipped(&self, reason: Reason) -> &IntCounter {
        &self.skipped[position(&Reason::ALL, reason)]
    }

    /// Counts a throttle by what is known of its limit; other classes are none.
    pub fn throttle(&self, outcome: &Classified) {
        if matches!(outcome.class, Class::Throttled | Class::Quota) {
            self.throttled[position(&Kind::ALL, outcome.kind)]
                [position(&Scope::ALL, outcome.scope)]
            .inc();
        }
    }

    /// Answers with this status.
    pub fn responses(&self, status: StatusCode) -> &IntCounter {
        let index = STATUSES
            .iter()
            .position(|it| *it == status.as_u16())
            .unwrap_or(STATUSES.len());
        &self.responses[index]
    }

    /// Hints from this header.
    pub fn hints(&self, source: Source) -> &IntCounter {
        &self.hints[position(&Source::ALL, source)]
    }

    /// Callers that tell of their own retries in this header.
    pub fn callers(&self, source: CallerSource) -> &IntCounter {
        &self.callers[position(&CallerSource::ALL, source)]
    }
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn position<T: PartialEq, const N: usize>(all: &[T; N], one: T) -> usize {
    all.iter()
        .position(|it| *it == one)
        .expect("ALL holds every variant")
}

/// API Gateway answers within 30 s, so that is where the buckets end.
const BUCKETS_SECONDS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0,
];

/// The statuses with a series of their own; the rest share `other`, so that no upstream can make series.
const STATUSES: [u16; 29] = [
    200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 410,
    412, 413, 415, 422, 429, 500, 501, 502, 503, 504,
];
