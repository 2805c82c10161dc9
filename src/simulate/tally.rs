//! What a run came to, counted where it happens.

use super::Params;

/// Counts of one run; times in seconds.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    from: f64,
    to: f64,
    /// Requests that came early enough to be answered before the counting ends, and how many of them were, in time.
    judged_until: f64,
    pub(super) judged: u64,
    pub(super) judged_good: u64,
    /// Good answers, and attempts, while it is counted.
    pub(super) good: u64,
    pub(super) attempts: u64,
    pub(super) shed: u64,
    pub(super) latency: Histogram,
    pub(super) wait: Histogram,
    /// Good answers by sender.
    pub(super) good_by_sender: Vec<u64>,
}

impl Tally {
    pub(super) fn new(params: &Params) -> Self {
        let to = params.duration.as_secs_f64();
        Self {
            from: params.warm_up.as_secs_f64(),
            to,
            judged_until: to - params.deadline.as_secs_f64() - 1.0,
            judged: 0,
            judged_good: 0,
            good: 0,
            attempts: 0,
            shed: 0,
            latency: Histogram::default(),
            wait: Histogram::default(),
            good_by_sender: vec![0; params.sidecars.max(1)],
        }
    }

    /// How many seconds are counted.
    pub(super) fn span(&self) -> f64 {
        (self.to - self.from).max(f64::MIN_POSITIVE)
    }

    /// Only the sidecars are counted, not their neighbours.
    fn counts(&self, sender: usize, now: f64) -> bool {
        sender < self.good_by_sender.len() && (self.from..self.to).contains(&now)
    }

    fn judges(&self, sender: usize, arrived: f64) -> bool {
        sender < self.good_by_sender.len() && (self.from..self.judged_until).contains(&arrived)
    }

    pub(super) fn arrived(&mut self, sender: usize, now: f64) {
        if self.judges(sender, now) {
            self.judged += 1;
        }
    }

    pub(super) fn sent(&mut self, sender: usize, now: f64) {
        if self.counts(sender, now) {
            self.attempts += 1;
        }
    }

    pub(super) fn shed(&mut self, sender: usize, now: f64) {
        if self.counts(sender, now) {
            self.shed += 1;
        }
    }

    /// An answer was good and in time, to a request that arrived then and whose last attempt was sent then.
    pub(super) fn succeeded(&mut self, now: f64, sender: usize, arrived: f64, sent: f64) {
        if self.judges(sender, arrived) {
            self.judged_good += 1;
        }
        if self.counts(sender, now) {
            self.good += 1;
            self.latency.add(now - arrived);
            self.wait.add(sent - arrived);
            if let Some(count) = self.good_by_sender.get_mut(sender) {
                *count += 1;
            }
        }
    }
}

/// Durations, to within two per cent or a millisecond.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and the bound below is small"
    )]
    fn add(&mut self, seconds: f64) {
        let bucket = ((1.0 + seconds.max(0.0) / FINEST).ln() / RATIO.ln()) as usize;
        let bucket = bucket.min(BUCKETS_MAX - 1);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
    }

    /// The time that this share of them stayed below.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let mut left = share * self.total as f64;
        for (bucket, count) in self.counts.iter().enumerate() {
            left -= *count as f64;
            if left <= 0.0 && *count > 0 {
                return FINEST * (RATIO.powf(bucket as f64) - 1.0);
            }
        }
        0.0
    }
}

const FINEST: f64 = 0.001;
const RATIO: f64 = 1.02;
const BUCKETS_MAX: usize = 1_000;
