//! What the log says of requests, in which form, and that nobody waits for whoever reads it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::process::Running;
use crate::{ANSWER_MAX, get, get_with, proxy, throttling_once};

/// Ends it, and reads the whole log.
fn log_of(mut running: Running) -> Vec<String> {
    running.signal(Signal::TERM);
    let (code, log) = running.ended();
    assert_eq!(code, Some(0));
    log
}

/// The events of requests; every other line has to be JSON, too.
fn requests(log: &[String]) -> Vec<Value> {
    log.iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .filter(|event: &Value| event["message"] == "request")
        .collect()
}

#[test]
fn a_retried_request_is_one_event_with_all_of_its_attempts_and_a_plain_one_is_none() {
    let (running, client, _) = proxy(throttling_once(), &[]);

    let first = get(&client, "/");
    let second = get(&client, "/");
    let told = requests(&log_of(running));

    assert!(first.starts_with("HTTP/1.1 200 OK") && second.starts_with("HTTP/1.1 200 OK"));
    assert_eq!(told.len(), 1, "{told:?}");
    let mut event = told[0].clone();
    let fields = event.as_object_mut().unwrap();
    let mut seconds = |name: &str| fields.remove(name).unwrap().as_f64().unwrap();
    let (waited, took) = (seconds("waited_seconds"), seconds("duration_seconds"));
    assert!(took >= waited, "{took} {waited}");
    let mut attempts = fields.remove("attempts").unwrap();
    let mut before_attempts = 0.0;
    for attempt in attempts.as_array_mut().unwrap() {
        let attempt = attempt.as_object_mut().unwrap();
        before_attempts += attempt.remove("waited_seconds").unwrap().as_f64().unwrap();
        let lasted = attempt.remove("duration_seconds").unwrap();
        assert!(lasted.as_f64().unwrap() > 0.0);
    }
    assert!(
        (before_attempts - waited).abs() < 1e-6,
        "{before_attempts} {waited}"
    );
    assert_eq!(
        attempts,
        json!([
            {"class": "throttled", "status": 429, "ran": "no", "request_id": "5bb9b5f5-0000-4000-8000-000000000000"},
            {"class": "ok", "status": 200, "ran": "yes"},
        ])
    );
    assert!(fields.remove("timestamp").is_some());
    assert_eq!(
        event,
        json!({
            "level": "INFO", "target": "redrive::proxy::account", "message": "request",
            "route": "default", "method": "GET", "status": 200, "outcome": "ok_after_retry", "verdict": "deliver",
            "ran": "yes", "because": event["because"], "attempts_made": 2,
        })
    );
}

/// The names in the first column of the README's table.
fn documented() -> BTreeSet<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let table = readme
        .split("\n| field of the log | meaning |\n|---|---|\n")
        .nth(1)
        .unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

#[test]
fn every_field_of_a_request_is_in_the_readme_and_there_are_no_others() {
    let once = [("REDRIVE_RETRY__MAX_ATTEMPTS__THROTTLED", "1")];
    let (running, client, _) = proxy(throttling_once(), &once);

    get(&client, "/"); // throttled, and stopped
    get(&client, "http://elsewhere.test/"); // refused
    let told = requests(&log_of(running));

    assert_eq!(told.len(), 2, "{told:?}");
    let mut fields = BTreeSet::new();
    for event in &told {
        fields.extend(event.as_object().unwrap().keys().cloned());
        for attempt in event["attempts"].as_array().unwrap() {
            let keys = attempt.as_object().unwrap().keys();
            fields.extend(keys.map(|key| format!("attempts[].{key}")));
        }
    }
    assert_eq!(fields, documented());
}

#[test]
fn every_query_of_the_log_in_the_readme_is_one_that_jq_understands() {
    if Command::new("jq").arg("--version").output().is_err() {
        eprintln!("skipped: jq is not installed");
        return;
    }
    let (running, client, _) = proxy(throttling_once(), &[]);
    get(&client, "/");
    get(&client, "http://elsewhere.test/");
    let name = format!("redrive-command-log-{}", std::process::id());
    let log = std::env::temp_dir().join(name);
    std::fs::write(&log, log_of(running).join("\n")).unwrap();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let queries: Vec<&str> = readme
        .lines()
        .filter(|line| line.starts_with("jq "))
        .collect();
    assert!(queries.len() >= 10, "{queries:?}");

    let mut complaints = Vec::new();
    for query in queries {
        // What follows the file's name counts and sorts; whether it finds anything is not the question.
        let (jq, _) = query.split_once("' log").unwrap();
        let jq = format!("{jq}' {}", log.display());
        let output = Command::new("sh").args(["-c", &jq]).output().unwrap();
        if !output.status.success() {
            complaints.push(format!(
                "{query}: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
    }

    std::fs::remove_file(&log).unwrap();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn which_requests_are_told_is_the_operators_to_say() {
    for (told, expected) in [("all", 2), ("retried", 1), ("none", 0)] {
        let (running, client, _) = proxy(throttling_once(), &[("REDRIVE_LOG__REQUESTS", told)]);

        get(&client, "/");
        get(&client, "/");

        assert_eq!(requests(&log_of(running)).len(), expected, "{told}");
    }
}

#[test]
fn a_request_that_is_refused_is_told_with_the_word_and_the_sentence_that_its_client_was_given() {
    let (running, client, _) = proxy(throttling_once(), &[]);

    let answer = get(&client, "http://elsewhere.test/");
    let told = requests(&log_of(running));

    assert!(
        answer.contains("redrive; error=http_request_error"),
        "{answer}"
    );
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["outcome"], "rejected");
    assert_eq!(told[0]["error"], "http_request_error");
    assert!(
        answer.contains(told[0]["detail"].as_str().unwrap()),
        "{answer}"
    );
    assert_eq!(told[0]["attempts"], json!([]));
}

#[test]
fn what_cannot_be_read_is_told_and_not_repeated() {
    let (running, client, _) = proxy(throttling_once(), &[]);

    let answer = get_with(&client, "/", "hidden without a colon\r\n");
    let log = log_of(running);
    let told = requests(&log);

    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(told.len(), 1, "{log:?}");
    assert_eq!(told[0]["outcome"], "rejected");
    assert_eq!(told[0]["method"], Value::Null);
    assert!(!log.concat().contains("hidden"), "{log:?}");
}

#[test]
fn an_answer_of_redrives_own_is_told_also_where_nothing_would_have_been_retried() {
    let unused = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (running, client, _) = proxy(unused, &[("REDRIVE_RETRY__ON", "throttled")]);

    let answer = get(&client, "/");
    let told = requests(&log_of(running));

    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["error"], "connection_refused");
    assert_eq!(told[0]["verdict"], "deliver");
    assert_eq!(told[0]["attempts"][0]["class"], "unsent");
}

#[test]
fn what_a_client_sends_is_not_the_logs_business_however_much_is_told() {
    let headers = "Authorization: Bearer hidden\r\nx-api-key: hidden\r\nCookie: id=hidden\r\n\
        X-Amz-Security-Token: hidden\r\nProxy-Authorization: Basic hidden\r\n";
    for level in ["info", "debug", "trace"] {
        let env = [("REDRIVE_LOG__REQUESTS", "all"), ("RUST_LOG", level)];
        let (running, client, _) = proxy(throttling_once(), &env);

        let answer = get_with(&client, "/hidden-path?token=hidden", headers);
        let log = log_of(running);

        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert_eq!(requests(&log).len(), 1, "{level}");
        let leaks: Vec<&String> = log.iter().filter(|line| line.contains("hidden")).collect();
        assert!(leaks.is_empty(), "at {level}: {leaks:#?}");
    }
}

#[test]
fn the_form_for_people_is_one_plain_line_a_request_and_without_colours_in_a_file() {
    let upstream = format!("http://{}", throttling_once());
    let mut running = Running::start(
        &[],
        &[
            ("REDRIVE_UPSTREAM", upstream.as_str()),
            ("REDRIVE_LISTEN", "127.0.0.1:0"),
            ("REDRIVE_ADMIN", "127.0.0.1:0"),
            ("REDRIVE_LOG__FORMAT", "text"),
        ],
    );
    let ready = running.line_with("redrive is ready");
    let client = ready.split("listen=").nth(1).unwrap();
    let client = client.split(' ').next().unwrap();

    get(client, "/");
    let log = log_of(running);

    let told: Vec<&String> = log
        .iter()
        .filter(|line| line.contains("request "))
        .collect();
    assert_eq!(told.len(), 1, "{log:?}");
    for part in [
        "outcome=\"ok_after_retry\"",
        "attempts=[throttled 429 in 0.",
        " 5bb9b5f5-0000-4000-8000-000000000000, ok 200 in 0.",
    ] {
        assert!(told[0].contains(part), "{part} is not in {}", told[0]);
    }
    assert!(!log.concat().contains('\u{1b}'), "{log:?}");
}

#[test]
fn rust_log_says_how_much_is_told() {
    let (all, quiet) = (
        ("REDRIVE_LOG__REQUESTS", "all"),
        ("RUST_LOG", "info,redrive::proxy=warn"),
    );
    let (running, client, _) = proxy(throttling_once(), &[all, quiet]);
    get(&client, "/");
    assert_eq!(requests(&log_of(running)).len(), 0, "they are told at info");

    let (running, client, _) = proxy(throttling_once(), &[all, ("RUST_LOG", "info,hyper=debug")]);
    get(&client, "/");
    let log = log_of(running);
    assert!(
        log.iter().any(|line| line.contains(r#""level":"DEBUG""#)),
        "{log:?}"
    );
}

#[test]
fn a_filter_that_cannot_be_read_is_said_and_the_usual_is_told() {
    for (filter, complaint) in [
        ("redrive=loud", 1),
        ("redrive=", 1),
        ("\"info\"", 1),
        ("redrive[request]=debug", 1),
        (" info, ", 0),
    ] {
        let (running, client, _) = proxy(throttling_once(), &[("RUST_LOG", filter)]);
        get(&client, "/");
        let log = log_of(running);

        let complaints = log
            .iter()
            .filter(|line| line.contains("RUST_LOG cannot be read"));
        assert_eq!(complaints.count(), complaint, "{log:?}");
        assert_eq!(requests(&log).len(), 1, "{log:?}");
        assert!(log.iter().all(|line| !line.contains(r#""level":"TRACE""#)));
    }
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up_and_what_is_lost_is_counted() {
    let unused = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let env = [("REDRIVE_LOG__REQUESTS", "all"), ("RUST_LOG", "trace")];
    let (_running, client, admin) = proxy(unused, &env);
    let dropped = || -> u64 {
        let page = get(&admin, "/metrics");
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix("redrive_log_dropped_total "));
        line.unwrap().parse().unwrap()
    };
    assert_eq!(dropped(), 0);

    // Answered by redrive itself, so that nothing else has to keep up.
    let mut stream = TcpStream::connect(&client).unwrap();
    stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    for _ in 0..BATCHES_MAX {
        let batch = "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".repeat(BATCH);
        stream.write_all(batch.as_bytes()).unwrap();
        let answered = answers.by_ref().map(Result::unwrap);
        let good = answered.filter(|line| line == "HTTP/1.1 200 OK");
        assert_eq!(good.take(BATCH).count(), BATCH);
        if dropped() > 0 {
            return;
        }
    }
    panic!("{BATCHES_MAX} batches of requests filled no pipe");
}

/// Requests sent at once.
const BATCH: usize = 100;

/// Many times what pipe and queue hold.
const BATCHES_MAX: usize = 1000;
