//! Any headers through the hop-by-hop filter: nothing of one hop is left, nor what `Connection` may name, and nothing else is
//! touched but `Trailer`, which loses what no trailer may be.

use http::header::{CONNECTION, TRAILER};
use http::{HeaderMap, HeaderName};
use redrive::proxy::headers::remove_hop_by_hop;

use super::message::Answer;

pub fn holds(bytes: &[u8]) {
    let Some(Answer {
        headers: before, ..
    }) = Answer::read(bytes)
    else {
        return;
    };
    let mut after = before.clone();

    remove_hop_by_hop(&mut after);

    for name in HOP_BY_HOP {
        assert!(!after.contains_key(name), "{name}");
    }
    let nominated = nominated(&before);
    for name in before.keys().filter(|name| !is_hops(name)) {
        let is_nominated = nominated.contains(name);
        if is_nominated && !is_protected(name) {
            assert!(!after.contains_key(name), "{name} is named and stays");
        } else if *name != TRAILER {
            let untouched = before.get_all(name).iter().eq(after.get_all(name));
            assert!(untouched, "{name}");
        }
    }
    assert!(after.keys().all(|name| before.contains_key(name)));
    for name in announced(&after) {
        assert!(announced(&before).contains(&name), "{name} is new");
        assert!(!is_hops(&name) && !is_head_only(&name), "{name} trails");
    }
    let once = after.clone();
    remove_hop_by_hop(&mut after);
    assert_eq!(once, after, "twice is once");
}

/// What `Connection` names.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter();
    let members = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let names = members.map(|name| HeaderName::from_bytes(name.trim_ascii()));
    names.flatten().collect()
}

/// What `Trailer` names.
fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(TRAILER).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let names = texts.flat_map(|text| text.split(','));
    names.filter_map(|name| name.trim().parse().ok()).collect()
}

fn is_hops(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(&name.as_str())
}

/// Whether it is meant for the other end, so that naming it is an attack.
fn is_protected(name: &HeaderName) -> bool {
    let prefixes = ["redrive-", "x-amz", "amz-sdk-"];
    is_head_only(name) || prefixes.iter().any(|it| name.as_str().starts_with(it))
}

/// Whether a message must have said it before its body.
fn is_head_only(name: &HeaderName) -> bool {
    HEAD_ONLY.contains(&name.as_str())
}

/// RFC 9110 section 7.6.1, what proxies of the past made of it, and RFC 7540 section 3.2.1.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// RFC 9110 section 6.5.1, and what says who asks or what an answer means.
const HEAD_ONLY: [&str; 23] = [
    "apigw-requestid",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "idempotency-key",
    "max-forwards",
    "range",
    "retry-after",
    "set-cookie",
    "traceparent",
    "via",
    "x-api-key",
    "x-envoy-attempt-count",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];
