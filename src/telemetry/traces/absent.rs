//! A redrive without the feature `otlp`: it makes no traces, and says so to those who expect some.

use std::time::Instant;

/// Nothing to export.
pub struct Traces;

/// Starts nothing.
pub fn start() -> Traces {
    if let Some(variable) = super::endpoint() {
        tracing::warn!(
            variable,
            "no traces are exported: this redrive was built without the feature `otlp`"
        );
    }
    Traces
}

impl Traces {
    /// There is nothing to send.
    pub async fn flush(self, _ends: Option<Instant>) {}
}
