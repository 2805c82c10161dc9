//! Any request's head: refused, or written to the upstream in one form with one meaning.

use std::net::{IpAddr, Ipv4Addr};

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, UPGRADE};
use http::{HeaderMap, HeaderValue};
use redrive::proxy::headers::{self, Forwarded, Outbound};
use redrive::proxy::screen::{Screened, screen};

use super::message;

pub fn holds(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    let Some(request) = message::request(bytes) else {
        return;
    };
    if !matches!(screen(&request), Ok(Screened::Forward)) {
        return;
    }
    let authority = HeaderValue::from_static("api.example");
    let outbound = Outbound {
        host: if choice & 1 == 1 {
            headers::Host::Client
        } else {
            headers::Host::Upstream
        },
        forwarded: match choice >> 1 & 3 {
            0 => Forwarded::Off,
            1 => Forwarded::XForwardedFor,
            _ => Forwarded::Forwarded,
        },
        authority: &authority,
        base_path: if choice & 8 == 8 { "/prod" } else { "" },
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        is_secure: choice & 16 == 16,
    };
    let (parts, ()) = request.into_parts();

    let shaped = || {
        let mut parts = parts.clone();
        outbound.shape(&mut parts);
        parts.headers
    };

    let written = shaped();

    assert_eq!(written, shaped(), "the same is made of the same");
    assert_eq!(written.get_all(HOST).iter().count(), 1);
    assert!(written.get_all(CONTENT_LENGTH).iter().count() <= 1);
    for name in [
        "transfer-encoding",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "http2-settings",
        "keep-alive",
        "expect",
    ] {
        assert!(!written.contains_key(name), "{name}");
    }
    assert!(written.get(TE).is_none_or(|codings| codings == "trailers"));
    let upgrade = headers::upgrade(&parts);
    assert_eq!(
        written.get(UPGRADE),
        upgrade.as_ref(),
        "as it was asked for"
    );
    let mut options = Vec::new();
    options.extend(written.contains_key(TE).then_some("te"));
    options.extend(upgrade.map(|_| "upgrade"));
    assert!(written.get_all(CONNECTION).iter().eq(options));
    assert!(is_plain(&written), "{:?}", written.get(CONTENT_LENGTH));
    for value in written.values() {
        let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
        assert!(value.as_bytes().iter().all(is_text), "{value:?}");
    }
    if let Ok(target) = outbound.target(&parts.uri) {
        let target = target.to_string();
        assert!(target.starts_with('/'), "{target}");
        assert!(
            target
                .bytes()
                .all(|byte| byte > b' ' && byte != 0x7f && byte != b'#'),
            "{target}"
        );
        assert!(target.ends_with(parts.uri.path_and_query().map_or("/", |it| it.as_str())));
    }
}

/// Whether a length is written in the only way that nobody takes for another.
fn is_plain(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).map(|it| it.as_bytes());
    length.is_none_or(|it| it == b"0" || (it[0] != b'0' && it.iter().all(u8::is_ascii_digit)))
}
