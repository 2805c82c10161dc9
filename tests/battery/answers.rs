//! What an upstream answers, and that whatever it answers, the next answer belongs to the next request: `answers.txt`.

use std::sync::Arc;

use tokio::io::AsyncReadExt;

use crate::origin::{Origin, Replier, Seen};
use crate::script::{self, Written};
use crate::support::{Message, Peer, Sidecar, in_time};
use crate::{Named, run_all};

const CASES: &str = include_str!("answers.txt");

/// One case.
struct Case {
    name: String,
    request: Vec<u8>,
    answer: Vec<u8>,
    upstream_closes: bool,
    expected: Expected,
    fields: Vec<String>,
    no_fields: Vec<String>,
    client_closed: bool,
    connections: usize,
}

/// What the client gets.
enum Expected {
    Whole(u16, Vec<u8>),
    Own(u16),
    Broken(u16, Vec<u8>),
}

impl Named for Case {
    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Case {
    fn read(written: Written) -> Self {
        let mut case = Self {
            name: written.name,
            request: b"GET /case HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            answer: Vec::new(),
            upstream_closes: false,
            expected: Expected::Own(0),
            fields: Vec::new(),
            no_fields: Vec::new(),
            client_closed: false,
            connections: 1,
        };
        for (sign, rest) in &written.lines {
            let (status, body) = rest.split_once(' ').unwrap_or((rest, ""));
            let status = status.parse::<u16>();
            match sign.as_str() {
                ">" => case.request = script::bytes(rest),
                "<" => case.answer.extend(script::bytes(rest)),
                "<." => case.upstream_closes = true,
                "=" => case.expected = Expected::Whole(status.unwrap(), script::bytes(body)),
                "x" => case.expected = Expected::Own(status.unwrap()),
                "~" => case.expected = Expected::Broken(status.unwrap(), script::bytes(body)),
                "|" => case.fields.push(rest.clone()),
                "^" => case.no_fields.push(rest.clone()),
                "." => case.client_closed = true,
                "new" => case.connections = 2,
                other => panic!("{}: unknown sign {other:?}", case.name),
            }
        }
        case
    }
}

fn replier(answer: Vec<u8>, closes: bool) -> Replier {
    Arc::new(move |_, _, seen: &Seen| {
        if seen.head[0].contains(" /case ") {
            (answer.clone(), closes)
        } else {
            (NEXT.to_vec(), false)
        }
    })
}

const NEXT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext";

async fn run(case: Case) {
    let origin = Origin::new(replier(case.answer.clone(), case.upstream_closes)).await;
    let once = "[retry]\nmax_attempts = { throttled = 1, suspected = 1, other = 1 }\n";
    let sidecar = Sidecar::before(origin.addr, once).await;
    let mut client = Peer::connect(sidecar.addr).await;

    client.write(&case.request).await;
    let answer = judge(&case, &mut client).await;
    for field in &case.fields {
        let (name, value) = field.split_once(": ").unwrap();
        assert_eq!(answer.headers(name), [value], "{}", answer.head);
    }
    for name in &case.no_fields {
        assert_eq!(answer.header(name), None, "{}", answer.head);
    }
    if case.client_closed {
        let _ended_or_reset = client.rest().await;
        client = Peer::connect(sidecar.addr).await;
    }

    client.write("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let next = client.message().await;
    assert_eq!(next.body, b"next", "{}", next.head);
    assert_eq!(origin.connections(), case.connections, "to the upstream");
    assert_eq!(origin.seen().len(), 2);
    sidecar
        .settles("redrive_in_flight_requests", &[], 0.0)
        .await;
    let gone = [r#"outcome="client_gone""#];
    let left = sidecar.total("redrive_requests_total", &gone).await;
    assert_eq!(left, 0.0, "the client took all that there was");
}

/// Reads what the client gets, and holds it against what it should.
async fn judge(case: &Case, client: &mut Peer) -> Message {
    let mut answer = client.head().await;
    let status: u16 = answer.head[9..12].parse().unwrap();
    let is_bodyless = case.request.starts_with(b"HEAD") || matches!(status, 204 | 304);
    let has_framing =
        answer.header("content-length").is_some() || answer.header("transfer-encoding").is_some();
    match &case.expected {
        Expected::Whole(expected, body) => {
            assert_eq!(status, *expected, "{}", answer.head);
            if !is_bodyless && has_framing {
                client.body_of(&mut answer).await.unwrap();
            } else if !is_bodyless {
                let end = client.stream.read_to_end(&mut answer.body);
                in_time("an orderly end", end).await.unwrap();
            }
            assert_eq!(&answer.body, body);
            assert_eq!(answer.trailers, "", "nobody asked for them");
        }
        Expected::Own(expected) => {
            assert_eq!(status, *expected, "{}", answer.head);
            let kind = answer.header("content-type");
            assert_eq!(kind, Some("application/problem+json"));
            if !is_bodyless {
                client.body_of(&mut answer).await.unwrap();
            }
        }
        Expected::Broken(expected, body) => {
            assert_eq!(status, *expected, "{}", answer.head);
            if has_framing {
                let end = client.body_of(&mut answer).await;
                assert!(end.is_err(), "it looks whole: {:?}", answer.body);
            } else {
                let end = client.stream.read_to_end(&mut answer.body);
                let end = in_time("the end", end).await;
                assert!(end.is_err(), "it looks whole: {:?}", answer.body);
            }
            assert!(answer.body.starts_with(body), "{:?}", answer.body);
        }
    }
    answer
}

fn cases(group: &str) -> Vec<Case> {
    let written = script::read(CASES).into_iter();
    let cases = written.filter(|case| case.group == group);
    cases.map(Case::read).collect()
}

/// The battery does not shrink.
const CASES_MIN: usize = 65;

groups! {
    good_answers: "good",
    answers_without_bodies: "no bodies",
    interim_answers: "interim answers",
    lengths: "lengths",
    codings: "codings",
    heads: "heads",
    answers_to_http_1_0: "clients of HTTP/1.0",
}
