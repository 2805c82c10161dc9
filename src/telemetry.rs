//! Logs: one subscriber for the process, JSON or text, on standard output. And traces, where somebody collects them
//! (`telemetry/traces.rs`).
//!
//! Events are made where things happen; this only decides their form (`telemetry/json.rs` for machines). `RUST_LOG` filters by
//! target and level, `info` by default. Lines are written by a thread of their own (`telemetry/writer.rs`): a log that nobody reads never
//! holds a request up.

mod json;
pub mod traces;
mod writer;

use std::io::{self, IsTerminal};
use std::sync::LazyLock;

use prometheus::{IntCounter, Registry};
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::proxy::account::Told;

pub use self::writer::Flush;

/// How redrive logs (`[log]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// The form of a line.
    pub format: Format,
    /// Which requests are told.
    pub requests: Told,
}

/// The form of a log line (`log.format`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Sets up the process's log; the lines so far are written when what is returned is dropped. A second call changes
/// nothing: whoever came first decides.
///
/// # Errors
/// When the system has no thread left for it.
pub fn init(params: Params) -> io::Result<Flush> {
    let (filter, fault) = match filter(&std::env::var("RUST_LOG").unwrap_or_default()) {
        Ok(filter) => (filter, None),
        Err(error) => (usual(), Some(error)),
    };
    let (lines, flush) = writer::start(io::stdout(), DROPPED.clone())?;
    // The filter's level is the whole log's: what is below it costs nobody more than a look.
    let filtered = tracing_subscriber::registry().with(filter);
    let told = fmt::layer().with_writer(lines);
    let set = match params.format {
        Format::Json => filtered.with(told.event_format(json::Json)).try_init(),
        Format::Text => filtered
            .with(told.with_target(false).with_ansi(wants_colour()))
            .try_init(),
    };
    if set.is_err() {
        tracing::debug!("the log is set up already");
    }
    if let Some(error) = fault {
        tracing::warn!(error, "RUST_LOG cannot be read: what is told is `info`");
    }
    Ok(flush)
}

/// What is told where nobody says it.
fn usual() -> Targets {
    Targets::new().with_default(LevelFilter::INFO)
}

/// `RUST_LOG`: levels and `target=level`, with commas between them. Spans and their fields cannot be named: that needs regular expressions
/// (`env-filter`), which are a share of the program's size that nothing else here wants.
///
/// # Errors
/// What cannot be meant, in words: a target that no module has would silence the log without a word.
fn filter(said: &str) -> Result<Targets, String> {
    let parts: Vec<&str> = (said.split(',').map(str::trim))
        .filter(|part| !part.is_empty())
        .collect();
    for part in &parts {
        let (target, level) = part.split_once('=').unwrap_or((part, "info"));
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '-');
        if level.is_empty() || !target.chars().all(is_name) {
            return Err(format!("`{part}` is neither a level nor target=level"));
        }
    }
    match parts.as_slice() {
        [] => Ok(usual()),
        parts => (parts.join(",").parse()).map_err(|error: ParseError| error.to_string()),
    }
}

/// Escape codes are for eyes alone, and not for those that say so (<https://no-color.org>).
fn wants_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !refused
}

/// Registers what the log counts.
///
/// # Errors
/// When it is registered already.
pub fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    registry.register(Box::new(DROPPED.clone()))
}

/// The process's, like the log itself.
static DROPPED: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new(
        "redrive_log_dropped_total",
        "Log lines dropped because nobody took them.",
    )
    .expect("name and help are sound")
});
