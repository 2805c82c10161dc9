//! The stage: two gateways, a redrive before one of them, and the traffic for both.
//!
//! The gateways have the same limits and each its own bucket, so that neither side takes anything from the other; the
//! redrive runs on its defaults. Every arrival is sent to both sides at once. All of it lives in this process and on this
//! task: dropping [`Stage::play`] ends every connection.
//!
//! What it opens is bounded, since a process often may open no more than 1,024 files: a request through redrive holds two
//! while it waits and four while an attempt runs (both ends of each connection), a direct one two, and
//! [`REDRIVE_CONNECTIONS_MAX`] and [`DIRECT_CONNECTIONS_MAX`] say how many there are at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at, sleep_until};

use super::Error;
use super::client::Client;
use super::operator::{self, Operator};
use super::report::{Limits, Report, SideReport, Traffic};
use super::schedule::{Arrival, Schedule, Shape};
use super::tally::{Exchange, Tally};
use crate::app::App;
use crate::clock;
use crate::dns::Resolver;
use crate::gateway::{self, Counts, Gateway};

/// What is played.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The traffic.
    pub shape: Shape,
    /// Where its randomness begins.
    pub seed: u64,
    /// How long requests are sent; until the stop where it is not set.
    pub length: Option<Duration>,
    /// Both gateways. Each listens on a port of its own, whatever this says.
    pub gateway: gateway::Params,
}

/// Everything that listens, bound and running.
pub struct Stage {
    direct: Backend,
    behind: Backend,
    client_addr: SocketAddr,
    admin_addr: SocketAddr,
    operator: Operator,
    /// The gateways and redrive, which run until this is dropped.
    running: JoinSet<()>,
}

/// Where the traffic stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since the traffic began.
    pub elapsed: Duration,
    /// Requests sent, to each side.
    pub sent: u64,
    /// Good answers sent directly.
    pub direct_ok: u64,
    /// Failures sent directly.
    pub direct_failed: u64,
    /// Good answers through redrive.
    pub redrive_ok: u64,
    /// Failures through redrive.
    pub redrive_failed: u64,
    /// Requests that redrive has not answered yet.
    pub redrive_waiting: u64,
}

/// A gateway that runs.
struct Backend {
    addr: SocketAddr,
    counts: Arc<Counts>,
}

/// Both sides' clients, and what became of their requests: direct first, redrive second.
struct Load {
    clients: [Client; 2],
    tallies: [Tally; 2],
    requests: JoinSet<(usize, Exchange)>,
    started: Instant,
}

impl Default for Plan {
    /// Twenty seconds of bursts against 100 requests per second in bursts of 50.
    fn default() -> Self {
        Self {
            shape: Shape::default(),
            seed: SEED,
            length: Some(LENGTH),
            gateway: gateway::Params {
                rate: Some(100),
                burst: Some(50),
                ..gateway::Params::default()
            },
        }
    }
}

impl Stage {
    /// Binds everything on free loopback ports, and lets it run.
    ///
    /// # Errors
    /// When the gateway's parameters contradict themselves, or nothing can be bound.
    pub async fn build(gateway: gateway::Params) -> Result<Self, Error> {
        let mut running = JoinSet::new();
        let direct = Backend::start(gateway, &mut running).await?;
        let behind = Backend::start(gateway, &mut running).await?;
        let app = App::build(
            &operator::load(behind.addr, &[])?.config,
            Resolver::of_system(),
        )
        .await?;
        let client_addr = app.client_addr().ok_or(Error::Unbound)?;
        let admin_addr = app.admin_addr().ok_or(Error::Unbound)?;
        let operator = Operator::new(app.reloader(), behind.addr);
        running.spawn(app.run(operator.asks_for_drain()));
        Ok(Self {
            operator,
            direct,
            behind,
            client_addr,
            admin_addr,
            running,
        })
    }

    /// Where redrive serves clients.
    pub fn client_addr(&self) -> SocketAddr {
        self.client_addr
    }

    /// Where redrive serves operators.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// Where the gateway is that is asked directly.
    pub fn direct_addr(&self) -> SocketAddr {
        self.direct.addr
    }

    /// Who changes redrive while it plays. Nobody does in the demo itself: when the stage is dropped, nobody is left to be served.
    pub fn operator(&self) -> Operator {
        self.operator.clone()
    }

    /// Sends the plan's traffic to both sides until it ends or `stop` does, and waits for the answers that are due.
    ///
    /// After the plan's end every request is waited for, which takes no longer than its client's patience of 35 s; after
    /// `stop`, for 2 s. `watch` is called every second, and at the end.
    ///
    /// # Errors
    /// When a gateway or redrive ends meanwhile.
    pub async fn play(
        mut self,
        plan: &Plan,
        stop: impl Future<Output = ()>,
        mut watch: impl FnMut(&Moment),
    ) -> Result<Report, Error> {
        let mut load = Load::new(self.direct.addr, self.client_addr);
        let mut arrivals = Schedule::new(plan.shape, plan.seed)
            .take_while(|arrival| plan.length.is_none_or(|length| arrival.at < length));
        let mut next = arrivals.next();
        let mut ticks = interval_at((load.started + SECOND).into(), SECOND);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut stop = pin!(stop);
        let mut stopped: Option<Instant> = None;
        while next.is_some() || !load.requests.is_empty() {
            let due = load.started + next.map_or(Duration::ZERO, |arrival| arrival.at);
            let cut_off = stopped.unwrap_or(load.started) + CUT_OFF;
            tokio::select! {
                biased;
                () = &mut stop, if stopped.is_none() => {
                    stopped = Some(clock::now());
                    next = None;
                }
                () = sleep_until(cut_off.into()), if stopped.is_some() => break,
                Some(_) = self.running.join_next() => return Err(Error::Ended),
                _ = ticks.tick() => watch(&load.moment()),
                Some(ended) = load.requests.join_next() => {
                    // A task that panicked has printed why; its request stays unanswered in the report.
                    if let Ok((side, exchange)) = ended {
                        load.tallies[side].record(exchange);
                    }
                }
                () = sleep_until(due.into()), if next.is_some() => {
                    if let Some(arrival) = next.take() {
                        load.send(arrival, due);
                    }
                    next = arrivals.next();
                }
            }
        }
        watch(&load.moment());
        let length = stopped.map_or_else(
            || plan.length.unwrap_or_default(),
            |stopped| stopped - load.started,
        );
        Ok(self.report(plan, length, &load))
    }

    fn report(&self, plan: &Plan, length: Duration, load: &Load) -> Report {
        let [direct, redrive] = &load.tallies;
        Report {
            traffic: Traffic::new(plan.shape, plan.seed, length),
            gateway: Limits::new(&plan.gateway),
            direct: SideReport::new(direct, &self.direct.counts.snapshot()),
            redrive: SideReport::new(redrive, &self.behind.counts.snapshot()),
        }
    }
}

impl Backend {
    async fn start(
        params: gateway::Params,
        running: &mut JoinSet<()>,
    ) -> Result<Self, gateway::Error> {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let gateway = Gateway::bind(gateway::Params { listen, ..params }).await?;
        let (addr, counts) = (gateway.local_addr(), gateway.counts());
        running.spawn(gateway.run(std::future::pending()));
        Ok(Self { addr, counts })
    }
}

impl Load {
    fn new(direct: SocketAddr, redrive: SocketAddr) -> Self {
        Self {
            clients: [
                Client::new(direct, DIRECT_CONNECTIONS_MAX),
                Client::new(redrive, REDRIVE_CONNECTIONS_MAX),
            ],
            tallies: [Tally::new(), Tally::new()],
            requests: JoinSet::new(),
            started: clock::now(),
        }
    }

    /// Sends the same request to both sides.
    fn send(&mut self, arrival: Arrival, due: Instant) {
        for (side, client) in self.clients.iter().enumerate() {
            let client = client.clone();
            self.tallies[side].count_sent();
            self.requests
                .spawn(async move { (side, client.send(arrival, due).await) });
        }
    }

    fn moment(&self) -> Moment {
        let [direct, redrive] = &self.tallies;
        Moment {
            elapsed: clock::now() - self.started,
            sent: direct.sent(),
            direct_ok: direct.ok(),
            direct_failed: direct.failed(),
            redrive_ok: redrive.ok(),
            redrive_failed: redrive.failed(),
            redrive_waiting: redrive.waiting(),
        }
    }
}

/// Any would do; this one is always the same, so that two runs can be compared.
const SEED: u64 = 20_180_601;
/// Four bursts: enough to see that each is survived, short enough to be watched.
const LENGTH: Duration = Duration::from_secs(20);
/// How often [`Stage::play`] shows where it stands.
const SECOND: Duration = Duration::from_secs(1);
/// How long requests on their way are waited for after a stop: who pressed the key waits as well.
const CUT_OFF: Duration = Duration::from_secs(2);
/// The most direct connections at once. Three hundred per second that take 20 ms need six; the rest is for slow machines.
const DIRECT_CONNECTIONS_MAX: usize = 40;
/// The most connections to redrive at once: the excess of a burst waits there, about eighty requests.
const REDRIVE_CONNECTIONS_MAX: usize = 120;
