//! A collector: a small OTLP receiver over HTTP, whose spans a test can ask for.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;

use super::raw::in_time;
use super::upstream::{Reply, Seen, Upstream};

/// A running collector; ends with its handle.
pub(crate) struct Collector(Upstream);

/// A span as it was exported.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// Its name.
    pub(crate) name: String,
    /// Identifiers in hexadecimal, as in headers.
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty without one.
    pub(crate) parent: String,
    /// Whether it is told as failed.
    pub(crate) is_error: bool,
    /// When it began and ended, in nanoseconds since 1970.
    pub(crate) began: u64,
    pub(crate) ended: u64,
    /// The service that it is of.
    pub(crate) service: String,
    kind: SpanKind,
    attributes: BTreeMap<String, Value>,
}

impl Collector {
    /// Takes whatever comes.
    pub(crate) async fn new() -> Self {
        let taken =
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        Self::answering(Reply::Bytes(taken.to_vec())).await
    }

    /// Answers everything like this.
    pub(crate) async fn answering(reply: Reply) -> Self {
        Self(Upstream::answering([reply]).await)
    }

    /// What makes a redrive export to it, and soon.
    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        let endpoint = format!("http://{}", self.0.addr);
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("OTEL_BSP_SCHEDULE_DELAY", "20".into()),
        ]
    }

    /// The requests that came, each a batch.
    pub(crate) fn batches(&self) -> Vec<Seen> {
        self.0.seen()
    }

    /// Where it listens.
    pub(crate) fn upstream(&self) -> &Upstream {
        &self.0
    }

    /// Every span so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let batches = self.batches();
        batches
            .iter()
            .flat_map(|batch| spans(&batch.body))
            .collect()
    }

    /// Waits for the first span of this kind; `what` names it when it does not come.
    pub(crate) async fn span(&self, what: &str, is_it: impl Fn(&Span) -> bool) -> Span {
        let mut found = self.at_least(1, what, is_it).await;
        found.remove(0)
    }

    /// Waits for the only request's span.
    pub(crate) async fn request(&self) -> Span {
        self.span("a request", Span::is_request).await
    }

    /// Waits for this many attempts of a request, and has them in their order.
    pub(crate) async fn attempts(&self, request: &Span, count: usize) -> Vec<Span> {
        let is_its = |span: &Span| span.parent == request.id;
        let mut attempts = self.at_least(count, "its attempts", is_its).await;
        attempts.sort_by_key(|span| span.began);
        attempts
    }

    async fn at_least(&self, count: usize, what: &str, is_it: impl Fn(&Span) -> bool) -> Vec<Span> {
        in_time(&format!("the span of {what}"), async {
            loop {
                let spans = self.spans();
                let found: Vec<Span> = spans.into_iter().filter(&is_it).collect();
                if found.len() >= count {
                    return found;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await
    }
}

impl Span {
    /// Whether it is a request's, and not an attempt's.
    pub(crate) fn is_request(&self) -> bool {
        self.kind == SpanKind::Server
    }

    /// An attribute that is a word.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.attributes.get(key)? {
            Value::StringValue(text) => Some(text),
            _ => None,
        }
    }

    /// An attribute that is a whole number.
    pub(crate) fn number(&self, key: &str) -> Option<i64> {
        match self.attributes.get(key)? {
            Value::IntValue(number) => Some(*number),
            _ => None,
        }
    }

    /// An attribute that is a time in seconds.
    pub(crate) fn seconds(&self, key: &str) -> Option<f64> {
        match self.attributes.get(key)? {
            Value::DoubleValue(seconds) => Some(*seconds),
            _ => None,
        }
    }
}

/// The spans of one batch; none while it is still coming.
fn spans(body: &[u8]) -> Vec<Span> {
    let batch = ExportTraceServiceRequest::decode(body).expect("a batch is OTLP in protobuf");
    let mut spans = Vec::new();
    for resource in batch.resource_spans {
        let about = resource.resource.map(|it| attributes(it.attributes));
        let service = match about.unwrap_or_default().remove("service.name") {
            Some(Value::StringValue(name)) => name,
            _ => String::new(),
        };
        let all = resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans);
        spans.extend(all.map(|span| Span::new(span, &service)));
    }
    spans
}

impl Span {
    fn new(span: v1::Span, service: &str) -> Self {
        let is_error = span
            .status
            .as_ref()
            .is_some_and(|status| status.code() == StatusCode::Error);
        Self {
            kind: span.kind(),
            name: span.name,
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            is_error,
            began: span.start_time_unix_nano,
            ended: span.end_time_unix_nano,
            service: service.to_owned(),
            attributes: attributes(span.attributes),
        }
    }
}

fn attributes(fields: Vec<KeyValue>) -> BTreeMap<String, Value> {
    let fields = fields.into_iter();
    fields
        .filter_map(|field| Some((field.key, field.value?.value?)))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
