//! The scenarios: an upstream, a load, what happens meanwhile, and what redrive promises of it.

use std::ops::Range;
use std::time::Duration;

use redrive::gateway::{self, Front};

use super::figures::Capacity;
use super::load::{Arrival, Who, bursty, steady};
use super::origin::Kind;
use super::promise::Promise;

pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) upstream: Kind,
    pub(crate) load: Load,
    pub(crate) event: Event,
    /// Whether the other proxies are measured, too.
    pub(crate) has_rivals: bool,
    /// What the upstream lets through; none where that is not the matter.
    pub(crate) capacity: Option<Capacity>,
    pub(crate) promise: Promise,
}

/// Who sends how much, requests a second.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    Bursty,
    Steady(u32),
    /// One of ten asks for what never works.
    WithSick(u32),
    /// One request in all is told to come back after a minute.
    WithTold(u32),
    /// Ten neighbours who send as much each as the proxy's clients together.
    AmongNeighbours(u32),
}

/// What happens in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Nothing,
    HalvedLimit,
    /// Connections are refused for three fifths of the time.
    Refused,
    /// Everything is 503 for three fifths of the time.
    Unavailable,
}

impl Event {
    /// From when to when it is, if requests are sent for so long.
    pub(crate) fn span(self, length: Duration) -> Range<Duration> {
        match self {
            Self::Nothing => length..length,
            Self::HalvedLimit => length / 2..length,
            Self::Refused | Self::Unavailable => length / 5..length * 4 / 5,
        }
    }
}

impl Scenario {
    /// How long requests are sent, if it is usually for `usual`: an outage lasts longer, and has as much before and after it.
    pub(crate) fn length(&self, usual: Duration) -> Duration {
        match self.event {
            Event::Nothing | Event::HalvedLimit => usual,
            Event::Refused | Event::Unavailable => usual * 5 / 2,
        }
    }

    /// Every request, in order.
    pub(crate) fn arrivals(&self, length: Duration, rng: &mut fastrand::Rng) -> Vec<Arrival> {
        let of = |who| move |at| Arrival { at, who };
        let moments = match self.load {
            Load::Bursty => bursty(length, rng),
            Load::Steady(rate)
            | Load::WithSick(rate)
            | Load::WithTold(rate)
            | Load::AmongNeighbours(rate) => steady(rate, length, rng),
        };
        let mut arrivals: Vec<_> = moments.into_iter().map(of(Who::Client)).collect();
        match self.load {
            Load::Bursty | Load::Steady(_) => {}
            Load::WithSick(_) => {
                for arrival in arrivals.iter_mut().step_by(10) {
                    arrival.who = Who::Sick;
                }
            }
            Load::WithTold(_) => {
                let middle = arrivals.len() / 2;
                arrivals[middle].who = Who::Told;
            }
            Load::AmongNeighbours(rate) => {
                let neighbours = steady(10 * rate, length, rng);
                arrivals.extend(neighbours.into_iter().map(of(Who::Neighbour)));
                arrivals.sort_unstable_by_key(|arrival| arrival.at);
            }
        }
        arrivals
    }
}

/// All scenarios, in the order in which they are played.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = vec![Scenario {
        name: "burst".into(),
        about: "60/s on average in bursts of 300/s, limit 100/s in bursts of 50".into(),
        has_rivals: true,
        capacity: Some(BUCKET),
        ..on_the_gateway(Promise::Burst {
            success: 0.995,
            attempts: 1.08,
            p99: Some(Duration::from_millis(3_500)),
        })
    }];
    all.extend([("500", Front::Rest), ("502", Front::Rest2018)].map(concurrency));
    all.extend([("1.5", 150), ("5", 500)].map(|(times, rate)| Scenario {
        name: format!("overload-{times}"),
        about: format!("{rate}/s all the time, limit 100/s in bursts of 50"),
        load: Load::Steady(rate),
        has_rivals: true,
        capacity: Some(BUCKET),
        ..on_the_gateway(Promise::Overload)
    }));
    all.push(Scenario {
        name: "calm".into(),
        about: "200/s, no limit, answered at once".into(),
        upstream: Kind::Origin {
            rate: None,
            service_time: Duration::ZERO,
        },
        load: Load::Steady(200),
        has_rivals: true,
        ..on_the_gateway(Promise::Unnoticed)
    });
    all.extend(alone());
    all
}

/// The bursts before a concurrency limit, whose throttles have this status on this front.
fn concurrency((status, front): (&str, Front)) -> Scenario {
    Scenario {
        name: format!("concurrency-{status}"),
        about: format!("the same load, 10 executions of 100 ms at once, throttles are {status}"),
        upstream: Kind::Gateway(gateway::Params {
            concurrency: Some(10),
            service_time: Duration::from_millis(100),
            front,
            ..gateway::Params::default()
        }),
        has_rivals: true,
        capacity: Some(Capacity {
            burst: 0.0,
            ..BUCKET
        }),
        ..on_the_gateway(Promise::Burst {
            success: 0.99,
            attempts: 1.10,
            p99: None,
        })
    }
}

/// Those where no other proxy is measured.
fn alone() -> Vec<Scenario> {
    let unlimited = Kind::Origin {
        rate: None,
        service_time: SERVICE_TIME,
    };
    let limited = Kind::Origin {
        rate: Some(100),
        service_time: SERVICE_TIME,
    };
    let mut alone = vec![
        Scenario {
            name: "sick".into(),
            about: "100/s, one of ten asks for a function that always looks throttled".into(),
            upstream: unlimited,
            load: Load::WithSick(100),
            ..on_the_gateway(Promise::SickApart)
        },
        Scenario {
            name: "told".into(),
            about: "100/s, one request in the middle gets 429 with Retry-After: 60".into(),
            upstream: unlimited,
            load: Load::WithTold(100),
            ..on_the_gateway(Promise::NobodyDelayed)
        },
    ];
    let outages = [
        ("refused", Event::Refused, "connections are refused"),
        ("503", Event::Unavailable, "everything is 503"),
    ];
    alone.extend(outages.map(|(how, event, about)| Scenario {
        name: format!("outage-{how}"),
        about: format!("110/s, limit 100/s; {about} for three fifths of the time"),
        upstream: limited,
        load: Load::Steady(110),
        event,
        ..on_the_gateway(Promise::NoHostage)
    }));
    alone.extend([("2", 18), ("1.2", 11)].map(|(times, rate)| Scenario {
        name: format!("neighbours-{times}"),
        about: format!(
            "{rate}/s, beside ten clients with as much each; limit 100/s in bursts of 50"
        ),
        load: Load::AmongNeighbours(rate),
        ..on_the_gateway(Promise::NotWorseThanDirect)
    }));
    alone.push(Scenario {
        name: "halved".into(),
        about: "90/s, the limit falls from 100/s to 50/s in the middle".into(),
        upstream: limited,
        load: Load::Steady(90),
        event: Event::HalvedLimit,
        ..on_the_gateway(Promise::Settles)
    });
    alone
}

fn on_the_gateway(promise: Promise) -> Scenario {
    Scenario {
        name: String::new(),
        about: String::new(),
        upstream: Kind::Gateway(rate_limited()),
        load: Load::Bursty,
        event: Event::Nothing,
        has_rivals: false,
        capacity: None,
        promise,
    }
}

/// The embedded gateway whose bucket is [`BUCKET`].
fn rate_limited() -> gateway::Params {
    gateway::Params {
        rate: Some(100),
        burst: Some(50),
        ..gateway::Params::default()
    }
}

const BUCKET: Capacity = Capacity {
    per_second: 100.0,
    burst: 50.0,
};
/// How long the origin's answers take: as long as the gateway's.
const SERVICE_TIME: Duration = Duration::from_millis(20);
