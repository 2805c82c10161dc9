//! Any request's head: refused, or written to the upstream in one form with one meaning.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE};
use http::uri::Authority;
use libfuzzer_sys::fuzz_target;
use redrive::proxy::headers::{self, Forwarded, Outbound};
use redrive::proxy::screen::{Screened, screen};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    let Some(request) = redrive_fuzz::request(bytes) else {
        return;
    };
    if !matches!(screen(&request), Ok(Screened::Forward)) {
        return;
    }
    let authority = Authority::from_static("api.example");
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

    let written = outbound.headers(&parts);

    assert_eq!(
        written,
        outbound.headers(&parts),
        "every attempt is the same"
    );
    assert_eq!(written.get_all(HOST).iter().count(), 1);
    assert!(written.get_all(CONTENT_LENGTH).iter().count() <= 1);
    for name in [
        "transfer-encoding",
        "proxy-authorization",
        "keep-alive",
        "upgrade",
        "expect",
    ] {
        assert!(!written.contains_key(name), "{name}");
    }
    assert!(written.get(TE).is_none_or(|codings| codings == "trailers"));
    assert!(written.get(CONNECTION).is_none_or(|names| names == "te"));
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
});
