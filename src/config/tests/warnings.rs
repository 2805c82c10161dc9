//! What is valid and odd.

use super::file;

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let loaded = file(text);

    let told: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), expected.len(), "{text}\n{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(
            told.contains(expected),
            "{expected:?} is missing in\n{told}"
        );
    }
}

#[test]
fn nothing_is_said_where_nothing_contradicts_itself() {
    check("", &[]);
    check("[deadline]\ntotal = \"20s\"", &[]);
    check("[deadline]\nattempt = \"60s\"", &[]);
    check("[pace]\nmode = \"off\"", &[]);
    check("[retry]\nmax_attempts = { throttled = 1000 }", &[]);
    check("[budget]\nratio = 0", &[]);
    check("[retry]\non = []", &[]);
    check("[retry]\ndry_run = true", &[]);
}

#[test]
fn times_that_end_each_other_are_odd() {
    check(
        "[deadline]\nattempt = \"61s\"",
        &["redrive.toml:3:11: `deadline.attempt` is more than twice `deadline.total`"],
    );
    check(
        "[pace]\nmax_wait = \"31s\"",
        &["`pace.max_wait` is above `deadline.total`"],
    );
    check(
        "[retry]\nbackoff = { base = \"60s\", max = \"60s\" }",
        &["`retry.backoff.base` is twice `deadline.total`"],
    );
    check(
        "[[route]]\nname = \"a\"\npath = \"/a\"\ndeadline = { total = \"9s\", attempt = \"9s\" }",
        &["redrive.toml:5:"],
    );
}

#[test]
fn attempts_that_there_is_no_time_for_are_odd() {
    check(
        "[pace]\nmode = \"off\"\n[retry]\nmax_attempts = { throttled = 12 }",
        &[
            "redrive.toml:5:30: `retry.max_attempts.throttled` = 12 is more than `deadline.total` (\"30s\") has time for",
        ],
    );
    // 0.5 + 1 + 2 + 4 + 8 s on average are over within 30 s, and 10 s more are not.
    check(
        "[pace]\nmode = \"off\"\n[retry]\nmax_attempts = { throttled = 12 }",
        &["the waits of 7 attempts are over, on average: set 7,"],
    );
    check(
        "[retry]\nbackoff = { base = \"10s\" }\nmax_attempts = { other = 9 }",
        &["`retry.max_attempts.other` = 9 is more"],
    );
    check(
        "[pace]\nmode = \"off\"\n[retry]\nmax_attempts = { throttled = 7 }",
        &[],
    );
}

#[test]
fn a_route_whose_own_path_keeps_requests_from_it_is_odd() {
    let route = |more: &str| format!("[[route]]\nname = \"a\"\npath = \"/a//b\"\n{more}");
    check(&route(""), &[]);
    check(
        &route("retry = { unsafe_methods = \"always\" }"),
        &["redrive.toml:4:8: route `a` gets no requests"],
    );
}

#[test]
fn a_budget_that_earns_nothing_is_odd() {
    check(
        "[budget]\nratio = 0\nmin_per_second = 0",
        &["the budget earns nothing"],
    );
}

#[test]
fn tls_settings_towards_a_plain_upstream_are_odd() {
    let text = "upstream = \"http://api.example\"\n[tls.upstream]\nca_file = \"c\"";

    let loaded = super::load(text, &[], super::with_file()).unwrap();

    assert!(loaded.warnings[0].to_string().contains("without effect"));
}

#[test]
fn a_route_that_an_earlier_one_leaves_nothing_to_is_odd() {
    let routes = |pairs: &[(&str, &str)]| -> String {
        let tables = pairs.iter().enumerate().map(|(n, (path, more))| {
            format!("[[route]]\nname = \"r{n}\"\npath = \"{path}\"\n{more}\n")
        });
        tables.collect()
    };
    let odd = "route `r1` gets no requests: `r0` stands before it";
    /// Paths with what else their routes set, and parts of what is said about them.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (&[("/a/*", ""), ("/a/b", "")], &[odd]),
        (&[("/a/*", ""), ("/a/b/*", "")], &[odd]),
        (&[("/*", ""), ("/a", "methods = [\"GET\"]")], &[odd]),
        (&[("/a", ""), ("/a", "")], &[odd]),
        (
            &[
                ("/a", "methods = [\"GET\", \"PUT\"]"),
                ("/a", "methods = [\"PUT\"]"),
            ],
            &[odd],
        ),
        (
            &[
                ("/a", "retry = { unsafe_methods = \"always\" }"),
                ("/a", ""),
            ],
            &["gets at most requests whose path holds"],
        ),
        (&[("/a/b", ""), ("/a/*", "")], &[]),
        (&[("/a/*", ""), ("/a", "")], &[]),
        (&[("/a", "methods = [\"GET\"]"), ("/a", "")], &[]),
        (
            &[("/a", "methods = [\"GET\"]"), ("/a", "methods = [\"PUT\"]")],
            &[],
        ),
        (&[("/a", ""), ("/a*", "")], &[]),
    ];

    for (pairs, expected) in cases {
        check(&routes(pairs), expected);
    }
}
