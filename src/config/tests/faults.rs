//! Every kind of fault in a file: where it is said to be, and what would have been right.

use super::{UPSTREAM, load, with_file};

/// Checks the first fault of a file that begins, after its first line, with `text`: its line and column as `L:C`, the
/// bytes under the caret, and words of what is said.
#[track_caller]
fn check(text: &str, place: &str, marked: &str, words: &[&str]) {
    let file = format!("upstream = \"{UPSTREAM}\"\n{text}");

    let error = load(&file, &[], with_file()).unwrap_err();

    let all = error.to_string();
    assert_eq!(error.faults().len(), 1, "one mistake, one fault: {all}");
    let block = error.faults()[0].to_string();
    let lines: Vec<&str> = block.lines().collect();
    let header = format!("redrive.toml:{place}: ");
    assert!(
        lines[0].starts_with(&header),
        "{header} is not where {text:?} is wrong:\n{block}"
    );
    let start = lines[3].find('^').unwrap();
    let length = lines[3].matches('^').count();
    let under: String = lines[2].chars().skip(start).take(length).collect();
    assert_eq!(under, marked, "the caret of\n{block}");
    for word in words {
        assert!(block.contains(word), "{word:?} is missing in\n{block}");
    }
}

#[test]
fn unknown_keys_are_named_with_what_was_probably_meant() {
    check(
        "lisen = \"127.0.0.1:1\"",
        "2:1",
        "lisen",
        &["unknown key `lisen`", "did you mean `listen`?"],
    );
    check(
        "[retry]\nmax_atempts = 3",
        "3:1",
        "max_atempts",
        &["`retry.max_atempts`", "did you mean `max_attempts`?"],
    );
    check(
        "[retry]\nmax_attempts = { throtled = 3 }",
        "3:18",
        "throtled",
        &["did you mean `throttled`?"],
    );
    check(
        "[retri]\non = []",
        "2:2",
        "retri",
        &["did you mean `retry`?"],
    );
    check(
        "[deadline]\nmax_wait = \"1s\"",
        "3:1",
        "max_wait",
        &["did you mean `pace.max_wait`?"],
    );
    check(
        "[log]\ncolour = true",
        "3:1",
        "colour",
        &["expected one of `format`, `requests`"],
    );
    check(
        "[pace]\nmax-wait = \"1s\"",
        "3:1",
        "max-wait",
        &["did you mean `max_wait`?"],
    );
    check(
        "\"retry.on\" = []",
        "2:1",
        "\"retry.on\"",
        &["unknown key `retry.on`"],
    );
    check(
        "[[route]]\nname = \"a\"\npath = \"/a\"\nlog = {}",
        "5:1",
        "log",
        &["unknown key `log` in [[route]]"],
    );
    check(
        "[[classify]]\nstatus = 500\nclas = \"ok\"\nclass = \"ok\"",
        "4:1",
        "clas",
        &["did you mean `class`?"],
    );
}

#[test]
fn values_of_the_wrong_type_or_unit_are_marked() {
    check(
        "[deadline]\ntotal = 30",
        "3:9",
        "30",
        &["cannot be `30`", "a time above 0 with its unit"],
    );
    check(
        "[deadline]\ntotal = \"30\"",
        "3:9",
        "\"30\"",
        &["a time above 0 with its unit"],
    );
    check(
        "[deadline]\nattempt = \"0s\"",
        "3:11",
        "\"0s\"",
        &["a time above 0"],
    );
    check(
        "[deadline]\nconnect = \"0s\"",
        "3:11",
        "\"0s\"",
        &["a time above 0"],
    );
    check(
        "[deadline]\ntotal = \"8d\"",
        "3:9",
        "\"8d\"",
        &["at most \"7d\""],
    );
    check(
        "[replay]\nmax_body = \"10MB\"",
        "3:12",
        "\"10MB\"",
        &["did you mean \"10MiB\"?"],
    );
    check(
        "[replay]\nmax_body = 10",
        "3:12",
        "10",
        &["a whole size with its unit"],
    );
    check(
        "[replay]\nmax_total = \"99999999999GiB\"",
        "3:13",
        "\"99999999999GiB\"",
        &["a whole size"],
    );
    check(
        "[client]\nheader_bytes = \"1KiB\"",
        "3:16",
        "\"1KiB\"",
        &["from 8KiB to 1MiB"],
    );
    check("bypass = \"yes\"", "2:10", "\"yes\"", &["true or false"]);
    check(
        "bypass = \"true\"",
        "2:10",
        "\"true\"",
        &["did you mean true, without quotes?"],
    );
    check(
        "[retry]\nfutility = true",
        "3:12",
        "true",
        &["did you mean \"on\"?"],
    );
    check(
        "[retry]\nmax_attempts = 3",
        "3:16",
        "3",
        &[
            "is not a table",
            "a table of `throttled`, `suspected`, `other`",
        ],
    );
    check(
        "[retry]\nmax_attempts = { throttled = 0 }",
        "3:30",
        "0",
        &["a whole number from 1 to 1000"],
    );
    check(
        "[retry]\nmax_attempts = { throttled = 2.5 }",
        "3:30",
        "2.5",
        &["a whole number"],
    );
    check(
        "[retry]\nmax_attempts = { throttled = -1 }",
        "3:30",
        "-1",
        &["a whole number"],
    );
    check(
        "[pace]\nmax_waiting = \"10\"",
        "3:15",
        "\"10\"",
        &["did you mean 10, without quotes?"],
    );
    check(
        "[budget]\nratio = 0.0001",
        "3:9",
        "0.0001",
        &["at most three decimals"],
    );
    check(
        "[budget]\nratio = -0.2",
        "3:9",
        "-0.2",
        &["a number from 0"],
    );
    check("[budget]\nratio = nan", "3:9", "nan", &["a number from 0"]);
    check(
        "[budget]\ncost = { other = 0 }",
        "3:18",
        "0",
        &["a number above 0"],
    );
    check(
        "listen = \"localhost:7480\"",
        "2:10",
        "\"localhost:7480\"",
        &["did you mean \"127.0.0.1:7480\"?"],
    );
    check(
        "listen = 1979-05-27",
        "2:10",
        "1979-05-27",
        &["an IP address and a port"],
    );
    check(
        "route = 3",
        "2:9",
        "3",
        &["`route` is not a list", "[[route]]"],
    );
    check(
        "route = [3]",
        "2:10",
        "3",
        &["holds something that is not a table"],
    );
    check("retry = [3]", "2:9", "[3]", &["`retry` is not a table"]);
}

#[test]
fn words_that_are_none_are_marked_one_by_one() {
    check(
        "[retry]\nproof = \"strickt\"",
        "3:9",
        "\"strickt\"",
        &["expected \"usual\" or \"strict\"; did you mean \"strict\"?"],
    );
    check(
        "[retry]\nproof = \"Strict\"",
        "3:9",
        "\"Strict\"",
        &["did you mean \"strict\"?"],
    );
    check(
        "host = \"elsewhere\"",
        "2:8",
        "\"elsewhere\"",
        &["expected \"upstream\" or \"client\"\n"],
    );
    check(
        "[retry]\non = \"throttled\"",
        "3:6",
        "\"throttled\"",
        &["a list of"],
    );
    check(
        "[retry]\non = [\"throttled\", \"brokn\"]",
        "3:20",
        "\"brokn\"",
        &["cannot hold `brokn`", "did you mean \"broken\"?"],
    );
    for senseless in ["ok", "quota", "permanent"] {
        let text = format!("[retry]\non = [\"{senseless}\"]");
        check(
            &text,
            "3:7",
            &format!("\"{senseless}\""),
            &["a class that another attempt can mend"],
        );
    }
    check(
        "[retry]\non = [\"cancelled\"]",
        "3:7",
        "\"cancelled\"",
        &["expected \"throttled\""],
    );
    check(
        "[retry]\non = [\"broken\", \"broken\"]",
        "3:17",
        "\"broken\"",
        &["each word once"],
    );
    check("[retry]\non = [7]", "3:7", "7", &["cannot hold `7`"]);
    check(
        "[retry]\nmarker_header = \"x gw\"",
        "3:17",
        "\"x gw\"",
        &["a header name"],
    );
    check(
        "[deadline]\nheader = \"\"",
        "3:10",
        "\"\"",
        &["a header name"],
    );
}

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
fn keys_that_this_version_does_not_honour_are_refused() {
    for key in ["cert", "key", "client_ca"] {
        let text = format!("[tls.listen]\n{key} = \"x\"");
        check(&text, "3:1", key, &["is not supported by this version"]);
    }
    for key in ["region", "service", "api_key_file"] {
        let text = format!("[sign]\n{key} = \"x\"");
        check(&text, "3:1", key, &["is not supported by this version"]);
    }
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
fn a_password_in_a_url_is_not_repeated() {
    let error = load(
        "upstream = \"https://me:hunter2@api.example\"",
        &[],
        with_file(),
    )
    .unwrap_err();

    let text = error.to_string();
    assert!(text.contains("without user and password"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
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
    let flags = super::Flags {
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
