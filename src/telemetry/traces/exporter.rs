//! The process's exporter: the SDK with its queue and its thread, around our client.

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::{Context, global};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, Span, SpanData, SpanProcessor,
};

use super::client::Client;
use super::losses::Losses;
use crate::clock;

/// The process's exporter, if it has one.
pub struct Traces(Option<Running>);

struct Running {
    provider: SdkTracerProvider,
    losses: Arc<Losses>,
}

/// The SDK's queue, with a count of what it is not given because it is full.
#[derive(Debug)]
struct Queue {
    inner: BatchSpanProcessor,
    losses: Arc<Losses>,
}

/// The SDK's exporter, with a count of what it did not get to the collector.
#[derive(Debug)]
struct Exporter {
    inner: SpanExporter,
    losses: Arc<Losses>,
}

/// Starts to export, if the environment names an endpoint. A fault there costs the traces, and is told; it is no reason not to
/// start.
pub fn start() -> Traces {
    let Some(variable) = super::endpoint() else {
        return Traces(None);
    };
    match build(uses_tls(variable)) {
        Ok(running) => {
            global::set_text_map_propagator(TraceContextPropagator::new());
            global::set_tracer_provider(running.provider.clone());
            tracing::info!(variable, "traces are exported");
            warn_of_protocol();
            Traces(Some(running))
        }
        Err(error) => {
            let error = &*error;
            tracing::warn!(variable, error, "no traces are exported");
            Traces(None)
        }
    }
}

fn build(uses_tls: bool) -> Result<Running, Box<dyn Error>> {
    let losses = Arc::new(Losses::default());
    let client = Client::new(uses_tls, Arc::clone(&losses))?;
    let exporter = SpanExporter::builder().with_http().with_http_client(client);
    let exporter = Exporter {
        inner: exporter.build()?,
        losses: Arc::clone(&losses),
    };
    let config = BatchConfigBuilder::default().with_max_queue_size(QUEUE_MAX);
    let inner = BatchSpanProcessor::builder(exporter).with_batch_config(config.build());
    let queue = Queue {
        inner: inner.build(),
        losses: Arc::clone(&losses),
    };
    let mut resource = Resource::builder();
    if !has_service_name() {
        resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
    }
    let provider = SdkTracerProvider::builder()
        .with_span_processor(queue)
        .with_resource(resource.build())
        .build();
    Ok(Running { provider, losses })
}

/// Whether the endpoint that this variable names is one of https.
fn uses_tls(variable: &str) -> bool {
    let endpoint = env::var(variable).unwrap_or_default();
    let scheme = endpoint.get(..6).unwrap_or_default();
    scheme.eq_ignore_ascii_case("https:")
}

/// Whether the environment names the service; ours would take precedence over it.
fn has_service_name() -> bool {
    let is_set = |name, holds: fn(&str) -> bool| env::var(name).is_ok_and(|it| holds(&it));
    is_set("OTEL_SERVICE_NAME", |name| !name.is_empty())
        || is_set("OTEL_RESOURCE_ATTRIBUTES", |all| {
            all.split(',')
                .any(|one| one.trim().starts_with("service.name="))
        })
}

/// A collector that waits for gRPC on its port does not understand us, and says so in no way that a person can read.
fn warn_of_protocol() {
    let names = [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ];
    let asked = names.into_iter().find_map(|name| env::var(name).ok());
    if let Some(protocol) = asked.filter(|it| !it.is_empty() && it != PROTOCOL) {
        tracing::warn!(
            protocol,
            "traces are exported by {PROTOCOL}, the only way there is"
        );
    }
}

impl Traces {
    /// Sends what is left: until a drain's end, though for `FLUSH_MIN` in any case and for `FLUSH_MAX` at most. What does not
    /// get through by then is lost.
    pub async fn flush(self, ends: Option<Instant>) {
        let Some(Running { provider, losses }) = self.0 else {
            return;
        };
        let left = ends.map_or(FLUSH_MAX, |ends| {
            ends.saturating_duration_since(clock::now())
        });
        let limit = left.clamp(FLUSH_MIN, FLUSH_MAX);
        let flushing = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(limit));
        // What came of it shows in the count.
        let _ended = flushing.await;
        losses.close();
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.losses.enter(QUEUE_MAX) {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl opentelemetry_sdk::trace::SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        self.losses.leave(spans, &result, clock::now());
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// The form in which spans travel (`OTEL_EXPORTER_OTLP_PROTOCOL`).
const PROTOCOL: &str = "http/protobuf";

/// How many spans may wait for the collector, those on their way included; one more is lost. About a kilobyte each.
const QUEUE_MAX: usize = 2048;

/// How long the last spans of a process have at least to get to the collector, where a drain took all of its time.
const FLUSH_MIN: Duration = Duration::from_millis(250);

/// How long they have at most: a collector that is gone does not hold up a pod's end.
const FLUSH_MAX: Duration = Duration::from_secs(2);
