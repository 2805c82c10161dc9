//! The last 15 minutes in numbers, for all routes together and for each: a sample a second for the last two minutes, and one
//! for five seconds before that. A route that a reload took away keeps its samples until they are as old as that.
//!
//! Pure: readings go in with the time that they were made at, samples come out. All memory that it may ever take is
//! [`MEMORY_MAX`].

mod sample;

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use self::sample::narrow;
use crate::proxy::pulse::wait_at;
use crate::proxy::reading::{Counts, Reading};
use crate::proxy::recent::since_epoch;

pub(super) use self::sample::{Levels, Sample};

/// The last 15 minutes.
#[derive(Debug, Default)]
pub(super) struct History {
    /// All routes together first, then each in the order of the file, and those that are gone, the latest gone first.
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
    /// When its route was last there.
    seen: Instant,
}

impl History {
    /// Takes a reading that was made at this time. The first one is where counting begins.
    pub(super) fn record(&mut self, now: Instant, wall: SystemTime, reading: Reading) {
        self.keep_series_of(&reading, now);
        let last = self.last.as_ref();
        let since = last.map(|(at, _)| now.duration_since(*at));
        let before: HashMap<_, _> = last.into_iter().flat_map(|(_, it)| counted(it)).collect();
        // What is new was at 0. Counts only grow; those of a route that was forgotten begin anew, which is no burst.
        let growth = |now: u64, before: u64| narrow(now.saturating_sub(before));
        let within = |(name, counts): (_, &Counts<u64>)| {
            let before = before.get(name).map_or_else(Counts::default, |it| **it);
            (name, counts.zip(&before, growth))
        };
        let within: Vec<(&str, Counts<u32>)> = counted(&reading).map(within).collect();
        for series in &mut self.series {
            let route = series.route.as_deref();
            let own = within
                .iter()
                .filter(|(name, _)| route.is_none_or(|route| route == *name));
            let counts = own.fold(Counts::default(), |sum, (_, one)| {
                sum.zip(one, u32::saturating_add)
            });
            if let Some(since) = since {
                series.push(Sample {
                    at: since_epoch(wall),
                    seconds: since.as_secs_f32(),
                    counts,
                    levels: Levels::of(&reading, route),
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

    /// The routes that are gone and have a history yet, the latest gone first.
    pub(super) fn gone(&self) -> impl Iterator<Item = &str> {
        let names = self.series.iter().filter_map(|it| it.route.as_deref());
        names.filter(|name| !self.is_in_use(name))
    }

    fn is_in_use(&self, route: &str) -> bool {
        let routes = self.now().map_or(&[][..], |reading| &reading.routes);
        routes.iter().any(|it| it.name == route)
    }

    /// Keeps the series of these routes, and makes the ones that are missing. Those of other routes stay behind them while they
    /// have anything to show, and as far as there is room.
    fn keep_series_of(&mut self, reading: &Reading, now: Instant) {
        let routes = reading.routes.iter().take(ROUTES_MAX);
        let wanted = [None]
            .into_iter()
            .chain(routes.map(|route| Some(route.name.as_str())));
        let mut old = std::mem::take(&mut self.series);
        for route in wanted {
            let place = old.iter().position(|it| it.route.as_deref() == route);
            let mut series = match place {
                Some(place) => old.remove(place),
                None => Series::new(route, now),
            };
            series.seen = now;
            self.series.push(series);
        }
        old.retain(|gone| now.duration_since(gone.seen) < REMEMBERED);
        // Stable: those that went earlier are behind already.
        old.sort_by_key(|gone| Reverse(gone.seen));
        self.series.extend(old);
        self.series.truncate(1 + ROUTES_MAX);
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
    fn new(route: Option<&str>, now: Instant) -> Self {
        Self {
            route: route.map(str::to_owned),
            fine: VecDeque::with_capacity(FINE_MAX + COARSE_EVERY),
            coarse: VecDeque::with_capacity(COARSE_MAX),
            seen: now,
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

/// What was counted of every route since the start, whether it is there or gone.
fn counted(reading: &Reading) -> impl Iterator<Item = (&str, &Counts<u64>)> {
    let routes = reading
        .routes
        .iter()
        .map(|it| (it.name.as_str(), &it.counts));
    let gone = reading
        .gone
        .iter()
        .map(|(name, counts)| (name.as_str(), counts));
    routes.chain(gone)
}

/// So many samples of one second are kept, and up to [`COARSE_EVERY`] more until they are joined.
const FINE_MAX: usize = 120;

/// So many samples of one second become one.
const COARSE_EVERY: usize = 5;

/// So many joined samples are kept: the 13 minutes before the last two.
const COARSE_MAX: usize = (15 * 60 - FINE_MAX) / COARSE_EVERY;

/// What is older is forgotten.
const REMEMBERED: Duration = Duration::from_secs((FINE_MAX + COARSE_EVERY * COARSE_MAX) as u64);

/// So many routes have a history of their own, those that are gone included, who make room for others; the rest is only part of
/// that of all together.
pub(super) const ROUTES_MAX: usize = 32;

/// The most bytes that all samples may take: 2.3 MiB with [`ROUTES_MAX`] routes; with `default` alone it is 141 KiB.
pub(super) const MEMORY_MAX: usize =
    (1 + ROUTES_MAX) * (FINE_MAX + COARSE_EVERY + COARSE_MAX) * size_of::<Sample>();

const _: () = assert!(MEMORY_MAX <= 5 << 19);

#[cfg(test)]
mod tests;
