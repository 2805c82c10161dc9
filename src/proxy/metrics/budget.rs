//! What is shown of a budget: one series for each bucket, under the name of the route that it belongs to.

use prometheus::{Error, Gauge, GaugeVec, Opts, Registry};

use super::families::registered;

/// The families of all buckets.
pub struct BudgetFamilies {
    tokens: GaugeVec,
    capacity: GaugeVec,
}

/// One bucket's gauges.
pub struct BudgetGauges {
    /// The route that the bucket is named after; `default` for a shared one.
    pub route: String,
    /// What it holds.
    pub tokens: Gauge,
    /// What it holds at most.
    pub capacity: Gauge,
}

impl BudgetFamilies {
    /// Registers every family of the budgets.
    ///
    /// # Errors
    /// When a name is taken already.
    pub fn register(registry: &Registry) -> Result<Self, Error> {
        let gauge = |name: &str, help: &str| {
            registered(registry, GaugeVec::new(Opts::new(name, help), &["route"])?)
        };
        Ok(Self {
            tokens: gauge(
                "redrive_retry_budget_tokens",
                "Retries that the budget could pay for now.",
            )?,
            capacity: gauge(
                "redrive_retry_budget_capacity_tokens",
                "What the budget holds at most.",
            )?,
        })
    }

    /// The gauges of one bucket; all its series exist from now on.
    pub fn of(&self, route: &str) -> BudgetGauges {
        BudgetGauges {
            route: route.to_owned(),
            tokens: self.tokens.with_label_values(&[route]),
            capacity: self.capacity.with_label_values(&[route]),
        }
    }

    /// There is no such bucket any more: its level would be one of nothing.
    pub fn forget(&self, route: &str) {
        for family in [&self.tokens, &self.capacity] {
            family.remove_label_values(&[route]).unwrap_or_default(); // not there is what is wanted
        }
    }
}
