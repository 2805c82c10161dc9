//! The seam for a fleet: what all senders together have learned about a limit that they share.
//!
//! Every sender keeps its own window, switched on and complete. Whoever can sum up the fleet (a store, a peer) tells each
//! sender from time to time which share the fleet tolerates and how large this sender's part of the fleet's window is; see
//! [`Controller::join_fleet`](super::Controller::join_fleet). The window then moves half way towards that, on its logarithmic
//! scale, and its own answers go on moving it in between. When the news stop, nothing has to be undone: after
//! [`Told::fresh_for`] the sender tolerates what it would alone. Here is only the rule for one piece of news; summing up and
//! carrying it is somebody else's work.

use std::time::{Duration, Instant};

use super::controller::Controller;

/// What the fleet tells one of its senders.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// The share of its attempts that the fleet lets be throttled; taken within 0 and 1/2.
    pub tolerated: f64,
    /// This sender's part of the fleet's window, in attempts; above zero.
    pub part: f64,
    /// Whether anybody in the fleet was throttled.
    pub is_throttled: bool,
    /// How long this stays true without further news.
    pub fresh_for: Duration,
}

/// The latest news.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fleet {
    tolerated: f64,
    fresh_until: f64,
}

impl Fleet {
    pub(super) fn new(told: Told, now: f64) -> Self {
        Self {
            tolerated: told.tolerated.clamp(TOLERATED_MIN, TOLERATED_MAX),
            fresh_until: now + told.fresh_for.as_secs_f64(),
        }
    }

    pub(super) fn is_fresh(&self, now: f64) -> bool {
        now < self.fresh_until
    }

    pub(super) fn tolerated(&self) -> f64 {
        self.tolerated
    }
}

impl Controller {
    /// The fleet has news. What is not a number is no news.
    pub fn join_fleet(&mut self, now: Instant, told: Told) {
        self.heed(now, told);
    }
}

/// The window that this sender's part pulls the own one to: half way, on a logarithmic scale.
pub(super) fn blended(own: f64, part: f64) -> f64 {
    (own * part.max(PART_MIN)).sqrt()
}

const TOLERATED_MIN: f64 = 0.001;
const TOLERATED_MAX: f64 = 0.5;

/// No sender's part is nothing.
const PART_MIN: f64 = 0.02;
