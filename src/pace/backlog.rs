//! What a queue that does not empty means: an urgent need for more, or an overload that waiting cannot cure.
//!
//! *Urgency*: behind a small concurrency limit the throttled share that it takes to carry a load is larger than the usual one.
//! While the backlog would not drain in time, the tolerated share is raised in proportion to how late it would be, which also
//! helps the sender with the longest queue most. A backlog that already shrinks is left alone.
//!
//! *Overload* is proven, not suspected: the queue was never empty for two waits, clearly less than the demand gets through, and
//! requests are shed or soon will be. Then everybody waits only a tenth of the usual, since the same number get through either
//! way and the losers should know at once. A wrong proof would be permanent: a sender that gives up is starved by the others.

use crate::retry::classify::Kind;

/// The queue's history, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backlog {
    /// When the queue was last empty.
    empty_at: f64,
    last_shed: f64,
    is_overload: bool,
    /// The share of what gets through that the demand leaves free for the backlog.
    spare: f64,
}

/// What there is to know about the queue now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    pub(super) len: usize,
    /// The wait that the first in the queue was granted, seconds.
    pub(super) span: f64,
}

/// Requests per second, wanted and got through, over ten seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) demand: f64,
    pub(super) delivered: f64,
}

impl Backlog {
    pub(super) fn new(now: f64) -> Self {
        Self {
            empty_at: now,
            last_shed: f64::NEG_INFINITY,
            is_overload: false,
            spare: 0.0,
        }
    }

    pub(super) fn is_overload(&self) -> bool {
        self.is_overload
    }

    pub(super) fn on_empty(&mut self, now: f64) {
        self.empty_at = now;
    }

    pub(super) fn on_shed(&mut self, now: f64) {
        self.last_shed = now;
    }

    pub(super) fn was_shed_lately(&self, now: f64) -> bool {
        now - self.last_shed < SHED_IS_RECENT
    }

    /// The longest wait of one that was granted `span` when it came.
    pub(super) fn wait_max(&self, span: f64, service_mean: f64, window: f64) -> f64 {
        if self.is_overload {
            let few_turns = OVER_TURNS * service_mean / window;
            span.min((OVER_WAIT * span).max(few_turns))
        } else {
            span
        }
    }

    /// Takes the current flow into account; `demand` and `delivered` over the last second.
    pub(super) fn observe_spare(&mut self, demand: f64, delivered: f64) {
        self.spare = if delivered > 0.0 {
            (1.0 - demand / delivered).clamp(0.0, 1.0)
        } else {
            0.0
        };
    }

    /// Looks whether an overload is proven now.
    pub(super) fn prove_overload(&mut self, now: f64, queued: Queued, flow: Flow) {
        let lasts = now - self.empty_at > OVER_SPANS * queued.span;
        let is_short = flow.delivered < OVER_SHARE * flow.demand;
        let drain = queued.len as f64 / flow.delivered.max(DELIVERED_MIN);
        let loses = self.was_shed_lately(now) || drain > OVER_DRAIN * queued.span;
        if lasts && is_short && loses {
            self.is_overload = true;
            self.last_shed = now;
        }
    }

    /// An overload ends when nobody had to be shed for a while, or is called off.
    pub(super) fn end_overload(&mut self, now: f64, is_called_off: bool) {
        if is_called_off || now - self.last_shed > OVER_ENDS_AFTER {
            self.is_overload = false;
        }
    }

    /// How urgently the window should be larger, `[0, 1]`; `drain` is how many seconds the queue will take.
    pub(super) fn urgency(&self, now: f64, queued: Queued, drain: f64) -> f64 {
        if self.is_overload || queued.len == 0 {
            return 0.0;
        }
        let span = queued.span.min(URGENT_SPAN_MAX);
        if now - self.empty_at < URGENT_AFTER * span {
            return 0.0;
        }
        let lateness = drain / span - URGENT_SPARE * self.spare;
        (lateness / URGENT_FULL).clamp(0.0, 1.0)
    }
}

/// The tolerated share, raised by urgency: not for rate limits, which give no more for it, and less for large windows, which
/// gain little.
pub(super) fn raised(usual: f64, urgency: f64, kind: Kind, window: f64) -> f64 {
    let top = URGENT_SHARE_MAX.min(URGENT_SHARE_SCALE / window.max(1.0).sqrt());
    if kind != Kind::Rate && top > usual {
        usual + (top - usual) * urgency
    } else {
        usual
    }
}

/// Shares of a wait: where it ends in an overload, and how many turns it spans at least.
const OVER_WAIT: f64 = 0.10;
const OVER_TURNS: f64 = 5.0;

/// Waits that the queue must not have been empty for. One would be a burst.
const OVER_SPANS: f64 = 2.0;

/// The share of the demand that gets through at most. Nearer to all of it, waiting and urgency are the better answer.
const OVER_SHARE: f64 = 0.85;

/// The share of a wait that draining the queue takes at least, if nobody was shed: all senders come to the same conclusion.
const OVER_DRAIN: f64 = 0.8;

/// Guards the quotient, per second.
const DELIVERED_MIN: f64 = 0.5;

/// Seconds.
const SHED_IS_RECENT: f64 = 1.0;
const OVER_ENDS_AFTER: f64 = 5.0;

/// Where the wait is longer than this many seconds, urgency acts as if it were this long.
const URGENT_SPAN_MAX: f64 = 10.0;

/// The first part of a wait that a burst is given before anything is urgent.
const URGENT_AFTER: f64 = 0.2;

/// The backlog, in waits, at which urgency is full.
const URGENT_FULL: f64 = 0.3;

/// How much a backlog that shrinks counts against urgency.
const URGENT_SPARE: f64 = 0.7;

/// The most that is ever tolerated: five attempts for three successes. With a half, urgency throttles as much as neighbours that
/// exceed a limit twofold, and looks like them: twenty polite senders at three times a limit of 10 pay 2.7 instead of 1.9. With less
/// than this, who is beside neighbours that exceed it by a tenth gets too little through.
const URGENT_SHARE_MAX: f64 = 0.4;

/// By the square root of the window (square-root staffing).
const URGENT_SHARE_SCALE: f64 = 1.2;

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUED: Queued = Queued {
        len: 100,
        span: 10.0,
    };

    fn flow(demand: f64, delivered: f64) -> Flow {
        Flow { demand, delivered }
    }

    #[test]
    fn a_long_queue_alone_is_no_overload() {
        let mut backlog = Backlog::new(0.0);

        backlog.on_shed(19.5);
        backlog.prove_overload(19.9, QUEUED, flow(20.0, 10.0));
        assert!(!backlog.is_overload(), "not two waits yet");
        backlog.on_shed(20.5);
        backlog.prove_overload(21.0, QUEUED, flow(20.0, 18.0));
        assert!(!backlog.is_overload(), "nearly all get through");
        let short = Queued { len: 5, ..QUEUED };
        backlog.prove_overload(30.0, short, flow(20.0, 10.0));
        assert!(!backlog.is_overload(), "nobody is shed, nobody will be");

        backlog.on_shed(30.5);
        backlog.prove_overload(31.0, short, flow(20.0, 10.0));
        assert!(backlog.is_overload());
    }

    #[test]
    fn in_an_overload_a_tenth_of_the_wait_is_left_but_never_less_than_a_few_turns() {
        let mut backlog = Backlog::new(0.0);
        assert!((backlog.wait_max(10.0, 0.1, 10.0) - 10.0).abs() < 1e-9);

        backlog.prove_overload(30.0, QUEUED, flow(20.0, 10.0));

        assert!((backlog.wait_max(10.0, 0.1, 10.0) - 1.0).abs() < 1e-9);
        assert!((backlog.wait_max(10.0, 1.0, 1.0) - 5.0).abs() < 1e-9);
        assert!((backlog.wait_max(10.0, 1.0, 0.1) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn an_overload_ends_when_nobody_was_shed_for_a_while() {
        let mut backlog = Backlog::new(0.0);
        backlog.prove_overload(30.0, QUEUED, flow(20.0, 10.0));

        backlog.end_overload(34.9, false);
        assert!(backlog.is_overload());
        backlog.end_overload(35.1, false);
        assert!(!backlog.is_overload());
    }

    #[test]
    fn urgency_grows_with_the_time_that_draining_takes() {
        let mut backlog = Backlog::new(0.0);

        assert!(backlog.urgency(1.0, QUEUED, 9.0) == 0.0, "a burst");
        assert!((backlog.urgency(5.0, QUEUED, 1.5) - 0.5).abs() < 1e-9);
        assert!((backlog.urgency(5.0, QUEUED, 9.0) - 1.0).abs() < 1e-9);
        backlog.observe_spare(10.0, 20.0);
        assert!(backlog.urgency(5.0, QUEUED, 3.0) == 0.0, "it shrinks");
    }

    #[test]
    fn only_small_windows_behind_a_limit_that_may_be_concurrency_are_raised() {
        let usual = 0.1;

        assert!((raised(usual, 1.0, Kind::Concurrency, 1.0) - 0.4).abs() < 1e-9);
        assert!((raised(usual, 1.0, Kind::Unknown, 16.0) - 0.3).abs() < 1e-9);
        assert!((raised(usual, 1.0, Kind::Rate, 1.0) - usual).abs() < 1e-9);
        assert!((raised(usual, 1.0, Kind::Concurrency, 1e6) - usual).abs() < 1e-9);
        assert!((raised(usual, 0.0, Kind::Concurrency, 1.0) - usual).abs() < 1e-9);
    }
}
