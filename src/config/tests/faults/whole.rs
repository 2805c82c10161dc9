//! Faults that show only when routes, keys or sources are looked at together.

use super::super::Flags;
use super::*;

#[test]
fn routes_and_rules_are_checked_one_by_one() {
    let route = |line: &str| format!("[[route]]\nname = \"a\"\npath = \"/a\"\n{line}");
    check(
        "[[route]]\npath = \"/a\"",
        "2:1",
        "[[route]]",
        &["[[route]] without `name`"],
    );
    check(
        "[[route]]\nname = \"a\"",
        "2:1",
        "[[route]]",
        &["[[route]] without `path`"],
    );
    check(
        "[[route]]\nname = \"default\"\npath = \"/a\"",
        "3:8",
        "\"default\"",
        &["`default` is taken"],
    );
    check(
        "[[route]]\nname = \"a b\"\npath = \"/a\"",
        "3:8",
        "\"a b\"",
        &["a name of letters"],
    );
    check(
        &route("[[route]]\nname = \"a\"\npath = \"/b\""),
        "6:8",
        "\"a\"",
        &["a second route named `a`"],
    );
    for (path, word) in [
        ("/a/*/b", "the only `*` at its end"),
        ("/a**", "the only `*` at its end"),
        ("/a/../b", "without `..`"),
        ("/..", "without `..`"),
        ("/a?b", "a raw path"),
        ("/a#b", "a raw path"),
        ("/a b", "a raw path"),
        ("/ä", "a raw path"),
        ("", "a raw path"),
        ("a", "did you mean \"/a\"?"),
    ] {
        let text = format!("[[route]]\nname = \"a\"\npath = \"{path}\"");
        check(&text, "4:8", &format!("\"{path}\""), &[word]);
    }
    check(
        &route("methods = []"),
        "5:11",
        "[]",
        &["at least one method"],
    );
    check(
        &route("methods = [\"GET\", \"post\"]"),
        "5:19",
        "\"post\"",
        &["did you mean \"POST\"?"],
    );
    check(
        &route("methods = [\"G T\"]"),
        "5:12",
        "\"G T\"",
        &["a method like"],
    );
    check(&route("upstream = \"x\""), "5:12", "\"x\"", &["a URL like"]);
    check(
        &route("budget = { capacity = 0.5 }"),
        "5:23",
        "0.5",
        &["`budget.cost.throttled` (1) is above `budget.capacity` (0.5)"],
    );

    check(
        "[[classify]]\nclass = \"ok\"",
        "2:1",
        "[[classify]]",
        &["without a condition"],
    );
    check(
        "[[classify]]\nstatus = 503",
        "2:1",
        "[[classify]]",
        &["[[classify]] without `class`"],
    );
    check(
        "[[classify]]\nstatus = 99\nclass = \"ok\"",
        "3:10",
        "99",
        &["from 100 to 599"],
    );
    check(
        "[[classify]]\nstatus = 500\nclass = \"throtled\"",
        "4:9",
        "\"throtled\"",
        &["did you mean \"throttled\"?"],
    );
    check(
        "[[classify]]\nstatus = 500\nclass = \"cancelled\"",
        "4:9",
        "\"cancelled\"",
        &["expected \"ok\""],
    );
    check(
        "[[classify]]\nheader = { name = \"x\" }\nclass = \"ok\"",
        "3:19",
        "\"x\"",
        &["`header.name` without `header.value`"],
    );
    check(
        "[[classify]]\nbody_contains = \"\"\nclass = \"ok\"",
        "3:17",
        "\"\"",
        &["text"],
    );
}

#[test]
fn what_is_impossible_together_is_marked_where_it_was_written() {
    check(
        "[budget]\ncapacity = 2",
        "3:12",
        "2",
        &["`budget.cost.other` (3) is above `budget.capacity` (2)"],
    );
    check(
        "[budget]\ncost = { throttled = 501 }",
        "3:22",
        "501",
        &["(501) is above `budget.capacity` (500)"],
    );
    check(
        "[pace]\nmax_in_flight = 513",
        "3:17",
        "513",
        &["above `connections.max` (512)"],
    );
    check(
        "[connections]\nmax = 10\n[pace]\nmax_in_flight = 11",
        "5:17",
        "11",
        &["above `connections.max` (10)"],
    );
    check(
        "[replay]\nmax_total = \"1MiB\"",
        "3:13",
        "\"1MiB\"",
        &["`replay.max_body` is above `replay.max_total`"],
    );
    check(
        "[pace]\nlimit = { per_second = 5 }",
        "3:24",
        "5",
        &["`pace.limit.per_second` without `pace.limit.burst`"],
    );
    check(
        "[tls.upstream]\nclient_cert = \"c\"",
        "3:15",
        "\"c\"",
        &["without `tls.upstream.client_key`"],
    );
    check(
        "[tls.upstream]\nclient_key = \"k\"",
        "3:14",
        "\"k\"",
        &["without `tls.upstream.client_cert`"],
    );
    check(
        "[tls.listen]\ncert = \"c\"",
        "3:8",
        "\"c\"",
        &["without `tls.listen.key`"],
    );
    check(
        "[tls.listen]\nclient_ca = \"c\"",
        "3:13",
        "\"c\"",
        &["without `tls.listen.cert` and `tls.listen.key`"],
    );
    check(
        "[admin]\nlisten = \"127.0.0.1:7480\"",
        "3:10",
        "\"127.0.0.1:7480\"",
        &["are the same address"],
    );
    check(
        "[[route]]\nname = \"a\"\npath = \"/a\"\nupstream = \"http://localhost:7480\"",
        "5:12",
        "\"http://localhost:7480\"",
        &["is our own `listen`"],
    );
}

#[test]
fn broken_syntax_is_marked_too_and_nothing_is_said_to_be_missing() {
    check("[log\nformat = \"text\"", "2:5", "", &["expected `]`"]);
    check("bypass = ", "2:10", "", &[]);
    check(
        "bypass = true\nbypass = false",
        "3:1",
        "bypass",
        &["duplicate key"],
    );
}

#[test]
fn a_configuration_without_an_upstream_says_where_to_set_it() {
    let error = load("bypass = true", &[], with_file()).unwrap_err();

    assert!(error.is_only_missing_upstream());
    assert!(error.to_string().contains("--upstream URL"));
}

#[test]
fn all_faults_of_all_sources_are_told_at_once_and_in_order() {
    let file =
        "upstream = \"ftp://x\"\nlisten = 1\n[retry]\nproof = \"x\"\n[budget]\ncapacity = 2\n";
    let env = [("REDRIVE_LOG__FORMAT", "xml"), ("REDRIVE_NONSENSE", "1")];
    let flags = Flags {
        admin: Some("here".to_owned()),
        ..with_file()
    };

    let error = load(file, &env, flags).unwrap_err();

    let heads: Vec<String> = error
        .faults()
        .iter()
        .map(|fault| fault.to_string().lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(
        heads,
        [
            "redrive.toml:1:12: `upstream` cannot be `ftp://x`",
            "redrive.toml:2:10: `listen` cannot be `1`",
            "redrive.toml:4:9: `retry.proof` cannot be `x`",
            "redrive.toml:6:12: `budget.cost.other` (3) is above `budget.capacity` (2)",
            "environment: `log.format` cannot be `xml`",
            "environment: unknown variable REDRIVE_NONSENSE",
            "command line: `admin.listen` cannot be `here`",
        ]
    );
}

#[test]
fn a_fault_in_a_long_or_odd_line_shows_a_readable_piece_of_it() {
    let long = format!(
        "upstream = \"{UPSTREAM}\"\n[tls.upstream]\nca_file = \"{}\"",
        "é\\u0007".repeat(5000)
    );

    let error = load(&long, &[], with_file()).unwrap_err();

    for line in error.to_string().lines() {
        assert!(
            line.chars().count() < 400,
            "{} characters",
            line.chars().count()
        );
    }
}

#[test]
fn thousands_of_faults_are_counted_and_not_all_printed() {
    let many: String = (0..3000).map(|n| format!("unknown{n} = 1\n")).collect();

    let error = load(&many, &[], with_file()).unwrap_err();

    assert_eq!(error.faults().len(), 3001);
    assert!(error.to_string().contains("... and 2951 more"));
}
