//! What a run comes to: shares, waits, and when the flow was back after something happened.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::load::{Exchange, Who};

/// One load through one proxy, played to its end.
pub(crate) struct Run {
    pub(crate) exchanges: Vec<Exchange>,
    /// Requests that reached the upstream, without the neighbours'.
    pub(crate) attempts: usize,
    /// When they reached it, where the upstream remembers.
    pub(crate) moments: Vec<Duration>,
    /// How long requests were sent.
    pub(crate) length: Duration,
    /// From when to when something happened.
    pub(crate) event: Range<Duration>,
    /// What the upstream lets through; none where that is not the matter.
    pub(crate) capacity: Option<Capacity>,
}

/// What some clients of a run saw.
pub(crate) struct Figures {
    pub(crate) sent: usize,
    pub(crate) ok: usize,
    /// Waits of the successes, in order.
    waits: Vec<Duration>,
    pub(crate) longest: Duration,
    /// How many failed how: a status, or no answer.
    pub(crate) failures: BTreeMap<String, usize>,
}

impl Run {
    /// What these clients saw.
    pub(crate) fn seen_by(&self, who: Who) -> Figures {
        Figures::of(self.exchanges.iter().filter(|exchange| exchange.who == who))
    }

    /// What all of the proxy's clients saw.
    pub(crate) fn all(&self) -> Figures {
        let clients = |exchange: &&Exchange| exchange.who != Who::Neighbour;
        Figures::of(self.exchanges.iter().filter(clients))
    }

    /// Attempts for each success.
    pub(crate) fn attempts_per_success(&self) -> f64 {
        ratio(self.attempts, self.all().ok)
    }

    /// Good answers while requests were sent, as a share of the most that the limit lets through in that time.
    pub(crate) fn goodput(&self) -> Option<f64> {
        let capacity = self.capacity?;
        let most = capacity.per_second * self.length.as_secs_f64() + capacity.burst;
        Some(good(&self.exchanges, Duration::ZERO, self.length) as f64 / most)
    }

    /// How long after `event` it took until good answers came at `per_second` for the whole of the next two seconds.
    pub(crate) fn recovered_after(&self, event: Duration, per_second: f64) -> Option<Duration> {
        let due = per_second * SPAN.as_secs_f64();
        let mut from = event;
        while from + SPAN <= self.length {
            if good(&self.exchanges, from, from + SPAN) as f64 >= due {
                return Some(from - event);
            }
            from += STEP;
        }
        None
    }

    /// How long after `event` it took until every two seconds had good answers and attempts within these rates.
    pub(crate) fn settled_after(
        &self,
        event: Duration,
        good_min: f64,
        attempts_max: f64,
    ) -> Option<Duration> {
        let mut settled = None;
        let mut from = event;
        while from + SPAN <= self.length {
            let to = from + SPAN;
            let answers = good(&self.exchanges, from, to) as f64 / SPAN.as_secs_f64();
            let sent = self
                .moments
                .iter()
                .filter(|at| (from..to).contains(*at))
                .count();
            let attempts = sent as f64 / SPAN.as_secs_f64();
            if answers < good_min || attempts > attempts_max {
                settled = None;
            } else if settled.is_none() {
                settled = Some(from - event);
            }
            from += STEP;
        }
        settled
    }
}

/// The most that an upstream lets through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    pub(crate) per_second: f64,
    pub(crate) burst: f64,
}

impl Figures {
    pub(crate) fn of<'a>(exchanges: impl Iterator<Item = &'a Exchange>) -> Self {
        let mut figures = Self {
            sent: 0,
            ok: 0,
            waits: Vec::new(),
            longest: Duration::ZERO,
            failures: BTreeMap::new(),
        };
        for exchange in exchanges {
            figures.sent += 1;
            figures.longest = figures.longest.max(exchange.waited);
            if exchange.is_ok() {
                figures.ok += 1;
                figures.waits.push(exchange.waited);
            } else {
                let how = exchange
                    .status
                    .map_or_else(|| "no answer".to_owned(), |status| status.to_string());
                *figures.failures.entry(how).or_default() += 1;
            }
        }
        figures.waits.sort_unstable();
        figures
    }

    /// The share of the requests that got a good answer.
    pub(crate) fn success(&self) -> f64 {
        ratio(self.ok, self.sent)
    }

    /// The time within which so many of a hundred successes were answered; zero where there are none.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        nearest_rank(&self.waits, percent)
    }
}

impl Exchange {
    pub(crate) fn is_ok(&self) -> bool {
        self.status == Some(200)
    }
}

/// The smallest of the ordered values that covers so many of a hundred.
pub(crate) fn nearest_rank(ordered: &[Duration], percent: usize) -> Duration {
    let rank = (ordered.len() * percent).div_ceil(100).max(1);
    ordered.get(rank - 1).copied().unwrap_or_default()
}

/// Infinite where there is nothing to relate to, so that no target takes it for a good one.
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        f64::INFINITY
    } else {
        part as f64 / whole as f64
    }
}

/// Good answers between these moments.
fn good(exchanges: &[Exchange], from: Duration, to: Duration) -> usize {
    let within = |exchange: &&Exchange| {
        exchange.is_ok() && (from..to).contains(&(exchange.at + exchange.waited))
    };
    exchanges.iter().filter(within).count()
}

/// Over how long a flow is measured, and how finely its beginning is looked for.
const SPAN: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(100);
