//! The command line: commands, flags, help. What they do stands elsewhere.
//!
//! Values of flags that are also keys of the configuration stay text here: they are its topmost layer, and a wrong one is
//! reported with all the other faults.

mod simulate;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Flags, Sources};
use crate::{demo, gateway};

pub use self::simulate::SimulateArgs;

/// The program's arguments.
#[derive(Debug, Parser)]
#[command(
    name = "redrive",
    version,
    about = "A reverse retry proxy between clients that cannot retry and Amazon API Gateway",
    override_usage = "redrive [OPTIONS] [COMMAND]",
    after_help = EXAMPLE,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: ConfigArgs,
}

/// What the program is asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Proxy; also without any command
    #[command(after_help = RUN_HELP)]
    Run(ConfigArgs),
    /// Validate a configuration, show it, or explain an answer
    Check(CheckArgs),
    /// Show the main job, directly and through redrive
    Demo(DemoArgs),
    /// Stand in for API Gateway and Lambda, with exact limits
    Gateway(GatewayArgs),
    /// Say what a configuration would do, under given limits and load
    Simulate(SimulateArgs),
    /// Exit 0 when the local sidecar is ready
    Health(HealthArgs),
}

/// Where the configuration comes from, besides the environment.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigArgs {
    /// Configuration file [env: REDRIVE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where requests go [env: REDRIVE_UPSTREAM]
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Where clients connect [default: 127.0.0.1:7480]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Health and metrics [default: 127.0.0.1:7481]
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
}

/// `redrive check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The configuration to look at.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Show every value and where it came from
    #[arg(long)]
    pub print: bool,
    /// Show the JSON schema of the file
    #[arg(long, conflicts_with_all = ["print", "explain"])]
    pub schema: bool,
    /// Say how a saved raw HTTP response is classified, and why; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "print")]
    pub explain: Option<PathBuf>,
}

/// `redrive demo`.
#[derive(Clone, Copy, Debug, Args)]
pub struct DemoArgs {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Keep the traffic and the listeners up until SIGINT or SIGTERM
    #[arg(long)]
    pub stay: bool,
}

/// `redrive gateway`.
#[derive(Clone, Copy, Debug, Args)]
pub struct GatewayArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value_t = gateway::Params::default().listen)]
    listen: SocketAddr,
    /// Requests per second; no limit if not given
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Requests at once after a pause; as many as the rate if not given
    #[arg(long, value_name = "N", requires = "rate")]
    burst: Option<u32>,
    /// Executions at once; no limit if not given
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// How long an execution takes
    #[arg(long, value_name = "TIME", default_value = "20ms", value_parser = humantime::parse_duration)]
    service_time: Duration,
    /// Requests in all, as a usage plan's quota; no limit if not given
    #[arg(long, value_name = "N")]
    quota: Option<u64>,
    /// rest, rest-2018, http, function-url or alb
    #[arg(long, value_name = "FRONT", default_value_t = gateway::Front::Rest)]
    front: gateway::Front,
}

/// `redrive health`.
#[derive(Clone, Debug, Args)]
pub struct HealthArgs {
    /// The sidecar's admin address [default: as configured]
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// The sidecar's configuration file [env: REDRIVE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Why the program ends without having done what it was asked: one readable block, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What to print on stderr.
    pub text: String,
}

impl Cli {
    /// The command; to proxy where none is given.
    pub fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Run(self.run))
    }
}

impl ConfigArgs {
    /// The flags as the configuration's topmost layer, over the process's environment and files.
    pub fn sources(self) -> Sources<'static> {
        let flags = Flags {
            config: self.config,
            upstream: self.upstream,
            listen: self.listen,
            admin: self.admin,
        };
        sources(flags)
    }
}

impl HealthArgs {
    /// What is needed to learn the admin address.
    pub fn sources(self) -> Sources<'static> {
        let flags = Flags {
            config: self.config,
            admin: self.admin,
            ..Flags::default()
        };
        sources(flags)
    }
}

impl From<DemoArgs> for demo::Params {
    fn from(args: DemoArgs) -> Self {
        Self {
            json: args.json,
            stay: args.stay,
        }
    }
}

impl From<GatewayArgs> for gateway::Params {
    fn from(args: GatewayArgs) -> Self {
        Self {
            listen: args.listen,
            rate: args.rate,
            burst: args.burst,
            concurrency: args.concurrency,
            service_time: args.service_time,
            quota: args.quota,
            front: args.front,
        }
    }
}

impl Failure {
    /// A failure that is told with all its causes.
    pub fn new(code: u8, error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Self { code, text }
    }
}

/// The sources of a configuration in this process.
fn sources(flags: Flags) -> Sources<'static> {
    let env: BTreeMap<String, String> = std::env::vars_os()
        .map(|(name, value)| {
            // A name or value that is not UTF-8 is shown as well as it can be, and refused where it is read.
            let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
            (text(name), text(value))
        })
        .filter(|(name, _)| name.starts_with("REDRIVE_"))
        .collect();
    Sources {
        flags,
        env,
        read: &config::read_file,
    }
}

impl From<gateway::Error> for Failure {
    fn from(error: gateway::Error) -> Self {
        let code = match error {
            gateway::Error::Listen { .. } | gateway::Error::Signals(_) => EXIT_CANNOT_START,
            _ => EXIT_USAGE,
        };
        Self::new(code, &error)
    }
}

/// Prints to stdout.
pub fn say(text: &str) {
    print(io::stdout().lock(), text);
}

/// Prints to stderr.
pub fn complain(text: &str) {
    print(io::stderr().lock(), text);
}

fn print(mut out: impl Write, text: &str) {
    if text.is_empty() {
        return;
    }
    // A reader that left early (`| head`) wants no more, and there is nobody to tell.
    writeln!(out, "{}", text.trim_end())
        .and_then(|()| out.flush())
        .ok();
}

/// The arguments contradict one another; what clap exits with, too.
const EXIT_USAGE: u8 = 2;

/// A listener or the runtime cannot start (`EX_UNAVAILABLE` of BSD's sysexits).
const EXIT_CANNOT_START: u8 = 69;

/// What the help of `run` ends with.
const RUN_HELP: &str = "\
Signals:
  HUP        reload the configuration, as a change of its file does by itself;
             `redrive check` names what needs a restart
  TERM, INT  drain: serve until nobody asks any more; a second one ends it now

Example:
  redrive run --config redrive.toml";

/// What the program's help ends with.
const EXAMPLE: &str = "\
Example:
  redrive --upstream https://abc123.execute-api.eu-west-1.amazonaws.com/prod
  curl http://127.0.0.1:7480/orders
Every key has an environment form: REDRIVE_RETRY__MAX_ATTEMPTS__THROTTLED=5";

#[cfg(test)]
mod tests;
