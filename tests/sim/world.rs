//! The model: sidecars that do not know one another, an upstream with a token bucket, and a queue of events.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, Method};
use redrive::clock;
use redrive::retry::backoff::Backoff;
use redrive::retry::budget::{self, Budget};
use redrive::retry::classify::{Class, Classified, Integration, Kind, Proof, Ran, Rules, Scope};
use redrive::retry::hint::{Hint, Source};
use redrive::retry::{
    Circumstances, IdempotencyKey, MaxAttempts, Policy, Reason, Retriable, Session, Subject,
    UnsafeMethods, Verdict,
};

/// `deadline.total`, as it is by default.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// From sending an attempt to its answer.
const ROUND_TRIP: Duration = Duration::from_millis(20);

/// `[budget]`, as it is by default.
pub(crate) const BUDGET: budget::Params = budget::Params {
    capacity_milli: 500_000,
    ratio_milli: 200,
    per_second_milli: 1_000,
    cost: budget::Cost {
        throttled_milli: 1_000,
        suspected_milli: 1_000,
        other_milli: 3_000,
    },
};

/// `[retry]`, as it is by default.
pub(crate) fn default_policy() -> Policy {
    let count = |n| NonZeroU32::new(n).expect("a limit is not zero");
    Policy {
        on: Retriable {
            throttled: true,
            suspected: true,
            overloaded: true,
            unsent: true,
            broken: true,
            timeout: false,
        },
        max_attempts: MaxAttempts {
            throttled: count(10),
            suspected: count(4),
            other: count(3),
        },
        unsafe_methods: UnsafeMethods::Proven,
        idempotency_key: IdempotencyKey::Keep,
        backoff: Backoff {
            throttle_base: Duration::from_secs(1),
            base: Duration::from_millis(50),
            max: Duration::from_secs(20),
        },
        futility: true,
        add_retry_after: true,
        dry_run: false,
        rules: Rules {
            custom: Vec::new(),
            marker_header: HeaderName::from_static("x-gw-error"),
            proof: Proof::Usual,
            integration: Integration::Any,
        },
    }
}

/// Who asks, how long and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) sidecars: usize,
    pub(crate) span: Duration,
    /// Requests per second of each sidecar, outside of bursts.
    pub(crate) base_per_second: u32,
    /// How many times as many in the first second of every ten.
    pub(crate) burst_factor: u32,
}

/// A token bucket, counted in billionths of a token, and perhaps a hint for those that it turns away.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    per_second: u64,
    capacity_nano: u64,
    level_nano: u64,
    filled_until: Duration,
    hint: Option<Duration>,
}

impl Upstream {
    pub(crate) fn new(per_second: u64, burst: u64, hint: Option<Duration>) -> Self {
        let capacity_nano = burst * TOKEN_NANO;
        Self {
            per_second,
            capacity_nano,
            level_nano: capacity_nano,
            filled_until: Duration::ZERO,
            hint,
        }
    }

    /// Whether it serves an attempt that arrives now.
    fn serves(&mut self, at: Duration) -> bool {
        let elapsed =
            u64::try_from((at - self.filled_until).as_nanos()).expect("a run takes minutes");
        self.filled_until = at;
        self.level_nano = (self.level_nano + elapsed * self.per_second).min(self.capacity_nano);
        let served = self.level_nano >= TOKEN_NANO;
        if served {
            self.level_nano -= TOKEN_NANO;
        }
        served
    }
}

/// What a run came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) served: u64,
    pub(crate) sidecars: Vec<Tally>,
    pub(crate) stops: BTreeMap<&'static str, u64>,
    /// The waits of every request that had any.
    pub(crate) waits: Vec<Vec<Duration>>,
    /// How old the oldest request was that was sent again.
    pub(crate) latest_retry_age: Option<Duration>,
    /// The moment of the last event.
    pub(crate) elapsed: Duration,
}

/// What one sidecar did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    pub(crate) retries_failed: u64,
}

impl Report {
    pub(crate) fn requests(&self) -> u64 {
        self.sidecars.iter().map(|tally| tally.requests).sum()
    }

    pub(crate) fn attempts(&self) -> u64 {
        let retries: u64 = self.sidecars.iter().map(|tally| tally.retries).sum();
        self.requests() + retries
    }

    pub(crate) fn share_served(&self) -> f64 {
        self.served as f64 / self.requests() as f64
    }

    pub(crate) fn stopped(&self, reason: Reason) -> u64 {
        self.stops.get(reason.as_str()).copied().unwrap_or(0)
    }
}

struct Sidecar {
    budget: Budget,
    rng: fastrand::Rng,
}

struct Request {
    sidecar: usize,
    arrived: Duration,
    session: Session,
    waits: Vec<Duration>,
    /// What the attempt under way was paid, if it is a retry.
    paid_milli: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Attempt number one, or a retry whose wait is over.
    Send { request: usize },
    /// The answer to it.
    Answer { request: usize, served: bool },
}

/// A run in the making.
pub(crate) struct World {
    base: Instant,
    policy: Policy,
    upstream: Upstream,
    sidecars: Vec<Sidecar>,
    requests: Vec<Request>,
    /// By time, then by order of scheduling, so that equal times have one order.
    events: BinaryHeap<Reverse<(Duration, usize, Event)>>,
    scheduled: usize,
    report: Report,
}

impl World {
    pub(crate) fn new(policy: Policy, upstream: Upstream, load: Load, seed: u64) -> Self {
        let base = clock::now();
        let mut seeds = fastrand::Rng::with_seed(seed);
        let sidecars = (0..load.sidecars)
            .map(|_| Sidecar {
                budget: Budget::new(BUDGET, base),
                rng: seeds.fork(),
            })
            .collect();
        let mut world = Self {
            base,
            policy,
            upstream,
            sidecars,
            requests: Vec::new(),
            events: BinaryHeap::new(),
            scheduled: 0,
            report: Report {
                sidecars: vec![Tally::default(); load.sidecars],
                ..Report::default()
            },
        };
        world.schedule_arrivals(load, &mut seeds);
        world
    }

    /// So many arrivals in every second, at moments drawn evenly within it.
    fn schedule_arrivals(&mut self, load: Load, rng: &mut fastrand::Rng) {
        let policy = Arc::new(self.policy.clone());
        let subject = Subject {
            method: Method::POST,
            idempotency_key: false,
            upgrade: false,
            callers_max: None,
        };
        for second in 0..load.span.as_secs() {
            let factor = if second % 10 == 0 {
                load.burst_factor
            } else {
                1
            };
            for sidecar in 0..load.sidecars {
                for _ in 0..load.base_per_second * factor {
                    let arrived = Duration::new(second, rng.u32(0..1_000_000_000));
                    let deadline = self.base + arrived + DEADLINE;
                    let session = Session::new(Arc::clone(&policy), subject.clone(), deadline);
                    let request = self.requests.len();
                    self.requests.push(Request {
                        sidecar,
                        arrived,
                        session,
                        waits: Vec::new(),
                        paid_milli: None,
                    });
                    self.schedule(arrived, Event::Send { request });
                }
            }
        }
    }

    fn schedule(&mut self, at: Duration, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((at, self.scheduled, event)));
    }

    /// Runs until nothing is left to happen.
    pub(crate) fn run(mut self) -> Report {
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            self.report.elapsed = at;
            match event {
                Event::Send { request } => self.send(at, request),
                Event::Answer { request, served } => self.answer(at, request, served),
            }
        }
        let waits = self.requests.into_iter().map(|request| request.waits);
        self.report.waits = waits.filter(|waits| !waits.is_empty()).collect();
        self.report
    }

    /// As the loop of the proxy does: pay right before the send, or deliver what there is.
    fn send(&mut self, at: Duration, index: usize) {
        let request = &mut self.requests[index];
        let budget = &mut self.sidecars[request.sidecar].budget;
        let tally = &mut self.report.sidecars[request.sidecar];
        if request.session.attempts_made() == 0 {
            budget.earn(self.base + at);
            tally.requests += 1;
        } else {
            let cost_milli = BUDGET.cost.of(Class::Throttled);
            if !budget.try_spend(self.base + at, cost_milli) {
                *self
                    .report
                    .stops
                    .entry(Reason::Budget.as_str())
                    .or_default() += 1;
                return;
            }
            request.paid_milli = Some(cost_milli);
            tally.retries += 1;
            let age = at - request.arrived;
            self.report.latest_retry_age = self.report.latest_retry_age.max(Some(age));
        }
        let served = self.upstream.serves(at);
        self.schedule(
            at + ROUND_TRIP,
            Event::Answer {
                request: index,
                served,
            },
        );
    }

    fn answer(&mut self, at: Duration, index: usize, served: bool) {
        let now = self.base + at;
        let request = &mut self.requests[index];
        let Sidecar { budget, rng } = &mut self.sidecars[request.sidecar];
        if let Some(paid_milli) = request.paid_milli.take() {
            if served {
                budget.refund(paid_milli);
            } else {
                self.report.sidecars[request.sidecar].retries_failed += 1;
            }
        }
        let outcome = classified(served);
        let around = Circumstances {
            body: Ok(()),
            futile: false,
            affordable: budget.can_pay(now, BUDGET.cost.of(outcome.class)),
            draining: false,
            rest: None,
        };
        let hint = self.upstream.hint.map(|wait| Hint {
            wait,
            source: Source::RetryAfterSeconds,
        });
        match request
            .session
            .on_outcome(now, &outcome, hint.as_ref(), around, rng)
        {
            Verdict::Deliver => self.report.served += 1,
            Verdict::Stop(reason) => *self.report.stops.entry(reason.as_str()).or_default() += 1,
            Verdict::Retry { after } => {
                request.waits.push(after);
                self.schedule(at + after, Event::Send { request: index });
            }
        }
    }
}

fn classified(served: bool) -> Classified {
    Classified {
        class: if served { Class::Ok } else { Class::Throttled },
        ran: if served { Ran::Yes } else { Ran::No },
        kind: Kind::Rate,
        scope: Scope::Api,
        because: "the model's bucket",
    }
}

const TOKEN_NANO: u64 = 1_000_000_000;
