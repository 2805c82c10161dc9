//! The headers that a proxy must remove, set or add, on the way up and on the way back.
//!
//! What goes up is made once a request and is the same on every attempt but for `redrive-attempt`. What comes back passes
//! unchanged, but for hop-by-hop headers and what redrive itself has to say.

mod hop;

use std::net::IpAddr;

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, TE, UPGRADE, VIA};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, request};

use crate::retry::fields::{has, present, set};

pub use self::hop::{remove_from_trailers, remove_hop_by_hop};

/// Which `Host` the upstream sees (`host`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// The upstream's own authority.
    Upstream,
    /// What the client sent.
    Client,
}

/// How the client's address is told to the upstream (`forwarded`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// Not at all.
    Off,
    /// `X-Forwarded-For`, `-Proto`, `-Host`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// What shapes the head that goes up.
#[derive(Clone, Copy, Debug)]
pub struct Outbound<'a> {
    /// Which `Host` the upstream sees.
    pub host: Host,
    /// How the client's address is told.
    pub forwarded: Forwarded,
    /// The upstream's own authority.
    pub authority: &'a HeaderValue,
    /// Put before the request's path.
    pub base_path: &'a str,
    /// The client's address.
    pub client: IpAddr,
    /// Whether the client came over TLS.
    pub is_secure: bool,
}

impl Outbound<'_> {
    /// The target as the upstream sees it: base path, raw path and query, byte for byte.
    pub fn target(&self, uri: &Uri) -> Result<Uri, http::Error> {
        let path_and_query = uri.path_and_query();
        let as_it_is = path_and_query.filter(|_| self.base_path.is_empty());
        let as_it_is = as_it_is.map(|it| Uri::from(it.clone()));
        // An absolute target may have no path at all, and then this has none either.
        if let Some(target) = as_it_is.filter(|target| !target.path().is_empty()) {
            return Ok(target);
        }
        let path_and_query = path_and_query.map_or("/", PathAndQuery::as_str);
        Uri::builder()
            .path_and_query(format!("{}{path_and_query}", self.base_path))
            .build()
    }

    /// Makes of a request's headers what the upstream sees.
    pub fn shape(&self, parts: &mut request::Parts) {
        let is_asked = self.host == Host::Client || self.forwarded != Forwarded::Off;
        let client_host = if is_asked { client_host(parts) } else { None };
        let [has_te, is_expectant, has_cookies, has_length] = present(&parts.headers, &SHAPED);
        let takes_trailers = has_te && takes_trailers(&parts.headers);
        let upgrade = upgrade(parts);
        let headers = &mut parts.headers;
        remove_hop_by_hop(headers);
        if takes_trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
            headers.append(CONNECTION, HeaderValue::from_static("te"));
        }
        if let Some(protocols) = upgrade {
            ask_for_upgrade(headers, protocols);
        }
        // Answered by us as soon as the body is wanted, so the upstream is asked nothing (RFC 9110 section 10.1.1).
        if is_expectant {
            headers.remove(EXPECT);
        }
        if has_cookies {
            join_cookies(headers);
        }
        if has_length {
            plain_length(headers);
        }
        let host = match (self.host, &client_host) {
            (Host::Client, Some(host)) => host.clone(),
            _ => self.authority.clone(),
        };
        set(headers, HOST, host);
        headers.append(VIA, via(parts.version));
        self.tell_client(headers, client_host);
    }

    fn tell_client(&self, headers: &mut HeaderMap, client_host: Option<HeaderValue>) {
        let scheme = if self.is_secure { "https" } else { "http" };
        match self.forwarded {
            Forwarded::Off => {}
            Forwarded::XForwardedFor => {
                headers.append(X_FORWARDED_FOR, value(&self.client.to_string()));
                headers
                    .entry(X_FORWARDED_PROTO)
                    .or_insert(HeaderValue::from_static(scheme));
                if let Some(host) = client_host {
                    headers.entry(X_FORWARDED_HOST).or_insert(host);
                }
            }
            Forwarded::Forwarded => {
                let node = match self.client {
                    IpAddr::V4(address) => address.to_string(),
                    IpAddr::V6(address) => format!("\"[{address}]\""),
                };
                let host = client_host.as_ref().and_then(|host| host.to_str().ok());
                let host = host.map_or_else(String::new, |host| format!(";host=\"{host}\""));
                headers.append(
                    FORWARDED,
                    value(&format!("for={node};proto={scheme}{host}")),
                );
            }
        }
    }
}

/// Whether the client wants trailers: asked of our hop, and asked of the next one since we pass them on (RFC 9110 section
/// 10.1.4).
fn takes_trailers(headers: &HeaderMap) -> bool {
    listed(headers, &TE).any(|coding| coding.eq_ignore_ascii_case("trailers"))
}

/// The protocols for which the request asks to leave HTTP; `None` if it does not (RFC 9110 section 7.8).
///
/// Not `h2c`, which many clients offer with every first request: it is another HTTP, in which nothing would be retried or
/// even seen, and which RFC 9113 has given up. Such a request is an ordinary one.
pub fn upgrade(parts: &request::Parts) -> Option<HeaderValue> {
    let is_asked = parts.version == Version::HTTP_11
        && has(&parts.headers, &UPGRADE)
        && listed(&parts.headers, &CONNECTION).any(|option| option.eq_ignore_ascii_case("upgrade"));
    if !is_asked {
        return None;
    }
    let protocols: Vec<&str> = listed(&parts.headers, &UPGRADE)
        .filter(|protocol| !protocol.is_empty() && !protocol.eq_ignore_ascii_case("h2c"))
        .collect();
    if protocols.is_empty() {
        return None;
    }
    HeaderValue::try_from(protocols.join(", ")).ok()
}

/// The head of a 101, whose hop-by-hop headers say what is spoken from now on.
pub fn remove_hop_by_hop_of_upgrade(headers: &mut HeaderMap) {
    let protocol = headers.get(UPGRADE).cloned();
    remove_hop_by_hop(headers);
    if let Some(protocol) = protocol {
        ask_for_upgrade(headers, protocol);
    }
}

fn ask_for_upgrade(headers: &mut HeaderMap, protocols: HeaderValue) {
    headers.insert(UPGRADE, protocols);
    headers.append(CONNECTION, HeaderValue::from_static("upgrade"));
}

/// The members of a list that may stand in several fields.
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let fields = headers.get_all(name).into_iter();
    let texts = fields.filter_map(|value| value.to_str().ok());
    texts.flat_map(|value| value.split(',')).map(str::trim)
}

/// The `Host` that the client meant: the target's own authority if it has one (RFC 9112 section 3.2.2).
pub fn client_host(parts: &request::Parts) -> Option<HeaderValue> {
    match parts.uri.authority() {
        Some(authority) => Some(value(authority.as_str())),
        None => parts.headers.get(HOST).cloned(),
    }
}

/// HTTP/2 clients may send one cookie a field; HTTP/1.1 knows one field only (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let cookies: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// A length without zeros before it, which some read as octal.
fn plain_length(headers: &mut HeaderMap) {
    let length = headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
    let padded = length.filter(|digits| digits.len() > 1 && digits[0] == b'0');
    let length = padded.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
}

/// What we add to `Via`: the version that the request came in, and our name (RFC 9110 section 7.6.3).
fn via(version: Version) -> HeaderValue {
    const OF_HTTP_10: HeaderValue = HeaderValue::from_static("1.0 redrive");
    const OF_HTTP_11: HeaderValue = HeaderValue::from_static("1.1 redrive");
    const OF_HTTP_2: HeaderValue = HeaderValue::from_static("2 redrive");
    match version {
        Version::HTTP_10 => OF_HTTP_10,
        Version::HTTP_2 => OF_HTTP_2,
        _ => OF_HTTP_11,
    }
}

/// The number of an attempt, as its header says it.
pub fn attempt_number(number: u32) -> HeaderValue {
    match number {
        1 => HeaderValue::from_static("1"), // nearly all of them
        _ => HeaderValue::from(number),
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("authorities and addresses are visible ASCII")
}

/// The number of the attempt that the upstream sees, counted from 1.
pub const REDRIVE_ATTEMPT: HeaderName = HeaderName::from_static("redrive-attempt");

/// How many attempts were made.
pub const REDRIVE_ATTEMPTS: HeaderName = HeaderName::from_static("redrive-attempts");

/// How long the request waited in redrive, in seconds.
pub const REDRIVE_WAITED: HeaderName = HeaderName::from_static("redrive-waited");

/// Why no (further) retry was made.
pub const REDRIVE_REASON: HeaderName = HeaderName::from_static("redrive-reason");

/// Whether the function may have run in any of the attempts.
pub const REDRIVE_RAN: HeaderName = HeaderName::from_static("redrive-ran");

/// What makes a repeated request harmless (draft-ietf-httpapi-idempotency-key-header).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What is changed where it is there.
static SHAPED: [HeaderName; 4] = [TE, EXPECT, COOKIE, CONTENT_LENGTH];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

#[cfg(test)]
mod tests;
