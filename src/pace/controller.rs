//! One upstream's pace: who goes now, who waits, who is turned away, and what every answer teaches.
//!
//! A state machine without a clock: `now` and `rng` are arguments, and it never waits. The shell (or the simulator) tells it
//! what happens and then asks, after every event and at [`Controller::next_wake`], for decisions until there is none:
//!
//! - [`arrive`](Controller::arrive): a first attempt or a retry asks for a turn; [`leave`](Controller::leave): it stopped asking;
//! - [`learn`](Controller::learn): an attempt's outcome is known; [`release`](Controller::release): its place is free again;
//!   [`finish`](Controller::finish) is both, [`forget`](Controller::forget) is for one whose outcome nobody will know;
//! - [`decide`](Controller::decide): the next of those who wait that goes or is shed, exactly one a call.
//!
//! Never more than `max_in_flight` attempts are out, never more than `max_waiting` wait, every operation costs at most the
//! logarithm of the crowd, and who leaves gives back all that it held. What is learned stands in `learn.rs`, what changes slowly in
//! `look.rs`, whose turn it is in `admission.rs`, what can be seen of it in `view.rs`; the parts are [`window`](super::window), [`gate`](super::gate), [`outage`](super::outage),
//! [`backlog`](super::backlog), [`floor`](super::floor), [`neighbours`](super::neighbours) and [`queue`](super::queue).

mod admission;
mod learn;
mod look;
#[cfg(test)]
mod tests;
mod view;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::backlog::{Backlog, Queued};
use super::fleet::Fleet;
use super::floor::Floor;
use super::gate::Gate;
use super::meter::Meter;
use super::neighbours::Neighbours;
use super::outage::Outage;
use super::queue::{Queue, WaiterId};
use super::service::Service;
use super::turn::Attempt;
use super::window::Window;
use super::{KnownLimit, Mode, Params};
use crate::retry::classify::Kind;

pub use self::view::Snapshot;

/// The pace of one upstream, or of one route that has its own.
#[derive(Debug)]
pub struct Controller {
    params: Params,
    start: Instant,
    /// The latest moment that it was told, seconds since the start; every time below is such a number.
    now: f64,
    next_look: f64,
    known: Option<KnownLimit>,
    /// When the known limit lets the next attempt pass, as far as it said.
    known_from: f64,
    /// Until when the upstream asked everybody to stay away.
    hinted_until: f64,
    queue: Queue,
    in_flight: usize,
    /// When the places of throttled attempts become free again, in microseconds.
    holds: BinaryHeap<Reverse<u64>>,
    /// When the fractional place of the window was last used, and by how much the distance to its next use is stretched.
    fraction_used: f64,
    fraction_stretch: f64,
    window: Window,
    gate: Gate,
    outage: Outage,
    backlog: Backlog,
    neighbours: Neighbours,
    floor: Floor,
    fleet: Option<Fleet>,
    service: Service,
    /// The kind of the latest throttle.
    kind: Kind,
    demand: Meter,
    delivered: Meter,
    throttled: Meter,
}

impl Controller {
    /// Nothing is learned yet: the gate is open. At most `params.max_in_flight` attempts are in flight, at least one. The wall clock shows
    /// `wall` now, counted from a moment that all agree on: sidecars whose clocks agree find out together whose throttles they see.
    pub fn new(params: Params, now: Instant, wall: Duration) -> Self {
        Self {
            start: now,
            now: 0.0,
            next_look: 0.0,
            known: params.limit.map(|limit| KnownLimit::new(limit, now)),
            known_from: 0.0,
            hinted_until: 0.0,
            queue: Queue::new(params.max_waiting),
            in_flight: 0,
            holds: BinaryHeap::new(),
            fraction_used: 0.0,
            fraction_stretch: 1.0,
            window: Window::new(params.max_in_flight.max(1) as f64),
            gate: Gate::new(),
            outage: Outage::new(),
            backlog: Backlog::new(0.0),
            neighbours: Neighbours::new(wall),
            floor: Floor::new(),
            fleet: None,
            service: Service::new(),
            kind: Kind::Unknown,
            demand: Meter::new(0.0),
            delivered: Meter::new(0.0),
            throttled: Meter::new(0.0),
            params,
        }
    }

    /// Follows other parameters from now on. What was learned stays, unless nothing is to be learned any more; so do those who wait,
    /// even if they are now too many.
    pub fn set_params(&mut self, params: Params, now: Instant) {
        self.advance(now);
        if params.limit != self.params.limit {
            self.known = params.limit.map(|limit| KnownLimit::new(limit, now));
            self.known_from = self.now;
        }
        if params.mode == Mode::Off {
            // What nobody learns from could never be unlearned: a closed gate would stay closed.
            self.gate = Gate::new();
            self.outage = Outage::new();
            self.backlog = Backlog::new(self.now);
            self.neighbours = self.neighbours.anew();
            self.holds.clear();
        }
        self.queue.set_limit(params.max_waiting);
        self.window.set_max(params.max_in_flight.max(1) as f64);
        self.params = params;
    }

    /// Who waited stopped asking. Says whether it was still waiting; if not, a decision has named it already, and what that
    /// gave it has to be given back.
    pub fn leave(&mut self, now: Instant, waiter: WaiterId) -> bool {
        self.advance(now);
        self.queue.remove(waiter).is_some()
    }

    /// The attempt's place is free again; with nothing learned unless [`Self::learn`] was told.
    pub fn release(&mut self, now: Instant, attempt: Attempt) {
        self.advance(now);
        self.in_flight = self.in_flight.saturating_sub(1);
        if attempt.is_probe && !attempt.is_learned {
            self.outage.land();
        }
    }

    /// The attempt was cancelled: its place is free again, and nothing is learned.
    pub fn forget(&mut self, now: Instant, attempt: Attempt) {
        self.release(now, attempt);
    }

    /// The upstream asks everybody to stay away for so long: nothing goes until then. See
    /// [`HintGate`](super::cause::HintGate), which decides whether it is meant for everybody, and how long at most.
    pub fn hold_back(&mut self, now: Instant, wait: Duration) {
        self.advance(now);
        let until = self.now + wait.as_secs_f64();
        self.hinted_until = self.hinted_until.max(until);
    }

    /// How long a retry should rest before it asks for a turn, after being throttled for the `retry_number`th time (from 1): a
    /// jittered while, which doubles. Where the window decides, the first few do not rest at all: they wait in the queue. Who is
    /// still throttled then has met a window that knows too little, and must not use up its attempts on that; and where next to
    /// nothing gets through, no window knows enough.
    pub fn rest(&mut self, retry_number: u32, rng: &mut fastrand::Rng) -> Duration {
        let unrested = match self.delivered.rate_long(self.now) {
            _ if !self.is_gate_closed() => 0,
            rate if rate < SLOW => UNRESTED_SLOW,
            _ => UNRESTED,
        };
        let Some(doublings) = retry_number.checked_sub(unrested + 1) else {
            return Duration::ZERO;
        };
        let base = self.service.mean().max(REST_MIN);
        let ceiling = (base * f64::from(1u32 << doublings.min(REST_DOUBLINGS_MAX))).min(REST_MAX);
        Duration::from_secs_f64(ceiling * rng.f64())
    }

    /// Moves time on, never back, and does what is due by it.
    fn advance(&mut self, now: Instant) {
        let now = now.saturating_duration_since(self.start).as_secs_f64();
        self.now = self.now.max(now);
        while self
            .holds
            .peek()
            .is_some_and(|Reverse(until)| *until <= micros(self.now))
        {
            self.holds.pop();
        }
        if self.queue.is_empty() {
            self.backlog.on_empty(self.now);
            self.gate.open_if_quiet(self.now);
        }
        if self.now >= self.next_look {
            self.next_look = self.now + look::EVERY;
            self.look();
        }
    }

    fn queued(&self) -> Option<Queued> {
        self.queue.head().map(|(_, head)| Queued {
            len: self.queue.len(),
            span: head.span,
        })
    }

    /// Attempts per second that those who wait can count on.
    fn drain_rate(&mut self) -> f64 {
        let mean = self.service.mean();
        let places = if self.is_gate_closed() {
            self.window.size().max(self.gate.ramp().unwrap_or(0.0))
        } else {
            self.params.max_in_flight.max(1) as f64
        };
        (places / mean).max(self.delivered.rate(self.now))
    }

    fn is_learning(&self) -> bool {
        self.params.mode == Mode::Adaptive
    }
}

/// Seconds to whole microseconds; saturates.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what is wanted"
)]
fn micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}

/// Retries of one request that only wait for their turn while the window decides. A window near its limit lets one in twenty
/// attempts be throttled, so that a fourth throttle in a row is one request in a hundred thousand.
const UNRESTED: u32 = 5;

/// And where less than this gets through a second: a window that was two attempts takes thirty throttles to become one attempt
/// a second, and a request has ten attempts.
const UNRESTED_SLOW: u32 = 1;
const SLOW: f64 = 2.0;

/// Bounds of a rest's ceiling, seconds, and of its doubling.
const REST_MIN: f64 = 0.05;
const REST_MAX: f64 = 2.0;
const REST_DOUBLINGS_MAX: u32 = 16;
