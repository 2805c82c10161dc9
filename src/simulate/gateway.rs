//! The gateway's limits: the bucket first, then the slots, as API Gateway and Lambda do.

use super::{Disturbance, Gateway, Trouble};

/// What becomes of an attempt that reaches the gateway.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reception {
    /// It executes.
    Accepted,
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
}

impl Limits {
    pub(super) fn new(gateway: Gateway) -> Self {
        Self {
            tokens: gateway.rate.map_or(0.0, |rate| rate.burst),
            filled_until: 0.0,
            executing: 0,
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
        self.executing += 1;
        Reception::Accepted
    }

    /// An execution ended.
    pub(super) fn end(&mut self) {
        self.executing -= 1;
    }

    /// Starts one if everything is there, and spends nothing if not; the oracle's way.
    pub(super) fn start_if_free(&mut self, now: f64) -> bool {
        let is_up = !matches!(
            self.trouble(now),
            Some(Trouble::Refuses | Trouble::Swallows(_))
        );
        let starts = is_up && self.has_slot(now) && self.take_token(now);
        if starts {
            self.executing += 1;
        }
        starts
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
