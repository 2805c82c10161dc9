//! How long an attempt takes that the upstream takes in: smoothed mean and mean deviation.
//!
//! After Jacobson's round-trip estimate (RFC 6298), slower, since here the spread is the service's own. Refused attempts are no
//! samples: they come back early and would say that the upstream got faster.

/// The estimate; seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    mean: f64,
    deviation: f64,
    samples: f64,
}

impl Service {
    /// Before the first sample.
    pub(super) fn new() -> Self {
        Self {
            mean: MEAN_GUESS,
            deviation: MEAN_GUESS / 2.0,
            samples: 0.0,
        }
    }

    /// An attempt that was taken in took so long.
    pub(super) fn sample(&mut self, took: f64) {
        let took = took.clamp(TOOK_MIN, TOOK_MAX);
        // The first samples count more: after one, the mean is that sample.
        self.samples = (self.samples + 1.0).min(MEMORY);
        self.mean += (took - self.mean) / self.samples;
        self.deviation += ((took - self.mean).abs() - self.deviation) / self.samples.max(2.0);
    }

    /// The mean, never zero.
    pub(super) fn mean(&self) -> f64 {
        self.mean
    }

    /// What most attempts stay below: the mean and twice the deviation.
    pub(super) fn usual_max(&self) -> f64 {
        self.mean + 2.0 * self.deviation
    }
}

/// Assumed until the first sample: a small function behind a gateway.
const MEAN_GUESS: f64 = 0.1;

/// How many samples back the estimate remembers.
const MEMORY: f64 = 50.0;

/// Bounds of a sample that keep every quotient finite; an attempt through a gateway takes 29 s at most, a streamed one longer.
const TOOK_MIN: f64 = 0.000_1;
const TOOK_MAX: f64 = 120.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sample_replaces_the_guess_and_later_ones_are_smoothed() {
        let mut service = Service::new();

        service.sample(2.0);
        assert!((service.mean() - 2.0).abs() < 1e-9);
        for _ in 0..500 {
            service.sample(0.5);
        }

        assert!((service.mean() - 0.5).abs() < 0.01);
        assert!(service.usual_max() < 0.6);
    }

    #[test]
    fn an_absurd_sample_leaves_it_finite_and_positive() {
        let mut service = Service::new();

        service.sample(0.0);
        service.sample(f64::INFINITY);

        assert!(service.mean() > 0.0 && service.mean().is_finite());
    }
}
