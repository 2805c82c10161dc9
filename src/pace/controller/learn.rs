//! What an attempt's outcome teaches: the gate, the window, the service time, and whether there is an outage.

use std::time::Instant;

use super::super::backlog::raised;
use super::super::fleet::{Fleet, Told, blended};
use super::super::turn::{Attempt, Feedback};
use super::super::window::{Step, tolerated};
use super::Controller;
use crate::retry::classify::Kind;

impl Controller {
    /// The attempt's outcome is known, and its place is free again.
    pub fn finish(
        &mut self,
        now: Instant,
        mut attempt: Attempt,
        feedback: Feedback,
        rng: &mut fastrand::Rng,
    ) {
        self.learn(now, &mut attempt, feedback, rng);
        self.release(now, attempt);
    }

    /// The attempt's outcome is known: the head of its answer is there, while its body may take long. What is told a second
    /// time is ignored.
    pub fn learn(
        &mut self,
        now: Instant,
        attempt: &mut Attempt,
        feedback: Feedback,
        rng: &mut fastrand::Rng,
    ) {
        self.advance(now);
        if attempt.is_learned {
            return;
        }
        attempt.is_learned = true;
        if attempt.is_probe {
            self.outage.land();
        }
        if !self.is_learning() {
            return;
        }
        match feedback {
            Feedback::Success => self.on_success(attempt),
            Feedback::Throttle(Kind::Quota) | Feedback::Neutral => {}
            Feedback::Throttle(kind) => self.on_throttle(attempt, kind, rng),
            Feedback::Failure => self.on_failure(attempt, rng),
        }
    }

    /// Takes in what the fleet tells; see [`fleet`](super::super::fleet).
    pub(in crate::pace) fn heed(&mut self, now: Instant, told: Told) {
        self.advance(now);
        if !told.tolerated.is_finite() || !told.part.is_finite() || !self.is_learning() {
            return;
        }
        self.fleet = Some(Fleet::new(told, self.now));
        if self.is_gate_closed() && self.gate.ramp().is_none() && !self.is_outage() {
            self.window.set(blended(self.window.size(), told.part));
            if told.is_throttled {
                self.gate.keep_closed(self.now);
            }
        }
    }

    fn on_success(&mut self, attempt: &Attempt) {
        let now = self.now;
        self.service.sample(now - attempt.sent);
        self.delivered.add(now);
        self.neighbours.count(attempt.sent, false);
        self.window.count_success();
        let delivered = self.delivered.rate(now);
        self.gate.on_success(tolerated(self.kind, delivered));
        if let Some(memory) = self.outage.on_success(now) {
            self.window
                .set((memory * MEMORY_KEPT).max(self.service.mean()));
            self.gate.close(now, memory);
        } else if self.is_gate_closed() && self.gate.ramp().is_none() {
            let step = self.step();
            let others = self.in_flight.saturating_sub(1);
            self.window.grow(step, others);
        }
    }

    fn on_throttle(&mut self, attempt: &Attempt, kind: Kind, rng: &mut fastrand::Rng) {
        let now = self.now;
        self.kind = kind;
        self.throttled.add(now);
        self.neighbours.count(attempt.sent, true);
        self.window.count_throttle();
        let size = self.possible_size(attempt);
        let share = self.share_of_throttles();
        self.outage.on_refusal(attempt.sent, size, share);
        if self.gate.on_throttle(now) {
            let achieved = self.achieved(attempt);
            self.window.set(achieved);
            self.gate.close(now, 0.0);
        } else if let Some(memory) = self.gate.ramp() {
            let possible = self.achieved(attempt).max(memory);
            self.window.set(self.window.size().min(possible).max(0.5));
            self.gate.end_ramp(now);
        } else if self.is_gate_closed() && self.gate.concerns(attempt.sent) && !self.is_outage() {
            let step = self.step();
            let floor = self.floor();
            self.window.shrink(step, floor);
        }
        self.begin_outage_if_due(rng);
        if self.is_held_back() {
            self.hold(rng);
        }
    }

    fn on_failure(&mut self, attempt: &Attempt, rng: &mut fastrand::Rng) {
        self.window.count_throttle();
        let size = self.possible_size(attempt);
        let share = self.share_of_throttles();
        self.outage.on_refusal(attempt.sent, size, share);
        self.begin_outage_if_due(rng);
    }

    fn begin_outage_if_due(&mut self, rng: &mut fastrand::Rng) {
        let mean = self.service.mean();
        if self.outage.begin_if_due(self.now, mean, rng.f64()) && !self.gate.is_closed() {
            self.gate.close(self.now, 0.0);
        }
    }

    /// The window that is worth remembering should this refusal be the first of an outage.
    fn possible_size(&mut self, attempt: &Attempt) -> f64 {
        if self.is_gate_closed() {
            self.window.size()
        } else {
            self.achieved(attempt)
        }
    }

    /// What was in flight when a throttled attempt was sent, or what gets through, whichever is more.
    fn achieved(&mut self, attempt: &Attempt) -> f64 {
        let mean = self.service.mean();
        let through = self.delivered.rate(self.now) * mean;
        (attempt.in_flight as f64).max(through).max(mean)
    }

    /// The throttled share of the last ten seconds.
    pub(super) fn share_of_throttles(&mut self) -> f64 {
        let throttled = f64::from(self.throttled.count_long(self.now));
        let passed = f64::from(self.delivered.count_long(self.now));
        throttled / (throttled + passed).max(1.0)
    }

    /// The smallest window.
    pub(super) fn floor(&mut self) -> f64 {
        let demand = self.demand.rate_long(self.now);
        self.floor.size(self.kind, self.service.mean(), demand)
    }

    /// Attempts per second that the window stands for.
    pub(super) fn rate(&self) -> f64 {
        self.window.size() / self.service.mean()
    }

    /// The share of throttles that is tolerated where nothing is in doubt and nobody's time runs out.
    pub(super) fn usual(&self) -> f64 {
        match &self.fleet {
            Some(fleet) if fleet.is_fresh(self.now) => fleet.tolerated(),
            _ => tolerated(self.kind, self.rate()),
        }
    }

    /// How far one answer moves the window now.
    pub(super) fn step(&self) -> Step {
        let mean = self.service.mean();
        let size = self.window.size();
        let tolerated = self.neighbours.tolerated(self.kind, self.usual());
        let queued = if self.is_outage() {
            None
        } else {
            self.queued()
        };
        let urgency = queued.map_or(0.0, |queued| {
            let drain = queued.len as f64 * mean / size;
            self.backlog.urgency(self.now, queued, drain)
        });
        Step {
            tolerated: raised(tolerated, urgency, self.kind, size),
            rate: self.rate(),
        }
    }
}

/// The share of the window of before an outage that the ramp after it starts from: all of it at once would meet an upstream
/// that is cold.
const MEMORY_KEPT: f64 = 0.5;
