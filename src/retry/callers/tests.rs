//! What callers announce of their own retries.

use http::HeaderValue;

use super::*;

#[track_caller]
fn check(headers: &[(&'static str, &'static str)], expected: Option<(CallerSource, u32)>) {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect();

    let caller = read(&headers).map(|caller| (caller.source, caller.max.get()));

    assert_eq!(caller, expected, "{headers:?}");
}

#[test]
fn a_caller_that_announces_nothing_sends_once() {
    check(&[], None);
    check(&[("accept", "attempt=1; max=3")], None);
}

#[test]
fn an_sdk_tells_its_maximum_in_any_order_of_fields() {
    check(
        &[("amz-sdk-request", "attempt=1; max=3")],
        Some((CallerSource::AmzSdkRequest, 3)),
    );
    check(
        &[("amz-sdk-request", "ttl=20261123T190000Z;max=5 ;attempt=2")],
        Some((CallerSource::AmzSdkRequest, 5)),
    );
    check(
        &[("amz-sdk-request", "max=4")],
        Some((CallerSource::AmzSdkRequest, 4)),
    );
}

#[test]
fn an_sdk_that_sends_once_only_is_no_caller_that_retries() {
    check(&[("amz-sdk-request", "attempt=1; max=1")], None);
}

#[test]
fn a_count_beyond_the_maximum_is_believed() {
    check(
        &[("amz-sdk-request", "attempt=7; max=3")],
        Some((CallerSource::AmzSdkRequest, 7)),
    );
    check(
        &[("x-envoy-attempt-count", "4")],
        Some((CallerSource::EnvoyAttemptCount, 4)),
    );
    check(
        &[("redrive-attempt", "12")],
        Some((CallerSource::RedriveAttempt, 12)),
    );
}

#[test]
fn a_bare_count_stands_for_the_usual_maximum_of_its_source() {
    check(
        &[("amz-sdk-request", "attempt=1")],
        Some((CallerSource::AmzSdkRequest, 3)),
    );
    check(
        &[("x-envoy-attempt-count", "1")],
        Some((CallerSource::EnvoyAttemptCount, 2)),
    );
    check(
        &[("redrive-attempt", "1")],
        Some((CallerSource::RedriveAttempt, 10)),
    );
}

#[test]
fn of_several_callers_the_one_that_sends_most_often_counts() {
    check(
        &[
            ("x-envoy-attempt-count", "1"),
            ("amz-sdk-request", "attempt=1; max=3"),
        ],
        Some((CallerSource::AmzSdkRequest, 3)),
    );
    check(
        &[
            ("x-envoy-attempt-count", "6"),
            ("amz-sdk-request", "attempt=1; max=3"),
        ],
        Some((CallerSource::EnvoyAttemptCount, 6)),
    );
}

#[test]
fn what_cannot_be_read_announces_nothing() {
    for value in [
        "",
        "attempt=; max=",
        "max=0",
        "max=-3",
        "max",
        "attempt 1 max 3",
        "max=99999999999",
        "\u{7f}",
    ] {
        let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) else {
            continue;
        };
        let headers = HeaderMap::from_iter([(AMZ_SDK_REQUEST.clone(), value.clone())]);
        assert_eq!(read(&headers), None, "{value:?}");
    }
    for value in ["", "0", "one", "-1", "1.5", "4294967296"] {
        check(&[("x-envoy-attempt-count", value)], None);
        check(&[("redrive-attempt", value)], None);
    }
}

#[test]
fn bytes_that_are_no_text_announce_nothing() {
    let garbage = HeaderValue::from_bytes(b"\xff\xfe=3").unwrap();
    let headers = HeaderMap::from_iter([(AMZ_SDK_REQUEST.clone(), garbage)]);

    assert_eq!(read(&headers), None);
}

#[test]
fn every_source_is_listed_once_and_has_its_own_word() {
    let words = CallerSource::ALL.map(CallerSource::as_str);

    assert_eq!(
        words,
        ["amz_sdk_request", "envoy_attempt_count", "redrive_attempt"]
    );
}
