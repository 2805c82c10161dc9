//! Every kind of fault in a file: where it is said to be, and what would have been right.

use super::{UPSTREAM, load, with_file};

mod secrets;
mod whole;
mod words;

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
