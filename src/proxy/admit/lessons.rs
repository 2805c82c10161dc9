//! What an attempt's outcome teaches the pace: the one place where a class becomes [`Feedback`].
//!
//! Only what speaks of a limit that everybody shares may move the window. So a throttle counts when it has a shared cause
//! ([`Causes`]) and its cell is not futile; a suspicion only when it came back as fast as a refusal does, or is labelled by
//! the gateway; a quota and whatever the client made itself never. A hint is its own request's affair until a second request
//! brings one ([`HintGate`]). Values in, values out: `now` is an argument.

use std::time::{Duration, Instant};

use http::StatusCode;

use crate::pace::Feedback;
use crate::pace::cause::{Causes, HintGate};
use crate::retry::classify::{Class, Classified, Ran};
use crate::retry::futility::{Cell, shows_open};

/// What was seen of one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// What its outcome proves.
    pub outcome: &'a Classified,
    /// The answer's status; `None` without an answer.
    pub status: Option<StatusCode>,
    /// Where it went.
    pub cell: &'a Cell,
    /// Whether that cell is known to be futile.
    pub is_futile: bool,
    /// Whether the gateway itself named the cause, in the marker header.
    pub is_labelled: bool,
    /// Whether the client ended it: by its own time limit, or by breaking its own body.
    pub is_clients: bool,
    /// From its start to the answer's head.
    pub elapsed: Duration,
    /// For how long the upstream asked to be left alone, if this is the first time that it asked this request.
    pub hint: Option<Duration>,
}

/// What follows for the pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lesson {
    /// What the controller learns.
    pub(super) feedback: Feedback,
    /// For how long everybody should stay away.
    pub(super) hold_back: Option<Duration>,
}

/// What has to be remembered to tell.
#[derive(Debug)]
pub(super) struct Lessons {
    causes: Causes,
    hints: HintGate,
    /// How long answers from the function take, smoothed; seconds.
    usual: f64,
    samples: f64,
}

impl Lessons {
    /// No memory of anything.
    pub(super) fn new() -> Self {
        Self {
            causes: Causes::new(),
            hints: HintGate::new(),
            usual: USUAL_GUESS,
            samples: 0.0,
        }
    }

    /// What this outcome teaches.
    pub(super) fn draw(&mut self, now: Instant, seen: &Seen<'_>) -> Lesson {
        let feedback = if seen.is_clients {
            Feedback::Neutral
        } else {
            self.feedback(now, seen)
        };
        // One whose throttles are its own speaks for itself alone, and so does its wish.
        let hint = seen
            .hint
            .filter(|_| matches!(feedback, Feedback::Throttle(_)));
        Lesson {
            feedback,
            hold_back: hint.and_then(|wait| self.hints.on_hint(now, wait)),
        }
    }

    fn feedback(&mut self, now: Instant, seen: &Seen<'_>) -> Feedback {
        if shows_open(seen.outcome, seen.status) {
            self.causes.on_success(now, seen.cell);
        }
        match seen.outcome.class {
            Class::Ok => {
                self.note_usual(seen.elapsed);
                Feedback::Success
            }
            Class::Permanent if is_taken_in(seen) => Feedback::Success,
            Class::Permanent | Class::Quota | Class::Cancelled => Feedback::Neutral,
            Class::Suspected if !self.looks_refused(seen) => Feedback::Neutral,
            Class::Throttled | Class::Suspected | Class::Overloaded => {
                if self.is_shared(now, seen) {
                    Feedback::Throttle(seen.outcome.kind)
                } else {
                    Feedback::Neutral
                }
            }
            // Nothing arrived: that is nobody's cell.
            Class::Unsent => Feedback::Failure,
            // The function itself was too slow, which is no outage.
            Class::Timeout if seen.outcome.ran == Ran::Yes => Feedback::Neutral,
            Class::Timeout | Class::Broken => {
                if self.is_shared(now, seen) {
                    Feedback::Failure
                } else {
                    Feedback::Neutral
                }
            }
        }
    }

    fn is_shared(&mut self, now: Instant, seen: &Seen<'_>) -> bool {
        if seen.is_futile {
            self.causes.on_futile(seen.cell);
            return false;
        }
        self.causes.on_throttle(now, seen.cell)
    }

    /// Whether a suspected throttle was told apart from a function that failed: the gateway says so, or it was too quick for one.
    fn looks_refused(&self, seen: &Seen<'_>) -> bool {
        let quick = (REFUSED_SHARE * self.usual).max(REFUSED_WITHIN);
        seen.is_labelled || seen.elapsed.as_secs_f64() <= quick
    }

    fn note_usual(&mut self, took: Duration) {
        self.samples = (self.samples + 1.0).min(USUAL_MEMORY);
        self.usual += (took.as_secs_f64() - self.usual) / self.samples;
    }
}

/// Whether an error answer shows that the request was let in. A firewall's or an authorizer's no does not, nor does what a gateway
/// says when nothing stands behind it.
fn is_taken_in(seen: &Seen<'_>) -> bool {
    let is_gateways = matches!(
        seen.status,
        Some(
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        )
    );
    match seen.status {
        Some(status) if status.is_client_error() => shows_open(seen.outcome, seen.status),
        Some(_) => !is_gateways,
        None => false,
    }
}

/// Assumed until the first good answer, seconds: a small function behind a gateway.
const USUAL_GUESS: f64 = 0.1;

/// How many good answers back the estimate remembers.
const USUAL_MEMORY: f64 = 50.0;

/// A refusal takes the way there and back; a function that fails mostly takes longer than half of one that does not.
const REFUSED_SHARE: f64 = 0.5;

/// As quick as this is a refusal however quick the function is, seconds: the way to a gateway of another region takes no less.
const REFUSED_WITHIN: f64 = 0.05;

#[cfg(test)]
mod tests;
