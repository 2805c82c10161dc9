//! The gate: open, everything goes at once; closed, the window decides.
//!
//! A single throttle closes nothing. Every throttle adds one to a sum that successes let leak away at twice the tolerated share
//! (a CUSUM test), so that the gate closes only when clearly more than that share is throttled, and then within a few answers.
//! A gate that has just closed does not know the limit yet: the window then *ramps* until the next throttle. It opens again
//! after a while without a throttle and with nobody waiting.

/// Open or closed, and how sure of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    state: State,
    suspicion: f64,
    /// Attempts sent before this moment belong to a window that is no more, and move nothing.
    epoch: f64,
    last_throttle: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Open,
    /// Closed, the limit being looked for above `memory`, the window that was once known to be possible.
    Ramping {
        memory: f64,
    },
    Closed,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            state: State::Open,
            suspicion: 0.0,
            epoch: f64::NEG_INFINITY,
            last_throttle: f64::NEG_INFINITY,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state != State::Open
    }

    /// The window to which it ramps at least; `None` when it does not ramp.
    pub(super) fn ramp(&self) -> Option<f64> {
        match self.state {
            State::Ramping { memory } => Some(memory),
            State::Open | State::Closed => None,
        }
    }

    /// Whether an attempt that was sent then says something about the window of now.
    pub(super) fn concerns(&self, sent: f64) -> bool {
        sent >= self.epoch
    }

    pub(super) fn on_success(&mut self, tolerated: f64) {
        self.suspicion = (self.suspicion - 2.0 * tolerated).max(0.0);
    }

    /// Says whether it is time to close.
    pub(super) fn on_throttle(&mut self, now: f64) -> bool {
        self.suspicion += 1.0;
        self.last_throttle = now;
        !self.is_closed() && self.suspicion >= CLOSE_AT
    }

    /// A throttle that others saw: the gate stays closed for it.
    pub(super) fn keep_closed(&mut self, now: f64) {
        self.last_throttle = self.last_throttle.max(now);
    }

    /// Closes, to look for the limit from what was known to be possible.
    pub(super) fn close(&mut self, now: f64, memory: f64) {
        self.state = State::Ramping { memory };
        self.epoch = now;
    }

    /// The limit was met: from here the window is moved by every answer.
    pub(super) fn end_ramp(&mut self, now: f64) {
        self.state = State::Closed;
        self.epoch = now;
    }

    /// Opens if it was quiet for long enough; to be asked only when nobody waits.
    pub(super) fn open_if_quiet(&mut self, now: f64) {
        if self.is_closed() && now - self.last_throttle > OPEN_AFTER {
            self.open();
        }
    }

    pub(super) fn open(&mut self) {
        self.state = State::Open;
        self.suspicion = 0.0;
    }
}

/// Three throttles that no successes stand against. The chance throttles of a concurrency limit at nine tenths of its load
/// (Erlang's loss law) stay below it.
const CLOSE_AT: f64 = 3.0;

/// Seconds without a throttle, and with nobody waiting, after which everything may go at once again.
const OPEN_AFTER: f64 = 5.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttles_within_the_tolerated_share_never_close_it() {
        let mut gate = Gate::new();

        for round in 0..10_000 {
            if round % 20 == 0 {
                assert!(!gate.on_throttle(f64::from(round)));
            } else {
                gate.on_success(0.05);
            }
        }
    }

    #[test]
    fn the_third_throttle_in_a_row_closes_it_and_further_ones_change_nothing() {
        let mut gate = Gate::new();

        assert!(!gate.on_throttle(0.0));
        assert!(!gate.on_throttle(0.1));
        assert!(gate.on_throttle(0.2));
        gate.close(0.2, 0.0);

        assert!(gate.is_closed());
        assert!(!gate.on_throttle(0.3));
        assert!(!gate.concerns(0.1) && gate.concerns(0.2));
    }

    #[test]
    fn it_opens_after_quiet_and_not_before() {
        let mut gate = Gate::new();
        for _ in 0..3 {
            gate.on_throttle(1.0);
        }
        gate.close(1.0, 0.0);

        gate.open_if_quiet(6.0);
        assert!(gate.is_closed());
        gate.keep_closed(3.0);
        gate.open_if_quiet(7.0);
        assert!(gate.is_closed());
        gate.open_if_quiet(8.1);
        assert!(!gate.is_closed());
        assert!(!gate.on_throttle(8.2), "it starts from nothing");
    }

    #[test]
    fn the_ramp_ends_once_and_forgets_who_was_sent_before() {
        let mut gate = Gate::new();
        gate.close(1.0, 7.0);
        assert_eq!(gate.ramp(), Some(7.0));

        gate.end_ramp(2.0);

        assert_eq!(gate.ramp(), None);
        assert!(gate.is_closed() && !gate.concerns(1.9));
    }
}
