//! What is meant for one hop, what for the other end, and what a trailer may be.
//!
//! `Connection` names what is meant for the next hop only, and a peer may name there what it likes. So there is a list of
//! what it has no say in, and the same fields are not taken from trailers.

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, COOKIE, EXPECT, FORWARDED, HOST, MAX_FORWARDS, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, RANGE, RETRY_AFTER, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    VIA,
};
use http::{HeaderMap, HeaderName};

use super::{IDEMPOTENCY_KEY, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO, value};

/// Removes what is meant for one hop only (RFC 9110 section 7.6.1), also what `Connection` names.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if !headers
        .keys()
        .any(|name| is_for_one_hop(name) || *name == TRAILER)
    {
        return; // as most are
    }
    remove_nominated(headers);
    while let Some(name) = headers.keys().find(|name| is_for_one_hop(name)).cloned() {
        headers.remove(&name);
    }
    announce(headers);
}

/// Removes what `Connection` names.
fn remove_nominated(headers: &mut HeaderMap) {
    let nominated: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        // What is meant for the other end is nobody's to take away here; nominating it is an attack, not a wish.
        .filter(|name| !is_end_to_end(name))
        .collect();
    for name in &nominated {
        headers.remove(name);
    }
}

/// Whether the field is meant for the other end, or decided here, so that `Connection` has no say in it (RFC 9110 section
/// 7.6.1).
pub(super) fn is_end_to_end(name: &HeaderName) -> bool {
    END_TO_END.contains(name)
        || END_TO_END_PREFIXES
            .iter()
            .any(|prefix| name.as_str().starts_with(prefix))
}

/// Removes from trailers what a message must have said before its body (RFC 9110 section 6.5.1): whoever merges them into
/// the head would find its framing, its host or its credentials changed.
pub fn remove_from_trailers(trailers: &mut HeaderMap) {
    let misplaced: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| !may_trail(name))
        .cloned()
        .collect();
    for name in misplaced {
        trailers.remove(name);
    }
}

/// `Trailer` announces what may come, and nothing else.
fn announce(headers: &mut HeaderMap) {
    let announced = headers.get_all(TRAILER).iter();
    let names = announced
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let may_come = |name: &&str| name.trim().parse().is_ok_and(|name| may_trail(&name));
    let (rest, misplaced): (Vec<&str>, Vec<&str>) = names.partition(may_come);
    if misplaced.is_empty() {
        return;
    }
    let rest = value(rest.join(",").trim());
    headers.remove(TRAILER);
    if !rest.is_empty() {
        headers.insert(TRAILER, rest);
    }
}

fn may_trail(name: &HeaderName) -> bool {
    !is_for_one_hop(name)
        && !END_TO_END.contains(name)
        && *name != TRAILER
        && !name.as_str().starts_with(OUR_PREFIX)
}

/// Whether the field is meant for one hop only, whatever `Connection` says. `Trailer` is not: it describes the message, which passes with
/// its trailers.
pub(super) fn is_for_one_hop(name: &HeaderName) -> bool {
    match *name {
        CONNECTION | PROXY_AUTHENTICATE | PROXY_AUTHORIZATION | TE | TRANSFER_ENCODING
        | UPGRADE => true,
        _ => matches!(
            name.as_str(),
            "http2-settings" | "keep-alive" | "proxy-connection"
        ),
    }
}

/// What no peer can have removed by naming it in `Connection`, and no trailer may bring.
static END_TO_END: [HeaderName; 23] = [
    HOST,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    RANGE,
    CACHE_CONTROL,
    AUTHORIZATION,
    COOKIE,
    SET_COOKIE,
    EXPECT,
    MAX_FORWARDS,
    RETRY_AFTER,
    VIA,
    FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_PROTO,
    X_FORWARDED_HOST,
    IDEMPOTENCY_KEY,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("x-envoy-attempt-count"),
    HeaderName::from_static("apigw-requestid"),
];

const OUR_PREFIX: &str = "redrive-";

/// Ours, and what AWS and its clients tell one another.
const END_TO_END_PREFIXES: [&str; 3] = [OUR_PREFIX, "x-amz", "amz-sdk-"];
