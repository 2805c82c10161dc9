//! The window: how many attempts may be in flight, learned from the share of them that is throttled.
//!
//! One number, moved by every answer on a logarithmic scale: a success adds `step × tolerated share`, a throttle takes
//! `step × (1 − tolerated share)`, so that the share of throttled attempts settles at the tolerated one, whatever limits the
//! upstream has: by Little's law a window of `rate × service time` is a rate limit, and a window of the concurrency is that
//! limit. Below one it means less than one attempt at a time, and the sender spaces them out.
//!
//! Which share is tolerated is a price: attempts per success come to `1 / (1 − share)`. Large senders probe gently and small
//! ones more, which also pulls the shares of several senders together.

use crate::retry::classify::Kind;

/// The learned window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    size: f64,
    /// Successes since the latest throttle.
    quiet_run: f64,
    size_max: f64,
}

/// What a step of the window depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// The share of attempts that may be throttled.
    pub(super) tolerated: f64,
    /// Attempts per second that the window stands for.
    pub(super) rate: f64,
}

impl Window {
    /// A window that was not learned yet, and will never exceed `size_max`.
    pub(super) fn new(size_max: f64) -> Self {
        Self {
            size: 1.0,
            quiet_run: 0.0,
            size_max,
        }
    }

    /// Attempts in flight; fractional, above zero.
    pub(super) fn size(&self) -> f64 {
        self.size
    }

    /// Starts anew from here.
    pub(super) fn set(&mut self, size: f64) {
        self.size = size.clamp(SIZE_MIN, self.size_max);
    }

    /// The most that it may become.
    pub(super) fn set_max(&mut self, size_max: f64) {
        self.size_max = size_max;
        self.set(self.size);
    }

    /// An attempt was taken in; whether or not the window is being moved.
    pub(super) fn count_success(&mut self) {
        self.quiet_run += 1.0;
    }

    /// An attempt was throttled; whether or not the window is being moved.
    pub(super) fn count_throttle(&mut self) {
        self.quiet_run = 0.0;
    }

    /// Grows for one success, while there is use for it: never past what twice the attempts in flight could fill.
    pub(super) fn grow(&mut self, step: Step, in_flight: usize) {
        let overdue = self.quiet_run * step.tolerated;
        // A run that should have met two throttles and met none says that the limit has moved away.
        let boost = if overdue > 2.0 {
            overdue.min(BOOST_MAX)
        } else {
            1.0
        };
        let growth = (step.length() * step.tolerated * boost).min(GROWTH / step.rate);
        let useful = self.size.max(2.0 * in_flight as f64 + 2.0);
        self.set((self.size * growth.exp()).min(useful));
    }

    /// Shrinks for one throttle, but not below `floor`.
    pub(super) fn shrink(&mut self, step: Step, floor: f64) {
        let shrunk = self.size * (-step.length() * (1.0 - step.tolerated)).exp();
        self.set(shrunk.max(floor.min(self.size)));
    }

    /// Grows for one attempt sent while the limit is being looked for, to twice in about a third of a second.
    pub(super) fn ramp(&mut self, service_mean: f64, in_flight: usize) {
        let growth = (RAMP * service_mean / self.size).min(RAMP_STEP_MAX);
        let useful = self.size.max(2.0 * in_flight as f64 + 2.0);
        self.set((self.size * growth.exp()).min(useful));
    }
}

impl Step {
    /// On the logarithmic scale. Bounded so that growth without throttles never exceeds [`GROWTH`] per second.
    fn length(self) -> f64 {
        STEP_MAX.min(GROWTH / (self.tolerated * self.rate))
    }
}

/// The share of attempts that a sender of so many per second lets be throttled.
pub(super) fn tolerated(kind: Kind, rate: f64) -> f64 {
    let (at_reference, min, max) = match kind {
        // A bucket that is never full gives all it has: beyond a trickle of throttles there is nothing to gain.
        Kind::Rate | Kind::Quota => (0.03, 0.01, 0.10),
        // Here every throttle buys a little more use of the slots that others just left (Engset's law).
        Kind::Concurrency => (0.09, 0.06, 0.20),
        Kind::Unknown => (0.05, 0.02, 0.12),
    };
    // The square root makes shares converge without making a thousand small senders expensive.
    (at_reference * (REFERENCE_RATE / rate).sqrt()).clamp(min, max)
}

/// The rate at which the middle value of a kind's tolerated share holds, per second.
const REFERENCE_RATE: f64 = 30.0;

/// Growth per second without throttles, at most. Doubles in under three seconds; four times that costs several points of
/// goodput behind a concurrency limit.
const GROWTH: f64 = 0.25;

/// The longest step. The window's scatter is about the root of half of step times share: five to eight per cent.
const STEP_MAX: f64 = 0.12;

/// How much a long silence speeds growth up.
const BOOST_MAX: f64 = 16.0;

/// Growth per second while the limit is being looked for.
const RAMP: f64 = 2.0;

/// The most that one attempt adds then.
const RAMP_STEP_MAX: f64 = 0.5;

/// Keeps the logarithm finite; one attempt in twenty-eight hours at a service time of 100 ms.
const SIZE_MIN: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Step = Step {
        tolerated: 0.1,
        rate: 30.0,
    };

    #[test]
    fn it_stands_still_where_the_throttled_share_is_the_tolerated_one() {
        let mut window = Window::new(1_000.0);
        window.set(20.0);

        for round in 0..1_000 {
            if round % 10 == 0 {
                window.count_throttle();
                window.shrink(STEP, 0.0);
            } else {
                window.count_success();
                window.grow(STEP, 20);
            }
        }

        assert!((19.0..21.0).contains(&window.size()), "{}", window.size());
    }

    #[test]
    fn growth_is_bounded_by_time_and_by_what_is_in_flight() {
        let mut window = Window::new(1_000.0);
        window.set(10.0);

        // A second's worth of successes, long after the latest throttle.
        for _ in 0..30 {
            window.count_success();
            window.grow(STEP, 100);
        }
        assert!(window.size() <= 10.0 * GROWTH.exp() + 1e-9);

        for _ in 0..10_000 {
            window.grow(STEP, 4);
        }
        assert!(window.size() < 13.0, "twice four and two is less: it stays");
    }

    #[test]
    fn it_shrinks_to_its_floor_and_no_further_and_never_grows_by_it() {
        let mut window = Window::new(1_000.0);
        window.set(10.0);

        for _ in 0..1_000 {
            window.shrink(STEP, 2.0);
        }
        assert!((window.size() - 2.0).abs() < 1e-9);

        window.shrink(STEP, 50.0);
        assert!(window.size() <= 2.0);
    }

    #[test]
    fn it_never_exceeds_its_maximum_nor_vanishes() {
        let mut window = Window::new(8.0);
        for size in [f64::INFINITY, 1e300, 0.0, -1.0] {
            window.set(size);
            assert!(window.size() > 0.0 && window.size() <= 8.0);
        }
        for _ in 0..1_000 {
            window.ramp(10.0, 1_000);
        }
        assert!(window.size() <= 8.0);
    }

    #[test]
    fn small_senders_tolerate_more_than_large_ones_within_the_kind_s_bounds() {
        assert!(tolerated(Kind::Rate, 1.0) > tolerated(Kind::Rate, 100.0));
        assert!((tolerated(Kind::Rate, 1e-9) - 0.10).abs() < 1e-12);
        assert!((tolerated(Kind::Concurrency, 1e9) - 0.06).abs() < 1e-12);
        assert!((tolerated(Kind::Unknown, 30.0) - 0.05).abs() < 1e-12);
    }
}
