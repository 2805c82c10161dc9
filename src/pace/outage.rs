//! Outage: nothing gets through any more, so single probes go instead of a crowd.
//!
//! Many refusals in a row, over some time and with no success between them, are no limit that a smaller window would fit. The
//! window of before is remembered; probes go, a few a second at first and then about one; the first success ends it, and half of
//! the remembered window is where the ramp starts from.

/// Refusals in a row, and what follows from them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    /// Refusals since the latest success.
    run: u32,
    /// The window when the run began.
    run_size: f64,
    /// When the first attempt of the run was sent.
    run_from: f64,
    /// Refusals in a row that chance would hardly make.
    run_min: u32,
    probing: Option<Probing>,
    /// Until when the latest one is as long ago as it lasted.
    past_at: f64,
}

#[derive(Clone, Copy, Debug)]
struct Probing {
    since: f64,
    next_at: f64,
    interval: f64,
    under_way: u32,
}

impl Outage {
    pub(super) fn new() -> Self {
        Self {
            run: 0,
            run_size: 0.0,
            run_from: 0.0,
            run_min: RUN_MIN,
            probing: None,
            past_at: f64::NEG_INFINITY,
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.probing.is_some()
    }

    /// Whether what was throttled lately was not throttled by one: it is as long ago as it lasted, or longer than anybody looks back.
    pub(super) fn is_past(&self, now: f64) -> bool {
        !self.is_on() && now >= self.past_at
    }

    /// An attempt was refused or failed that was sent at `sent`, when the window was `size` and so large a share was throttled.
    pub(super) fn on_refusal(&mut self, sent: f64, size: f64, throttled_share: f64) {
        if self.run == 0 {
            self.run_size = size;
            self.run_from = sent;
            self.run_min = run_by_chance(throttled_share);
        }
        self.run = self.run.saturating_add(1);
    }

    /// Begins if it is time to; `share` in `[0, 1)` spreads the first probes of many senders.
    pub(super) fn begin_if_due(&mut self, now: f64, service_mean: f64, share: f64) -> bool {
        let lasted = now - self.run_from;
        let due = self.run >= self.run_min && lasted > LASTED_MIN.max(3.0 * service_mean);
        if due && self.probing.is_none() {
            self.probing = Some(Probing {
                since: now,
                next_at: now + INTERVAL_FIRST * share,
                interval: INTERVAL_FIRST,
                under_way: 0,
            });
            return true;
        }
        false
    }

    /// A success. If it ends an outage, the window that was remembered.
    pub(super) fn on_success(&mut self, now: f64) -> Option<f64> {
        self.run = 0;
        let lasted = now - self.probing.take()?.since;
        self.past_at = now + lasted.min(PAST_AFTER_MAX);
        Some(self.run_size)
    }

    /// When the next probe may go, if more may be under way; infinite if not, `None` without an outage.
    pub(super) fn next_probe(&self) -> Option<f64> {
        self.probing.map(|probing| {
            if probing.under_way < PROBES_MAX {
                probing.next_at
            } else {
                f64::INFINITY
            }
        })
    }

    /// A probe goes; `share` in `[0, 1)`.
    pub(super) fn launch(&mut self, now: f64, share: f64) {
        if let Some(probing) = &mut self.probing {
            probing.under_way += 1;
            probing.next_at = now + probing.interval * (0.5 + share);
            probing.interval = (2.0 * probing.interval).min(INTERVAL_MAX);
        }
    }

    /// A probe came back, or was given up.
    pub(super) fn land(&mut self) {
        if let Some(probing) = &mut self.probing {
            probing.under_way = probing.under_way.saturating_sub(1);
        }
    }
}

/// Refusals in a row that are seen once in a thousand tries where such a share is throttled anyway.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within the bounds that it was clamped to"
)]
fn run_by_chance(throttled_share: f64) -> u32 {
    let run = CHANCE.ln() / throttled_share.clamp(SHARE_MIN, SHARE_MAX).ln();
    run.ceil().clamp(f64::from(RUN_MIN), f64::from(RUN_MAX)) as u32
}

/// Refusals in a row before an outage is thought of, at least and at most. Beside greedy neighbours four of five attempts are
/// throttled, and ten in a row are nothing.
const RUN_MIN: u32 = 10;
const RUN_MAX: u32 = 40;

/// How unlikely a run has to be.
const CHANCE: f64 = 0.001;

/// Keep the logarithm finite and its ratio positive.
const SHARE_MIN: f64 = 0.01;
const SHARE_MAX: f64 = 0.99;

/// Seconds that the run has to last at least: a burst into an empty bucket is over sooner. With 0.3, three of 48 runs of twenty seconds
/// beside ten that want 30 a second each of a hundred end below going directly, with this one.
const LASTED_MIN: f64 = 0.6;

/// Seconds to the first probe at most, and the first distance between two.
const INTERVAL_FIRST: f64 = 0.25;

/// The distance that doubling ends at. A recovered upstream waits no longer than this for somebody to notice.
const INTERVAL_MAX: f64 = 1.0;

/// Seconds that are looked back to see how much is throttled.
const PAST_AFTER_MAX: f64 = 10.0;

/// Probes under way at once. One would have to time out before the next may look, when the upstream swallows them.
const PROBES_MAX: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    /// When it begins that [`on`] gives.
    const STARTED: f64 = 1.25;

    fn on() -> Outage {
        let mut outage = Outage::new();
        for n in 0..10 {
            outage.on_refusal(f64::from(n) * 0.1, 40.0, 0.0);
        }
        assert!(outage.begin_if_due(STARTED, 0.1, 0.5));
        outage
    }

    #[test]
    fn where_most_is_throttled_anyway_ten_in_a_row_are_no_outage() {
        let mut outage = Outage::new();

        for n in 0..30 {
            outage.on_refusal(f64::from(n) * 0.1, 40.0, 0.8);
        }
        assert!(!outage.begin_if_due(3.0, 0.1, 0.5));

        outage.on_refusal(3.0, 40.0, 0.8);
        assert!(outage.begin_if_due(3.1, 0.1, 0.5));
    }

    #[test]
    fn a_short_run_or_a_quick_one_is_no_outage() {
        let mut outage = Outage::new();
        for _ in 0..9 {
            outage.on_refusal(0.0, 1.0, 0.0);
        }
        assert!(!outage.begin_if_due(10.0, 0.1, 0.0), "nine");
        outage.on_refusal(0.0, 1.0, 0.0);
        assert!(!outage.begin_if_due(0.5, 0.01, 0.0), "at once");
        assert!(!outage.begin_if_due(2.0, 1.0, 0.0), "within three services");
        assert!(outage.begin_if_due(3.1, 1.0, 0.0));
    }

    #[test]
    fn a_success_between_refusals_starts_the_count_again() {
        let mut outage = Outage::new();
        for n in 0..100 {
            outage.on_refusal(f64::from(n), 1.0, 0.0);
            if n % 9 == 0 {
                assert_eq!(outage.on_success(1.0), None);
            }
            assert!(!outage.begin_if_due(f64::from(n) + 0.5, 0.1, 0.0));
        }
    }

    #[test]
    fn the_first_success_ends_it_with_the_window_of_before() {
        let mut outage = on();

        assert_eq!(outage.on_success(5.0), Some(40.0));
        assert!(!outage.is_on());
        assert_eq!(outage.on_success(5.0), None);
    }

    #[test]
    fn it_is_past_when_it_is_as_long_ago_as_it_lasted() {
        for (lasted, past_after) in [(4.0, 4.0), (60.0, PAST_AFTER_MAX)] {
            let mut outage = on();
            let ended = STARTED + lasted;
            assert!(!outage.is_past(ended));

            outage.on_success(ended);

            assert!(!outage.is_past(ended + past_after - 0.1));
            assert!(outage.is_past(ended + past_after));
        }
    }

    #[test]
    fn few_probes_are_under_way_and_they_grow_rare() {
        let mut outage = on();

        assert_eq!(outage.next_probe(), Some(1.375));
        for _ in 0..PROBES_MAX {
            assert!(outage.next_probe().unwrap().is_finite());
            outage.launch(2.0, 0.5);
        }
        assert_eq!(outage.next_probe(), Some(f64::INFINITY));
        outage.land();
        assert_eq!(outage.next_probe(), Some(3.0));
    }
}
