//! `redrive demo`: the main job, to be seen within half a minute and without an account.
//!
//! Two embedded gateways and a redrive in this process, and the same bursts sent to one gateway directly and to the other
//! through redrive. It configures nothing that an operator would not get by default, and it is no benchmark: clients,
//! redrive and gateways share the machine.
//!
//! | file | holds |
//! |---|---|
//! | `schedule` | when which request is sent |
//! | `client` | one that cannot retry |
//! | `operator` | who configures redrive, reloads and drains it |
//! | `stage` | gateways, redrive and clients, wired and played |
//! | `tally` | what the clients saw |
//! | `report` | both sides beside each other |
//! | `screen` | what is said, and when |

use std::io::{self, IsTerminal};

use tokio::signal::unix::{SignalKind, signal};

use crate::{app, config, gateway};

mod client;
mod operator;
mod report;
mod schedule;
mod screen;
mod stage;
mod tally;

pub use self::operator::Operator;
pub use self::report::{Limits, Report, SideReport, Traffic};
pub use self::schedule::Shape;
pub use self::stage::{Moment, Plan, Stage};

use self::screen::{Form, Screen, addresses};

/// What the command line says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// One JSON object on standard output, and nothing else there.
    pub json: bool,
    /// Traffic and listeners stay until SIGINT or SIGTERM.
    pub stay: bool,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A gateway cannot start.
    #[error("the embedded gateway cannot start")]
    Gateway(#[from] gateway::Error),
    /// redrive's defaults are no configuration.
    #[error("the embedded redrive cannot be configured")]
    Config(#[from] config::Error),
    /// redrive cannot start.
    #[error("the embedded redrive cannot start")]
    App(#[from] app::Error),
    /// A listener does not say where it listens.
    #[error("the embedded redrive does not say where it listens")]
    Unbound,
    /// A gateway or redrive ended while there was traffic.
    #[error("a gateway or redrive ended while there was traffic")]
    Ended,
    /// The process cannot learn when it is to stop.
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
    /// Nobody takes the result.
    #[error("cannot write the result")]
    Write(#[source] io::Error),
}

/// Plays the demo and prints what came of it. SIGINT or SIGTERM ends the traffic early: what was measured until then is
/// printed, and that is no error.
///
/// # Errors
/// When something cannot start, or the result cannot be written.
pub async fn run(params: Params) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let defaults = Plan::default();
    let plan = Plan {
        length: defaults.length.filter(|_| !params.stay),
        ..defaults
    };
    let stage = Stage::build(plan.gateway).await?;
    let out = io::stdout();
    let form = match (params.json, out.is_terminal()) {
        (true, _) => Form::Json,
        (false, true) => Form::Terminal,
        (false, false) => Form::Lines,
    };
    let mut screen = Screen::new(out, form);
    screen.open(&plan, &stage);
    if params.json && params.stay {
        // Who stays wants to know where; standard output is the object's alone.
        Screen::new(io::stderr(), Form::Lines).say(format_args!("{}\n", addresses(&stage)));
    }
    let report = stage
        .play(&plan, stop, |moment| screen.show(moment))
        .await?;
    screen.close(&report).map_err(Error::Write)
}
