//! How a request gets its turn in a run: it asks, waits, is woken or shed, pays, and goes.

use super::{Event, World};
use crate::pace::{Admission, Attempt, Decision, Waiter};
use crate::retry::Reason;
use crate::simulate::sender::Sender;

impl World<'_> {
    /// Asks for the first attempt, or the next one.
    pub(super) fn rested(&mut self, now: f64, index: u32) {
        let request = self.requests.of(index);
        let (sender, arrived, deadline) = (request.sender, request.arrived, request.deadline);
        let is_retry = request.attempts > 0;
        if let Sender::Rival(_) = &self.senders[sender] {
            return self.send(now, index);
        }
        let waiter = Waiter {
            since: self.instant(arrived),
            start_by: self.instant(deadline),
            answer_by: Some(self.instant(deadline)),
            is_retry,
        };
        let at = self.instant(now);
        let Sender::Redrive(redrive) = &mut self.senders[sender] else {
            return;
        };
        match redrive.controller.arrive(at, waiter, &mut self.rng) {
            Admission::Go(turn) => self.go(now, index, turn),
            Admission::Wait(id) => {
                redrive.waiters.insert(id, index);
            }
            Admission::Shed { .. } => self.shed(now, index),
        }
        self.pump(now, sender);
    }

    /// Lets the controller decide, and sees to it that it is asked again.
    pub(super) fn pump(&mut self, now: f64, sender: usize) {
        if let Sender::Rival(_) = &self.senders[sender] {
            return;
        }
        let at = self.instant(now);
        loop {
            let Sender::Redrive(redrive) = &mut self.senders[sender] else {
                return;
            };
            let Some(decision) = redrive.controller.decide(at, &mut self.rng) else {
                break;
            };
            let (Decision::Go(id, _) | Decision::Shed { waiter: id, .. }) = &decision;
            let index = redrive
                .waiters
                .remove(id)
                .expect("a decision names one who waits");
            match decision {
                Decision::Go(_, turn) => self.go(now, index, turn),
                Decision::Shed { .. } => self.shed(now, index),
            }
        }
        let base = self.base;
        let Sender::Redrive(redrive) = &mut self.senders[sender] else {
            return;
        };
        if let Some(wake) = redrive.controller.next_wake(at) {
            // Rounded to the next float, it must still be later.
            let wake = (wake - base).as_secs_f64().max(now + STEP_MIN);
            if wake < redrive.wake_at {
                redrive.wake_at = wake;
                let number = u32::try_from(sender).expect("fewer senders than that");
                self.agenda.enter(wake, Event::Wake(number));
            }
        }
    }

    fn shed(&mut self, now: f64, index: u32) {
        let sender = self.requests.of(index).sender;
        self.tally.shed(sender, now);
        self.requests.remove(index);
    }

    /// Its turn has come: pays, if it is a retry, and goes.
    fn go(&mut self, now: f64, index: u32, turn: Attempt) {
        let at = self.instant(now);
        let request = self.requests.of(index);
        let Sender::Redrive(redrive) = &mut self.senders[request.sender] else {
            return;
        };
        if request.attempts == 0 {
            redrive.budget.earn(at);
        } else {
            let cost = self.params.budget.cost.of(request.cause);
            if !redrive.budget.try_spend(at, cost) {
                redrive.controller.forget(at, turn);
                self.tally.gave_up(request.sender, now, Reason::Budget);
                return self.requests.remove(index);
            }
            request.paid = Some(cost);
        }
        request.turn = Some(turn);
        self.send(now, index);
    }
}

/// Seconds; finer than anything that is simulated, coarser than the float's last bit after a day.
const STEP_MIN: f64 = 1e-9;
