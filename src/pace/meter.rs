//! Events per second, over the last second and the last ten.
//!
//! A ring of tenths of a second with running sums: counting costs the same whatever the rate, and a long silence is skipped in
//! one step. Times are seconds since the owner's start and never go back; see `Moments`.

/// Counts events of one kind.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    slots: [u32; SLOTS],
    /// The slot that is being filled, counted from the start.
    current: u64,
    sum_short: u32,
    sum_long: u32,
    start: f64,
}

impl Meter {
    /// Nothing was counted yet.
    pub(super) fn new(start: f64) -> Self {
        Self {
            slots: [0; SLOTS],
            current: slot_of(start),
            sum_short: 0,
            sum_long: 0,
            start,
        }
    }

    /// One event.
    pub(super) fn add(&mut self, now: f64) {
        self.advance(now);
        let slot = &mut self.slots[index_of(self.current)];
        *slot = slot.saturating_add(1);
        self.sum_short = self.sum_short.saturating_add(1);
        self.sum_long = self.sum_long.saturating_add(1);
    }

    /// Events per second: over the last second if that holds enough of them to say, over the last ten otherwise.
    pub(super) fn rate(&mut self, now: f64) -> f64 {
        self.advance(now);
        if self.sum_short >= ENOUGH {
            f64::from(self.sum_short) / self.span(now, SHORT_SLOTS)
        } else {
            self.rate_long(now)
        }
    }

    /// Events per second over the last ten seconds, or since the start if that was later.
    pub(super) fn rate_long(&mut self, now: f64) -> f64 {
        self.advance(now);
        f64::from(self.sum_long) / self.span(now, SLOTS - 1)
    }

    /// How many there were in the last ten seconds.
    pub(super) fn count_long(&mut self, now: f64) -> u32 {
        self.advance(now);
        self.sum_long
    }

    /// The seconds that so many full slots and the one begun stand for; never so few that one event would be a storm.
    fn span(&self, now: f64, full_slots: usize) -> f64 {
        let begun = now * SLOTS_PER_SECOND - self.current as f64;
        let span = (full_slots as f64 + begun.clamp(0.0, 1.0)) / SLOTS_PER_SECOND;
        span.min((now - self.start).max(SPAN_MIN))
    }

    fn advance(&mut self, now: f64) {
        let target = slot_of(now);
        if target.saturating_sub(self.current) >= SLOTS as u64 {
            self.slots = [0; SLOTS];
            self.sum_short = 0;
            self.sum_long = 0;
            self.current = target;
        }
        while self.current < target {
            self.current += 1;
            let next = index_of(self.current);
            self.sum_long -= self.slots[next];
            self.slots[next] = 0;
            // The short window holds the slot begun and `SHORT_SLOTS` before it.
            let leaving = index_of(self.current + (SLOTS - SHORT_SLOTS) as u64 - 1);
            self.sum_short -= self.slots[leaving];
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of tenths of a second since the start, which saturates"
)]
fn slot_of(now: f64) -> u64 {
    (now * SLOTS_PER_SECOND) as u64
}

#[expect(clippy::cast_possible_truncation, reason = "below `SLOTS`")]
fn index_of(slot: u64) -> usize {
    (slot % SLOTS as u64) as usize
}

const SLOTS: usize = 100;
const SHORT_SLOTS: usize = 10;
const SLOTS_PER_SECOND: f64 = 10.0;

/// Fewer events than this in a second are noise, and ten seconds are looked at.
const ENOUGH: u32 = 10;

/// Right after the start, the seconds that are assumed to have passed.
const SPAN_MIN: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_read_as_what_it_is() {
        let mut meter = Meter::new(0.0);
        for n in 0..2_000 {
            meter.add(f64::from(n) / 100.0);
        }

        assert!((meter.rate(20.0) - 100.0).abs() < 2.0);
        assert!((meter.rate_long(20.0) - 100.0).abs() < 2.0);
    }

    #[test]
    fn what_happened_long_ago_is_forgotten() {
        let mut meter = Meter::new(0.0);
        for n in 0..100 {
            meter.add(f64::from(n) / 100.0);
        }

        assert_eq!(meter.count_long(9.0), 100);
        assert!(meter.rate(3.0) > 0.0);
        assert_eq!(meter.count_long(11.1), 0);
        assert!(meter.rate(1e9) == 0.0);
    }

    #[test]
    fn few_events_are_read_over_ten_seconds() {
        let mut meter = Meter::new(0.0);
        for n in 0..40 {
            meter.add(f64::from(n) * 0.5);
        }

        assert!((meter.rate(20.0) - 2.0).abs() < 0.1);
    }

    #[test]
    fn the_short_window_ends_after_a_second() {
        let mut meter = Meter::new(0.0);
        for n in 0..200 {
            meter.add(5.0 + f64::from(n) / 1_000.0);
        }

        assert!(meter.rate(5.95) > 180.0);
        assert!(meter.rate(6.4) < 35.0);
    }
}
