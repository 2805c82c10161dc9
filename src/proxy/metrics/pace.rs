//! What is shown of a learned pace: one series for each window, under the name of the route that it belongs to.

use prometheus::{Error, Gauge, GaugeVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::families::registered;
use crate::pace::Snapshot;

/// The families of all windows.
pub struct PaceFamilies {
    window: GaugeVec,
    gate_closed: IntGaugeVec,
    unresponsive: IntGaugeVec,
    learned_per_second: GaugeVec,
}

/// One window's gauges.
pub struct PaceGauges {
    /// The route that the window is named after; `default` for a shared one.
    pub route: String,
    /// How many attempts may be in flight.
    pub window: Gauge,
    /// 1 while the window decides who goes.
    pub gate_closed: IntGauge,
    /// 1 while it is proven that others make the throttles.
    pub unresponsive: IntGauge,
    /// Attempts per second that the upstream is believed to take; 0 while nothing limits.
    pub learned_per_second: Gauge,
}

impl PaceFamilies {
    /// Registers every family of the pace.
    ///
    /// # Errors
    /// When a name is taken already.
    pub fn register(registry: &Registry) -> Result<Self, Error> {
        let gauge = |name: &str, help: &str| {
            registered(registry, GaugeVec::new(Opts::new(name, help), &["route"])?)
        };
        let flag = |name: &str, help: &str| {
            let flag = IntGaugeVec::new(Opts::new(name, help), &["route"])?;
            registered(registry, flag)
        };
        Ok(Self {
            window: gauge("redrive_window", "How many attempts may be in flight.")?,
            gate_closed: flag(
                "redrive_gate_closed",
                "1 while requests wait for the learned window, 0 while every request goes at once.",
            )?,
            unresponsive: flag(
                "redrive_window_unresponsive",
                "1 while others make the throttles, so that first attempts go freely.",
            )?,
            learned_per_second: gauge(
                "redrive_learned_requests_per_second",
                "Attempts per second that the upstream is believed to take; 0 while nothing limits.",
            )?,
        })
    }

    /// The gauges of one window; all its series exist from now on.
    pub fn of(&self, route: &str) -> PaceGauges {
        let labels = &[route];
        PaceGauges {
            route: route.to_owned(),
            window: self.window.with_label_values(labels),
            gate_closed: self.gate_closed.with_label_values(labels),
            unresponsive: self.unresponsive.with_label_values(labels),
            learned_per_second: self.learned_per_second.with_label_values(labels),
        }
    }

    /// There is no such window any more: its size would be one of nothing.
    pub fn forget(&self, route: &str) {
        for family in [&self.window, &self.learned_per_second] {
            family.remove_label_values(&[route]).unwrap_or_default(); // not there is what is wanted
        }
        for family in [&self.gate_closed, &self.unresponsive] {
            family.remove_label_values(&[route]).unwrap_or_default();
        }
    }
}

impl PaceGauges {
    /// Shows what was seen.
    pub fn show(&self, seen: &Snapshot) {
        self.window.set(seen.window);
        self.gate_closed.set(i64::from(seen.is_gate_closed));
        self.unresponsive.set(i64::from(seen.is_unresponsive));
        self.learned_per_second
            .set(seen.learned_per_second.unwrap_or(0.0));
    }
}
