//! The limits in the order in which API Gateway and Lambda check them, and what came of it.
//!
//! Quota and rate are asked when the request's head is there ([`Door::enter`]), concurrency when its payload is
//! ([`Door::invoke`]): a function is invoked with the whole of it. Pure, `now` is an argument; executions are data, the
//! instants at which they end, so nothing that a client does can end one early.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Params;
use super::bucket::Bucket;
use crate::clock;

/// What a gateway has seen since it started.
///
/// `requests` is always the sum of all the others but `most_in_flight`, and of the requests whose payload is still
/// coming in. Requests for the counts themselves and heads that are no HTTP are not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Requests whose head came in whole.
    pub requests: u64,
    /// Executions that ran to their end. A client that left is in here: its function ran all the same.
    pub served: u64,
    /// Requests refused because the bucket was empty.
    pub throttled_by_rate: u64,
    /// Requests refused because too many executions were running.
    pub throttled_by_concurrency: u64,
    /// Requests refused because the quota was used up.
    pub quota_refused: u64,
    /// Requests refused because of their payload's size.
    pub too_large: u64,
    /// Requests whose payload broke off, stalled or was malformed.
    pub unfinished: u64,
    /// Executions running now.
    pub in_flight: u64,
    /// The most executions that ever ran at once.
    pub most_in_flight: u64,
}

/// A gateway's counts, to be read while it runs and after.
#[derive(Debug)]
pub struct Counts(Mutex<Door>);

/// Why a request goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The quota is used up.
    Quota,
    /// The bucket is empty.
    Rate,
    /// Too many executions are running.
    Concurrency,
}

/// The limits, and what has been counted.
#[derive(Debug)]
pub(super) struct Door {
    quota_left: Option<u64>,
    bucket: Option<Bucket>,
    concurrency: usize,
    service_time: Duration,
    /// When each running execution ends. In order, since all take the same time.
    ends: VecDeque<Instant>,
    /// Without `served` and `in_flight`, which follow from the executions.
    seen: Seen,
    executions: u64,
}

impl Counts {
    /// What the gateway has seen until now.
    pub fn snapshot(&self) -> Seen {
        self.door(Door::seen)
    }

    pub(super) fn new(params: &Params) -> Self {
        Self(Mutex::new(Door::new(params, clock::now())))
    }

    /// Asks the door something. The clock is read under the lock, so that the door never sees time run backwards.
    pub(super) fn door<T>(&self, ask: impl FnOnce(&mut Door, Instant) -> T) -> T {
        let mut door: MutexGuard<'_, Door> = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ask(&mut door, clock::now())
    }
}

impl Door {
    pub(super) fn new(params: &Params, now: Instant) -> Self {
        let concurrency = params.concurrency.unwrap_or(EXECUTIONS_MAX);
        Self {
            quota_left: params.quota,
            bucket: params
                .rate
                .map(|rate| Bucket::new(rate, params.burst.unwrap_or(rate), now)),
            concurrency: usize::try_from(concurrency.min(EXECUTIONS_MAX)).unwrap_or(usize::MAX),
            service_time: params.service_time,
            ends: VecDeque::new(),
            seen: Seen::default(),
            executions: 0,
        }
    }

    /// A request's head is there: quota, then rate. Every request counts against the quota, throttled afterwards or not.
    pub(super) fn enter(&mut self, now: Instant) -> Result<(), Refusal> {
        self.seen.requests += 1;
        if let Some(left) = &mut self.quota_left {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => {
                    self.seen.quota_refused += 1;
                    return Err(Refusal::Quota);
                }
            }
        }
        if let Some(bucket) = &mut self.bucket
            && !bucket.try_take(now)
        {
            self.seen.throttled_by_rate += 1;
            return Err(Refusal::Rate);
        }
        Ok(())
    }

    /// A request's payload is there: starts its execution and says when it ends. The token stays spent if it cannot.
    pub(super) fn invoke(&mut self, now: Instant) -> Result<Instant, Refusal> {
        self.end_executions(now);
        if self.ends.len() >= self.concurrency {
            self.seen.throttled_by_concurrency += 1;
            return Err(Refusal::Concurrency);
        }
        let end = now + self.service_time;
        self.ends.push_back(end);
        self.executions += 1;
        self.seen.most_in_flight = self.seen.most_in_flight.max(self.in_flight());
        Ok(end)
    }

    /// A request's payload was over the limit.
    pub(super) fn count_too_large(&mut self) {
        self.seen.too_large += 1;
    }

    /// A request's payload did not come in whole.
    pub(super) fn count_unfinished(&mut self) {
        self.seen.unfinished += 1;
    }

    fn seen(&mut self, now: Instant) -> Seen {
        self.end_executions(now);
        let in_flight = self.in_flight();
        Seen {
            in_flight,
            served: self.executions - in_flight,
            ..self.seen
        }
    }

    /// An execution that ends now has ended: its client, answered at that instant, finds the place free.
    fn end_executions(&mut self, now: Instant) {
        while self.ends.front().is_some_and(|end| *end <= now) {
            self.ends.pop_front();
        }
    }

    fn in_flight(&self) -> u64 {
        u64::try_from(self.ends.len()).unwrap_or(u64::MAX)
    }
}

/// The most executions that run at once where no concurrency is set, and the highest that can be set. A hundred times the
/// default limit of an AWS account; an execution whose client left costs 16 bytes until its end.
pub(super) const EXECUTIONS_MAX: u32 = 100_000;

#[cfg(test)]
mod tests;
