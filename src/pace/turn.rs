//! The words between the controller and whoever sends: who asks, what it is told, and what it reports.

use std::time::{Duration, Instant};

use super::queue::WaiterId;
use crate::retry::classify::Kind;

/// One who asks for a turn: a request's first attempt, or a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// From when its wait counts towards `max_wait`: the request's arrival, moved on by what the upstream asked it to wait.
    pub since: Instant,
    /// It is not started at or after this moment.
    pub start_by: Instant,
    /// When its answer has to be there, if there is such a limit: it is not started so late that this is unlikely.
    pub answer_by: Option<Instant>,
    /// Whether it was sent before. Retries go first.
    pub is_retry: bool,
}

/// What an asker is told at once.
#[derive(Debug)]
pub enum Admission {
    /// It may go now.
    Go(Attempt),
    /// It waits, until a [`Decision`] names it.
    Wait(WaiterId),
    /// Waiting would be in vain, or too many wait.
    Shed {
        /// When it is worth asking again.
        retry_after: Duration,
    },
}

/// What becomes of one who waited.
#[derive(Debug)]
pub enum Decision {
    /// It may go now.
    Go(WaiterId, Attempt),
    /// Its time is over.
    Shed {
        /// Who.
        waiter: WaiterId,
        /// When it is worth asking again.
        retry_after: Duration,
    },
}

/// The right to one attempt. It is not copied: who has it gives it back, once, to the controller that it came from.
#[must_use = "an attempt that is not given back takes its place for ever"]
#[derive(Debug, PartialEq)]
pub struct Attempt {
    /// Seconds since the controller's start.
    pub(super) sent: f64,
    /// How many were in flight when it was sent, itself included.
    pub(super) in_flight: usize,
    pub(super) is_probe: bool,
    pub(super) is_learned: bool,
}

/// What an attempt's outcome says about the upstream's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// The upstream took it in, whatever its answer was.
    Success,
    /// A limit refused it. A used-up quota is no limit that pacing could fit: it is taken as [`Self::Neutral`].
    Throttle(Kind),
    /// There was no answer, or one that tells of an outage.
    Failure,
    /// It says nothing: made by the client, futile, without a shared cause.
    Neutral,
}
