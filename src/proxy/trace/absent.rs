//! What stands for a request's trace in a redrive without the feature `otlp`: nothing, at no cost.

use std::time::Instant;

use http::uri::Authority;
use http::{HeaderMap, Request};

use super::{Attempted, Told};

/// Opens nothing.
pub struct Tracer;

/// No trace.
pub struct Trace;

impl Tracer {
    /// Nothing to open traces with.
    pub fn new(_is_secure: bool) -> Self {
        Self
    }

    /// No trace for any request.
    pub fn open<B>(&self, _request: &Request<B>) -> Trace {
        Trace
    }
}

impl Trace {
    /// Adds nothing.
    pub fn carry(&self, _headers: &mut HeaderMap) {}

    /// Notes nothing.
    pub fn begin(&mut self, _at: Instant, _upstream: &Authority) {}

    /// Notes nothing.
    pub fn end(&mut self, _attempted: &Attempted<'_>) {}

    /// Tells nobody.
    pub fn close(&mut self, _told: &Told<'_>) {}
}
