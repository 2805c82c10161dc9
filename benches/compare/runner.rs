//! A proxy that runs, and what is measured of it: saturated, and at a pace.

use std::time::Duration;

use super::Fault;
use super::load::Load;
use super::rival::{Proxy, Rival};
use super::scenario::Scenario;

/// A proxy that runs, and what was measured of it.
pub(crate) struct Runner {
    rival: Rival,
    proxy: Proxy,
    idle_memory: u64,
    cpu: Vec<Duration>,
    per_second: Vec<f64>,
    paced: Vec<Paced>,
}

/// What came of a turn at a pace.
struct Paced {
    cpu: Duration,
    median: Duration,
    p99: Duration,
}

impl Runner {
    /// A proxy that has started, and has nothing to do yet.
    pub(crate) fn new(rival: Rival, proxy: Proxy) -> Result<Self, Fault> {
        Ok(Self {
            rival,
            idle_memory: memory(&proxy)?,
            proxy,
            cpu: Vec::new(),
            per_second: Vec::new(),
            paced: Vec::new(),
        })
    }

    /// Plays a load for so long, saturated and then at its pace, if it has one.
    pub(crate) async fn turn(
        &mut self,
        scenario: &Scenario,
        length: Duration,
        counts: bool,
    ) -> Result<(), Fault> {
        let flat_out = Load::flat_out(self.proxy.addr, scenario, length);
        let (load, cpu) = self.spend(flat_out).await?;
        if !counts {
            return Ok(());
        }
        self.cpu.push(cpu);
        self.per_second.push(load.per_second());
        if let Some(pace) = scenario.pace {
            let paced = Load::paced(self.proxy.addr, scenario, pace, length);
            let (load, cpu) = self.spend(paced).await?;
            self.paced.push(Paced {
                cpu,
                median: load.took(0.5),
                p99: load.took(0.99),
            });
        }
        Ok(())
    }

    pub(crate) fn print_titles() {
        println!(
            "  {:<10}{:>14}{:>18}{:>12}{:>14}{:>10}{:>11}{:>12}{:>12}",
            "",
            "CPU/request",
            "least..most",
            "requests/s",
            "CPU at pace",
            "p50",
            "p99",
            "RSS idle",
            "RSS after"
        );
    }

    /// What came of a load, and what each of its requests took of the processor.
    async fn spend(
        &self,
        load: impl Future<Output = Result<Load, Fault>>,
    ) -> Result<(Load, Duration), Fault> {
        let before = cpu(&self.proxy)?;
        let load = load.await?;
        let spent = cpu(&self.proxy)?.saturating_sub(before);
        let requests = u32::try_from(load.requests)?;
        Ok((load, spent / requests.max(1)))
    }

    /// Medians of the rounds.
    pub(crate) fn print(&self) -> Result<(), Fault> {
        let micros = |took: Duration| format!("{:.1}", took.as_secs_f64() * 1e6);
        let least = self.cpu.iter().min().copied().unwrap_or_default();
        let most = self.cpu.iter().max().copied().unwrap_or_default();
        let at_pace = |of: fn(&Paced) -> Duration| {
            let turns = self.paced.iter().map(of);
            median(turns, Duration::cmp)
                .map_or_else(|| "-".to_owned(), |it| format!("{} us", micros(it)))
        };
        println!(
            "  {:<10}{:>11} us{:>18}{:>12.0}{:>14}{:>10}{:>11}{:>9.1} MB{:>9.1} MB",
            self.rival.name(),
            micros(median(self.cpu.iter().copied(), Duration::cmp).unwrap_or_default()),
            format!("{}..{}", micros(least), micros(most)),
            median(self.per_second.iter().copied(), f64::total_cmp).unwrap_or_default(),
            at_pace(|it| it.cpu),
            at_pace(|it| it.median),
            at_pace(|it| it.p99),
            megabytes(self.idle_memory),
            megabytes(memory(&self.proxy)?),
        );
        Ok(())
    }

    /// What a request took here for one that it took there in the same round, in the middle of the rounds: saturated, and at the
    /// pace. What the machine does for longer than a round meets both.
    pub(crate) fn print_beside(&self, other: &Self) {
        let ratios = |own: &[Duration], of: &[Duration]| {
            let rounds = own.iter().zip(of);
            let ratios = rounds.map(|(own, of)| own.as_secs_f64() / of.as_secs_f64());
            median(ratios, f64::total_cmp).map_or_else(|| "-".to_owned(), |it| format!("{it:.2}"))
        };
        println!(
            "  {} / {}, round by round: {}, at pace {}",
            self.rival.name(),
            other.rival.name(),
            ratios(&self.cpu, &other.cpu),
            ratios(&self.paced_cpu(), &other.paced_cpu()),
        );
    }

    fn paced_cpu(&self) -> Vec<Duration> {
        self.paced.iter().map(|paced| paced.cpu).collect()
    }
}

/// The one in the middle.
fn median<T: Copy>(
    of: impl Iterator<Item = T>,
    order: fn(&T, &T) -> std::cmp::Ordering,
) -> Option<T> {
    let mut all: Vec<T> = of.collect();
    all.sort_unstable_by(order);
    all.get(all.len() / 2).copied()
}

fn cpu(proxy: &Proxy) -> Result<Duration, Fault> {
    let process = proxy.process.as_ref().ok_or("nobody to measure")?;
    process.cpu()
}

pub(crate) fn memory(proxy: &Proxy) -> Result<u64, Fault> {
    let process = proxy.process.as_ref().ok_or("nobody to weigh")?;
    process.memory()
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
