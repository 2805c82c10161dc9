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
    check("[budget]\nratio = 0", &[]);
    check("[retry]\non = []", &[]);
    check("[retry]\ndry_run = true", &[]);
}

#[test]
fn times_that_end_each_other_are_odd() {
    check(
        "[deadline]\nattempt = \"61s\"",
        &["more than twice `deadline.total`"],
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
