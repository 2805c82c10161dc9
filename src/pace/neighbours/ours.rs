//! The finding that the throttles are one's own: for how long it holds, and how hard it makes the opposite.

/// Until when the throttles are taken for one's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ours {
    until: f64,
    /// Seconds for which the next finding of that kind holds.
    lasts: f64,
    times: u32,
}

impl Default for Ours {
    fn default() -> Self {
        Self {
            until: f64::NEG_INFINITY,
            lasts: LASTS,
            times: 0,
        }
    }
}

impl Ours {
    /// So it is for a while, each time for longer.
    pub(super) fn take(&mut self, now: f64) {
        self.until = now + self.lasts;
        self.lasts = (2.0 * self.lasts).min(LASTS_MAX);
        self.times = self.times.saturating_add(1);
    }

    pub(super) fn is_taken(&self, now: f64) -> bool {
        now < self.until
    }

    /// What was found before says nothing; a finding that holds does so until it ends.
    pub(super) fn forget(&mut self) {
        (self.lasts, self.times) = (LASTS, 0);
    }

    pub(super) fn forget_if_long_ago(&mut self, now: f64) {
        if now - self.until > LASTS_MAX {
            self.forget();
        }
    }

    /// What is added for it to the weight from which on others make the throttles.
    pub(super) fn weight(&self) -> f64 {
        (WEIGHT_PER_TIME * f64::from(self.times)).min(WEIGHT_MAX)
    }
}

/// Seconds for which throttles are taken for one's own: at first, and at most; as long after that it is forgotten.
const LASTS: f64 = 30.0;
const LASTS_MAX: f64 = 600.0;

/// What is added for each time that they were one's own, and at most: whoever is asked for ever is once answered by chance. Checks
/// mend that too, but not before it has cost something: twenty polite senders that exceed a limit of 10 fivefold pay 1.30 attempts per
/// success over five minutes without this, and 1.25 with it.
const WEIGHT_PER_TIME: f64 = 2.0;
const WEIGHT_MAX: f64 = 6.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_for_longer_each_time_and_weighs_more() {
        let mut ours = Ours::default();
        assert!(!ours.is_taken(0.0) && ours.weight() < 0.1);

        ours.take(0.0);
        assert!(ours.is_taken(29.9) && !ours.is_taken(30.0));
        let weight = ours.weight();

        ours.take(100.0);
        assert!(ours.is_taken(159.9) && !ours.is_taken(160.0));
        assert!(ours.weight() > weight);
    }

    #[test]
    fn there_is_an_end_to_both() {
        let mut ours = Ours::default();
        (0..100).for_each(|_| ours.take(0.0));

        assert!(!ours.is_taken(600.0) && ours.weight() <= 6.0);
    }

    #[test]
    fn long_after_it_has_ended_it_is_forgotten() {
        let mut ours = Ours::default();
        ours.take(0.0);

        ours.forget_if_long_ago(630.0);
        assert!(ours.weight() > 0.0);

        ours.forget_if_long_ago(630.1);
        assert!(ours.weight() < 0.1);
    }
}
