//! The events of a run, in order of time: requests arrive, attempts reach the gateway, answers come back, rests end.

mod turns;

use std::time::{Duration, Instant};

use super::agenda::Agenda;
use super::gateway::{Limits, Reception};
use super::load::{Arrival, Arrivals, delay};
use super::request::{Request, Requests};
use super::sender::{Sender, read};
use super::tally::Tally;
use super::timeline::{Now, Slot, Timeline};
use super::{Params, Policy};
use crate::clock;
use crate::retry::classify::Class;

#[derive(Clone, Copy, Debug)]
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
    agenda: Agenda<Event>,
    rng: fastrand::Rng,
    tally: Tally,
    timeline: Option<Timeline>,
}

impl<'a> World<'a> {
    pub(super) fn new(params: &'a Params, policy: Policy) -> Self {
        let base = clock::now();
        let own = (0..params.sidecars.max(1)).map(|_| policy);
        let beside = params
            .neighbours
            .into_iter()
            .flat_map(|beside| (0..beside.count).map(move |_| beside.policy));
        let mut clocks = fastrand::Rng::with_seed(params.seed.rotate_left(32));
        Self {
            params,
            base,
            limits: Limits::new(params.gateway.clone()),
            senders: own
                .chain(beside)
                .map(|policy| {
                    let ahead = params.clocks_apart.mul_f64(clocks.f64());
                    Sender::new(params, policy, base, ahead)
                })
                .collect(),
            requests: Requests::default(),
            agenda: Agenda::new(),
            // Not the arrivals' stream: a policy's own draws must not change who arrives when.
            rng: fastrand::Rng::with_seed(!params.seed),
            tally: Tally::new(params),
            timeline: None,
        }
    }

    /// Runs until nothing is left to happen.
    pub(super) fn run(mut self) -> Tally {
        self.run_out();
        self.tally
    }

    /// The same, and tells what happened when.
    pub(super) fn watched(mut self) -> Timeline {
        self.timeline = Some(Timeline::new(self.params.duration));
        self.run_out();
        self.timeline.expect("it was put there above")
    }

    fn run_out(&mut self) {
        let mut arrivals = Arrivals::new(self.params);
        let mut coming = arrivals.next();
        loop {
            let next = self.agenda.peek().map_or(f64::INFINITY, |(at, _)| at);
            match coming {
                Some(arrival) if arrival.at <= next => {
                    coming = arrivals.next();
                    self.arrive(arrival);
                }
                _ if next.is_finite() => self.step(),
                _ => return,
            }
        }
    }

    /// What there is to see at this moment; the timeline wants to know it now and then.
    fn look(&mut self, now: f64) {
        let Some(timeline) = self.timeline.as_mut().filter(|it| it.is_due(now)) else {
            return;
        };
        let mut seen = Now::default();
        for sender in &self.senders {
            if let Sender::Redrive(redrive) = sender {
                seen.waiting += redrive.controller.waiting();
                if redrive.controller.is_gate_closed() {
                    seen.closed += 1;
                    seen.window += redrive.controller.window();
                }
            }
        }
        timeline.look(now, seen);
    }

    fn step(&mut self) {
        let Some((now, event)) = self.agenda.pop() else {
            return;
        };
        self.look(now);
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

    fn note(&mut self, now: f64, count: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.timeline.as_mut().and_then(|it| it.slot(now)) {
            count(slot);
        }
    }

    fn instant(&self, at: f64) -> Instant {
        self.base + Duration::from_secs_f64(at)
    }

    fn arrive(&mut self, arrival: Arrival) {
        let Arrival { at, sender, .. } = arrival;
        self.tally.arrived(sender, at);
        self.note(at, |slot| slot.offered += 1);
        let deadline = at + self.params.deadline.as_secs_f64();
        let base = self.base;
        let session = match &mut self.senders[sender] {
            Sender::Redrive(redrive) => {
                Some(redrive.session(base + Duration::from_secs_f64(deadline)))
            }
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
            reception: Reception::Accepted(0.0),
            turn: None,
            session,
            paid: None,
            cause: Class::Ok,
        };
        let index = self.requests.keep(request);
        self.rested(at, index);
    }

    fn send(&mut self, now: f64, index: u32) {
        let request = self.requests.of(index);
        request.attempts += 1;
        request.sent = now;
        let sender = request.sender;
        self.tally.sent(sender, now);
        let delay = delay(self.params.gateway.network, &mut self.rng);
        self.agenda.enter(now + delay, Event::Reach(index));
    }

    fn reach(&mut self, now: f64, index: u32) {
        let reception = self.limits.receive(now);
        let request = self.requests.of(index);
        request.reception = reception;
        let (service, sent) = (request.service, request.sent);
        let back = now + delay(self.params.gateway.network, &mut self.rng);
        let answered = match reception {
            Reception::Accepted(extra) => {
                self.agenda.enter(now + service + extra, Event::End);
                back + service + extra
            }
            Reception::Swallowed(patience) => sent + patience,
            _ => back,
        };
        self.agenda.enter(answered, Event::Answer(index));
    }

    fn answer(&mut self, now: f64, index: u32) {
        let request = self.requests.of(index);
        let (sender, reception) = (request.sender, request.reception);
        let (deadline, arrived, sent) = (request.deadline, request.arrived, request.sent);
        let is_good = reception.is_accepted();
        if is_good && now <= deadline {
            self.tally.succeeded(now, sender, arrived, sent);
            self.note(now, |slot| slot.served += 1);
        } else if !is_good {
            self.note(now, |slot| slot.refused += 1);
        }
        let base = self.base;
        let rest = match &mut self.senders[sender] {
            Sender::Redrive(redrive) => {
                let at = base + Duration::from_secs_f64(now);
                let request = self.requests.of(index);
                let read = read(reception, self.params.gateway.tells_kind);
                redrive.rest(request, at, read, &mut self.rng)
            }
            Sender::Rival(rival) => {
                let attempts = self.requests.of(index).attempts;
                if is_good {
                    rival.on_success(attempts);
                    Err(None)
                } else {
                    let rest = rival.retry(now, attempts, &mut self.rng);
                    rest.filter(|rest| now + rest < deadline).ok_or(None)
                }
            }
        };
        match rest {
            Ok(rest) if rest > 0.0 => self.agenda.enter(now + rest, Event::Rested(index)),
            Ok(_) => return self.rested(now, index),
            Err(reason) => {
                if let Some(reason) = reason {
                    self.tally.gave_up(sender, now, reason);
                }
                self.requests.remove(index);
            }
        }
        self.pump(now, sender);
    }
}
