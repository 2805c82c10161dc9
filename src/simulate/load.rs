//! Arrivals: a Poisson process whose rate may come in bursts, the same for every policy of a run.

use super::{Params, Service};

/// One request, with what chance decides about it before anybody else does; times in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) at: f64,
    pub(super) sender: usize,
    /// How long it will execute.
    pub(super) service: f64,
    /// The network's delay there and back, on its first attempt.
    pub(super) delays: (f64, f64),
}

/// All arrivals of a run, in order of time.
pub(super) struct Arrivals<'a> {
    params: &'a Params,
    senders: usize,
    /// The rate outside of bursts, and the highest.
    base: f64,
    peak: f64,
    at: f64,
    rng: fastrand::Rng,
}

impl<'a> Arrivals<'a> {
    pub(super) fn new(params: &'a Params) -> Self {
        let sidecars = params.sidecars.max(1);
        let senders = sidecars + params.neighbours.map_or(0, |beside| beside.count);
        let mean = params.load.per_second * senders as f64 / sidecars as f64;
        let (base, peak) = match params.load.bursts {
            Some(bursts) => {
                let share = bursts.span.as_secs_f64() / bursts.every.as_secs_f64();
                let base = mean / (1.0 + (bursts.factor - 1.0) * share);
                (base, base * bursts.factor.max(1.0))
            }
            None => (mean, mean),
        };
        Self {
            params,
            senders,
            base,
            peak,
            at: 0.0,
            rng: fastrand::Rng::with_seed(params.seed),
        }
    }

    fn rate(&self) -> f64 {
        match self.params.load.bursts {
            Some(bursts) if self.at % bursts.every.as_secs_f64() < bursts.span.as_secs_f64() => {
                self.base * bursts.factor
            }
            _ => self.base,
        }
    }
}

impl Iterator for Arrivals<'_> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            self.at += exponential(&mut self.rng) / self.peak;
            // A run without any load ends here too: its first arrival comes never, or at no time at all.
            let duration = self.params.duration.as_secs_f64();
            if self.at.is_nan() || self.at >= duration {
                return None;
            }
            // Thinning: of the peak's arrivals as many stay as there are now.
            if self.rng.f64() * self.peak < self.rate() {
                break;
            }
        }
        let gateway = &self.params.gateway;
        Some(Arrival {
            at: self.at,
            sender: self.rng.usize(..self.senders),
            service: log_normal(gateway.service, &mut self.rng),
            delays: (
                delay(gateway.network, &mut self.rng),
                delay(gateway.network, &mut self.rng),
            ),
        })
    }
}

/// One way through the network, in seconds.
pub(super) fn delay(
    (low, high): (std::time::Duration, std::time::Duration),
    rng: &mut fastrand::Rng,
) -> f64 {
    let low = low.as_secs_f64();
    low + (high.as_secs_f64() - low) * rng.f64()
}

/// The standard exponential distribution.
fn exponential(rng: &mut fastrand::Rng) -> f64 {
    -(1.0 - rng.f64()).ln()
}

fn log_normal(service: Service, rng: &mut fastrand::Rng) -> f64 {
    // Box and Muller: one of the two normal numbers is enough.
    let radius = (2.0 * exponential(rng)).sqrt();
    let normal = radius * (std::f64::consts::TAU * rng.f64()).cos();
    quantile(service, normal)
}

/// The service time that lies so many standard deviations from the median, on the logarithmic scale.
pub(super) fn quantile(service: Service, deviations: f64) -> f64 {
    let sigma = service.sigma;
    service.mean.as_secs_f64() * (sigma * deviations - sigma * sigma / 2.0).exp()
}
