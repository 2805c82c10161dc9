//! Logs: one subscriber for the process, JSON or text, on standard output.
//!
//! Events are made where things happen; this only decides their form. `RUST_LOG` filters as usual, `info` by default.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::proxy::account::Told;

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

/// Sets up the process's log. A second call changes nothing: whoever came first decides.
pub fn init(params: Params) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    let set = match params.format {
        Format::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .finish()
            .try_init(),
        Format::Text => builder.with_target(false).finish().try_init(),
    };
    if set.is_err() {
        tracing::debug!("the log is set up already");
    }
}
