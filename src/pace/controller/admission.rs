//! Whose turn it is: who may go now, who waits, and who is turned away because waiting would be in vain.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::super::queue::{WaiterId, Waiting};
use super::super::turn::{Admission, Attempt, Decision, Waiter};
use super::{Controller, micros};

impl Controller {
    /// A first attempt or a retry asks for a turn.
    ///
    /// When it is told to wait, decisions may be due: somebody else's time may be over.
    pub fn arrive(&mut self, now: Instant, waiter: Waiter, rng: &mut fastrand::Rng) -> Admission {
        self.advance(now);
        if !waiter.is_retry {
            self.demand.add(self.now);
        }
        let waiting = self.waiting_of(waiter);
        if self.is_over(&waiting) {
            return self.shed();
        }
        if self.queue.is_empty() && self.may_go(rng) {
            return Admission::Go(self.launch());
        }
        if self.queue.is_full() || self.is_in_vain(&waiting) {
            return self.shed();
        }
        Admission::Wait(self.queue.join(waiting))
    }

    /// The next of those who wait that goes now, or whose time is over. To be called until there is none.
    pub fn decide(&mut self, now: Instant, rng: &mut fastrand::Rng) -> Option<Decision> {
        self.advance(now);
        let over = self
            .queue
            .most_pressed()
            .find(|(_, waiting)| self.is_over(waiting));
        if let Some((waiter, _)) = over {
            self.remove(waiter);
            self.backlog.on_shed(self.now);
            let retry_after = self.retry_after();
            return Some(Decision::Shed {
                waiter,
                retry_after,
            });
        }
        let (waiter, _) = self.queue.head()?;
        if !self.may_go(rng) {
            return None;
        }
        self.remove(waiter);
        Some(Decision::Go(waiter, self.launch()))
    }

    /// When decisions will be due if nothing else happens before.
    pub fn next_wake(&self, now: Instant) -> Option<Instant> {
        self.queue.head()?;
        let over = self.queue.most_pressed();
        let over = over.map(|(_, waiting)| self.over_at(&waiting));
        let at = over.fold(self.turn_at(), f64::min);
        if !at.is_finite() {
            return None;
        }
        // A nanosecond late rather than early: whoever comes exactly then must not be told to come again.
        let since_start = Duration::try_from_secs_f64(at.max(0.0)).ok()?;
        let wake = self
            .start
            .checked_add(since_start + Duration::from_nanos(1))?;
        Some(wake.max(now))
    }

    fn waiting_of(&self, waiter: Waiter) -> Waiting {
        let seconds = |moment: Instant| match moment.checked_duration_since(self.start) {
            Some(after) => after.as_secs_f64(),
            None => -self.start.duration_since(moment).as_secs_f64(),
        };
        let since = seconds(waiter.since).min(self.now);
        let answer_by = waiter.answer_by.map_or(f64::INFINITY, seconds);
        let patience = since + self.params.max_wait.as_secs_f64();
        let start_by = seconds(waiter.start_by).min(patience);
        let span = (start_by.min(answer_by) - since).max(0.0);
        let start_by = if self.outage.is_on() {
            start_by.min(self.now + OUTAGE_WAIT)
        } else {
            start_by
        };
        Waiting {
            since,
            start_by,
            answer_by,
            span,
            is_retry: waiter.is_retry,
        }
    }

    /// Whether it is too late for it.
    fn is_over(&self, waiting: &Waiting) -> bool {
        self.now >= self.over_at(waiting)
    }

    /// From when it is too late for it. The answer's limit counts with the usual length of an attempt taken off, unless it never
    /// had as much as that: then it is up to the attempt.
    fn over_at(&self, waiting: &Waiting) -> f64 {
        let usual_max = self.service.usual_max();
        let usual_max = if self.is_learning() && waiting.span > usual_max {
            usual_max
        } else {
            0.0
        };
        let cut = if self.backlog.is_overload() {
            waiting.since + self.wait_max(waiting)
        } else {
            f64::INFINITY
        };
        waiting.last_start(usual_max).min(cut)
    }

    /// Whether the queue before it will not be gone in time. Retries have been waited for, and are not told this. Where nothing is
    /// learned nobody is: how long an attempt takes is not known, and the time that it waits is limited anyway.
    fn is_in_vain(&mut self, waiting: &Waiting) -> bool {
        if !self.is_learning() || waiting.is_retry || self.outage.is_on() || self.queue.is_empty() {
            return false;
        }
        let until_answer = waiting.answer_by - self.now - FLIGHT_ALLOWANCE * self.service.mean();
        let room = (waiting.start_by - self.now)
            .min(until_answer)
            .min(self.wait_max(waiting));
        let drain = self.queue.ahead_of(waiting) as f64 / self.drain_rate();
        drain > room
    }

    fn wait_max(&self, waiting: &Waiting) -> f64 {
        self.backlog
            .wait_max(waiting.span, self.service.mean(), self.window.size())
    }

    /// The moment from which the head may go, as things are; infinite when only an event can tell.
    fn turn_at(&self) -> f64 {
        if self.in_flight >= self.params.max_in_flight.max(1) {
            return f64::INFINITY;
        }
        let earliest = self.hinted_until.max(self.known_from);
        if let Some(probe) = self.outage.next_probe() {
            return earliest.max(probe);
        }
        if !self.is_held_back() {
            return earliest;
        }
        let size = self.size_now();
        let whole = size.floor();
        let taken = (self.in_flight + self.holds.len()) as f64;
        if taken < whole {
            return earliest;
        }
        let hold_ends = self
            .holds
            .peek()
            .map_or(f64::INFINITY, |Reverse(until)| *until as f64 / 1e6);
        let earliest_change = hold_ends.min(self.neighbours.next_part(self.now));
        let fraction = size - whole;
        let is_none = fraction <= 0.0 || (whole > 0.0 && fraction < FRACTION_MIN);
        if taken > whole || is_none {
            return earliest.max(earliest_change);
        }
        let stretched = self.service.mean() / fraction * self.fraction_stretch;
        earliest.max(earliest_change.min(self.fraction_used + stretched))
    }

    /// Whether not everybody goes at once: while the window rules, and in a check.
    pub(super) fn is_held_back(&self) -> bool {
        self.is_gate_closed()
            || self.gate.is_closed() && self.neighbours.checks_until(self.now).is_some()
    }

    /// The window, larger or smaller by its swing.
    fn size_now(&self) -> f64 {
        self.neighbours.size(self.now, self.window.size())
    }

    /// Whether one attempt may go now. Asks the known limit last, since its yes is spent.
    fn may_go(&mut self, rng: &mut fastrand::Rng) -> bool {
        if self.turn_at() > self.now {
            return false;
        }
        if let Some(known) = &self.known {
            let since_start = Duration::try_from_secs_f64(self.now).unwrap_or_default();
            if let Err(wait) = known.check(self.start + since_start) {
                self.known_from = self.now + wait.as_secs_f64();
                return false;
            }
        }
        if self.outage.is_on() {
            self.outage.launch(self.now, rng.f64());
        } else if self.is_held_back() {
            let whole = self.size_now().floor();
            if (self.in_flight + self.holds.len()) as f64 >= whole {
                self.fraction_used = self.now;
                self.fraction_stretch = 0.75 + 0.5 * rng.f64();
            }
        }
        true
    }

    /// Sends one for which [`Self::may_go`] said yes.
    fn launch(&mut self) -> Attempt {
        self.in_flight += 1;
        if self.gate.ramp().is_some() && !self.outage.is_on() {
            self.window.ramp(self.service.mean(), self.in_flight);
        }
        Attempt {
            sent: self.now,
            in_flight: self.in_flight,
            is_probe: self.outage.is_on(),
            is_learned: false,
        }
    }

    /// The place of a throttled attempt stays taken for about one service time, lest the freed slot ask again at once.
    pub(super) fn hold(&mut self, rng: &mut fastrand::Rng) {
        let stretched = self.service.mean() * (0.5 + rng.f64());
        self.holds.push(Reverse(micros(self.now + stretched)));
    }

    fn shed(&mut self) -> Admission {
        self.backlog.on_shed(self.now);
        let retry_after = self.retry_after();
        Admission::Shed { retry_after }
    }

    fn remove(&mut self, waiter: WaiterId) {
        self.queue.remove(waiter);
        if self.queue.is_empty() {
            self.backlog.on_empty(self.now);
        }
    }

    /// When the queue of now will be gone, within reason.
    fn retry_after(&mut self) -> Duration {
        if self.outage.is_on() {
            return Duration::from_secs_f64(OUTAGE_WAIT);
        }
        let drain = (self.queue.len() + 1) as f64 / self.drain_rate();
        Duration::from_secs_f64(drain.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX))
    }
}

/// Seconds that an arrival waits during an outage: a probe or two will have gone by then, and a caller is nobody's hostage.
const OUTAGE_WAIT: f64 = 2.0;

/// Service times that an attempt is assumed to take when a newcomer's chances are weighed.
const FLIGHT_ALLOWANCE: f64 = 1.2;

/// A smaller fraction of a place than this is none, beside whole ones.
const FRACTION_MIN: f64 = 0.01;

/// Bounds of what a shed client is told, seconds: whole seconds is all that the header can say.
const RETRY_AFTER_MIN: f64 = 1.0;
const RETRY_AFTER_MAX: f64 = 30.0;
