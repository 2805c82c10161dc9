//! What the path of a request counts.
//!
//! Labels come from configuration and from closed vocabularies, never from a client. Every series exists from the start
//! at 0, and its handle is looked up once, when its route is built.

mod budget;
mod families;
mod pace;

use http::StatusCode;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use crate::retry::Reason;
use crate::retry::callers::CallerSource;
use crate::retry::classify::{Class, Classified, Kind, Scope};
use crate::retry::hint::Source;

pub use self::budget::{BudgetFamilies, BudgetGauges};
pub use self::families::{Families, Gauges};
pub use self::pace::{PaceFamilies, PaceGauges};

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
    /// Requests of all routes that have no end yet: one gauge, at hand where they are counted.
    pub in_flight: IntGauge,
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

impl RouteMetrics {
    /// The handles of one route; all its series exist from now on.
    pub fn new(families: &Families, route: &str) -> Self {
        let Families {
            counters,
            durations,
            gauges,
        } = families;
        let of = |family: &IntCounterVec, word: &str| family.with_label_values(&[route, word]);
        Self {
            requests: RequestOutcome::ALL.map(|it| of(&counters.requests, it.as_str())),
            attempts: Class::ALL.map(|it| of(&counters.attempts, it.as_str())),
            retries: Class::ALL.map(|it| of(&counters.retries, it.as_str())),
            skipped: Reason::ALL.map(|it| of(&counters.skipped, it.as_str())),
            throttled: Kind::ALL.map(|kind| {
                let of = |scope: Scope| [route, kind.as_str(), scope.as_str()];
                Scope::ALL.map(|scope| counters.throttled.with_label_values(&of(scope)))
            }),
            responses: std::array::from_fn(|index| {
                let status = STATUSES
                    .get(index)
                    .map_or_else(|| OTHER_STATUS.to_owned(), u16::to_string);
                of(&counters.responses, &status)
            }),
            hints: Source::ALL.map(|it| counters.hints.with_label_values(&[it.as_str()])),
            callers: CallerSource::ALL.map(|it| counters.callers.with_label_values(&[it.as_str()])),
            in_flight: gauges.in_flight.clone(),
            request_duration: durations.request.with_label_values(&[route]),
            attempt_duration: durations.attempt.with_label_values(&[route]),
            wait: durations.wait.with_label_values(&[route]),
        }
    }

    /// Removes all series of one route. Who still has its handles counts for nobody.
    pub fn forget(families: &Families, route: &str) {
        let Families {
            counters,
            durations,
            ..
        } = families;
        // What is not there need not be removed.
        let remove = |family: &IntCounterVec, words: &[&str]| {
            let labels = [&[route], words].concat();
            family.remove_label_values(&labels).unwrap_or_default();
        };
        for outcome in RequestOutcome::ALL {
            remove(&counters.requests, &[outcome.as_str()]);
        }
        for class in Class::ALL {
            remove(&counters.attempts, &[class.as_str()]);
            remove(&counters.retries, &[class.as_str()]);
        }
        for reason in Reason::ALL {
            remove(&counters.skipped, &[reason.as_str()]);
        }
        for (kind, scope) in Kind::ALL
            .into_iter()
            .flat_map(|kind| Scope::ALL.map(|it| (kind, it)))
        {
            remove(&counters.throttled, &[kind.as_str(), scope.as_str()]);
        }
        for status in STATUSES {
            remove(&counters.responses, &[&status.to_string()]);
        }
        remove(&counters.responses, &[OTHER_STATUS]);
        for family in [&durations.request, &durations.attempt, &durations.wait] {
            family.remove_label_values(&[route]).unwrap_or_default();
        }
    }

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

fn position<T: PartialEq, const N: usize>(all: &[T; N], one: T) -> usize {
    all.iter()
        .position(|it| *it == one)
        .expect("ALL holds every variant")
}

/// What the statuses without a series of their own share.
const OTHER_STATUS: &str = "other";

/// The statuses with a series of their own; the rest share `other`, so that no upstream can make series.
const STATUSES: [u16; 29] = [
    200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 410,
    412, 413, 415, 422, 429, 500, 501, 502, 503, 504,
];
