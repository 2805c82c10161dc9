//! Amounts and their spelling.

use std::time::Duration;

use proptest::prelude::*;

use super::super::kind::Kind;
use super::super::parse;
use super::super::quantity::{milli, size, spell_milli, spell_size, spell_time, time};

#[track_caller]
fn check<T: PartialEq + std::fmt::Debug>(
    read: fn(&str) -> Option<T>,
    cases: impl IntoIterator<Item = (&'static str, Option<T>)>,
) {
    for (text, expected) in cases {
        assert_eq!(read(text), expected, "reading {text:?}");
    }
}

#[test]
fn tokens_are_converted_exactly_or_not_at_all() {
    let cases = [
        ("0.2", Some(200)),
        ("500", Some(500_000)),
        ("0", Some(0)),
        ("0.001", Some(1)),
        ("2.05", Some(2_050)),
        ("0.2000", Some(200)),
        ("0.0001", None),
        ("0.33333", None),
        ("1e3", None),
        ("-1", None),
        ("+1", None),
        ("nan", None),
        ("inf", None),
        (".5", None),
        ("1.", None),
        ("", None),
        ("1.2.3", None),
        ("99999999999999999999", None),
        ("18446744073709551", Some(18_446_744_073_709_551_000)),
        ("18446744073709552", None),
    ];

    check(milli, cases);
}

#[test]
fn a_time_needs_a_unit() {
    let cases = [
        ("250ms", Some(Duration::from_millis(250))),
        ("30s", Some(Duration::from_secs(30))),
        ("1m 15s", Some(Duration::from_secs(75))),
        ("5m", Some(Duration::from_secs(300))),
        ("0s", Some(Duration::ZERO)),
        ("0", None),
        ("30", None),
        ("2.5", None),
        ("-1s", None),
        ("s", None),
        ("", None),
        ("30 parsecs", None),
        ("99999999999999999999s", None),
    ];

    check(time, cases);
}

#[test]
fn a_size_needs_a_binary_unit() {
    let cases = [
        ("10MiB", Some(10 << 20)),
        ("32KiB", Some(32 << 10)),
        ("1GiB", Some(1 << 30)),
        ("7B", Some(7)),
        ("0B", Some(0)),
        ("10MB", None),
        ("10 MiB", None),
        ("10", None),
        ("+1B", None),
        ("-1B", None),
        ("1.5MiB", None),
        ("MiB", None),
        ("", None),
        ("18446744073709551615GiB", None),
    ];

    check(size, cases);
}

#[test]
fn a_url_keeps_nothing_that_a_request_would_lose() {
    let cases = [
        ("https://a.example", Some("https://a.example")),
        ("https://a.example/", Some("https://a.example")),
        (
            "http://a.example:8080/prod/",
            Some("http://a.example:8080/prod"),
        ),
        ("http://[::1]:80/a", Some("http://[::1]:80/a")),
        ("a.example", None),
        ("ftp://a.example", None),
        ("https://a.example/?x=1", None),
        ("https://a.example/#top", None),
        ("https://user:pass@a.example", None),
        ("https://user@a.example", None),
        ("https://a.example:0", None),
        ("https://a.example:65536", None),
        ("https://a.example:", None),
        ("https://", None),
        ("https://:443", None),
        ("https://a b", None),
        ("", None),
    ];

    for (text, expected) in cases {
        let read = parse::value(Kind::Url, text).map(|value| value.to_string());

        let expected = expected.map(|url| format!("{url:?}"));
        assert_eq!(read.ok(), expected, "reading {text:?}");
    }
}

proptest! {
    #[test]
    fn what_is_spelt_reads_back_as_the_same_amount(amount in 0u64..1 << 52) {
        let bytes = usize::try_from(amount).unwrap();

        prop_assert_eq!(milli(&spell_milli(amount)), Some(amount));
        prop_assert_eq!(time(&spell_time(Duration::from_nanos(amount))), Some(Duration::from_nanos(amount)));
        prop_assert_eq!(size(&spell_size(bytes)), Some(bytes));
    }

    #[test]
    fn no_text_is_too_odd_to_be_read(text in ".{0,40}") {
        for kind in [
            Kind::Bool, Kind::Time { zero: true }, Kind::Size { min: 0, max: usize::MAX }, Kind::Tokens { zero: true },
            Kind::Address, Kind::Url, Kind::Header, Kind::Name, Kind::Pattern, Kind::Text, Kind::Methods,
            Kind::Count { min: 0, max: 9 }, Kind::Words(&["a", "b"]), Kind::Word(&["a", "b"]),
        ] {
            // Whether it fits is not the question: it must not panic, and a misfit must lie within the text.
            if let Err(fits) = kind.read_bare(&text) {
                for fit in fits {
                    prop_assert!(fit.part.start <= fit.part.end);
                }
            }
        }
    }
}
