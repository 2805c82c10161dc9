//! What redrive promises of a scenario, and whether a run kept it.
//!
//! Measured where the clients stand. `MARGIN` is what a shared machine may add to a wait that has an exact limit.

use std::time::Duration;

use super::figures::{Figures, Run, nearest_rank};
use super::load::Who;

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Promise {
    /// Nearly everybody succeeds, at few attempts and in time.
    Burst {
        success: f64,
        attempts: f64,
        p99: Option<Duration>,
    },
    /// All of the limit is used, at few attempts.
    Overload,
    /// Every request takes one attempt, and redrive's own time is small.
    Unnoticed,
    /// What never works is nobody else's trouble.
    SickApart,
    /// One who is told to wait waits alone.
    NobodyDelayed,
    /// Waits end in an outage, and the flow is back soon after it.
    NoHostage,
    /// Success is hardly less than without redrive.
    NotWorseThanDirect,
    /// The new limit is found soon.
    Settles,
}

/// One promise and what was measured.
pub(crate) struct Target {
    pub(crate) what: &'static str,
    pub(crate) measured: f64,
    pub(crate) bound: Bound,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Promise {
    /// What was promised of a run through redrive, and what it reached; `direct` is the same load without it.
    pub(crate) fn targets(self, run: &Run, direct: Option<&Run>) -> Vec<Target> {
        let all = run.all();
        let attempts = |most| at_most("attempts per success", run.attempts_per_success(), most);
        let others = run.seen_by(Who::Client);
        match self {
            Self::Burst {
                success,
                attempts: most,
                p99,
            } => {
                let p99 = p99.map(|most| within("p99", all.percentile(99), most));
                let success = at_least("success", all.success(), success);
                [success, attempts(most)].into_iter().chain(p99).collect()
            }
            Self::Overload => {
                let share = run.goodput().unwrap_or(0.0);
                vec![at_least("share of the limit", share, 0.99), attempts(1.05)]
            }
            Self::Unnoticed => {
                let added = direct.map_or(f64::INFINITY, |direct| millis_more(run, direct));
                vec![
                    at_least("success", all.success(), 1.0),
                    attempts(1.0),
                    at_most("added p50, ms", added, 0.2),
                ]
            }
            Self::SickApart => vec![
                at_least("success of the others", others.success(), 0.99),
                within("p99 of the others", others.percentile(99), SICK_P99),
            ],
            Self::NobodyDelayed => vec![
                at_least("success of the others", others.success(), 1.0),
                within("longest wait of the others", others.longest, MARGIN),
            ],
            Self::NoHostage => no_hostage(run, &all),
            Self::NotWorseThanDirect => {
                let without = direct.map_or(0.0, |direct| direct.all().success());
                vec![at_least(
                    "success, going direct less 0.05",
                    all.success(),
                    without - 0.05,
                )]
            }
            Self::Settles => {
                let settled =
                    run.settled_after(run.event.start, HALVED_GOOD_MIN, HALVED_ATTEMPTS_MAX);
                vec![soon("settled after", settled, SETTLED_WITHIN)]
            }
        }
    }
}

impl Target {
    pub(crate) fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtLeast(least) => self.measured >= least,
            Bound::AtMost(most) => self.measured <= most,
        }
    }
}

fn no_hostage(run: &Run, all: &Figures) -> Vec<Target> {
    let outage = run.event.clone();
    // Who comes just before the end may be in time for a good answer.
    let meanwhile = outage.start..outage.end.saturating_sub(TOLD_WITHIN);
    let (mut came, mut told) = (0u32, 0u32);
    for exchange in &run.exchanges {
        if meanwhile.contains(&exchange.at) {
            came += 1;
            told += u32::from(!exchange.is_ok() && exchange.waited <= TOLD_WITHIN);
        }
    }
    let back = run.recovered_after(outage.end, BACK_PER_SECOND);
    vec![
        within("longest wait", all.longest, MAX_WAIT + MARGIN),
        at_least(
            "told within 2.5 s meanwhile",
            f64::from(told) / f64::from(came.max(1)),
            TOLD_SHARE,
        ),
        soon("0.9 of the limit again after", back, BACK_WITHIN),
    ]
}

/// By how many milliseconds the median answer takes longer.
fn millis_more(run: &Run, direct: &Run) -> f64 {
    let median = |run: &Run| {
        let mut took: Vec<_> = run.exchanges.iter().map(|exchange| exchange.took).collect();
        took.sort_unstable();
        nearest_rank(&took, 50).as_secs_f64()
    };
    (median(run) - median(direct)) * 1e3
}

fn at_least(what: &'static str, measured: f64, least: f64) -> Target {
    Target {
        what,
        measured,
        bound: Bound::AtLeast(least),
    }
}

pub(crate) fn at_most(what: &'static str, measured: f64, most: f64) -> Target {
    Target {
        what,
        measured,
        bound: Bound::AtMost(most),
    }
}

/// In seconds.
fn within(what: &'static str, measured: Duration, most: Duration) -> Target {
    at_most(what, measured.as_secs_f64(), most.as_secs_f64())
}

/// In seconds; never is later than anything.
fn soon(what: &'static str, after: Option<Duration>, most: Duration) -> Target {
    within(what, after.unwrap_or(Duration::MAX), most)
}

const MARGIN: Duration = Duration::from_millis(500);
const SICK_P99: Duration = Duration::from_secs(1);
/// The default of `pace.max_wait`.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Whoever comes in an outage waits two seconds, and is told within the half after.
const TOLD_WITHIN: Duration = Duration::from_millis(2_500);
/// Most of them.
const TOLD_SHARE: f64 = 0.9;
/// Nine tenths of the limit before and after an outage.
const BACK_PER_SECOND: f64 = 90.0;
const BACK_WITHIN: Duration = Duration::from_secs(2);
/// Nine tenths of the halved limit of 50 a second, and one and a quarter of it: asking keeps a share of throttles.
const HALVED_GOOD_MIN: f64 = 45.0;
const HALVED_ATTEMPTS_MAX: f64 = 62.5;
const SETTLED_WITHIN: Duration = Duration::from_secs(6);
