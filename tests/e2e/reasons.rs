//! One word a reason, the same in the answer's header, the log, the metric and, with the feature `otlp`, the trace: each is provoked, and looked for in all of them.

use std::collections::BTreeSet;
use std::time::Duration;

use redrive::retry::Reason;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::answers::{answer, ok, quota, suspected, throttled, throttled_with};
use crate::support::{Answer, Client, Message, Process, Reply, Upstream};
#[cfg(feature = "otlp")]
use crate::support::{Collector, Span};

/// How a reason is provoked.
struct Case {
    reason: Reason,
    toml: &'static str,
    upstream: fn(&Message) -> Reply,
    client: Act,
}

/// What the client does. A request below `/held` is one that the upstream never answers.
#[derive(Clone, Copy)]
enum Act {
    /// Asks, and reads the answer.
    Asks(Ask),
    /// The same, while a request with this much of a body is held.
    AsksWhileHeld(Ask, usize),
    /// Asks again and again until it is told the reason.
    AsksUntilTold(Ask),
    /// Asks, and leaves while its request waits.
    Leaves(Ask),
    /// Asks, gets a head, and then not all of the body.
    GetsHalf(Ask),
    /// Asks, and redrive is told to end while the request waits.
    Outlasts(Ask),
}

#[derive(Clone, Copy)]
struct Ask {
    method: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: usize,
}

const GET: Ask = Ask {
    method: "GET",
    path: "/orders/1",
    headers: &[],
    body: 0,
};

const POST: Ask = Ask {
    method: "POST",
    body: 600,
    ..GET
};

fn hint(seconds: &str) -> Reply {
    Reply::Bytes(throttled_with(&[("Retry-After", seconds)]))
}

fn failing() -> Reply {
    Reply::Bytes(suspected("500 Internal Server Error"))
}

/// The reasons that lie in the request, its answer or its policy.
fn of_one_request() -> Vec<Case> {
    let case = |reason, toml, upstream, ask| Case {
        reason,
        toml,
        upstream,
        client: Act::Asks(ask),
    };
    let throttles = |_: &Message| Reply::Bytes(throttled());
    vec![
        case(
            Reason::Attempts,
            "retry.max_attempts.throttled = 2",
            throttles,
            GET,
        ),
        case(
            Reason::Budget,
            "budget = { capacity = 1, ratio = 0, min_per_second = 0, cost = { other = 1 } }",
            throttles,
            GET,
        ),
        case(
            Reason::Deadline,
            "deadline.total = \"200ms\"",
            |_| Reply::After(Duration::from_millis(300), throttled()),
            GET,
        ),
        case(Reason::Unsafe, "", |_| failing(), POST),
        case(
            Reason::BodyTooLarge,
            "replay.max_body = \"599B\"",
            throttles,
            POST,
        ),
        case(Reason::HintTooLong, "", |_| hint("60"), GET),
        case(Reason::Quota, "", |_| Reply::Bytes(quota()), GET),
        case(
            Reason::CallerRetries,
            "",
            throttles,
            Ask {
                headers: &[("amz-sdk-request", "attempt=1; max=10")],
                ..GET
            },
        ),
        case(
            Reason::Upgrade,
            "",
            |_| {
                Reply::Bytes(answer(
                    "503 Service Unavailable",
                    &[("Retry-After", "0")],
                    "busy",
                ))
            },
            Ask {
                headers: &[("Connection", "upgrade"), ("Upgrade", "websocket")],
                ..GET
            },
        ),
        case(
            Reason::DryRun,
            "[[route]]\nname = \"orders\"\npath = \"/orders/*\"\nretry = { dry_run = true }",
            throttles,
            POST,
        ),
        case(Reason::Bypass, "bypass = true", throttles, GET),
    ]
}

/// The reasons that lie in what happens around the request.
fn of_the_moment() -> Vec<Case> {
    let case = |reason, toml, upstream, client| Case {
        reason,
        toml,
        upstream,
        client,
    };
    vec![
        case(
            Reason::Memory,
            "replay = { max_body = \"1000B\", max_total = \"1000B\" }",
            |_| Reply::Bytes(throttled()),
            Act::AsksWhileHeld(POST, 600),
        ),
        case(Reason::Futile, "", |_| failing(), Act::AsksUntilTold(GET)),
        case(Reason::ClientGone, "", |_| hint("20"), Act::Leaves(POST)),
        case(
            Reason::Started,
            "",
            |_| Reply::ThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf".to_vec()),
            Act::GetsHalf(GET),
        ),
        case(
            Reason::Shutdown,
            "shutdown.grace = \"10s\"",
            |_| hint("20"),
            Act::Outlasts(GET),
        ),
    ]
}

/// What was seen of one request, wherever something is to be seen.
struct Signals {
    /// Absent where the head had gone out, or nobody was there to read it.
    answer: Option<Answer>,
    log: Value,
    skipped: f64,
    /// What the request's span says, and that of its last attempt.
    #[cfg(feature = "otlp")]
    trace: [Option<String>; 2],
}

impl Signals {
    /// The word in every place that has one.
    fn words(&self) -> Vec<(&'static str, Option<&str>)> {
        let header = self.answer.as_ref();
        let header = header.map(|answer| ("header", answer.header("redrive-reason")));
        let log = ("log", self.log["reason"].as_str());
        let words = header.into_iter().chain([log]);
        #[cfg(feature = "otlp")]
        let words = {
            let [request, attempt] = &self.trace;
            let spans = [("span", request), ("attempt's span", attempt)];
            words.chain(spans.map(|(place, word)| (place, word.as_deref())))
        };
        words.collect()
    }
}

/// Plays a case, and looks everywhere.
async fn play(case: &Case) -> Signals {
    let answers = case.upstream;
    let upstream = Upstream::scripted(move |_, seen| {
        if seen.head.contains(" /held") {
            Reply::Hang
        } else {
            answers(seen)
        }
    })
    .await;
    #[cfg(feature = "otlp")]
    let collector = Collector::new().await;
    #[cfg(feature = "otlp")]
    let env = collector.env();
    #[cfg(not(feature = "otlp"))]
    let env = [];
    let mut redrive = Process::with(upstream.addr, case.toml, &env).await;
    let (answer, _held) = act(&redrive, &upstream, case).await;
    let word = case.reason.as_str();
    let told = |event: &Value| event["message"] == "request" && event["reason"] == word;
    let log = redrive.event(word, told).await;
    let label = format!("reason=\"{word}\"");
    redrive.reaches(SKIPPED, &label, 1.0).await;
    Signals {
        answer,
        log,
        skipped: redrive.total(SKIPPED, &label).await,
        #[cfg(feature = "otlp")]
        trace: traced(&collector, word).await,
    }
}

/// What is said by the span of the request with this reason, and by that of its last attempt.
#[cfg(feature = "otlp")]
async fn traced(collector: &Collector, word: &str) -> [Option<String>; 2] {
    let is_stopped = |span: &Span| span.is_request() && span.text("redrive.reason") == Some(word);
    let request = collector.span(word, is_stopped).await;
    let attempts = request.number("redrive.attempts").unwrap();
    let attempts = collector
        .attempts(&request, usize::try_from(attempts).unwrap())
        .await;
    let spans = [Some(&request), attempts.last()];
    spans.map(|span| Some(span?.text("redrive.reason")?.to_owned()))
}

/// The answer, if there is one; and the request that is held meanwhile, if one is.
async fn act(
    redrive: &Process,
    upstream: &Upstream,
    case: &Case,
) -> (Option<Answer>, Option<Client>) {
    match case.client {
        Act::Asks(ask) => (Some(asks(redrive, ask).await), None),
        Act::AsksWhileHeld(ask, body) => {
            let held = holds(redrive, upstream, body).await;
            (Some(asks(redrive, ask).await), Some(held))
        }
        Act::AsksUntilTold(ask) => loop {
            let answer = asks(redrive, ask).await;
            if answer.header("redrive-reason") == Some(case.reason.as_str()) {
                return (Some(answer), None);
            }
            // Ten seconds without a success are part of the proof.
            tokio::time::sleep(Duration::from_millis(100)).await;
        },
        Act::Leaves(ask) => {
            let client = waits(redrive, ask).await;
            drop(client);
            (None, None)
        }
        Act::GetsHalf(ask) => {
            let mut client = sends(redrive, ask).await;
            let head = client.head().await;
            assert!(!head.contains("redrive-reason"), "{head}");
            (None, Some(client))
        }
        Act::Outlasts(ask) => {
            // So that it has not ended before everything is looked at.
            let held = holds(redrive, upstream, 0).await;
            let mut client = waits(redrive, ask).await;
            redrive.terminate();
            (Some(client.answer_to(ask.method).await), Some(held))
        }
    }
}

async fn sends(redrive: &Process, ask: Ask) -> Client {
    let mut client = Client::connect(redrive.addr).await;
    let body = vec![b'x'; ask.body];
    client.send(ask.method, ask.path, ask.headers, &body).await;
    client
}

async fn asks(redrive: &Process, ask: Ask) -> Answer {
    sends(redrive, ask).await.answer_to(ask.method).await
}

/// A request that waits for its retry.
async fn waits(redrive: &Process, ask: Ask) -> Client {
    let client = sends(redrive, ask).await;
    redrive.reaches("redrive_waiting_requests", "", 1.0).await;
    client
}

/// A request that the upstream has, and does not answer.
async fn holds(redrive: &Process, upstream: &Upstream, body: usize) -> Client {
    let path = "/held";
    let held = sends(redrive, Ask { path, body, ..POST }).await;
    upstream.saw(1).await;
    let kept = f64::from(u32::try_from(body).unwrap());
    redrive.reaches("redrive_replay_bytes", "", kept).await;
    held
}

/// Everything that is wrong with a case, as one sentence each.
fn faults(case: &Case, seen: &Signals) -> Vec<String> {
    let word = case.reason.as_str();
    let mut faults = Vec::new();
    for (place, found) in seen.words() {
        if found != Some(word) {
            faults.push(format!("{word}: the {place} says {found:?}"));
        }
    }
    let once = matches!(case.client, Act::AsksUntilTold(_)) || seen.skipped == 1.0;
    if !once || seen.log["verdict"] != "stop" {
        faults.push(format!(
            "{word}: counted {} times; {}",
            seen.skipped, seen.log
        ));
    }
    let Some(answer) = &seen.answer else {
        return faults;
    };
    for (header, field) in [
        ("redrive-attempts", seen.log["attempts_made"].to_string()),
        (
            "redrive-ran",
            seen.log["ran"].as_str().unwrap_or("-").to_owned(),
        ),
    ] {
        if answer.header(header) != Some(&field) {
            let found = answer.header(header);
            faults.push(format!(
                "{word}: {header} is {found:?}, and {field} in the log"
            ));
        }
    }
    faults
}

#[tokio::test]
async fn every_reason_is_the_same_word_in_header_log_metric_and_trace() {
    let mut playing = JoinSet::new();
    let mut provoked = BTreeSet::new();
    for case in of_one_request().into_iter().chain(of_the_moment()) {
        provoked.insert(case.reason.as_str());
        playing.spawn(async move {
            let seen = play(&case).await;
            faults(&case, &seen)
        });
    }

    let faults: Vec<String> = playing.join_all().await.into_iter().flatten().collect();

    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(provoked, Reason::ALL.map(Reason::as_str).into());
}

#[tokio::test]
async fn a_request_that_nothing_stopped_has_no_reason_anywhere() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let mut redrive = Process::before(upstream.addr, "").await;

    let answer = Client::get(redrive.addr, "/").await;
    let told = redrive
        .event("the request", |event| event["message"] == "request")
        .await;

    assert_eq!(answer.explained(), ("2", "-", "yes"));
    assert_eq!(
        (&told["reason"], &told["verdict"]),
        (&Value::Null, &"deliver".into())
    );
    assert_eq!(redrive.total(SKIPPED, "").await, 0.0);
}

const SKIPPED: &str = "redrive_retries_skipped_total";
