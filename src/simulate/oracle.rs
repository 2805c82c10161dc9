//! The oracle: every request waits at the gateway's door, in the order of deadlines, and starts the moment a token and a slot are
//! free. It does not know how long an execution will take, but skips those that would most likely be late. Nobody can serve
//! more, but for the few that it gives up at the edge.

use super::Params;
use super::agenda::Agenda;
use super::gateway::Limits;
use super::load::{Arrival, Arrivals, quantile};
use super::tally::Tally;

enum Moment {
    Door(Arrival),
    End,
    Token,
}

struct Door<'a> {
    params: &'a Params,
    limits: Limits,
    tally: Tally,
    agenda: Agenda<Moment>,
    /// By their deadlines.
    waiting: Agenda<Arrival>,
    token_due: bool,
}

/// Runs the oracle under the arrivals that everybody meets.
pub(super) fn run(params: &Params) -> Tally {
    let mut door = Door {
        params,
        limits: Limits::new(params.gateway.clone()),
        tally: Tally::new(params),
        agenda: Agenda::new(),
        waiting: Agenda::new(),
        token_due: false,
    };
    let mut arrivals = Arrivals::new(params);
    let mut coming = arrivals.next();
    loop {
        let next = door.agenda.peek().map_or(f64::INFINITY, |(at, _)| at);
        match coming {
            Some(arrival) if arrival.at <= next => {
                coming = arrivals.next();
                door.tally.arrived(arrival.sender, arrival.at);
                let at = arrival.at + arrival.delays.0;
                door.agenda.enter(at, Moment::Door(arrival));
            }
            _ if next.is_finite() => door.step(),
            _ => return door.tally,
        }
    }
}

impl Door<'_> {
    fn step(&mut self) {
        let Some((now, moment)) = self.agenda.pop() else {
            return;
        };
        match moment {
            Moment::Door(arrival) => {
                let deadline = arrival.at + self.params.deadline.as_secs_f64();
                self.waiting.enter(deadline, arrival);
            }
            Moment::End => self.limits.end(),
            Moment::Token => self.token_due = false,
        }
        self.admit(now);
    }

    fn admit(&mut self, now: f64) {
        let margin = quantile(self.params.gateway.service, MARGIN_DEVIATIONS);
        while let Some((deadline, arrival)) = self.waiting.peek() {
            let arrival = *arrival;
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
            let Some(extra) = started else {
                continue;
            };
            let sent = now - arrival.delays.0;
            self.tally.sent(arrival.sender, now);
            let ended = now + arrival.service + extra;
            let answered = ended + arrival.delays.1;
            self.agenda.enter(ended, Moment::End);
            if answered <= deadline {
                self.tally
                    .succeeded(answered, arrival.sender, arrival.at, sent);
            }
        }
        if !self.waiting.is_empty() && !self.token_due {
            // Without a bucket to wait for, an end or the end of a disturbance will be noticed soon enough.
            let wait = self.limits.until_token(now).unwrap_or(LOOK_AGAIN);
            self.token_due = true;
            self.agenda.enter(now + wait.max(1e-6), Moment::Token);
        }
    }
}

/// A request with less time left than all but three in a thousand executions take is given up.
const MARGIN_DEVIATIONS: f64 = 2.75;

/// Seconds.
const LOOK_AGAIN: f64 = 0.01;
