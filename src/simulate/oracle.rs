//! The oracle: every request waits at the gateway's door, in the order of deadlines, and starts the moment a token and a slot are
//! free. It does not know how long an execution will take, but skips those that would most likely be late. Nobody can serve
//! more, but for the few that it gives up at the edge.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Params;
use super::gateway::Limits;
use super::load::{Arrival, Arrivals, quantile};
use super::tally::Tally;

/// Non-negative times in order: for them the order of the bits is that of the numbers.
fn key(time: f64) -> u64 {
    time.max(0.0).to_bits()
}

enum Moment {
    Door(Arrival),
    End,
    Token,
}

struct Door<'a> {
    params: &'a Params,
    limits: Limits,
    tally: Tally,
    /// By time, then in the order made.
    events: BinaryHeap<Reverse<(u64, u64)>>,
    moments: std::collections::HashMap<u64, Moment>,
    made: u64,
    /// By deadline, then in the order of arrival.
    waiting: BinaryHeap<Reverse<(u64, u64)>>,
    arrivals: std::collections::HashMap<u64, Arrival>,
    token_due: bool,
}

/// Runs the oracle under the arrivals that everybody meets.
pub(super) fn run(params: &Params) -> Tally {
    let mut door = Door {
        params,
        limits: Limits::new(params.gateway.clone()),
        tally: Tally::new(params),
        events: BinaryHeap::new(),
        moments: std::collections::HashMap::new(),
        made: 0,
        waiting: BinaryHeap::new(),
        arrivals: std::collections::HashMap::new(),
        token_due: false,
    };
    let mut arrivals = Arrivals::new(params).peekable();
    loop {
        let next = door
            .events
            .peek()
            .map_or(f64::INFINITY, |Reverse((at, _))| f64::from_bits(*at));
        match arrivals.next_if(|arrival| arrival.at <= next) {
            Some(arrival) => {
                door.tally.arrived(arrival.sender, arrival.at);
                door.schedule(arrival.at + arrival.delays.0, Moment::Door(arrival));
            }
            None if next.is_finite() => door.step(),
            None => return door.tally,
        }
    }
}

impl Door<'_> {
    fn schedule(&mut self, at: f64, moment: Moment) {
        self.made += 1;
        self.events.push(Reverse((key(at), self.made)));
        self.moments.insert(self.made, moment);
    }

    fn step(&mut self) {
        let Some(Reverse((at, number))) = self.events.pop() else {
            return;
        };
        let now = f64::from_bits(at);
        match self.moments.remove(&number) {
            Some(Moment::Door(arrival)) => {
                let deadline = arrival.at + self.params.deadline.as_secs_f64();
                self.waiting.push(Reverse((key(deadline), number)));
                self.arrivals.insert(number, arrival);
            }
            Some(Moment::End) => self.limits.end(),
            Some(Moment::Token) => self.token_due = false,
            None => {}
        }
        self.admit(now);
    }

    fn admit(&mut self, now: f64) {
        let margin = quantile(self.params.gateway.service, MARGIN_DEVIATIONS);
        while let Some(Reverse((deadline, number))) = self.waiting.peek().copied() {
            let deadline = f64::from_bits(deadline);
            let Some(arrival) = self.arrivals.get(&number).copied() else {
                self.waiting.pop();
                continue;
            };
            let is_hopeless = now + margin + arrival.delays.1 > deadline;
            let started = if is_hopeless {
                None
            } else {
                self.limits.start_if_free(now)
            };
            if !is_hopeless && started.is_none() {
                break;
            }
            self.waiting.pop();
            self.arrivals.remove(&number);
            let Some(extra) = started else {
                continue;
            };
            let sent = now - arrival.delays.0;
            self.tally.sent(arrival.sender, now);
            let ended = now + arrival.service + extra;
            let answered = ended + arrival.delays.1;
            self.schedule(ended, Moment::End);
            if answered <= deadline {
                self.tally
                    .succeeded(answered, arrival.sender, arrival.at, sent);
            }
        }
        if !self.waiting.is_empty() && !self.token_due {
            // Without a bucket to wait for, an end or the end of a disturbance will be noticed soon enough.
            let wait = self.limits.until_token(now).unwrap_or(LOOK_AGAIN);
            self.token_due = true;
            self.schedule(now + wait.max(1e-6), Moment::Token);
        }
    }
}

/// A request with less time left than all but three in a thousand executions take is given up.
const MARGIN_DEVIATIONS: f64 = 2.75;

/// Seconds.
const LOOK_AGAIN: f64 = 0.01;
