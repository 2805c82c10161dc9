//! Traces: where the spans that [`crate::proxy::trace`] makes go, by OTLP over HTTP, as OpenTelemetry's own environment
//! variables say. Without an endpoint they go nowhere, and none are made.
//!
//! Nothing here can hold a request up. Spans stand in a queue with a limit, a thread of the SDK sends them in batches
//! (`traces/exporter.rs`), and what a collector does not take is lost and told in the log, once a minute at most
//! (`traces/losses.rs`). The exporter has a client of its own (`traces/client.rs`), which nobody traces.
//!
//! Without the feature `otlp` there is one line in the log for those who expect traces.

#[cfg(not(feature = "otlp"))]
mod absent;
#[cfg(feature = "otlp")]
mod client;
#[cfg(feature = "otlp")]
mod exporter;
#[cfg(feature = "otlp")]
mod losses;

use std::env;

#[cfg(not(feature = "otlp"))]
pub use self::absent::{Traces, start};
#[cfg(feature = "otlp")]
pub use self::exporter::{Traces, start};

/// The variable that names an endpoint for traces, if one does and nothing else switches them off.
fn endpoint() -> Option<&'static str> {
    let is = |name, value| env::var(name).is_ok_and(|found| found.eq_ignore_ascii_case(value));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return None;
    }
    let names = ENDPOINTS.into_iter();
    let mut named = names.filter(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    named.next()
}

/// What names an endpoint: one for traces alone, which is taken as it stands, and one for everything.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];
