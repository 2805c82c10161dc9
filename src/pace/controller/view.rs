//! What can be seen of a controller from outside: single facts for the shell, and all at once for people.

use std::time::{Duration, Instant};

use super::Controller;

/// A controller at one moment, for metrics and the status page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Snapshot {
    /// How many attempts may be in flight; fractions are attempts now and then.
    pub window: f64,
    /// Whether the window decides who goes.
    pub is_gate_closed: bool,
    /// Attempts per second that the upstream is believed to take; `None` while nothing limits.
    pub learned_per_second: Option<f64>,
    /// The share of the attempts of the last ten seconds that was throttled, `[0, 1]`.
    pub throttle_share: f64,
    /// How long an attempt takes, smoothed.
    pub service_time: Duration,
    /// Attempts in flight.
    pub in_flight: usize,
    /// Requests that wait for a turn.
    pub waiting: usize,
    /// Whether single probes go instead of requests.
    pub is_outage: bool,
    /// Whether waits are cut because of a sustained overload.
    pub is_overload: bool,
    /// Whether it is proven that others make the throttles.
    pub is_unresponsive: bool,
}

impl Controller {
    /// Everything at once.
    pub fn snapshot(&mut self, now: Instant) -> Snapshot {
        self.advance(now);
        Snapshot {
            window: self.window(),
            is_gate_closed: self.is_gate_closed(),
            learned_per_second: self.learned_per_second(now),
            throttle_share: self.share_of_throttles(),
            service_time: Duration::try_from_secs_f64(self.service.mean()).unwrap_or_default(),
            in_flight: self.in_flight,
            waiting: self.waiting(),
            is_outage: self.is_outage(),
            is_overload: self.is_overload(),
            is_unresponsive: self.is_unresponsive(),
        }
    }

    /// How many attempts may be in flight; `max_in_flight` while the gate is open.
    pub fn window(&self) -> f64 {
        if self.is_gate_closed() {
            self.window.size()
        } else {
            self.params.max_in_flight.max(1) as f64
        }
    }

    /// Whether the window decides who goes.
    pub fn is_gate_closed(&self) -> bool {
        self.gate.is_closed() && !self.neighbours.is_free()
    }

    /// Whether single probes go instead of requests.
    pub fn is_outage(&self) -> bool {
        self.outage.is_on()
    }

    /// Whether waits are cut because of a sustained overload.
    pub fn is_overload(&self) -> bool {
        self.backlog.is_overload()
    }

    /// Whether it is proven that others make the throttles, so that first attempts go freely.
    pub fn is_unresponsive(&self) -> bool {
        self.neighbours.is_unresponsive()
    }

    /// Attempts per second that the upstream is believed to take; `None` while nothing limits.
    pub fn learned_per_second(&mut self, now: Instant) -> Option<f64> {
        self.advance(now);
        self.is_gate_closed().then(|| self.drain_rate())
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many attempts are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }
}
