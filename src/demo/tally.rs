//! What one side's clients saw: how many requests ended how, and how long they took.
//!
//! Pure, and of a fixed size however long the traffic lasts: durations are counted by the millisecond up to
//! [`WAIT_MAX`], not kept. What the gateways counted is theirs; see `report`, where the two meet.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How a request ended for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    /// Whether the answer was a good one.
    pub(super) outcome: Result<(), Failure>,
    /// From the moment when the request was due to the last byte of its answer.
    pub(super) waited: Duration,
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// The answer's status says so.
    Status(u16),
    /// No connection, or one that broke before the answer was there.
    Broken,
    /// No whole answer within the client's limit.
    TooLate,
}

/// How a side's requests ended.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    sent: u64,
    ok: u64,
    failures: BTreeMap<Failure, u64>,
    /// How many successes took so many milliseconds.
    ok_by_millis: Vec<u64>,
    longest_wait: Duration,
}

impl Tally {
    /// Nothing sent yet.
    pub(super) fn new() -> Self {
        Self {
            sent: 0,
            ok: 0,
            failures: BTreeMap::new(),
            ok_by_millis: vec![0; millis(WAIT_MAX) + 1],
            longest_wait: Duration::ZERO,
        }
    }

    /// A request was sent.
    pub(super) fn count_sent(&mut self) {
        self.sent += 1;
    }

    /// A request that was sent has ended.
    pub(super) fn record(&mut self, exchange: Exchange) {
        self.longest_wait = self.longest_wait.max(exchange.waited);
        match exchange.outcome {
            Ok(()) => {
                self.ok += 1;
                self.ok_by_millis[millis(exchange.waited.min(WAIT_MAX))] += 1;
            }
            Err(failure) => *self.failures.entry(failure).or_default() += 1,
        }
    }

    /// Requests sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Requests that got a good answer.
    pub(super) fn ok(&self) -> u64 {
        self.ok
    }

    /// Requests that got a bad answer, or none in time.
    pub(super) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Requests whose clients still wait.
    pub(super) fn waiting(&self) -> u64 {
        self.sent.saturating_sub(self.ok + self.failed())
    }

    /// How many failed for which cause.
    pub(super) fn failures(&self) -> impl Iterator<Item = (Failure, u64)> {
        self.failures
            .iter()
            .map(|(failure, count)| (*failure, *count))
    }

    /// The longest that a client waited for its answer, good or bad; zero where nothing has ended.
    pub(super) fn longest_wait(&self) -> Duration {
        self.longest_wait
    }

    /// The time within which `percent` of the successes were answered, to the millisecond: the nearest rank, never a
    /// value between two. `None` without successes.
    pub(super) fn percentile(&self, percent: u64) -> Option<Duration> {
        let rank = (self.ok * percent).div_ceil(100).max(1);
        let mut until = 0;
        let answered_by = self.ok_by_millis.iter().position(|count| {
            until += count;
            until >= rank
        })?;
        Some(Duration::from_millis(u64::try_from(answered_by).ok()?))
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Failure {
    /// The status as a number, otherwise what happened in two words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Broken => f.write_str("connection broken"),
            Self::TooLate => f.write_str("too late"),
        }
    }
}

/// Whole milliseconds, rounded to the nearest.
fn millis(duration: Duration) -> usize {
    usize::try_from((duration.as_micros() + 500) / 1_000).unwrap_or(usize::MAX)
}

/// The longest wait that is told from a longer one: just above the client's own limit, so that none is longer.
const WAIT_MAX: Duration = Duration::from_secs(36);

#[cfg(test)]
mod tests {
    use super::*;

    fn ok_after(millis: u64) -> Exchange {
        Exchange {
            outcome: Ok(()),
            waited: Duration::from_millis(millis),
        }
    }

    fn tally(exchanges: impl IntoIterator<Item = Exchange>) -> Tally {
        let mut tally = Tally::new();
        for exchange in exchanges {
            tally.count_sent();
            tally.record(exchange);
        }
        tally
    }

    #[track_caller]
    fn check(waits: impl IntoIterator<Item = u64>, percent: u64, expected: Option<u64>) {
        let tally = tally(waits.into_iter().map(ok_after));

        let expected = expected.map(Duration::from_millis);
        assert_eq!(tally.percentile(percent), expected);
    }

    #[test]
    fn a_percentile_is_the_smallest_wait_that_covers_its_share() {
        check([], 50, None);
        check([7], 50, Some(7));
        check([7], 99, Some(7));
        check([30, 10, 20], 50, Some(20));
        check([10, 20, 30, 40], 50, Some(20));
        check(1..=100, 99, Some(99));
        check(1..=101, 99, Some(100));
        check(1..=100, 100, Some(100));
        check([0, 0, 5], 50, Some(0));
    }

    #[test]
    fn a_wait_beyond_what_is_told_apart_is_counted_at_the_end() {
        check([3_600_000], 50, Some(36_000));
        assert_eq!(
            tally([ok_after(3_600_000)]).longest_wait(),
            Duration::from_secs(3_600)
        );
    }

    #[test]
    fn waits_are_rounded_to_the_nearest_millisecond() {
        let waited = |micros| Exchange {
            outcome: Ok(()),
            waited: Duration::from_micros(micros),
        };

        let tally = tally([waited(1_499), waited(2_500)]);

        assert_eq!(tally.percentile(50), Some(Duration::from_millis(1)));
        assert_eq!(tally.percentile(100), Some(Duration::from_millis(3)));
    }

    #[test]
    fn failures_are_counted_by_cause_and_their_time_counts_among_the_waits_only() {
        let failed = |failure, millis| Exchange {
            outcome: Err(failure),
            waited: Duration::from_millis(millis),
        };
        let mut tally = tally([
            ok_after(20),
            failed(Failure::Status(429), 1),
            failed(Failure::TooLate, 35_000),
            failed(Failure::Status(429), 2),
        ]);
        tally.count_sent();

        assert_eq!((tally.sent(), tally.ok(), tally.failed()), (5, 1, 3));
        assert_eq!(tally.waiting(), 1);
        assert_eq!(tally.percentile(99), Some(Duration::from_millis(20)));
        assert_eq!(tally.longest_wait(), Duration::from_secs(35));
        let causes: Vec<_> = tally
            .failures()
            .map(|(failure, count)| (failure.to_string(), count))
            .collect();
        assert_eq!(causes, [("429".to_owned(), 2), ("too late".to_owned(), 1)]);
    }
}
