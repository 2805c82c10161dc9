//! The halves of the seconds: what was throttled in the first ones, and in the second ones.

/// Attempts by the half that they were sent in; what is old counts less.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Halves([Half; 2]);

/// Attempts that were sent in halves of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Half {
    attempts: f64,
    throttled: f64,
}

impl Halves {
    /// An attempt that was sent in the first half (0) or the second (1).
    pub(super) fn count(&mut self, half: usize, was_throttled: bool) {
        if let Some(half) = self.0.get_mut(half) {
            half.attempts += 1.0;
            half.throttled += f64::from(u8::from(was_throttled));
        }
    }

    /// What was counted so far is worth so much of it, `[0, 1]`.
    pub(super) fn fade(&mut self, rest: f64) {
        for half in &mut self.0 {
            half.attempts *= rest;
            half.throttled *= rest;
        }
    }

    /// How much likelier throttles of others are than one's own, by logarithm. Zero where too little is known.
    pub(super) fn weight(&self) -> f64 {
        let [first, second] = self.0;
        let attempts = first.attempts + second.attempts;
        if second.attempts < 1.0 || first.attempts < 2.0 || first.attempts <= second.attempts {
            return 0.0;
        }
        let throttled = first.throttled + second.throttled;
        let share = (throttled / attempts).clamp(SHARE_ENDS, 1.0 - SHARE_ENDS);
        // One's own: as many pass in a second half as in a first one, though less is sent, or nothing is throttled there.
        let (high, low) = (
            2.0 * first.attempts / attempts,
            2.0 * second.attempts / attempts,
        );
        let least = STRAY * share;
        let in_second = (1.0 - (1.0 - share) / low).max(least);
        let in_first = ((2.0 * share - in_second * low) / high).min(1.0 - SHARE_ENDS);
        first.likelier(share, in_first) + second.likelier(share, in_second)
    }
}

impl Half {
    /// How much likelier it is if one share is throttled than if another is, by logarithm.
    fn likelier(self, one: f64, other: f64) -> f64 {
        let passed = self.attempts - self.throttled;
        self.throttled * (one / other).ln() + passed * ((1.0 - one) / (1.0 - other)).ln()
    }
}

/// The share of throttles that stray into the second halves of polite senders, since nobody's clock or window is exact.
const STRAY: f64 = 0.15;

/// Keeps logarithms finite.
const SHARE_ENDS: f64 = 0.01;

#[cfg(test)]
mod tests {
    use super::*;

    /// Attempts and throttles in the first halves and in the second ones.
    fn weight(halves: [(u32, u32); 2]) -> f64 {
        let mut all = Halves::default();
        for (half, (attempts, throttled)) in halves.into_iter().enumerate() {
            (0..attempts).for_each(|number| all.count(half, number < throttled));
        }
        all.weight()
    }

    #[test]
    fn a_few_that_stray_into_the_second_halves_change_nothing() {
        assert!(weight([(42, 16), (18, 1)]) < 0.0);
        assert!(weight([(42, 13), (18, 5)]) > 0.0);
    }

    #[test]
    fn nothing_is_told_by_halves_that_differ_in_nothing() {
        assert!(weight([(20, 6), (20, 6)]).abs() < 1e-9);
        assert!(weight([(20, 6), (0, 0)]).abs() < 1e-9);
    }
}
