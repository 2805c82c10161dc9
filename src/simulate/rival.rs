//! What others do about refusals, from their documentation: the policies that redrive is compared with.

use super::Policy;

/// One sender that follows another policy.
#[derive(Debug)]
pub(super) struct Rival {
    policy: Policy,
    /// The SDK's quota.
    quota: f64,
    /// Finagle's credits, by the second in which they were earned; they live ten seconds.
    credits: [f64; CREDIT_SECONDS],
    credit_second: u64,
}

impl Rival {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            quota: QUOTA,
            credits: [CREDITS_PER_SECOND; CREDIT_SECONDS],
            credit_second: 0,
        }
    }

    /// A request came.
    pub(super) fn on_request(&mut self, now: f64) {
        if self.policy == Policy::Finagle {
            let second = self.credit_index(now);
            self.credits[second] += CREDITS_PER_REQUEST;
        }
    }

    /// A request succeeded, with so many attempts.
    pub(super) fn on_success(&mut self, attempts: u32) {
        let refund = if attempts > 1 { QUOTA_COST } else { 1.0 };
        self.quota = (self.quota + refund).min(QUOTA);
    }

    /// Seconds until the next attempt after so many, or none.
    pub(super) fn retry(
        &mut self,
        now: f64,
        attempts: u32,
        rng: &mut fastrand::Rng,
    ) -> Option<f64> {
        let jitter = |base: f64, max: f64, rng: &mut fastrand::Rng| {
            let doubled = base * f64::from(1u32 << (attempts - 1).min(16));
            doubled.min(max) * rng.f64()
        };
        match self.policy {
            Policy::Redrive | Policy::RedriveOpen | Policy::None => None,
            Policy::Immediate => (attempts <= 3).then_some(0.0),
            Policy::Exponential => (attempts <= 8).then(|| jitter(0.1, f64::INFINITY, rng)),
            Policy::AwsStandard => {
                let granted = attempts < 3 && self.quota >= QUOTA_COST;
                granted.then(|| {
                    self.quota -= QUOTA_COST;
                    jitter(1.0, 20.0, rng)
                })
            }
            Policy::Finagle => {
                (attempts <= 8 && self.take_credit(now)).then(|| jitter(0.1, f64::INFINITY, rng))
            }
        }
    }

    fn take_credit(&mut self, now: f64) -> bool {
        let second = self.credit_index(now);
        let sum: f64 = self.credits.iter().sum();
        if sum < 1.0 {
            return false;
        }
        let mut owed: f64 = 1.0;
        // The oldest first.
        for age in 1..=CREDIT_SECONDS {
            let slot = &mut self.credits[(second + age) % CREDIT_SECONDS];
            let paid = owed.min(*slot);
            *slot -= paid;
            owed -= paid;
        }
        true
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of seconds"
    )]
    fn credit_index(&mut self, now: f64) -> usize {
        let second = now as u64;
        while self.credit_second < second {
            self.credit_second += 1;
            self.credits[(self.credit_second % CREDIT_SECONDS as u64) as usize] =
                CREDITS_PER_SECOND;
        }
        (second % CREDIT_SECONDS as u64) as usize
    }
}

/// The SDK's retry quota, and what a retry costs of it.
const QUOTA: f64 = 500.0;
const QUOTA_COST: f64 = 5.0;

/// Finagle's `RetryBudget`: a fifth of the requests, and ten a second whatever the traffic, for ten seconds.
const CREDITS_PER_REQUEST: f64 = 0.2;
const CREDITS_PER_SECOND: f64 = 10.0;
const CREDIT_SECONDS: usize = 10;
