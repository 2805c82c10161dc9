//! What a request costs in the proxy that it goes through: processor time and memory, redrive beside others, on one core.
//!
//! ```sh
//! cargo bench --bench compare                         # everything, about 8 minutes
//! cargo bench --bench compare -- plain nginx redrive  # some loads, some proxies
//! cargo bench --bench compare -- --list
//! ```
//!
//! Every proxy runs in a process of its own on the first core, clients and upstream on the second. All of them are asked in turn, round
//! by round, so that whatever else the machine does meets all of them; the median of the rounds is told. All of it is on loopback, and
//! ends with the bench. Proxies that are not on the `PATH` are skipped and named.
//!
//! | file | holds |
//! |---|---|
//! | `load` | the clients |
//! | `origin` | the upstream |
//! | `runner` | what is measured of a proxy |
//! | `scenario` | what is asked and answered |
//! | `core` | who runs where |
//! | `crowd` | what many clients weigh, idle and waiting |
//!
//! How the proxies are set up and started is what `benches/goodput` does, in the same files.

mod core;
mod crowd;
mod load;
mod origin;
#[path = "../goodput/process.rs"]
mod process;
#[path = "../goodput/rival.rs"]
#[allow(dead_code, reason = "not all of them are compared here")]
mod rival;
mod runner;
mod scenario;
#[path = "../goodput/setup.rs"]
mod setup;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, io};

use clap::Parser;

use self::origin::Origin;
use self::rival::{Place, Proxy, Rival};
use self::runner::Runner;
use self::scenario::Scenario;

/// Whatever keeps the bench from measuring: it says so and ends.
pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// What a request costs in the proxy that it goes through.
#[derive(Debug, Parser)]
#[command(name = "compare")]
struct Args {
    /// Loads and proxies, by name; all of them if none is given
    names: Vec<String>,
    /// Say what there is, and measure nothing
    #[arg(long)]
    list: bool,
    /// How often every proxy has its turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long a turn takes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        list();
        return ExitCode::SUCCESS;
    }
    match measure(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("compare: {fault}");
            ExitCode::from(2)
        }
    }
}

fn list() {
    for scenario in Scenario::ALL {
        println!("{:<10}{}", scenario.name, scenario.about);
    }
    println!("{:<10}{}", crowd::NAME, crowd::ABOUT);
    for rival in RIVALS {
        let version = rival.version();
        let version = version.as_deref().unwrap_or("not installed, skipped");
        println!("{:<10}{version}", rival.name());
    }
}

fn measure(args: &Args) -> Result<(), Fault> {
    let files = process::raise_file_limit()?;
    let is_rival = |name: &String| RIVALS.iter().any(|rival| rival.name() == name);
    let (rivals, loads): (Vec<_>, Vec<_>) = args.names.iter().partition(|name| is_rival(name));
    let is_load =
        |name: &str| name == crowd::NAME || Scenario::ALL.iter().any(|it| it.name == name);
    if let Some(unknown) = loads.iter().find(|name| !is_load(name)) {
        return Err(format!("`{unknown}` is neither a load nor a proxy; see --list").into());
    }
    let is_asked = |name: &str| loads.is_empty() || loads.iter().any(|asked| *asked == name);
    let mut installed = Vec::new();
    for rival in RIVALS {
        if !rivals.is_empty() && !rivals.iter().any(|name| *name == rival.name()) {
            continue;
        }
        let version = rival.version();
        println!(
            "{:<10}{}",
            rival.name(),
            version.as_deref().unwrap_or("not installed, skipped")
        );
        installed.extend(version.map(|_| rival));
    }
    core::take(core::LOAD)?;
    let dir = Directory::new()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for scenario in Scenario::ALL {
        if is_asked(scenario.name) {
            runtime.block_on(play(&scenario, &installed, args, &dir.0))?;
        }
    }
    if is_asked(crowd::NAME) {
        runtime.block_on(crowd::weigh(&installed, files, &dir.0))?;
    }
    Ok(())
}

/// Plays a load through every proxy in turn, and prints what came of it.
async fn play(scenario: &Scenario, rivals: &[Rival], args: &Args, dir: &Path) -> Result<(), Fault> {
    println!("\n{}: {}", scenario.name, scenario.about);
    let origin = Origin::start(scenario, dir).await?;
    let mut runners = Vec::new();
    for &rival in rivals {
        let proxy = start(rival, &origin, dir)?;
        tokio::time::sleep(SETTLE).await;
        runners.push(Runner::new(rival, proxy)?);
    }
    let length = Duration::from_secs(args.seconds);
    for round in 0..=args.rounds {
        for runner in &mut runners {
            // The first round is for buffers to grow and connections to open.
            runner.turn(scenario, length, round > 0).await?;
        }
    }
    Runner::print_titles();
    for runner in &runners {
        runner.print()?;
    }
    // The last of them is redrive, if it was asked for.
    if let Some((own, others)) = runners.split_last() {
        others.iter().for_each(|other| own.print_beside(other));
    }
    Ok(())
}

/// Starts a proxy on its core.
fn start(rival: Rival, origin: &Origin, dir: &Path) -> Result<Proxy, Fault> {
    // A child runs where its parent does, and counts the cores that it may use.
    core::take(core::PROXY)?;
    let place = Place {
        certificate: origin.certificate.as_deref(),
        ..Place::plain(origin.addr, 1)
    };
    let proxy = rival.start(place, dir);
    core::take(core::LOAD)?;
    proxy
}

/// Where configurations and logs are written; removed with its handle.
struct Directory(PathBuf);

impl Directory {
    fn new() -> io::Result<Self> {
        let dir = env::temp_dir().join(format!("redrive-compare-{}", std::process::id()));
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

/// Who is compared.
const RIVALS: [Rival; 5] = [
    Rival::Nginx,
    Rival::Haproxy,
    Rival::Envoy,
    Rival::Caddy,
    Rival::Redrive,
];

/// How long a proxy that listens is left alone before it is weighed.
const SETTLE: Duration = Duration::from_millis(200);
