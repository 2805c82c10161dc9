//! What a request carries of its caller's trace (W3C Trace Context, <https://www.w3.org/TR/trace-context/>), and what redrive
//! gives to a request that carries nothing.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::global;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{SpanContext, TraceFlags};

/// The caller's headers, as the parser of OpenTelemetry reads them.
struct Carried<'a> {
    traceparent: &'a str,
    tracestate: String,
}

/// The caller's span, if there is one that can be read.
pub(super) fn read(headers: &HeaderMap) -> Context {
    let none = Context::new();
    let mut parents = headers.get_all(TRACEPARENT).iter();
    // Of several nobody knows which one is meant (section 3.2): the trace begins anew.
    let (Some(parent), None) = (parents.next(), parents.next()) else {
        return none;
    };
    let Ok(traceparent) = parent.to_str() else {
        return none;
    };
    let carried = Carried {
        traceparent,
        tracestate: tracestate(headers),
    };
    global::get_text_map_propagator(|it| it.extract_with_context(&none, &carried))
}

/// Names this span to the upstream; the caller's own headers stay as they are, readable or not.
pub(super) fn write(span: &SpanContext, headers: &mut HeaderMap) {
    if headers.contains_key(TRACEPARENT) || headers.contains_key(TRACESTATE) {
        return;
    }
    let flags = span.trace_flags() & TraceFlags::SAMPLED;
    let value = format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id());
    let value = HeaderValue::try_from(value).expect("hexadecimal digits and dashes");
    headers.insert(TRACEPARENT, value);
}

/// All lists as one (section 3.3.1). It is kept with every span, so that one without a sensible length is left out.
fn tracestate(headers: &HeaderMap) -> String {
    let lists = headers.get_all(TRACESTATE).iter();
    let lists: Vec<&str> = lists.filter_map(|list| list.to_str().ok()).collect();
    let whole = lists.join(",");
    if whole.len() <= TRACESTATE_BYTES_MAX {
        whole
    } else {
        String::new()
    }
}

impl Extractor for Carried<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(self.traceparent),
            "tracestate" => Some(&self.tracestate),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What everybody must be able to pass on (section 3.3.1.5); a longer one goes upstream whole, and is not told with the spans.
const TRACESTATE_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TraceContextExt;
    use opentelemetry_sdk::propagation::TraceContextPropagator;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let fields = fields.iter();
        fields
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn span(fields: &[(&'static str, &str)]) -> SpanContext {
        global::set_text_map_propagator(TraceContextPropagator::new());
        read(&headers(fields)).span().span_context().clone()
    }

    #[test]
    fn a_caller_s_span_is_read_with_its_flag_and_all_of_its_state() {
        let states = [("tracestate", "a=1"), ("tracestate", "b=2")];
        let found = span(&[("traceparent", PARENT), states[0], states[1]]);

        assert_eq!(
            found.trace_id().to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(found.span_id().to_string(), "b7ad6b7169203331");
        assert!(found.is_sampled() && found.is_remote());
        assert_eq!(found.trace_state().header(), "a=1,b=2");
    }

    #[test]
    fn what_nobody_can_read_as_one_span_is_no_parent() {
        let twice = [("traceparent", PARENT), ("traceparent", PARENT)];
        assert!(!span(&twice).is_valid());
        assert!(!span(&[("traceparent", "00-0-0-01")]).is_valid());
        assert!(!span(&[("tracestate", "a=1")]).is_valid());
    }

    #[test]
    fn a_state_without_a_sensible_length_is_not_kept() {
        let long = format!("a={}", "x".repeat(TRACESTATE_BYTES_MAX));
        let found = span(&[("traceparent", PARENT), ("tracestate", &long)]);

        assert!(found.is_valid());
        assert_eq!(found.trace_state().header(), "");
    }

    #[test]
    fn only_a_request_that_carries_nothing_is_given_something() {
        let own = span(&[("traceparent", PARENT)]);
        for carried in [
            &[("traceparent", "unreadable")][..],
            &[("tracestate", "a=1")],
        ] {
            let mut kept = headers(carried);
            write(&own, &mut kept);
            assert_eq!(kept, headers(carried));
        }
        let mut given = HeaderMap::new();
        write(&own, &mut given);
        assert_eq!(given, headers(&[("traceparent", PARENT)]));
    }
}
