//! What share of the requests succeeds, at how many attempts and after what wait: redrive on its defaults over real sockets,
//! beside other proxies and beside nothing, held against the product's targets.
//!
//! ```sh
//! cargo bench --bench goodput                          # everything, about 20 minutes
//! cargo bench --bench goodput -- burst redrive nginx   # some scenarios, some proxies
//! cargo bench --bench goodput -- --list
//! ```
//!
//! Clients and upstream live in this process, every proxy in one of its own; all of it is on loopback, and ends with the bench.
//! Proxies that are not on the `PATH` are skipped. The exit code is 1 where redrive missed a target.
//!
//! | file | holds |
//! |---|---|
//! | `scenario` | what is played |
//! | `promise` | what redrive has to reach there |
//! | `load` | the clients |
//! | `origin` | the upstream |
//! | `rival` | the proxies |
//! | `setup` | their configurations |
//! | `process` | starting, ending and weighing them |
//! | `figures` | what a run comes to |
//! | `report` | what is printed |
//! | `crowd` | what ten thousand waiting requests weigh, and what their leaving costs |

mod crowd;
mod figures;
mod load;
mod origin;
mod process;
mod promise;
mod report;
mod rival;
mod scenario;
mod setup;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use clap::Parser;
use redrive::clock;
use tokio::signal::unix::{SignalKind, signal};

use self::figures::Run;
use self::load::Who;
use self::origin::Upstream;
use self::promise::Promise;
use self::report::Report;
use self::rival::{Place, Rival};
use self::scenario::{Event, Scenario};

/// Whatever keeps the bench from measuring: it says so and ends.
pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// What share of the requests succeeds, and after what.
#[derive(Debug, Parser)]
#[command(name = "goodput")]
struct Args {
    /// Scenarios and proxies, by name or the beginning of one; all of them if none is given
    names: Vec<String>,
    /// Say what there is, and measure nothing
    #[arg(long)]
    list: bool,
    /// How long a scenario sends requests; an outage takes two and a half times that. Targets are for 20
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Where the randomness of the arrivals begins
    #[arg(long, default_value_t = 20_180_601)]
    seed: u64,
    /// One JSON array on standard output at the end
    #[arg(long)]
    json: bool,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        list();
        return ExitCode::SUCCESS;
    }
    let measured = tokio::select! {
        measured = measure(&args) => measured,
        // Dropped in the middle, it ends what it started.
        stopped = told_to_stop() => stopped,
    };
    match measured {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(fault) => {
            eprintln!("goodput: {fault}");
            ExitCode::from(2)
        }
    }
}

/// Waits for SIGTERM or SIGINT.
async fn told_to_stop() -> Result<bool, Fault> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Err("stopped".into())
}

fn list() {
    for scenario in scenario::all() {
        println!("{:<18}{}", scenario.name, scenario.about);
    }
    println!("{:<18}{}", crowd::NAME, crowd::ABOUT);
    for rival in Rival::ALL {
        let version = rival.version();
        let version = version.as_deref().unwrap_or("not installed, skipped");
        println!("{:<18}{version}", rival.name());
    }
}

/// Measures what was asked for. Says whether redrive reached its targets.
async fn measure(args: &Args) -> Result<bool, Fault> {
    let files = process::raise_file_limit()?;
    let scenarios = scenario::all();
    let is_known = |name: &String| {
        let scenario = |scenario: &Scenario| scenario.name.starts_with(name.as_str());
        crowd::NAME == name || is_rival(name) || scenarios.iter().any(scenario)
    };
    if let Some(unknown) = args.names.iter().find(|name| !is_known(name)) {
        return Err(format!("`{unknown}` is neither a scenario nor a proxy; see --list").into());
    }
    let (rivals, names): (Vec<_>, Vec<_>) = args.names.iter().partition(|name| is_rival(name));
    let is_asked =
        |name: &str| names.is_empty() || names.iter().any(|asked| name.starts_with(asked.as_str()));
    let rivals = Rival::ALL
        .into_iter()
        .filter(|rival| rivals.is_empty() || rivals.iter().any(|asked| *asked == rival.name()));

    let mut report = Report::new(args.json);
    let dir = Directory::new()?;
    let mut installed = Vec::new();
    for rival in rivals {
        match rival.version() {
            Some(version) => {
                report.say(&format!("{:<12}{version}", rival.name()));
                installed.push(rival);
            }
            None => report.say(&format!("{:<12}not installed, skipped", rival.name())),
        }
    }
    for scenario in scenarios.iter().filter(|scenario| is_asked(&scenario.name)) {
        play(scenario, &installed, args, &dir.0, &mut report).await?;
    }
    if is_asked(crowd::NAME) && installed.contains(&Rival::Redrive) {
        crowd::measure(files, &dir.0, &mut report).await?;
    }
    Ok(report.close())
}

fn is_rival(name: &String) -> bool {
    Rival::ALL.iter().any(|rival| rival.name() == name)
}

/// Plays a scenario through every proxy that it is for.
async fn play(
    scenario: &Scenario,
    installed: &[Rival],
    args: &Args,
    dir: &Path,
    report: &mut Report,
) -> Result<(), Fault> {
    report.open(&scenario.name, &scenario.about);
    report.head();
    // Some promises are about the difference to going directly.
    let is_relative = matches!(
        scenario.promise,
        Promise::Unnoticed | Promise::NotWorseThanDirect
    );
    let mut direct = None;
    for rival in Rival::ALL {
        let is_wanted = match rival {
            Rival::Direct if is_relative => true,
            Rival::Redrive => installed.contains(&rival),
            _ => scenario.has_rivals && installed.contains(&rival),
        };
        if !is_wanted {
            continue;
        }
        let run = run(scenario, rival, args, dir).await?;
        report.row(&scenario.name, rival, &run);
        match rival {
            Rival::Direct => direct = Some(run),
            Rival::Redrive => {
                let targets = scenario.promise.targets(&run, direct.as_ref());
                report.targets(&scenario.name, &targets);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Plays a scenario through one proxy, with an upstream of its own.
async fn run(scenario: &Scenario, rival: Rival, args: &Args, dir: &Path) -> Result<Run, Fault> {
    let length = scenario.length(Duration::from_secs(args.seconds));
    // The same seed for everybody, so that all meet the same load.
    let arrivals = scenario.arrivals(length, &mut fastrand::Rng::with_seed(args.seed));
    let mut upstream = Upstream::start(scenario.upstream).await?;
    let proxy = rival.start(Place::plain(upstream.addr, 2), dir)?;
    // Some look at their upstream when they start.
    tokio::time::sleep(SETTLE).await;
    let before = upstream.requests();

    let started = clock::now();
    let played = load::play(&arrivals, started, proxy.addr, upstream.addr);
    let (exchanges, happened) = tokio::join!(
        played,
        happen(scenario.event, &mut upstream, started, length)
    );
    happened?;
    let neighbours = exchanges
        .iter()
        .filter(|exchange| exchange.who == Who::Neighbour)
        .count();
    Ok(Run {
        attempts: upstream.requests() - before - neighbours,
        moments: upstream.moments(started),
        exchanges,
        length,
        event: scenario.event.span(length),
        capacity: scenario.capacity,
    })
}

/// What happens to the upstream while requests are sent.
async fn happen(
    event: Event,
    upstream: &mut Upstream,
    started: Instant,
    length: Duration,
) -> Result<(), Fault> {
    let span = event.span(length);
    tokio::time::sleep_until((started + span.start).into()).await;
    match event {
        Event::Nothing => return Ok(()),
        Event::HalvedLimit => upstream.set_rate(50),
        Event::Refused => upstream.leave().await?,
        Event::Unavailable => upstream.set_unavailable(true),
    }
    tokio::time::sleep_until((started + span.end).into()).await;
    upstream.set_unavailable(false);
    upstream.come_back()
}

/// Where configurations and logs are written; removed with its handle.
struct Directory(PathBuf);

impl Directory {
    fn new() -> io::Result<Self> {
        let dir = env::temp_dir().join(format!("redrive-goodput-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Nothing depends on its being gone.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// How long a proxy that listens is left alone before the load.
const SETTLE: Duration = Duration::from_millis(200);
