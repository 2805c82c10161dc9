//! When the upstream wants us back, in every form that it may say so.

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

/// The moment at which every answer here is read: Sun, 06 Nov 1994 08:49:37 GMT, as in the RFC's examples.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(784_111_777)
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
}

#[track_caller]
fn check(lines: &[(&str, &str)], wait_ms: u64, source: Source) {
    let reading = read(StatusCode::TOO_MANY_REQUESTS, &headers(lines), now());

    let wait = Duration::from_millis(wait_ms);
    assert_eq!(reading.hint, Some(Hint { wait, source }));
    assert_eq!(reading.ignored, 0);
}

#[track_caller]
fn check_ignored(name: &str, value: &str) {
    let reading = read(
        StatusCode::SERVICE_UNAVAILABLE,
        &headers(&[(name, value)]),
        now(),
    );

    let expected = Reading {
        hint: None,
        ignored: 1,
    };
    assert_eq!(reading, expected, "{name}: {value}");
}

#[track_caller]
fn check_nothing(lines: &[(&str, &str)]) {
    let reading = read(StatusCode::TOO_MANY_REQUESTS, &headers(lines), now());

    assert_eq!(reading, Reading::default());
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    check(&[("retry-after", "0")], 0, Source::RetryAfterSeconds);
    check(
        &[("retry-after", "120")],
        120_000,
        Source::RetryAfterSeconds,
    );
    check(&[("retry-after", " 7 ")], 7_000, Source::RetryAfterSeconds);
    for date in [
        "Sun, 06 Nov 1994 08:49:47 GMT",
        "Sunday, 06-Nov-94 08:49:47 GMT",
        "Sun Nov  6 08:49:47 1994",
    ] {
        check(&[("retry-after", date)], 10_000, Source::RetryAfterDate);
    }
}

#[test]
fn a_fraction_of_a_second_is_understood() {
    check(&[("retry-after", "1.5")], 1_500, Source::RetryAfterSeconds);
    check(&[("retry-after", "0.25")], 250, Source::RetryAfterSeconds);
}

#[test]
fn a_date_that_has_passed_asks_for_no_wait() {
    check(
        &[("retry-after", "Sun, 06 Nov 1994 08:49:36 GMT")],
        0,
        Source::RetryAfterDate,
    );
}

#[test]
fn milliseconds_are_milliseconds() {
    check(&[("retry-after-ms", "1500")], 1_500, Source::RetryAfterMs);
    check(&[("x-amz-retry-after", "20")], 20, Source::AmzRetryAfter);
}

#[test]
fn a_rate_limit_tells_when_it_refills() {
    let source = Source::RateLimitReset;

    check(&[("ratelimit", r#""default";r=0;t=30"#)], 30_000, source);
    check(&[("ratelimit", r#""default";t=3"#)], 3_000, source);
    check(&[("ratelimit", "default; r=0; t=30")], 30_000, source);
    check(&[("ratelimit", r#""a;t=99, b";r=0;t=4"#)], 4_000, source);
    check(
        &[("ratelimit", "limit=100, remaining=0, reset=5")],
        5_000,
        source,
    );
    check(&[("ratelimit-reset", "12")], 12_000, source);
}

#[test]
fn of_several_used_up_limits_the_slowest_counts() {
    check(
        &[(
            "ratelimit",
            r#""second";r=0;t=1, "minute";r=0;t=40, "burst";r=0;t=2, "hour";r=9;t=3000"#,
        )],
        40_000,
        Source::RateLimitReset,
    );
}

#[test]
fn a_limit_with_something_left_gives_no_hint() {
    check_nothing(&[("ratelimit", r#""default";r=50;t=30"#)]);
    check_nothing(&[("ratelimit", "limit=100, remaining=50, reset=5")]);
    check_nothing(&[("ratelimit", r#""default";r=0"#)]);
    check_nothing(&[("ratelimit-reset", "30"), ("ratelimit-remaining", "3")]);
    check_nothing(&[("x-ratelimit-reset", "30"), ("x-ratelimit-remaining", "3")]);
    check(
        &[("x-ratelimit-reset", "30"), ("x-ratelimit-remaining", "0")],
        30_000,
        Source::XRateLimitReset,
    );
}

#[test]
fn an_unwritten_reset_is_told_by_its_size() {
    let source = Source::XRateLimitReset;

    check(&[("x-ratelimit-reset", "45")], 45_000, source);
    let ms = UNIX_EPOCH + Duration::from_millis(1_784_111_777_500);
    let lines = |value| headers(&[("x-ratelimit-reset", value)]);
    for (value, wait_ms) in [("1784111779", 1_500), ("1784111778250", 750)] {
        let reading = read(StatusCode::TOO_MANY_REQUESTS, &lines(value), ms);
        let found = reading.hint.unwrap();
        assert_eq!(found.source, source);
        // A moment of today fills a double up to a quarter of a microsecond.
        let wait = Duration::from_millis(wait_ms);
        assert!(
            found.wait.abs_diff(wait) < Duration::from_micros(1),
            "{found:?}"
        );
    }
}

#[test]
fn the_header_that_says_it_best_is_followed() {
    let mut lines = vec![
        ("x-ratelimit-reset", "6"),
        ("ratelimit-reset", "5"),
        ("ratelimit", r#""default";r=0;t=4"#),
        ("retry-after", "3"),
        ("retry-after-ms", "2"),
        ("x-amz-retry-after", "1"),
    ];

    check(&lines, 1, Source::AmzRetryAfter);
    lines.pop();
    check(&lines, 2, Source::RetryAfterMs);
    lines.pop();
    check(&lines, 3_000, Source::RetryAfterSeconds);
    lines.pop();
    check(&lines, 4_000, Source::RateLimitReset);
    lines.pop();
    check(&lines, 5_000, Source::RateLimitReset);
    lines.pop();
    check(&lines, 6_000, Source::XRateLimitReset);
}

#[test]
fn what_cannot_be_followed_is_counted_and_the_next_header_asked() {
    let lines = headers(&[("retry-after-ms", "soon"), ("retry-after", "3")]);

    let reading = read(StatusCode::TOO_MANY_REQUESTS, &lines, now());

    let hint = Hint {
        wait: Duration::from_secs(3),
        source: Source::RetryAfterSeconds,
    };
    assert_eq!(reading.hint, Some(hint));
    assert_eq!(reading.ignored, 1);
}

#[test]
fn negative_and_unreadable_hints_are_ignored() {
    for value in [
        "-1", "-0", "+5", "soon", "", "1e3", "inf", "NaN", ".", ".5", "1.2.3", "0x10", "5s",
        "6m0s", "5, 6",
    ] {
        check_ignored("retry-after", value);
        check_ignored("x-amz-retry-after", value);
        check_ignored("x-ratelimit-reset", value);
    }
    check_ignored("ratelimit", r#""default";r=0;t=-3"#);
    check_ignored("ratelimit", r#""default";r=0;t="3""#);
}

#[test]
fn a_wait_of_more_than_a_day_is_absurd() {
    check(
        &[("retry-after", "86400")],
        86_400_000,
        Source::RetryAfterSeconds,
    );
    for (name, value) in [
        ("retry-after", "86401"),
        ("retry-after", "999999999999999999999999999999999999"),
        ("retry-after", "Mon, 07 Nov 1994 08:49:38 GMT"),
        ("retry-after-ms", "86400001"),
        ("ratelimit", r#""default";r=0;t=86401"#),
        ("ratelimit-reset", "1784111779"),
        ("x-ratelimit-reset", "86401"),
        ("x-ratelimit-reset", "1000000000"),
        ("x-ratelimit-reset", "1784111779"),
        ("x-ratelimit-reset", "9999999999999999999999999999999999"),
    ] {
        check_ignored(name, value);
    }
}

#[test]
fn only_429_and_503_carry_hints() {
    let lines = headers(&[("retry-after", "3"), ("retry-after-ms", "bad")]);

    for status in [200, 301, 400, 403, 500, 502, 504] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(read(status, &lines, now()), Reading::default());
    }
    assert!(
        read(StatusCode::SERVICE_UNAVAILABLE, &lines, now())
            .hint
            .is_some()
    );
}

#[test]
fn the_words_of_the_sources_differ() {
    let mut words: Vec<_> = Source::ALL.iter().map(|source| source.as_str()).collect();
    words.sort_unstable();
    words.dedup();

    assert_eq!(words.len(), Source::ALL.len());
}

proptest! {
    #[test]
    fn no_header_makes_anyone_wait_longer_than_the_limit(
        lines in prop::collection::vec(
            (
                prop::sample::select(READERS.map(|(name, ..)| name).to_vec()),
                prop_oneof![
                    "[-+]?[0-9]{0,25}(\\.[0-9]{0,12})?",
                    "\"?[a-z]{0,3}\"?;r=[0-9]{0,3};t=[0-9]{0,20}",
                    "(limit=9, ?)?(remaining=[0-9]?, ?)?reset=[0-9]{0,12}",
                    "[A-Z][a-z]{2}, [0-9]{2} (Jan|Nov) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
                    "[ -~]{0,40}",
                ],
            ),
            0..5,
        ),
        now_seconds in 0_u64..100_000_000_000,
    ) {
        let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let headers = headers(&lines);
        let now = UNIX_EPOCH + Duration::from_secs(now_seconds);

        let reading = read(StatusCode::TOO_MANY_REQUESTS, &headers, now);

        if let Some(hint) = reading.hint {
            prop_assert!(hint.wait <= WAIT_MAX);
            prop_assert_ne!(hint.source, Source::Ignored);
            prop_assert!(is_offered(&headers));
        }
        prop_assert!(usize::try_from(reading.ignored).unwrap() <= headers.keys_len());
    }

    #[test]
    fn no_bytes_make_it_panic(
        name in prop::sample::select(READERS.map(|(name, ..)| name).to_vec()),
        value in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.insert(name, value);
        }

        let reading = read(StatusCode::TOO_MANY_REQUESTS, &headers, now());

        prop_assert!(reading.ignored <= 1);
    }
}
