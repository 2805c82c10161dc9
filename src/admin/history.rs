//! The last 15 minutes in numbers, for all routes together and for each: a sample a second for the last two minutes, and one
//! for five seconds before that.
//!
//! Pure: readings go in with the time that they were made at, samples come out. All memory that it may ever take is
//! [`MEMORY_MAX`].

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use crate::proxy::pulse::wait_at;
use crate::proxy::reading::{Counts, Reading, RouteReading};
use crate::proxy::recent::since_epoch;

/// The last 15 minutes.
#[derive(Debug, Default)]
pub(super) struct History {
    /// All routes together first, then each in the order of the file.
    series: Vec<Series>,
    last: Option<(Instant, Reading)>,
    /// How many samples there ever were, of each series.
    taken: u64,
}

/// One route's samples, or those of all together.
#[derive(Debug)]
pub(super) struct Series {
    /// The route; none for all together.
    route: Option<String>,
    /// The latest, a second each.
    fine: VecDeque<Sample>,
    /// Those before.
    coarse: VecDeque<Sample>,
    /// What was counted since the start.
    counted: Counts<u64>,
}

/// What happened within a second or five, and how it stood at the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Its end, in milliseconds since 1970.
    pub(super) at: u64,
    /// How long it is.
    pub(super) seconds: f32,
    /// What happened.
    pub(super) counts: Counts<u32>,
    /// How it stood.
    pub(super) levels: Levels,
}

/// What goes up and down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Levels {
    /// How many attempts may be in flight; none while nothing limits.
    pub(super) window: Option<f32>,
    /// Attempts in flight.
    pub(super) in_flight: u32,
    /// Requests that wait.
    pub(super) waiting: u32,
    /// The share of the budget that is left, `[0, 1]`; of several, the lowest.
    pub(super) budget: f32,
}

impl History {
    /// Takes a reading that was made at this time. The first one is where counting begins.
    pub(super) fn record(&mut self, now: Instant, wall: SystemTime, reading: Reading) {
        let since = self.last.as_ref().map(|(at, _)| now.duration_since(*at));
        self.keep_series_of(&reading);
        let routes = reading.routes.iter().take(ROUTES_MAX);
        let each = routes.map(|route| (route.counts, Levels::of(&reading, Some(route))));
        let all = (total(&reading), Levels::of(&reading, None));
        for (series, (counts, levels)) in self.series.iter_mut().zip([all].into_iter().chain(each))
        {
            // Counts only grow; what a changed configuration starts anew counts from nothing.
            let within = counts.zip(&series.counted, |now, before| {
                narrow(now.saturating_sub(before))
            });
            series.counted = counts;
            if let Some(since) = since {
                series.push(Sample {
                    at: since_epoch(wall),
                    seconds: since.as_secs_f32(),
                    counts: within,
                    levels,
                });
            }
        }
        self.taken += u64::from(since.is_some());
        self.last = Some((now, reading));
    }

    /// The series of a route, or that of all; none if it has no such route, or too many.
    pub(super) fn series(&self, route: Option<&str>) -> Option<&Series> {
        self.series
            .iter()
            .find(|series| series.route.as_deref() == route)
    }

    /// How it stood at the last reading.
    pub(super) fn now(&self) -> Option<&Reading> {
        self.last.as_ref().map(|(_, reading)| reading)
    }

    /// How many samples there ever were.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Keeps the series of these routes, makes the ones that are missing, and forgets the others.
    fn keep_series_of(&mut self, reading: &Reading) {
        let routes = reading.routes.iter().take(ROUTES_MAX);
        let wanted = [None]
            .into_iter()
            .chain(routes.map(|route| Some(route.name.as_str())));
        let mut old = std::mem::take(&mut self.series);
        for route in wanted {
            let place = old.iter().position(|it| it.route.as_deref() == route);
            let series = place.map(|place| old.swap_remove(place));
            self.series
                .push(series.unwrap_or_else(|| Series::new(route)));
        }
    }

    /// The bytes that all samples take.
    #[cfg(test)]
    fn memory(&self) -> usize {
        let samples = self.series.iter();
        samples
            .map(|it| (it.fine.capacity() + it.coarse.capacity()) * size_of::<Sample>())
            .sum()
    }
}

impl Series {
    fn new(route: Option<&str>) -> Self {
        Self {
            route: route.map(str::to_owned),
            fine: VecDeque::with_capacity(FINE_MAX + COARSE_EVERY),
            coarse: VecDeque::with_capacity(COARSE_MAX),
            counted: Counts::default(),
        }
    }

    /// From the oldest to the latest.
    pub(super) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.coarse.iter().chain(&self.fine)
    }

    /// The latest so many, of those that are a second each.
    pub(super) fn latest(&self, samples: usize) -> impl Iterator<Item = &Sample> {
        self.fine
            .iter()
            .skip(self.fine.len().saturating_sub(samples))
    }

    /// What happened in all of them, and for how long they go back.
    pub(super) fn sum(&self) -> (Counts<u64>, Duration) {
        let none = (Counts::default(), 0.0);
        let (counts, seconds) = self.samples().fold(none, |(sum, seconds), sample| {
            let sum = sample.counts.zip(&sum, |one, sum| u64::from(one) + sum);
            (sum, seconds + f64::from(sample.seconds))
        });
        (counts, Duration::from_secs_f64(seconds))
    }

    fn push(&mut self, sample: Sample) {
        self.fine.push_back(sample);
        if self.fine.len() < FINE_MAX + COARSE_EVERY {
            return;
        }
        if self.coarse.len() == COARSE_MAX {
            self.coarse.pop_front();
        }
        let joined = self.fine.drain(..COARSE_EVERY).reduce(Sample::join);
        self.coarse.extend(joined);
    }
}

impl Sample {
    /// This and the next one as one: what happened adds up, and of what goes up and down the worst is kept.
    fn join(self, next: Self) -> Self {
        Self {
            at: next.at,
            seconds: self.seconds + next.seconds,
            counts: self.counts.zip(&next.counts, u32::saturating_add),
            levels: Levels {
                window: match (self.levels.window, next.levels.window) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                },
                in_flight: self.levels.in_flight.max(next.levels.in_flight),
                waiting: self.levels.waiting.max(next.levels.waiting),
                budget: self.levels.budget.min(next.levels.budget),
            },
        }
    }
}

impl Levels {
    fn of(reading: &Reading, route: Option<&RouteReading>) -> Self {
        let windows = reading.windows.iter().enumerate();
        let windows: Vec<_> = windows
            .filter(|(index, _)| route.is_none_or(|route| route.window == *index))
            .map(|(_, window)| window)
            .collect();
        let limits = windows.iter().filter(|window| window.gate_closed);
        let limits = limits.map(|window| window.window);
        let budgets = reading.budgets.iter().enumerate();
        let shares = budgets
            .filter(|(index, _)| route.is_none_or(|route| route.budget == *index))
            .map(|(_, budget)| budget.tokens / budget.capacity_tokens.max(f64::MIN_POSITIVE));
        let in_windows = windows.iter().map(|window| window.waiting).sum::<usize>();
        Self {
            window: limits.reduce(|one, other| one + other).map(to_f32),
            in_flight: narrow(windows.iter().map(|it| it.in_flight as u64).sum()),
            waiting: match route {
                None => u32::try_from(reading.waiting.max(0)).unwrap_or(u32::MAX),
                Some(_) => narrow(in_windows as u64),
            },
            budget: to_f32(shares.fold(1.0, f64::min)),
        }
    }
}

/// How long the given share of requests waited at most, in seconds; none if there were no requests.
pub(super) fn wait_quantile<T: Copy + Into<u64>>(counts: &Counts<T>, share: f64) -> Option<f64> {
    let ended: u64 = counts.waits.iter().map(|count| (*count).into()).sum();
    #[expect(clippy::cast_precision_loss, reason = "a share of far fewer than 2^52")]
    let wanted = ended as f64 * share;
    let mut seen = 0;
    let place = counts.waits.iter().position(|count| {
        seen += (*count).into();
        #[expect(clippy::cast_precision_loss, reason = "as above")]
        let reached = seen as f64 >= wanted;
        seen > 0 && reached
    });
    place.map(wait_at)
}

fn total(reading: &Reading) -> Counts<u64> {
    let none = Counts::default();
    reading.routes.iter().fold(none, |sum, route| {
        sum.zip(&route.counts, |sum, one| sum + one)
    })
}

fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "three digits are shown")]
fn to_f32(level: f64) -> f32 {
    level as f32
}

/// So many samples of one second are kept, and up to [`COARSE_EVERY`] more until they are joined.
const FINE_MAX: usize = 120;

/// So many samples of one second become one.
const COARSE_EVERY: usize = 5;

/// So many joined samples are kept: the 13 minutes before the last two.
const COARSE_MAX: usize = (15 * 60 - FINE_MAX) / COARSE_EVERY;

/// So many routes have a history of their own; the others are only part of that of all together.
pub(super) const ROUTES_MAX: usize = 32;

/// The most bytes that all samples may take: 2.3 MiB with [`ROUTES_MAX`] routes; with `default` alone it is 141 KiB.
pub(super) const MEMORY_MAX: usize =
    (1 + ROUTES_MAX) * (FINE_MAX + COARSE_EVERY + COARSE_MAX) * size_of::<Sample>();

const _: () = assert!(MEMORY_MAX <= 5 << 19);

#[cfg(test)]
mod tests;
