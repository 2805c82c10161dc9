//! What is not worth doing at every event: whether there is an overload, where the window ends, and whose throttles they are.

use super::super::backlog::Flow;
use super::super::floor::Floor;
use super::super::neighbours::{Finding, Sight};
use super::Controller;

impl Controller {
    /// Looks at what changes slowly.
    pub(super) fn look(&mut self) {
        let now = self.now;
        let demand = self.demand.rate(now);
        let delivered = self.delivered.rate(now);
        self.backlog.observe_spare(demand, delivered);
        let is_called_off = self.outage.is_on() || self.params.patient;
        if let Some(queued) = self.queued().filter(|_| !is_called_off) {
            let flow = Flow {
                demand: self.demand.rate_long(now),
                delivered: self.delivered.rate_long(now),
            };
            self.backlog.prove_overload(now, queued, flow);
        }
        self.backlog.end_overload(now, is_called_off);

        if !self.gate.is_closed() {
            self.floor = Floor::new();
        } else if self.window.size() <= ON_FLOOR * self.floor() {
            self.floor.sink(EVERY);
        }
        let sight = self.sight();
        match self.neighbours.look(now, sight) {
            Finding::Quiet => self.gate.open(),
            // What was sent freely says nothing about the window.
            Finding::Ours => self.gate.end_ramp(now),
            Finding::Same | Finding::Freed => {}
        }
    }

    fn sight(&mut self) -> Sight {
        let now = self.now;
        let demand = self.demand.rate(now);
        let lately = self.delivered.rate(now);
        let is_held_up = !self.queue.is_empty() || self.backlog.was_shed_lately(now);
        Sight {
            is_ruling: self.gate.is_closed()
                && self.gate.ramp().is_none()
                && self.outage.is_past(now),
            is_pressed: is_held_up && !self.outage.is_on(),
            throttled_share: self.share_of_throttles(),
            kind: self.kind,
            usual: self.usual(),
            demand,
            service: self.service.mean(),
            is_draining: demand < DRAINING * lately,
            delivered: self.delivered.rate_long(now),
            delivered_lately: lately,
        }
    }
}

/// The window as a multiple of its floor when it is on it: chance successes lift it between throttles.
const ON_FLOOR: f64 = 1.1;

/// The part of what gets through that is asked for, below which a queue is draining.
const DRAINING: f64 = 0.7;

/// Seconds between two looks at what changes slowly.
pub(super) const EVERY: f64 = 0.1;
