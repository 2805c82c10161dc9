//! What clients send, and what becomes of it: `frames.txt` and `requests.txt`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::client::{Client, Fault};
use crate::origin::Origin;
use crate::script::{self, Written};
use crate::support::{Sidecar, in_time};
use crate::wire::{self, Frame, GOAWAY, HEADERS};

const FRAMES: &str = include_str!("frames.txt");
const REQUESTS: &str = include_str!("requests.txt");
const H2SPEC: &str = include_str!("h2spec.txt");

/// One case.
#[derive(Clone, Debug)]
struct Case {
    written: Written,
    steps: Vec<Step>,
    /// Whether nothing is said before the first step.
    is_raw: bool,
    forwarded: Vec<Forwarded>,
    /// Whether the upstream may get a part of a request.
    may_begin: bool,
    /// Whether the server says something else than it should.
    is_exception: bool,
}

/// One line of the conversation.
#[derive(Clone, Debug)]
enum Step {
    /// The client sends these bytes.
    Send(Vec<u8>),
    /// It gets this frame; of HEADERS nobody looks into the payload.
    Frame(Frame),
    /// It gets the whole answer on this stream, with this status.
    Answer(u32, u16),
    /// It is told that something was wrong.
    Fault(Fault),
    /// It is taken for a client of HTTP/1.1, and refused.
    Refused(u16),
}

/// A request as the upstream must see it.
#[derive(Clone, Debug, Default)]
struct Forwarded {
    start: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Case {
    fn read(written: Written) -> Self {
        let mut case = Self {
            steps: Vec::new(),
            is_raw: false,
            forwarded: Vec::new(),
            may_begin: false,
            is_exception: false,
            written: written.clone(),
        };
        for (sign, rest) in &written.lines {
            let last = case.forwarded.last_mut();
            match sign.as_str() {
                ">" => {
                    let frames = wire::frames(rest);
                    case.send(frames.iter().flat_map(Frame::bytes).collect());
                }
                ">>" => case.send(script::bytes(rest)),
                "<" => case.steps.push(awaited(rest)),
                "~" => {
                    let (stream, code) = rest.split_once(' ').unwrap();
                    let fault = Fault::Stream(stream.parse().unwrap(), code.to_owned());
                    case.steps.push(Step::Fault(fault));
                }
                "~!" => {
                    let fault = Fault::Connection(rest.clone());
                    case.steps.push(Step::Fault(fault));
                }
                "!" => case.steps.push(rest.parse().map_or_else(
                    |_| Step::Fault(Fault::Connection(rest.clone())),
                    Step::Refused,
                )),
                "%" => {
                    *case.steps.last_mut().unwrap() = Step::Fault(exception(rest));
                    case.is_exception = true;
                }
                "=" => case.forwarded.push(Forwarded {
                    start: format!("{rest} HTTP/1.1"),
                    ..Forwarded::default()
                }),
                "+" => last.unwrap().headers.push(rest.clone()),
                ":" => last.unwrap().body.extend(script::bytes(rest)),
                "?" => case.may_begin = true,
                "$" => case.is_raw = rest == "raw",
                other => panic!("{}: unknown sign {other:?}", written.name),
            }
        }
        case
    }

    /// Adds to what is sent in one write, so that the server has all of it before it does anything.
    fn send(&mut self, bytes: Vec<u8>) {
        if let Some(Step::Send(before)) = self.steps.last_mut() {
            before.extend(bytes);
        } else {
            self.steps.push(Step::Send(bytes));
        }
    }

    /// A stream that no frame of the case has opened.
    fn fresh_stream(&self) -> u32 {
        let sent = self.written.lines.iter().filter(|(sign, _)| sign == ">");
        let frames = sent.flat_map(|(_, line)| wire::frames(line));
        let opened = frames.filter(|it| it.kind == HEADERS).map(|it| it.stream);
        (opened.max().unwrap_or(1) & 0x7fff_ffff | 1) + 2
    }
}

/// A line of what the client must get.
fn awaited(line: &str) -> Step {
    if line.starts_with(|it: char| it.is_ascii_digit()) {
        let (stream, status) = line.split_once(' ').unwrap();
        return Step::Answer(stream.parse().unwrap(), status.parse().unwrap());
    }
    Step::Frame(wire::frames(line).remove(0))
}

/// `FOUND: why`
fn exception(line: &str) -> Fault {
    let (found, why) = line.split_once(": ").expect("an exception says why");
    assert!(!why.is_empty());
    match found {
        "nothing" => Fault::None,
        "closed" => Fault::Closed,
        code => code.strip_prefix("stream 1 ").map_or_else(
            || Fault::Connection(code.to_owned()),
            |code| Fault::Stream(1, code.to_owned()),
        ),
    }
}

async fn run(case: Case) {
    let origin = Origin::new(Arc::new(|_, _, seen| {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n".to_vec();
        let is_head = seen.head[0].starts_with("HEAD ");
        let body = if is_head { b"".as_slice() } else { b"done" };
        ([&answer, body].concat(), false)
    }))
    .await;
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = if case.is_raw {
        Client::raw(sidecar.addr).await
    } else {
        Client::connect(sidecar.addr, &[]).await
    };

    let mut is_open = true;
    for step in &case.steps {
        is_open = take(&mut client, step).await;
    }
    let mut expected = case.forwarded.clone();
    if is_open {
        let stream = case.fresh_stream();
        client.get(stream, "/probe").await;
        assert_eq!(client.answer(stream).await, 200, "another request");
        expected.push(Forwarded {
            start: "GET /probe HTTP/1.1".into(),
            ..Forwarded::default()
        });
    }
    drop(client);
    judge(&case, &origin, &sidecar, &expected).await;
}

/// Takes one step. Says whether the connection is open after it.
async fn take(client: &mut Client, step: &Step) -> bool {
    match step {
        Step::Send(bytes) => client.send(bytes).await,
        Step::Frame(expected) => {
            let frame = |it: &Frame| match expected.kind {
                HEADERS => (it.kind, it.stream) == (HEADERS, expected.stream),
                _ => it == expected,
            };
            client.until(&format!("{expected:?}"), frame).await;
            return expected.kind != GOAWAY;
        }
        Step::Answer(stream, status) => {
            assert_eq!(client.answer(*stream).await, *status, "stream {stream}");
        }
        Step::Fault(expected) => {
            assert_eq!(client.fault().await, *expected);
            return matches!(expected, Fault::Stream(..) | Fault::None);
        }
        Step::Refused(status) => {
            let answer = client.rest().await;
            let start = format!("HTTP/1.1 {status} ");
            assert!(answer.starts_with(&start), "{answer}");
            return false;
        }
    }
    true
}

/// What the upstream saw is what it should have seen, and the rest cost nothing.
async fn judge(case: &Case, origin: &Origin, sidecar: &Sidecar, expected: &[Forwarded]) {
    sidecar
        .settles("redrive_in_flight_requests", &[], 0.0)
        .await;
    let seen = origin.seen();
    let starts: Vec<&str> = seen.iter().map(|it| it.head[0].as_str()).collect();
    let expected_starts: Vec<&str> = expected.iter().map(|it| it.start.as_str()).collect();
    assert_eq!(starts, expected_starts, "at the upstream");
    for (seen, expected) in seen.iter().zip(expected) {
        for field in &expected.headers {
            assert!(seen.head.contains(field), "{field} in {:?}", seen.head);
        }
        let body = String::from_utf8_lossy(&expected.body).into_owned();
        assert_eq!(String::from_utf8_lossy(&seen.joined()), body, "the body");
    }
    let cut = origin.cut();
    assert!(case.may_begin || cut.is_empty(), "half a request: {cut:?}");
    if !case.may_begin {
        let attempts = sidecar.total("redrive_attempts_total", &[]).await;
        assert_eq!(attempts, expected.len() as f64, "attempts");
    }
    let tokens = sidecar.total("redrive_retry_budget_tokens", &[]).await;
    assert_eq!(tokens, 500.0, "the budget is untouched");
}

/// Runs every case of a group, a few at a time, and tells all that failed at once.
async fn run_all(file: &str, group: &str) {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let written = script::read(file).into_iter();
    for written in written.filter(|it| it.group == group) {
        let slots = Arc::clone(&slots);
        running.spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            let name = written.name.clone();
            // In a task of its own, so that its panic is its own, too.
            let mut alone = JoinSet::new();
            alone.spawn(async { in_time("a case", run(Case::read(written))).await });
            let outcome = alone.join_next().await.unwrap();
            outcome.err().map(|error| format!("{name}: {error}"))
        });
    }
    assert!(!running.is_empty(), "no case in group {group:?}");
    let failed: Vec<String> = running.join_all().await.into_iter().flatten().collect();
    assert!(
        failed.is_empty(),
        "in group {group:?}:\n{}",
        failed.join("\n")
    );
}

/// Enough to keep two cores busy.
const AT_ONCE: usize = 4;

/// One test a group, so that they run beside one another and the name tells where to look.
macro_rules! groups {
    ($($name:ident: $file:ident $group:literal,)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            run_all($file, $group).await;
        })*

        const GROUPS: &[(&str, &str)] = &[$(($file, $group)),*];
    };
}

groups! {
    requests: FRAMES "requests",
    frame_format: FRAMES "frame format",
    prefaces: FRAMES "the preface",
    stream_states: FRAMES "stream states",
    errors_and_extensions: FRAMES "errors and extensions",
    data_and_headers: FRAMES "DATA and HEADERS",
    priorities_and_resets: FRAMES "PRIORITY and RST_STREAM",
    settings: FRAMES "SETTINGS",
    pushes_pings_and_goaways: FRAMES "PUSH_PROMISE, PING and GOAWAY",
    flow_control: FRAMES "flow control",
    continuations: FRAMES "CONTINUATION",
    error_codes: FRAMES "error codes",
    compression: FRAMES "HPACK",
    fields: REQUESTS "fields",
    control_data: REQUESTS "control data",
    bodies: REQUESTS "bodies",
    sizes: REQUESTS "size",
}

#[test]
fn every_group_is_run_and_no_exception_comes_unnoticed() {
    let all: Vec<Written> = [FRAMES, REQUESTS]
        .into_iter()
        .flat_map(script::read)
        .collect();

    let is_run = |it: &&Written| GROUPS.iter().any(|(_, group)| *group == it.group);
    let left_out: Vec<&Written> = all.iter().filter(|it| !is_run(it)).collect();
    let cases = all.iter().cloned().map(Case::read);
    let exceptions = cases.filter(|case| case.is_exception).count();

    assert!(left_out.is_empty(), "{left_out:?}");
    println!("{} cases, {exceptions} exceptions", all.len());
    assert!(all.len() >= CASES_MIN, "only {} cases", all.len());
    assert_eq!(exceptions, EXCEPTIONS);
}

#[test]
fn every_case_of_h2spec_has_one_of_ours() {
    let all: Vec<Written> = [FRAMES, REQUESTS]
        .into_iter()
        .flat_map(script::read)
        .collect();
    let lines = H2SPEC.lines().filter(|line| !line.starts_with("//"));
    let pairs: BTreeMap<&str, &str> = lines.filter_map(|line| line.split_once(" = ")).collect();

    let unknown: Vec<_> = pairs
        .iter()
        .filter(|(_, name)| !all.iter().any(|case| case.name == **name))
        .collect();
    let ours: BTreeSet<&str> = pairs.values().copied().collect();
    let is_exception = |it: &Written| Case::read(it.clone()).is_exception;
    let exceptions = all
        .iter()
        .filter(|case| ours.contains(case.name.as_str()) && is_exception(case));

    println!("{} of ours are exceptions", exceptions.count());
    assert!(unknown.is_empty(), "{unknown:?}");
    assert_eq!(pairs.len(), H2SPEC_CASES);
}

/// As many as h2spec 2 lists with `--strict`.
const H2SPEC_CASES: usize = 147;

/// The battery does not shrink.
const CASES_MIN: usize = 225;

/// Cases in which h2 does something else than the RFC says.
const EXCEPTIONS: usize = 31;
