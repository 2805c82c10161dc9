//! A route at work: its policy with the bucket, door, upstream and counters that it uses, some of them shared.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::HeaderValue;

use super::admit::Door;
use super::deadline;
use super::metrics::{BudgetGauges, RouteMetrics};
use super::notice::Notices;
use super::pulse::Pulse;
use super::recent::Recent;
use super::sign::Signer;
use super::upstream::{self, Upstream};
use crate::clock;
use crate::retry::Policy;
use crate::retry::budget::{self, Budget};
use crate::retry::classify::Class;

/// A route at work.
pub struct Lane {
    /// Its part in every cell's name; no other route ever has the same.
    pub index: usize,
    /// Its name, for the log.
    pub name: String,
    /// Its time limits.
    pub deadline: deadline::Params,
    /// Its retry policy.
    pub policy: Arc<Policy>,
    /// The upstream's address and base path.
    pub target: upstream::Params,
    /// The upstream's authority, as the value of a header.
    pub authority: HeaderValue,
    /// The upstream's connections.
    pub upstream: Arc<Upstream>,
    /// What says who calls, if the upstream is the one that is told.
    pub signer: Option<Arc<Signer>>,
    /// The bucket that pays for its retries.
    pub bucket: Arc<Bucket>,
    /// The door that its attempts go through.
    pub door: Arc<Door>,
    /// Its counters.
    pub metrics: Arc<RouteMetrics>,
    /// What is told of it once a minute.
    pub notices: Arc<Notices>,
    /// What the status page counts of it.
    pub pulse: Arc<Pulse>,
    /// Where its requests are explained; all routes share one.
    pub recent: Arc<Recent>,
}

/// A retry budget that several tasks spend from. After a reload another one stands for the same budget, with the costs of the
/// new parameters; who still has this one pays, and gets back, what it said.
pub struct Bucket {
    budget: Arc<Mutex<Budget>>,
    params: budget::Params,
    gauges: BudgetGauges,
}

impl Bucket {
    /// A full bucket, shown in these gauges.
    pub fn new(params: budget::Params, gauges: BudgetGauges, now: Instant) -> Self {
        let budget = Arc::new(Mutex::new(Budget::new(params, now)));
        Self::of(budget, params, gauges)
    }

    /// The same budget by other parameters. What is in it stays, up to the new capacity.
    pub fn follow(&self, params: budget::Params, gauges: BudgetGauges, now: Instant) -> Self {
        self.with(|budget| budget.set_params(params, now));
        Self::of(Arc::clone(&self.budget), params, gauges)
    }

    fn of(budget: Arc<Mutex<Budget>>, params: budget::Params, gauges: BudgetGauges) -> Self {
        let bucket = Self {
            budget,
            params,
            gauges,
        };
        bucket.gauges.capacity.set(bucket.capacity());
        bucket
    }

    /// A first attempt earns its share of a retry.
    pub fn earn(&self, now: Instant) {
        self.with(|budget| budget.earn(now));
    }

    /// Whether a retry after this class could be paid now.
    pub fn can_pay(&self, now: Instant, cause: Class) -> bool {
        self.with(|budget| budget.can_pay(now, self.params.cost.of(cause)))
    }

    /// Pays for a retry after this class, if the bucket can.
    pub fn try_spend(&self, cause: Class) -> bool {
        self.with(|budget| budget.try_spend(clock::now(), self.params.cost.of(cause)))
    }

    /// The retry that was paid for succeeded.
    pub fn refund(&self, cause: Class) {
        self.with(|budget| budget.refund(self.params.cost.of(cause)));
    }

    /// The route that it is named after, and the tokens that it holds now. Brings its gauge up to date.
    pub fn show(&self) -> (&str, f64) {
        let tokens = tokens(self.with(|budget| budget.level_milli(clock::now())));
        self.gauges.tokens.set(tokens);
        (&self.gauges.route, tokens)
    }

    /// The route that it is named after.
    pub fn label(&self) -> &str {
        &self.gauges.route
    }

    /// The most tokens that it holds.
    pub fn capacity(&self) -> f64 {
        tokens(self.params.capacity_milli)
    }

    /// Held for nanoseconds, and never across an await.
    fn with<T>(&self, f: impl FnOnce(&mut Budget) -> T) -> T {
        f(&mut self.budget.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge; levels are far below 2^52"
)]
fn tokens(milli: u64) -> f64 {
    milli as f64 / 1000.0
}
