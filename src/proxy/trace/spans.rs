//! The spans of one request.
//!
//! An attempt's span is made when the next attempt begins or the request ends, with the times that were noted: only then it is
//! known whether it was the last one, which tells the reason. A request that is not sampled costs two identifiers.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::uri::Authority;
use http::{HeaderMap, Method, Request, StatusCode};
use opentelemetry::global::{self, BoxedSpan, BoxedTracer};
use opentelemetry::trace::{Span, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer as _};
use opentelemetry::{Context, KeyValue};

use super::{Attempted, Told, parent};
use crate::clock;
use crate::proxy::metrics::RequestOutcome;
use crate::proxy::recent::shown_path;
use crate::retry::classify::{Class, Ran};

/// Opens traces.
pub struct Tracer {
    inner: Arc<BoxedTracer>,
    scheme: &'static str,
}

/// One request's trace; of a process that exports none, nothing.
pub struct Trace(Option<Box<Open>>);

/// A request's span, and what is noted for those of its attempts.
struct Open {
    tracer: Arc<BoxedTracer>,
    span: BoxedSpan,
    /// The span as its attempts' parent.
    context: Context,
    method: &'static str,
    /// The same moment on both clocks: spans have wall times, which must not run backwards.
    opened: (Instant, SystemTime),
    /// The attempt that is on its way.
    begun: Option<Attempt>,
    /// The one before, which may have been the last.
    ended: Option<Attempt>,
    resends: i64,
}

/// One attempt, as far as it is known.
struct Attempt {
    began: Instant,
    ended: Instant,
    is_good: bool,
    attributes: Vec<KeyValue>,
}

impl Tracer {
    /// With what the process has set up for traces by now.
    pub fn new(is_secure: bool) -> Self {
        Self {
            inner: Arc::new(global::tracer(env!("CARGO_PKG_NAME"))),
            scheme: if is_secure { "https" } else { "http" },
        }
    }

    /// Begins a request's trace, or goes on with its caller's.
    pub fn open<B>(&self, request: &Request<B>) -> Trace {
        let opened = (clock::now(), clock::wall());
        let method = known(request.method());
        let span = self
            .inner
            .span_builder(method)
            .with_kind(SpanKind::Server)
            .with_start_time(opened.1)
            .with_attributes([
                KeyValue::new("http.request.method", method),
                KeyValue::new("url.scheme", self.scheme),
                KeyValue::new("url.path", shown_path(request.uri().path())),
            ])
            .start_with_context(&*self.inner, &parent::read(request.headers()));
        let itself = span.span_context().clone();
        if !itself.is_valid() {
            return Trace(None);
        }
        Trace(Some(Box::new(Open {
            tracer: Arc::clone(&self.inner),
            span,
            context: Context::new().with_remote_span_context(itself),
            method,
            opened,
            begun: None,
            ended: None,
            resends: 0,
        })))
    }
}

impl Trace {
    /// Names the request's span in a head that goes upstream, unless the caller has named one.
    pub fn carry(&self, headers: &mut HeaderMap) {
        if let Some(open) = &self.0 {
            parent::write(open.span.span_context(), headers);
        }
    }

    /// An attempt begins, to this upstream.
    pub fn begin(&mut self, at: Instant, upstream: &Authority) {
        let Some(open) = self.recording() else {
            return;
        };
        if let Some(before) = open.ended.take() {
            open.tell(before, None);
        }
        let mut attributes = vec![
            KeyValue::new("http.request.method", open.method),
            KeyValue::new("server.address", upstream.host().to_owned()),
        ];
        if let Some(port) = upstream.port_u16() {
            attributes.push(KeyValue::new("server.port", i64::from(port)));
        }
        open.begun = Some(Attempt {
            began: at,
            ended: at,
            is_good: false,
            attributes,
        });
    }

    /// The attempt ended.
    pub fn end(&mut self, attempted: &Attempted<'_>) {
        let Some(open) = self.recording() else {
            return;
        };
        let Some(mut attempt) = open.begun.take() else {
            return;
        };
        let outcome = attempted.outcome;
        attempt.ended = attempt.began + attempted.took;
        attempt.is_good = attempted.status.is_some_and(is_good_for_a_client);
        let class = outcome.class.as_str();
        attempt.attributes.extend([
            KeyValue::new("redrive.class", class),
            KeyValue::new("redrive.ran", Ran::as_str(outcome.ran)),
            KeyValue::new("redrive.because", outcome.because),
            KeyValue::new("redrive.waited", attempted.waited.as_secs_f64()),
        ]);
        let status = attempted.status.map(status_code);
        let id = attempted.request_id.map(str::to_owned);
        let error = (!attempt.is_good).then(|| error_type(attempted.status, class));
        let optional = [
            status,
            id.map(|id| KeyValue::new("aws.request_id", id)),
            error,
        ];
        attempt.attributes.extend(optional.into_iter().flatten());
        open.ended = Some(attempt);
    }

    /// The request ended. An attempt that is still on its way ends with it: its client left.
    pub fn close(&mut self, told: &Told<'_>) {
        let Some(open) = self.recording() else {
            return;
        };
        if let Some(last) = open.ended.take() {
            open.tell(last, told.reason);
        }
        let now = clock::now();
        if let Some(mut attempt) = open.begun.take() {
            let class = Class::Cancelled.as_str();
            attempt.ended = now;
            attempt.attributes.extend([
                KeyValue::new("redrive.class", class),
                error_type(None, class),
            ]);
            open.tell(attempt, None);
        }
        open.close(told, now);
    }

    fn recording(&mut self) -> Option<&mut Open> {
        self.0
            .as_deref_mut()
            .filter(|open| open.span.is_recording())
    }
}

impl Open {
    /// Makes an attempt's span.
    fn tell(&mut self, attempt: Attempt, reason: Option<&'static str>) {
        let mut attributes = attempt.attributes;
        if self.resends > 0 {
            attributes.push(KeyValue::new("http.request.resend_count", self.resends));
        }
        attributes.extend(reason.map(|reason| KeyValue::new("redrive.reason", reason)));
        self.resends += 1;
        let builder = SpanBuilder::from_name(self.method)
            .with_kind(SpanKind::Client)
            .with_start_time(self.wall(attempt.began))
            .with_attributes(attributes);
        let mut span = self.tracer.build_with_context(builder, &self.context);
        if !attempt.is_good {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(self.wall(attempt.ended));
    }

    /// Ends the request's own span.
    fn close(&mut self, told: &Told<'_>, now: Instant) {
        let ended = self.wall(now);
        let is_good = told.status.is_none_or(|status| !status.is_server_error())
            && told.outcome != RequestOutcome::UpstreamError.as_str();
        let span = &mut self.span;
        span.update_name(format!("{} {}", name(self.method), told.route));
        span.set_attributes([
            KeyValue::new("redrive.route", told.route.to_owned()),
            KeyValue::new("redrive.outcome", told.outcome),
            KeyValue::new("redrive.waited", told.waited.as_secs_f64()),
            KeyValue::new("redrive.attempts", i64::from(told.attempts)),
        ]);
        let words = [
            ("redrive.verdict", told.verdict),
            ("redrive.reason", told.reason),
            ("redrive.ran", told.ran.map(Ran::as_str)),
            ("redrive.error", told.error),
        ];
        let words = words.into_iter();
        span.set_attributes(words.filter_map(|(key, word)| Some(KeyValue::new(key, word?))));
        if let Some(status) = told.status {
            span.set_attribute(status_code(status));
        }
        if !is_good {
            span.set_attribute(error_type(told.status, told.outcome));
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(ended);
    }

    fn wall(&self, at: Instant) -> SystemTime {
        let (instant, wall) = self.opened;
        wall + at.saturating_duration_since(instant)
    }
}

/// A method is a word of the client's choice; the conventions want a closed set.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => OTHER,
    }
}

/// How the conventions name a span whose method they do not know.
fn name(method: &'static str) -> &'static str {
    if method == OTHER { "HTTP" } else { method }
}

/// To a client every status from 400 on is an error, to a server only its own.
fn is_good_for_a_client(status: StatusCode) -> bool {
    !status.is_client_error() && !status.is_server_error()
}

fn status_code(status: StatusCode) -> KeyValue {
    KeyValue::new("http.response.status_code", i64::from(status.as_u16()))
}

/// The status where it is an error's, and the word otherwise.
fn error_type(status: Option<StatusCode>, word: &'static str) -> KeyValue {
    let status = status.filter(|status| !is_good_for_a_client(*status));
    let value = status.map_or(Cow::Borrowed(word), |status| {
        status.as_str().to_owned().into()
    });
    KeyValue::new("error.type", value)
}

const OTHER: &str = "_OTHER";
