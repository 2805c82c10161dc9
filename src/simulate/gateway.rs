//! The gateway's limits: the bucket first, then the slots, as API Gateway and Lambda do.

use super::{ColdStart, Disturbance, Gateway, Trouble};

/// What becomes of an attempt that reaches the gateway.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reception {
    /// It executes, and takes so many seconds more than it would in a warm environment.
    Accepted(f64),
    /// The bucket is empty.
    RateLimited,
    /// No slot is free; its token is gone.
    SlotLimited,
    /// It refuses everybody.
    Refused,
    /// Nothing comes back before the sender gives up, after so many seconds.
    Swallowed(f64),
}

/// The state of the limits; times in seconds.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    gateway: Gateway,
    tokens: f64,
    filled_until: f64,
    executing: u32,
    environments: u32,
    /// Environments that may be made now, and until when that was counted.
    starts: f64,
    starts_until: f64,
}

impl Reception {
    /// Whether it executes.
    pub(super) fn is_accepted(self) -> bool {
        matches!(self, Self::Accepted(_))
    }
}

impl Limits {
    pub(super) fn new(gateway: Gateway) -> Self {
        Self {
            tokens: gateway.rate.map_or(0.0, |rate| rate.burst),
            filled_until: 0.0,
            executing: 0,
            environments: 0,
            starts: gateway.cold_start.map_or(0.0, |cold| cold.per_second),
            starts_until: 0.0,
            gateway,
        }
    }

    pub(super) fn receive(&mut self, now: f64) -> Reception {
        match self.trouble(now) {
            Some(Trouble::Refuses) => return Reception::Refused,
            Some(Trouble::Swallows(patience)) => {
                return Reception::Swallowed(patience.as_secs_f64());
            }
            _ => {}
        }
        if !self.take_token(now) {
            return Reception::RateLimited;
        }
        if !self.has_slot(now) {
            return Reception::SlotLimited;
        }
        match self.start(now) {
            Some(extra) => Reception::Accepted(extra),
            None => Reception::SlotLimited,
        }
    }

    /// An execution ended.
    pub(super) fn end(&mut self) {
        self.executing -= 1;
    }

    /// Starts one if everything is there, and spends nothing if not; the oracle's way. Says how much longer it will take.
    pub(super) fn start_if_free(&mut self, now: f64) -> Option<f64> {
        let is_up = !matches!(
            self.trouble(now),
            Some(Trouble::Refuses | Trouble::Swallows(_))
        );
        let is_free = is_up && self.has_slot(now) && self.has_environment(now);
        (is_free && self.take_token(now)).then(|| self.start(now))?
    }

    /// Executes one more, in a warm environment or in a new one; says how much longer that takes.
    fn start(&mut self, now: f64) -> Option<f64> {
        if !self.has_environment(now) {
            return None;
        }
        self.executing += 1;
        if self.executing <= self.environments {
            return Some(0.0);
        }
        self.environments = self.executing;
        self.starts -= 1.0;
        let cold = self.gateway.cold_start;
        Some(cold.map_or(0.0, |cold| cold.extra.as_secs_f64()))
    }

    fn has_environment(&mut self, now: f64) -> bool {
        let Some(ColdStart { per_second, .. }) = self.gateway.cold_start else {
            return true;
        };
        let earned = (now - self.starts_until).max(0.0) * per_second;
        self.starts = (self.starts + earned).min(per_second);
        self.starts_until = self.starts_until.max(now);
        self.executing < self.environments || self.starts >= 1.0 - ROUNDING
    }

    /// Seconds until the next token, if the bucket is what is missing.
    pub(super) fn until_token(&mut self, now: f64) -> Option<f64> {
        let rate = self.gateway.rate?;
        self.fill(now);
        let per_second = rate.per_second * self.factor(now);
        (self.tokens < 1.0 && per_second > 0.0).then(|| (1.0 - self.tokens) / per_second)
    }

    fn has_slot(&self, now: f64) -> bool {
        self.gateway.concurrency.is_none_or(|concurrency| {
            f64::from(self.executing) < f64::from(concurrency) * self.factor(now)
        })
    }

    fn take_token(&mut self, now: f64) -> bool {
        if self.gateway.rate.is_none() {
            return true;
        }
        self.fill(now);
        let taken = self.tokens >= 1.0 - ROUNDING;
        if taken {
            self.tokens -= 1.0;
        }
        taken
    }

    fn fill(&mut self, now: f64) {
        if let Some(rate) = self.gateway.rate {
            let factor = self.factor(now);
            let earned = (now - self.filled_until).max(0.0) * rate.per_second * factor;
            self.tokens = (self.tokens + earned).min(rate.burst);
            self.filled_until = self.filled_until.max(now);
        }
    }

    fn factor(&self, now: f64) -> f64 {
        match self.trouble(now) {
            Some(Trouble::Limits(factor)) => factor,
            _ => 1.0,
        }
    }

    fn trouble(&self, now: f64) -> Option<Trouble> {
        let is_now = |disturbance: &&Disturbance| {
            (disturbance.from.as_secs_f64()..disturbance.until.as_secs_f64()).contains(&now)
        };
        let mut disturbances = self.gateway.disturbances.iter();
        disturbances.find(is_now).map(|found| found.what)
    }
}

/// A token that is there but for the last bit is there.
const ROUNDING: f64 = 1e-9;
