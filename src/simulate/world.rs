//! The events of a run, in order of time: requests arrive, attempts reach the gateway, answers come back, rests end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::gateway::{Limits, Reception};
use super::load::{Arrival, Arrivals, delay};
use super::request::{Request, Requests};
use super::sender::{Sender, read};
use super::tally::Tally;
use super::{Params, Policy};
use crate::clock;
use crate::pace::{Admission, Attempt, Decision, Waiter};
use crate::retry::classify::Class;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A request's attempt reaches the gateway.
    Reach(u32),
    /// An execution ends.
    End,
    /// A request's attempt is answered.
    Answer(u32),
    /// A request has rested, and asks for another attempt.
    Rested(u32),
    /// A sender's controller wanted to be asked now.
    Wake(u32),
}

/// A run in the making.
pub(super) struct World<'a> {
    params: &'a Params,
    base: Instant,
    limits: Limits,
    senders: Vec<Sender>,
    requests: Requests,
    /// By time, then by order of scheduling, so that equal times have one order.
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    scheduled: u64,
    rng: fastrand::Rng,
    tally: Tally,
}

impl<'a> World<'a> {
    pub(super) fn new(params: &'a Params, policy: Policy) -> Self {
        let base = clock::now();
        let own = (0..params.sidecars.max(1)).map(|_| policy);
        let beside = params
            .neighbours
            .into_iter()
            .flat_map(|beside| (0..beside.count).map(move |_| beside.policy));
        Self {
            params,
            base,
            limits: Limits::new(params.gateway.clone()),
            senders: own
                .chain(beside)
                .map(|policy| Sender::new(params, policy, base))
                .collect(),
            requests: Requests::default(),
            events: BinaryHeap::new(),
            scheduled: 0,
            // Not the arrivals' stream: a policy's own draws must not change who arrives when.
            rng: fastrand::Rng::with_seed(!params.seed),
            tally: Tally::new(params),
        }
    }

    /// Runs until nothing is left to happen.
    pub(super) fn run(mut self) -> Tally {
        let mut arrivals = Arrivals::new(self.params).peekable();
        loop {
            let next = self
                .events
                .peek()
                .map_or(f64::INFINITY, |Reverse((at, ..))| f64::from_bits(*at));
            match arrivals.next_if(|arrival| arrival.at <= next) {
                Some(arrival) => self.arrive(arrival),
                None if next.is_finite() => self.step(),
                None => return self.tally,
            }
        }
    }

    fn step(&mut self) {
        let Some(Reverse((at, _, event))) = self.events.pop() else {
            return;
        };
        let now = f64::from_bits(at);
        match event {
            Event::Reach(request) => self.reach(now, request),
            Event::End => self.limits.end(),
            Event::Answer(request) => self.answer(now, request),
            Event::Rested(request) => self.rested(now, request),
            Event::Wake(sender) => {
                // One that was overtaken by an earlier one is void, or each would beget another.
                if let Sender::Redrive(redrive) = &mut self.senders[sender as usize]
                    && now >= redrive.wake_at
                {
                    redrive.wake_at = f64::INFINITY;
                    self.pump(now, sender as usize);
                }
            }
        }
    }

    fn schedule(&mut self, at: f64, event: Event) {
        self.scheduled += 1;
        // For times that are not negative the order of the bits is that of the numbers.
        self.events
            .push(Reverse((at.max(0.0).to_bits(), self.scheduled, event)));
    }

    fn instant(&self, at: f64) -> Instant {
        self.base + Duration::from_secs_f64(at)
    }

    fn arrive(&mut self, arrival: Arrival) {
        let Arrival { at, sender, .. } = arrival;
        self.tally.arrived(sender, at);
        let deadline = at + self.params.deadline.as_secs_f64();
        let deadline_at = self.instant(deadline);
        let session = match &mut self.senders[sender] {
            Sender::Redrive(redrive) => Some(redrive.session(deadline_at)),
            Sender::Rival(rival) => {
                rival.on_request(at);
                None
            }
        };
        let request = Request {
            sender,
            arrived: at,
            deadline,
            service: arrival.service,
            attempts: 0,
            sent: at,
            reception: Reception::Accepted,
            turn: None,
            session,
            paid: None,
            cause: Class::Ok,
        };
        let index = self.requests.keep(request);
        self.rested(at, index);
    }

    /// Asks for the first attempt, or the next one.
    fn rested(&mut self, now: f64, index: u32) {
        let request = self.requests.of(index);
        let (sender, arrived, deadline) = (request.sender, request.arrived, request.deadline);
        let is_retry = request.attempts > 0;
        let waiter = Waiter {
            since: self.instant(arrived),
            start_by: self.instant(deadline),
            answer_by: Some(self.instant(deadline)),
            is_retry,
        };
        let at = self.instant(now);
        let Sender::Redrive(redrive) = &mut self.senders[sender] else {
            return self.send(now, index);
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
    fn pump(&mut self, now: f64, sender: usize) {
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
                self.schedule(wake, Event::Wake(number));
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
                return self.requests.remove(index);
            }
            request.paid = Some(cost);
        }
        request.turn = Some(turn);
        self.send(now, index);
    }

    fn send(&mut self, now: f64, index: u32) {
        let request = self.requests.of(index);
        request.attempts += 1;
        request.sent = now;
        let sender = request.sender;
        self.tally.sent(sender, now);
        let delay = delay(self.params.gateway.network, &mut self.rng);
        self.schedule(now + delay, Event::Reach(index));
    }

    fn reach(&mut self, now: f64, index: u32) {
        let reception = self.limits.receive(now);
        let request = self.requests.of(index);
        request.reception = reception;
        let (service, sent) = (request.service, request.sent);
        let back = now + delay(self.params.gateway.network, &mut self.rng);
        let answered = match reception {
            Reception::Accepted => {
                self.schedule(now + service, Event::End);
                back + service
            }
            Reception::Swallowed(patience) => sent + patience,
            _ => back,
        };
        self.schedule(answered, Event::Answer(index));
    }

    fn answer(&mut self, now: f64, index: u32) {
        let request = self.requests.of(index);
        let (sender, reception) = (request.sender, request.reception);
        let (deadline, arrived, sent) = (request.deadline, request.arrived, request.sent);
        let is_good = reception == Reception::Accepted;
        if is_good && now <= deadline {
            self.tally.succeeded(now, sender, arrived, sent);
        }
        let at = self.instant(now);
        let rest = match &mut self.senders[sender] {
            Sender::Redrive(redrive) => {
                let request = self.requests.of(index);
                let read = read(reception, self.params.gateway.tells_kind);
                redrive.rest(request, at, read, &mut self.rng)
            }
            Sender::Rival(rival) => {
                let attempts = self.requests.of(index).attempts;
                if is_good {
                    rival.on_success(attempts);
                    None
                } else {
                    let rest = rival.retry(now, attempts, &mut self.rng);
                    rest.filter(|rest| now + rest < deadline)
                }
            }
        };
        match rest {
            Some(rest) if rest > 0.0 => self.schedule(now + rest, Event::Rested(index)),
            Some(_) => return self.rested(now, index),
            None => self.requests.remove(index),
        }
        self.pump(now, sender);
    }
}

/// Seconds; finer than anything that is simulated, coarser than the float's last bit after a day.
const STEP_MIN: f64 = 1e-9;
