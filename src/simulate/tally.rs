//! What a run came to, counted where it happens.

use super::Params;
use crate::retry::Reason;

/// Counts of one run; times in seconds.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    from: f64,
    to: f64,
    /// Requests that came early enough to be answered before the load ends, and how many of them were, in time.
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
    /// Requests that redrive gave up after an attempt, by reason in the order of [`Reason::ALL`].
    pub(super) gave_up: [u64; Reason::ALL.len()],
    /// Requests and good answers in each [`SLOT`] of the whole run, to see when a disturbance was over.
    pub(super) asked_by_slot: Vec<u32>,
    pub(super) good_by_slot: Vec<u32>,
}

impl Tally {
    pub(super) fn new(params: &Params) -> Self {
        let (from, to) = (params.warm_up.as_secs_f64(), params.duration.as_secs_f64());
        // Whoever comes in the last moments meets a load that ends. In a short run that is better than to judge nobody.
        let half = f64::midpoint(from, to);
        Self {
            from,
            to,
            judged_until: half.max(to - params.deadline.as_secs_f64() - 1.0),
            judged: 0,
            judged_good: 0,
            good: 0,
            attempts: 0,
            shed: 0,
            latency: Histogram::default(),
            wait: Histogram::default(),
            good_by_sender: vec![0; params.sidecars.max(1)],
            gave_up: [0; Reason::ALL.len()],
            asked_by_slot: vec![0; slot_of(to) + 1],
            good_by_slot: vec![0; slot_of(to) + 1],
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

    fn in_slot(&mut self, sender: usize, now: f64, slots: impl FnOnce(&mut Self) -> &mut Vec<u32>) {
        if sender < self.good_by_sender.len()
            && let Some(count) = slots(self).get_mut(slot_of(now))
        {
            *count += 1;
        }
    }

    pub(super) fn arrived(&mut self, sender: usize, now: f64) {
        if self.judges(sender, now) {
            self.judged += 1;
        }
        self.in_slot(sender, now, |tally| &mut tally.asked_by_slot);
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

    /// redrive made no further attempt, though the answer was not good.
    pub(super) fn gave_up(&mut self, sender: usize, now: f64, reason: Reason) {
        if self.counts(sender, now)
            && let Some(index) = Reason::ALL.iter().position(|it| *it == reason)
        {
            self.gave_up[index] += 1;
        }
    }

    /// An answer was good and in time, to a request that arrived then and whose last attempt was sent then.
    pub(super) fn succeeded(&mut self, now: f64, sender: usize, arrived: f64, sent: f64) {
        if self.judges(sender, arrived) {
            self.judged_good += 1;
        }
        self.in_slot(sender, now, |tally| &mut tally.good_by_slot);
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
        // Most did not wait at all, and a logarithm is dear.
        let bucket = if seconds > 0.0 {
            ((1.0 + seconds / FINEST).ln() / RATIO.ln()) as usize
        } else {
            0
        };
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

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and a run is at most a day long"
)]
fn slot_of(now: f64) -> usize {
    (now / SLOT) as usize
}

/// Seconds.
pub(super) const SLOT: f64 = 0.5;

const FINEST: f64 = 0.001;
const RATIO: f64 = 1.02;
const BUCKETS_MAX: usize = 1_000;
