//! Checks of configurations and saved answers given as text.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::{Error, Malformed, Report, explained, print, summary, warnings};
use crate::check::saved::Answer;
use crate::config::{Config, Flags, Sources};

fn sources(file: Option<&'static str>) -> Sources<'static> {
    let env = file.map(|text| ("REDRIVE_CONFIG_TOML".to_owned(), text.to_owned()));
    Sources {
        flags: Flags::default(),
        env: env.into_iter().collect::<BTreeMap<_, _>>(),
        read: &|_: &Path| Err(io::ErrorKind::NotFound.into()),
    }
}

/// Explains an answer under a file, or under the defaults.
#[track_caller]
fn explain(answer: &str, file: Option<&'static str>) -> String {
    let Report { text, .. } = explained("saved", answer.as_bytes(), sources(file)).unwrap();
    text
}

/// What stands behind a name in an explanation.
#[track_caller]
fn told<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("`{name}` is missing in\n{text}"))
        .trim()
}

const THROTTLED: &str = "HTTP/1.1 429 Too Many Requests\r\nx-amzn-ErrorType: TooManyRequestsException\r\ncontent-type: application/json\r\n\r\n{\"message\":\"Too Many Requests\"}";

const SUSPECTED: &str = "HTTP/1.1 500 Internal Server Error\r\nx-amzn-ErrorType: InternalServerErrorException\r\n\r\n{\"message\": \"Internal server error\"}";

#[test]
fn a_proven_throttle_is_sent_again_whatever_the_method() {
    let text = explain(THROTTLED, None);

    assert_eq!(told(&text, "status"), "429 Too Many Requests");
    assert_eq!(told(&text, "class"), "throttled");
    assert_eq!(told(&text, "ran"), "no, the function did not run");
    assert_eq!(told(&text, "kind"), "rate");
    assert_eq!(told(&text, "scope"), "api");
    assert_eq!(told(&text, "hint"), "none");
    assert!(!told(&text, "because").is_empty());
    assert_eq!(told(&text, "GET"), "sent again, up to 10 attempts");
    assert_eq!(told(&text, "POST"), "sent again, up to 10 attempts");
}

#[test]
fn a_suspect_is_not_sent_again_where_that_could_do_harm() {
    let text = explain(SUSPECTED, None);

    assert_eq!(told(&text, "class"), "suspected");
    assert_eq!(told(&text, "GET"), "sent again, up to 4 attempts");
    assert_eq!(told(&text, "POST"), "delivered, not sent again: unsafe");
}

#[test]
fn the_policy_that_explains_is_the_configured_one() {
    let always = explain(SUSPECTED, Some("[retry]\nunsafe_methods = \"always\""));
    assert_eq!(told(&always, "POST"), "sent again, up to 4 attempts");

    let keyed = explain(SUSPECTED, Some("[retry]\nidempotency_key = \"add\""));
    assert_eq!(told(&keyed, "POST"), "sent again, up to 4 attempts");

    let off = explain(THROTTLED, Some("[retry]\non = []"));
    assert_eq!(told(&off, "GET"), "delivered as it is");

    let dry = explain(THROTTLED, Some("[retry]\ndry_run = true"));
    assert_eq!(told(&dry, "GET"), "delivered, not sent again: dry_run");

    let rule = explain(
        "HTTP/1.1 418 I'm a teapot\n\nslow down, please",
        Some(
            "[[classify]]\nstatus = 418\nbody_contains = \"slow down\"\nclass = \"throttled\"\nran = \"no\"",
        ),
    );
    assert_eq!(told(&rule, "class"), "throttled");
    assert_eq!(told(&rule, "POST"), "sent again, up to 10 attempts");
}

#[test]
fn a_hint_is_told_and_one_past_the_deadline_ends_it() {
    let hinted = |seconds: u32| {
        THROTTLED.replace("\r\n\r\n", &format!("\r\nRetry-After: {seconds}\r\n\r\n"))
    };

    let soon = explain(&hinted(2), None);
    let late = explain(&hinted(3600), None);

    assert!(told(&soon, "hint").starts_with("2s ("), "{soon}");
    assert_eq!(told(&soon, "GET"), "sent again, up to 10 attempts");
    assert_eq!(
        told(&late, "GET"),
        "delivered, not sent again: hint_too_long"
    );
}

#[test]
fn answers_are_read_as_tools_save_them() {
    let bodies = [
        ("HTTP/1.1 429 Too Many Requests\r\na: b\r\n\r\nbody", "body"),
        ("HTTP/1.1 429 Too Many Requests\na: b\n\nbody", "body"),
        ("HTTP/2 429 \r\na: b\r\n\r\nbody", "body"),
        ("HTTP/2 429\na: b\n\nbody", "body"),
        ("HTTP/1.0 429 X\na: b\n\nbody", "body"),
        ("\n HTTP/1.1 429 X\na: b\n\nbody", "body"),
        ("HTTP/1.1 429 X\na: b", ""),
        ("HTTP/1.1 429 X\r\na: b\r\n", ""),
        (
            "HTTP/1.1 429 X\r\na: b\r\ncontent-length: 4\r\n\r\nbody\n",
            "body",
        ),
        (
            "HTTP/1.1 429 X\r\na: b\r\ncontent-length: 9\r\n\r\nbody",
            "body",
        ),
        (
            "HTTP/1.1 429 X\na: b\ntransfer-encoding: chunked\n\nbody",
            "body",
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 X\r\na: b\r\n\r\nbody",
            "body",
        ),
        (
            "HTTP/1.1 301 Moved\nlocation: /\n\nHTTP/1.1 200 Connection established\n\nHTTP/1.1 429 X\na: b\n\nbody\n\nmore",
            "body\n\nmore",
        ),
    ];

    for (text, body) in bodies {
        let answer =
            Answer::read(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"));

        assert_eq!(answer.status.as_u16(), 429, "{text:?}");
        assert_eq!(answer.headers["a"], "b", "{text:?}");
        assert_eq!(String::from_utf8_lossy(&answer.body), body, "{text:?}");
    }
}

#[test]
fn what_is_no_answer_is_refused_with_a_reason() {
    let no_line = ["", "{\"message\": \"x\"}", "GET / HTTP/1.1\n\n", "HTTP/1.1"];
    for text in no_line {
        assert_eq!(
            Answer::read(text.as_bytes()),
            Err(Malformed::NoStatusLine),
            "{text:?}"
        );
    }
    for text in [
        "HTTP/1.1 abc X\n\n",
        "HTTP/1.1 429 X\nno colon\n\n",
        "HTTP/1.1 429 X\n: empty\n\n",
    ] {
        assert!(
            matches!(Answer::read(text.as_bytes()), Err(Malformed::Head(_))),
            "{text:?}"
        );
    }
    let endless = "HTTP/1.1 100 Continue\n\n".repeat(60);
    assert_eq!(
        Answer::read(endless.as_bytes()),
        Err(Malformed::TooManyHeads)
    );

    let error = explained("saved", b"nonsense", sources(None)).unwrap_err();
    assert_eq!(error.exit_code(), 1);
}

#[test]
fn a_configuration_with_faults_is_not_explained_by() {
    let error = explained("saved", THROTTLED.as_bytes(), sources(Some("bypass = 1"))).unwrap_err();

    assert!(matches!(error, Error::Config(_)));
    assert_eq!(error.exit_code(), 78);
}

#[test]
fn a_summary_names_where_everything_is() {
    let text = "upstream = \"https://api.example/prod\"\n[[route]]\nname = \"a\"\npath = \"/a\"";
    let loaded = Config::load(&sources(Some(text))).unwrap();

    assert_eq!(
        summary(&loaded),
        "configuration is valid\n  upstream  https://api.example/prod\n  listen    127.0.0.1:7480\n  admin     127.0.0.1:7481\n  routes    a, default\n  \
         restart   listen, admin.listen, admin.pages, tls.listen, log.format; a reload changes all else\n"
    );
}

#[test]
fn every_printed_line_is_a_key_a_value_and_an_origin() {
    let text = "upstream = \"https://api.example/prod\"\n[budget]\nratio = 0.5";
    let loaded = Config::load(&sources(Some(text))).unwrap();

    let printed = print(&loaded.effective);

    let mut columns = std::collections::BTreeSet::new();
    for line in printed.lines() {
        let (key, rest) = line.split_once(" = ").unwrap();
        let (_, origin) = rest.split_once("# ").unwrap();
        assert!(!key.trim().is_empty() && !origin.is_empty(), "{line}");
        columns.insert(key.len());
    }
    assert_eq!(columns.len(), 1, "the values are aligned");
    let ratio = printed
        .lines()
        .find(|line| line.starts_with("budget.ratio"));
    assert!(
        ratio.unwrap().ends_with("# REDRIVE_CONFIG_TOML:3"),
        "{ratio:?}"
    );
}

#[test]
fn warnings_are_blocks_of_their_own() {
    let text = "upstream = \"https://api.example/prod\"\n[pace]\nmax_wait = \"31s\"";
    let loaded = Config::load(&sources(Some(text))).unwrap();

    let told = warnings(&loaded.warnings);

    assert!(
        told.starts_with("warning: REDRIVE_CONFIG_TOML:3:12: `pace.max_wait`"),
        "{told}"
    );
    assert_eq!(warnings(&[]), "");
}
