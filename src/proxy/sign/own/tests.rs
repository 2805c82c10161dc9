//! What a client's own signature says.

use http::{HeaderValue, Request};

use super::*;

const AUTHORIZED: (&str, &str) = (
    "authorization",
    "AWS4-HMAC-SHA256 Credential=AKID/20261125/eu-west-1/execute-api/aws4_request, \
     SignedHeaders=content-type;host;x-amz-date, Signature=00",
);

/// 2026-11-25 13:46:21 UTC.
const NOW: Duration = Duration::from_secs(1_795_614_381);

fn parts(uri: &str, headers: &[(&str, &str)]) -> request::Parts {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn a_request_that_the_client_signed_is_known() {
    assert!(is_signed(&parts("/", &[AUTHORIZED])));
    assert!(is_signed(&parts(
        "/",
        &[("authorization", "AWS4-ECDSA-P256-SHA256 Credential=x")]
    )));
    assert!(is_signed(&parts("/?a=b&X-Amz-Signature=abc", &[])));
    assert!(!is_signed(&parts("/?not-X-Amz-Signature=abc", &[])));
    assert!(!is_signed(&parts("/", &[("authorization", "Bearer x")])));
}

#[track_caller]
fn check(uri: &str, headers: &[(&str, &str)], expected: Option<u64>) {
    let held = holds_for(&parts(uri, headers), UNIX_EPOCH + NOW);

    assert_eq!(held, expected.map(Duration::from_secs), "{uri} {headers:?}");
}

#[test]
fn a_signature_in_a_header_holds_for_five_minutes_from_its_date() {
    check("/", &[], None);
    check("/", &[("x-amz-date", "20261125T134621Z")], None);
    check(
        "/",
        &[AUTHORIZED, ("x-amz-date", "20261125T134621Z")],
        Some(300),
    );
    check(
        "/",
        &[AUTHORIZED, ("x-amz-date", "20261125T134221Z")],
        Some(60),
    );
    check(
        "/",
        &[AUTHORIZED, ("x-amz-date", "20261125T134121Z")],
        Some(0),
    );
    check(
        "/",
        &[AUTHORIZED, ("x-amz-date", "20261125T120000Z")],
        Some(0),
    );
    // A clock that is ahead.
    check(
        "/",
        &[AUTHORIZED, ("x-amz-date", "20261125T134721Z")],
        Some(360),
    );
    check(
        "/",
        &[AUTHORIZED, ("date", "Wed, 25 Nov 2026 13:45:21 GMT")],
        Some(240),
    );
    check("/", &[AUTHORIZED], Some(300));
    for odd in [
        "soon",
        "20261325T134621Z",
        "20261125T134621",
        "2026112\u{e9}T13462Z",
        "",
    ] {
        check("/", &[AUTHORIZED, ("x-amz-date", odd)], Some(300));
    }
}

#[test]
fn a_signature_in_the_query_holds_for_as_long_as_it_says() {
    let signed = "X-Amz-Date=20261125T134521Z&X-Amz-Signature=0";

    check(&format!("/?{signed}&X-Amz-Expires=600"), &[], Some(540));
    check(&format!("/?X-Amz-Expires=30&{signed}"), &[], Some(0));
    check(&format!("/?{signed}"), &[], Some(240));
    check(
        &format!("/?{signed}&X-Amz-Expires=18446744073709551615"),
        &[],
        None,
    );
}

#[test]
fn the_calendar_is_the_worlds() {
    for (text, seconds) in [
        ("19700101T000000Z", 0),
        ("20000229T235959Z", 951_868_799),
        ("20240301T000000Z", 1_709_251_200),
        ("20991231T235959Z", 4_102_444_799),
    ] {
        assert_eq!(
            basic(text),
            Some(UNIX_EPOCH + Duration::from_secs(seconds)),
            "{text}"
        );
    }
}

#[test]
fn what_was_signed_and_goes_up_otherwise_is_known() {
    let own = parts(
        "/",
        &[
            AUTHORIZED,
            ("content-type", "a/b"),
            ("x-amz-date", "d"),
            ("te", "x"),
        ],
    );
    let mut sent = own.headers.clone();

    sent.remove("te");
    assert!(!is_altered(&own, &sent), "it was not signed");
    sent.insert("content-type", HeaderValue::from_static("a/c"));
    assert!(is_altered(&own, &sent));
    sent.remove("content-type");
    assert!(is_altered(&own, &sent));

    let own = parts(
        "/?X-Amz-SignedHeaders=host%3Bte&X-Amz-Signature=0",
        &[("te", "x")],
    );
    assert!(!is_altered(&own, &own.headers));
    assert!(is_altered(&own, &HeaderMap::new()));
    assert!(!is_altered(&parts("/", &[]), &HeaderMap::new()));

    let own = parts(
        "/?X-Amz-SignedHeaders=host%3Bconnection&X-Amz-Signature=0",
        &[],
    );
    assert!(is_altered(&own, &own.headers), "it was `keep-alive`");
}
