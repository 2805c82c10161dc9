//! When requests arrive, and what they are: calm traffic with a burst in every period.
//!
//! Pure: the same seed and shape give the same arrivals, so that both sides of a comparison are sent the same thing at
//! the same moments. Every period has the same number of requests; only their places in it are random. Sends nothing;
//! see `stage` for that.

use std::time::Duration;
use std::vec;

/// Traffic of one shape that repeats for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How long until it repeats; as long as the quiet part and the burst together.
    pub period: Duration,
    /// How far into the period the burst begins.
    pub burst_after: Duration,
    /// How long the burst lasts; with `burst_after` at most the period.
    pub burst_length: Duration,
    /// Requests per second in the burst.
    pub burst_rate: u32,
    /// Requests per second in the rest of the period.
    pub quiet_rate: u32,
}

/// One request, before anybody sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// When, from the beginning of the traffic.
    pub(super) at: Duration,
    /// Counts from 1.
    pub(super) number: u64,
    /// Whether it changes something: a POST with a body, otherwise a GET.
    pub(super) is_post: bool,
}

/// The arrivals of a shape in their order, without end.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    shape: Shape,
    rng: fastrand::Rng,
    period_starts: Duration,
    number: u64,
    period: vec::IntoIter<Duration>,
}

impl Shape {
    /// Requests in one period.
    pub(super) fn requests_per_period(&self) -> u64 {
        self.burst_requests() + self.quiet_requests()
    }

    fn burst_requests(&self) -> u64 {
        in_all(self.burst_rate, self.burst_length)
    }

    fn quiet_requests(&self) -> u64 {
        in_all(self.quiet_rate, self.quiet_length())
    }

    fn quiet_length(&self) -> Duration {
        self.period.saturating_sub(self.burst_length)
    }
}

impl Default for Shape {
    /// Five times the mean for two thirds of a second, every five seconds.
    ///
    /// A limit of 100/s with a bucket of 50 lets 115 of the burst's 195 through; the rest fits into the quiet part, which
    /// leaves three quarters of the rate unused.
    fn default() -> Self {
        Self {
            period: Duration::from_secs(5),
            burst_after: Duration::from_secs(1),
            burst_length: Duration::from_millis(650),
            burst_rate: 300,
            quiet_rate: 24,
        }
    }
}

impl Schedule {
    /// Begins at zero.
    pub(super) fn new(shape: Shape, seed: u64) -> Self {
        Self {
            shape,
            rng: fastrand::Rng::with_seed(seed),
            period_starts: Duration::ZERO,
            number: 0,
            period: Vec::new().into_iter(),
        }
    }

    /// Draws the moments of the period that starts now.
    fn draw_period(&mut self) -> vec::IntoIter<Duration> {
        let shape = self.shape;
        let mut moments = Vec::new();
        for _ in 0..shape.burst_requests() {
            moments.push(shape.burst_after + within(shape.burst_length, &mut self.rng));
        }
        for _ in 0..shape.quiet_requests() {
            let quiet = within(shape.quiet_length(), &mut self.rng);
            let before = quiet < shape.burst_after;
            let burst = if before {
                Duration::ZERO
            } else {
                shape.burst_length
            };
            moments.push(quiet + burst);
        }
        moments.sort_unstable();
        moments.into_iter()
    }
}

impl Iterator for Schedule {
    type Item = Arrival;

    /// The next arrival; `None` only for a shape without any.
    fn next(&mut self) -> Option<Arrival> {
        let moment = match self.period.next() {
            Some(moment) => moment,
            None => {
                if self.number > 0 {
                    self.period_starts += self.shape.period;
                }
                self.period = self.draw_period();
                self.period.next()?
            }
        };
        self.number += 1;
        Some(Arrival {
            at: self.period_starts + moment,
            number: self.number,
            is_post: self.rng.f64() < POST_SHARE,
        })
    }
}

/// Requests in all at this rate for this long, rounded down.
fn in_all(per_second: u32, length: Duration) -> u64 {
    let requests = u128::from(per_second) * length.as_nanos() / NANOS_PER_SECOND;
    u64::try_from(requests).unwrap_or(u64::MAX)
}

/// A moment in `[0, length)`; zero where the length is.
fn within(length: Duration, rng: &mut fastrand::Rng) -> Duration {
    length.mul_f64(rng.f64())
}

/// Most of the traffic is what a proxy has to be careful with.
const POST_SHARE: f64 = 0.8;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn of_periods(seed: u64, periods: usize) -> Vec<Arrival> {
        Schedule::new(Shape::default(), seed)
            .take(periods * PER_PERIOD)
            .collect()
    }

    const PER_PERIOD: usize = 299;

    #[test]
    fn the_same_seed_gives_the_same_arrivals_and_another_seed_gives_others() {
        assert_eq!(of_periods(1, 3), of_periods(1, 3));
        assert_ne!(of_periods(1, 3), of_periods(2, 3));
    }

    #[test]
    fn arrivals_are_in_order_numbered_from_one_and_as_many_as_the_shape_says() {
        let arrivals = of_periods(7, 4);

        assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
        assert!(
            arrivals
                .iter()
                .map(|arrival| arrival.number)
                .eq(1..=4 * 299)
        );
        assert_eq!(Shape::default().requests_per_period(), PER_PERIOD as u64);
    }

    #[test]
    fn every_burst_has_its_requests_and_the_rest_of_the_period_has_its_own() {
        let shape = Shape::default();
        let burst_ends = shape.burst_after + shape.burst_length;

        let arrivals = of_periods(3, 4);
        for (index, period) in arrivals.chunks(PER_PERIOD).enumerate() {
            let starts = shape.period * u32::try_from(index).unwrap();
            let ends = starts + shape.period;
            assert!(
                period
                    .iter()
                    .all(|arrival| (starts..ends).contains(&arrival.at))
            );
            let in_burst = period
                .iter()
                .filter(|arrival| (shape.burst_after..burst_ends).contains(&(arrival.at - starts)))
                .count();
            assert_eq!(in_burst, 195);
        }
    }

    #[test]
    fn a_shape_without_requests_has_no_arrivals_and_does_not_search_for_ever() {
        let shape = Shape {
            burst_rate: 0,
            quiet_rate: 0,
            ..Shape::default()
        };

        assert_eq!(Schedule::new(shape, 1).next(), None);
    }

    #[test]
    fn most_requests_change_something_and_some_do_not() {
        let arrivals = of_periods(5, 4);
        let posts = arrivals.iter().filter(|arrival| arrival.is_post).count();

        assert!((900..1_020).contains(&posts), "{posts} of 1196");
    }

    #[test]
    fn the_excess_of_a_burst_fits_into_what_the_limit_leaves_until_the_next() {
        let shape = Shape::default();
        let mean_per_second = 299.0 / shape.period.as_secs_f64();

        assert!((59.0..=60.0).contains(&mean_per_second));
        // A bucket of 50 that refills by 100 per second.
        let let_through = 50 + in_all(100, shape.burst_length);
        let direct = 299 - (195 - let_through);
        assert!((0.70..=0.75).contains(&(direct as f64 / 299.0)), "{direct}");
    }
}
