//! Any headers through the hop-by-hop filter: nothing of one hop is left, and nothing else is touched.
#![no_main]

use http::HeaderMap;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use libfuzzer_sys::fuzz_target;
use redrive::proxy::headers::remove_hop_by_hop;
use redrive_fuzz::Answer;

fuzz_target!(|bytes: &[u8]| {
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
    for name in before.keys() {
        let is_hops = HOP_BY_HOP.contains(&name.as_str());
        let is_kept = [HOST, CONTENT_LENGTH].contains(name);
        if !is_hops && (is_kept || !nominated.iter().any(|it| it == name.as_str())) {
            assert!(
                before.get_all(name).iter().eq(after.get_all(name)),
                "{name}"
            );
        }
    }
    assert!(after.keys().all(|name| before.contains_key(name)));
    let once = after.clone();
    remove_hop_by_hop(&mut after);
    assert_eq!(once, after, "twice is once");
});

/// What `Connection` names, in lower case; read more generously than the filter does.
fn nominated(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(CONNECTION).iter();
    values
        .map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase())
        .flat_map(|value| {
            value
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// RFC 9110 section 7.6.1, and what proxies of the past made of it.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];
