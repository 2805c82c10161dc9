//! The proxy at one moment in numbers, read once a second for the status page's history.
//!
//! Everything counted is a sum since the start, read from the atomics that count it anyway; what happened within a second is
//! the difference of two readings.

use std::sync::Arc;

use super::Proxy;
use super::metrics::{RequestOutcome, RouteMetrics};
use super::pulse::{Pulse, WAIT_BUCKETS};
use super::recent::Recent;
use super::status::{Budget, Window};
use crate::retry::Reason;
use crate::retry::classify::Class;

/// The proxy at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Whether everything is passed straight through.
    pub bypass: bool,
    /// Requests whose answer is not at its end yet.
    pub in_flight: i64,
    /// Requests that wait, whatever for.
    pub waiting: i64,
    /// Every route, in the order of the file; `default` comes last.
    pub routes: Vec<RouteReading>,
    /// What was counted of routes that are gone and not forgotten, by name; what is on its way there still counts.
    pub gone: Vec<(String, Counts<u64>)>,
    /// Every learned window.
    pub windows: Vec<Window>,
    /// Every retry budget.
    pub budgets: Vec<Budget>,
    /// The latest requests with something to explain.
    pub recent: Arc<Recent>,
}

/// One route at one moment.
#[derive(Clone, Debug)]
pub struct RouteReading {
    /// Its name.
    pub name: String,
    /// Whether its retries are decided and not made.
    pub dry_run: bool,
    /// The place of its window in [`Reading::windows`].
    pub window: usize,
    /// The place of its budget in [`Reading::budgets`].
    pub budget: usize,
    /// What was counted since the start.
    pub counts: Counts<u64>,
}

impl Proxy {
    /// Reads everything that the status page's history is made of.
    pub fn read(&self) -> Reading {
        let routes = self.lanes.iter().map(|lane| {
            let window = self.doors.iter().position(|it| Arc::ptr_eq(it, &lane.door));
            let budget = self
                .buckets
                .iter()
                .position(|it| Arc::ptr_eq(it, &lane.bucket));
            RouteReading {
                name: lane.name.clone(),
                dry_run: lane.policy.dry_run,
                window: window.expect("every lane's door is among the doors"),
                budget: budget.expect("every lane's bucket is among the buckets"),
                counts: Counts::of(&lane.metrics, &lane.pulse),
            }
        });
        Reading {
            bypass: self.shared.bypass,
            in_flight: self.gauges.in_flight.get(),
            waiting: self.gauges.waiting.get(),
            routes: routes.collect(),
            gone: self.read_gone(),
            windows: self.windows(),
            budgets: self.budgets(),
            recent: Arc::clone(&self.lasting.recent),
        }
    }

    fn read_gone(&self) -> Vec<(String, Counts<u64>)> {
        let learned = self.lasting.learned();
        let all = learned.all_counted();
        let gone = all.filter(|it| self.lanes.iter().all(|lane| lane.name != it.name));
        gone.map(|it| (it.name.clone(), Counts::of(&it.metrics, &it.pulse)))
            .collect()
    }
}

/// What is counted of requests and attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts<T> {
    /// Requests that came.
    pub offered: T,
    /// Requests that ended with a good answer.
    pub served: T,
    /// Requests that ended without, and not because of the client.
    pub failed: T,
    /// Attempts.
    pub attempts: T,
    /// Attempts that looked throttled.
    pub throttled: T,
    /// Attempts after the first.
    pub retried: T,
    /// Requests that ended, of which an attempt had looked throttled.
    pub hit: T,
    /// Those of them that ended with a good answer.
    pub rescued: T,
    /// Retries not made, in the order of [`Reason::ALL`].
    pub reasons: [T; Reason::ALL.len()],
    /// Ended requests by how long they waited; see [`super::pulse::wait_at`].
    pub waits: [T; WAIT_BUCKETS],
}

impl<T: Copy> Counts<T> {
    /// Puts two together, number by number.
    pub fn zip<U: Copy, V>(&self, other: &Counts<U>, f: impl Fn(T, U) -> V) -> Counts<V> {
        Counts {
            offered: f(self.offered, other.offered),
            served: f(self.served, other.served),
            failed: f(self.failed, other.failed),
            attempts: f(self.attempts, other.attempts),
            throttled: f(self.throttled, other.throttled),
            retried: f(self.retried, other.retried),
            hit: f(self.hit, other.hit),
            rescued: f(self.rescued, other.rescued),
            reasons: std::array::from_fn(|index| f(self.reasons[index], other.reasons[index])),
            waits: std::array::from_fn(|index| f(self.waits[index], other.waits[index])),
        }
    }
}

impl<T: Copy + Default> Default for Counts<T> {
    fn default() -> Self {
        let zero = T::default();
        Self {
            offered: zero,
            served: zero,
            failed: zero,
            attempts: zero,
            throttled: zero,
            retried: zero,
            hit: zero,
            rescued: zero,
            reasons: [zero; Reason::ALL.len()],
            waits: [zero; WAIT_BUCKETS],
        }
    }
}

impl Counts<u64> {
    fn of(metrics: &RouteMetrics, pulse: &Pulse) -> Self {
        let ended = |outcomes: &[RequestOutcome]| {
            let counts = outcomes.iter().map(|it| metrics.requests(*it).get());
            counts.sum::<u64>()
        };
        let attempts = |wanted: fn(Class) -> bool| {
            let classes = Class::ALL.into_iter().filter(|class| wanted(*class));
            classes.map(|it| metrics.attempts(it).get()).sum::<u64>()
        };
        let retries = Class::ALL.into_iter().map(|it| metrics.retries(it).get());
        Self {
            offered: pulse.arrived(),
            served: ended(&[RequestOutcome::Ok, RequestOutcome::OkAfterRetry]),
            failed: ended(&[
                RequestOutcome::UpstreamError,
                RequestOutcome::GaveUp,
                RequestOutcome::Shed,
            ]),
            attempts: attempts(|_| true),
            throttled: attempts(Class::is_throttle_like),
            retried: retries.sum(),
            hit: pulse.hit(),
            rescued: pulse.rescued(),
            reasons: Reason::ALL.map(|reason| metrics.skipped(reason).get()),
            waits: pulse.waits(),
        }
    }
}
