//! What a simulation found: a row for each policy beside the oracle, as a table or as JSON.

use std::fmt;

use serde::Serialize;

use super::tally::{SLOT, Tally};
use super::{Params, Policy};
use crate::retry::Reason;

/// All rows of one simulation.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Good answers per second that the oracle gives: nobody can give more.
    pub oracle_per_second: f64,
    /// The oracle's share of requests answered well and in time.
    pub oracle_success: f64,
    /// One row for each policy.
    pub rows: Vec<Row>,
    /// Why redrive, as configured, made no further attempt for requests whose answer was not good; the commonest reason first.
    pub gave_up: Vec<GaveUp>,
}

/// Requests that were given up after an attempt for one reason.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct GaveUp {
    /// The word for it, in header, log and metric.
    pub reason: &'static str,
    /// How many, while it is counted.
    pub requests: u64,
}

/// How one policy did, while it was counted.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Row {
    /// Which.
    pub policy: Policy,
    /// Good answers per second, in time.
    pub goodput_per_second: f64,
    /// The same as a share of the oracle's.
    pub goodput_of_oracle: f64,
    /// Attempts sent for each good answer.
    pub attempts_per_success: f64,
    /// The share of requests that were answered well and in time.
    pub success: f64,
    /// Requests turned away by the sender itself, per second.
    pub shed_per_second: f64,
    /// From a good answer's request to the sending of its last attempt, seconds.
    pub wait_p50_seconds: f64,
    /// The same.
    pub wait_p99_seconds: f64,
    /// From a good answer's request to the answer, seconds.
    pub latency_p50_seconds: f64,
    /// The same.
    pub latency_p99_seconds: f64,
    /// From the end of the latest disturbance until goodput is nine tenths of what is asked for, or of the oracle's if that is
    /// less, for two seconds; null where none ended in the run, or it never came to that.
    pub recovery_seconds: Option<f64>,
    /// Jain's index of the senders' good answers: 1 when all have the same, one over their number when one has all.
    pub fairness: f64,
}

impl Report {
    pub(super) fn new(oracle: &Tally, params: &Params) -> Self {
        let oracle = Row::new(Policy::None, oracle, oracle, params);
        Self {
            oracle_per_second: oracle.goodput_per_second,
            oracle_success: oracle.success,
            rows: Vec::new(),
            gave_up: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, policy: Policy, tally: &Tally, oracle: &Tally, params: &Params) {
        self.rows.push(Row::new(policy, tally, oracle, params));
        if policy == Policy::Redrive {
            let reasons = Reason::ALL.iter().zip(tally.gave_up);
            let given_up = reasons.map(|(reason, requests)| GaveUp {
                reason: reason.as_str(),
                requests,
            });
            self.gave_up = given_up.filter(|it| it.requests > 0).collect();
            self.gave_up
                .sort_by_key(|it| std::cmp::Reverse(it.requests));
        }
    }
}

impl Row {
    pub(super) fn new(policy: Policy, tally: &Tally, oracle: &Tally, params: &Params) -> Self {
        let good = tally.good as f64;
        let shares = tally.good_by_sender.iter().map(|count| *count as f64);
        let squares: f64 = shares.map(|share| share * share).sum();
        let sidecars = params.sidecars.max(1) as f64;
        Self {
            policy,
            goodput_per_second: good / tally.span(),
            goodput_of_oracle: ratio(good, oracle.good as f64),
            attempts_per_success: ratio(tally.attempts as f64, good),
            success: ratio(tally.judged_good as f64, tally.judged as f64),
            shed_per_second: tally.shed as f64 / tally.span(),
            wait_p50_seconds: tally.wait.quantile(0.5),
            wait_p99_seconds: tally.wait.quantile(0.99),
            latency_p50_seconds: tally.latency.quantile(0.5),
            latency_p99_seconds: tally.latency.quantile(0.99),
            recovery_seconds: recovery(tally, oracle, params),
            fairness: ratio(good * good, sidecars * squares),
        }
    }
}

/// How long after the latest disturbance that ended the goodput was as good as it gets.
fn recovery(tally: &Tally, oracle: &Tally, params: &Params) -> Option<f64> {
    let ends = params.gateway.disturbances.iter().map(|it| it.until);
    let end = ends.filter(|until| *until < params.duration).max()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a run is at most a day long"
    )]
    let from = (end.as_secs_f64() / SLOT).ceil() as usize;
    let after = |slots: &'_ [u32]| slots.get(from..).unwrap_or_default().to_vec();
    let (own, best) = (after(&tally.good_by_slot), after(&oracle.good_by_slot));
    let asked = after(&tally.asked_by_slot);
    let spans = own.len().saturating_sub(RECOVERED_SLOTS - 1);
    let recovered = (0..spans).find(|first| {
        let sum = |slots: &[u32]| f64::from(slots[*first..][..RECOVERED_SLOTS].iter().sum::<u32>());
        sum(&own) >= RECOVERED_SHARE * sum(&best).min(sum(&asked))
    })?;
    Some(recovered as f64 * SLOT)
}

/// What is as good as it gets: such a share, over so many slots.
const RECOVERED_SHARE: f64 = 0.9;
const RECOVERED_SLOTS: usize = 4;

/// A share, zero where there is nothing to share.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<13} {:>9} {:>10} {:>9} {:>8} {:>10} {:>10}",
            "policy", "success", "goodput/s", "of oracle", "attempts", "wait p50", "wait p99",
        )?;
        for row in &self.rows {
            writeln!(
                f,
                "{:<13} {:>9.3} {:>10.1} {:>9.3} {:>8.2} {:>9.3}s {:>9.3}s",
                row.policy.as_str(),
                row.success,
                row.goodput_per_second,
                row.goodput_of_oracle,
                row.attempts_per_success,
                row.wait_p50_seconds,
                row.wait_p99_seconds,
            )?;
        }
        writeln!(
            f,
            "{:<13} {:>9.3} {:>10.1} {:>9.3} {:>8.2}",
            "(oracle)", self.oracle_success, self.oracle_per_second, 1.0, 1.0,
        )?;
        for row in &self.rows {
            if let Some(seconds) = row.recovery_seconds {
                let policy = row.policy.as_str();
                writeln!(
                    f,
                    "{policy} has recovered {seconds:.1} s after the disturbance"
                )?;
            }
        }
        if !self.gave_up.is_empty() {
            let reasons = self.gave_up.iter();
            let reasons = reasons.map(|it| format!("{} {}", it.requests, it.reason));
            let reasons: Vec<_> = reasons.collect();
            writeln!(
                f,
                "redrive made no further attempt for: {}",
                reasons.join(", ")
            )?;
        }
        Ok(())
    }
}
