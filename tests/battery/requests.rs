//! What clients send, and what the upstream sees of it: `requests.txt`.

use std::sync::Arc;

use crate::origin::{Origin, Replier, Seen};
use crate::script::{self, Written};
use crate::support::{Message, Peer, Sidecar, in_time};
use crate::{Named, run_all};

const CASES: &str = include_str!("requests.txt");

/// One case.
#[derive(Clone, Debug)]
struct Case {
    written: Written,
    toml: String,
    /// Sent one after the other; each but the first only when the upstream has got something.
    sent: Vec<Vec<u8>>,
    forwarded: Vec<Forwarded>,
    end: End,
    /// How often the client is told to go on with its body.
    interim: usize,
    /// Whether every first attempt is throttled.
    throttles: bool,
}

/// A request as the upstream must see it.
#[derive(Clone, Debug, Default)]
struct Forwarded {
    start: String,
    headers: Vec<String>,
    body: Vec<u8>,
    /// The method, for its answer.
    method: String,
}

/// What comes after the answers to what was forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The connection carries another request.
    Open,
    /// It is closed.
    Closed,
    /// A refusal, and it is closed; nothing of that request reached the upstream.
    Refused(u16),
    /// A refusal, and it is closed; the request was on its way, and never became whole.
    Broken(u16),
    /// redrive answers itself, and the connection carries another request.
    Here(u16),
}

impl Named for Case {
    fn name(&self) -> String {
        let throttled = if self.throttles {
            ", throttled first"
        } else {
            ""
        };
        format!("{}{throttled}", self.written.name)
    }
}

impl Case {
    fn read(written: Written) -> Self {
        let mut case = Self {
            toml: String::new(),
            sent: vec![Vec::new()],
            forwarded: Vec::new(),
            end: End::Open,
            interim: 0,
            throttles: false,
            written: written.clone(),
        };
        for (sign, rest) in &written.lines {
            let said = written.name.as_str();
            let last = case.forwarded.last_mut();
            match sign.as_str() {
                ">" => case.sent.last_mut().unwrap().extend(script::bytes(rest)),
                ">>" => case.sent.push(script::bytes(rest)),
                "=" => case.forwarded.push(Forwarded::read(rest)),
                "+" => last.expect(said).field(1, rest),
                "+99" => last.expect(said).field(99, rest),
                "?" => case.interim = rest.parse().unwrap(),
                ":" => last.expect(said).body.extend(script::bytes(rest)),
                "!" => case.end = End::Refused(rest.parse().unwrap()),
                "~" => case.end = End::Broken(rest.parse().unwrap()),
                "@" => case.end = End::Here(rest.parse().unwrap()),
                "." => case.end = End::Closed,
                "$" => case.toml.push_str(&format!("{rest}\n")),
                other => panic!("{said}: unknown sign {other:?}"),
            }
        }
        case
    }

    /// Whether all that is sent is forwarded.
    fn is_forwarded(&self) -> bool {
        matches!(self.end, End::Open | End::Closed) && !self.forwarded.is_empty()
    }

    /// How often a request is sent to the upstream.
    fn attempts(&self) -> usize {
        if self.throttles { 2 } else { 1 }
    }
}

impl Forwarded {
    fn read(start: &str) -> Self {
        let bytes = script::bytes(start);
        let start = format!("{} HTTP/1.1", latin1(&bytes));
        let method = start.split(' ').next().unwrap().to_owned();
        Self {
            start,
            method,
            ..Self::default()
        }
    }

    fn field(&mut self, times: usize, field: &str) {
        let field = latin1(&script::bytes(field));
        self.headers.extend(std::iter::repeat_n(field, times));
    }

    /// The lines of the head, the request line first and the fields sorted.
    fn head(&self, case: &Case, origin: &Origin, attempt: usize) -> Vec<String> {
        let named = |name: &str| {
            let mut fields = self.headers.iter();
            fields.any(|it| it.to_ascii_lowercase().starts_with(name))
        };
        let addr = origin.addr.to_string();
        let written = self.headers.iter().map(|it| it.replace("ORIGIN", &addr));
        let mut fields: Vec<String> = written.collect();
        let [number, host, via] = if case.toml.contains("title_case_headers = true") {
            ["Redrive-Attempt", "Host", "Via"]
        } else {
            ["redrive-attempt", "host", "via"]
        };
        fields.push(format!("{number}: {attempt}"));
        if !named("host: ") {
            fields.push(format!("{host}: {addr}"));
        }
        if !named("via: 1.0 redrive") {
            fields.push(format!("{via}: 1.1 redrive"));
        }
        fields.sort();
        [vec![self.start.clone()], fields].concat()
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The fields of a head in an order of their own.
fn sorted(seen: &Seen) -> Vec<String> {
    let mut head = seen.head.clone();
    head[1..].sort();
    head
}

fn cases(group: &str) -> Vec<Case> {
    let written = script::read(CASES);
    let of_group = written.into_iter().filter(|case| case.group == group);
    let mut cases: Vec<Case> = of_group.map(Case::read).collect();
    let again: Vec<Case> = cases
        .iter()
        .filter(|case| case.is_forwarded())
        .cloned()
        .collect();
    cases.extend(again.into_iter().map(|case| Case {
        throttles: true,
        ..case
    }));
    cases
}

const THROTTLED: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\n\
    x-amzn-errortype: TooManyRequestsException\r\ncontent-length: 31\r\n\r\n{\"message\":\"Too Many Requests\"}";
const THROTTLED_HEAD: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 31\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";
const OK_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n";

fn replier(throttles: bool) -> Replier {
    Arc::new(move |index, _, seen| {
        let is_head = seen.head[0].starts_with("HEAD ");
        let answer = match (throttles && index % 2 == 0, is_head) {
            (true, false) => THROTTLED,
            (true, true) => THROTTLED_HEAD,
            (false, false) => OK,
            (false, true) => OK_HEAD,
        };
        (answer.to_vec(), false)
    })
}

async fn run(case: Case) {
    let origin = Origin::new(replier(case.throttles)).await;
    let sidecar = sidecar(&case, &origin).await;
    let mut client = Peer::connect(sidecar.addr).await;
    let named = |bytes: &[u8]| {
        let text = latin1(bytes).replace("ORIGIN", &origin.addr.to_string());
        let text = text.replace("SELF", &sidecar.addr.to_string());
        text.chars().map(|byte| byte as u8).collect::<Vec<u8>>()
    };

    // An answer may come, and the connection close, before everything is sent.
    let mut pieces = case.sent.iter();
    send(&mut client, &named(pieces.next().unwrap())).await;
    for piece in pieces {
        origin.is_sent_to().await;
        send(&mut client, &named(piece)).await;
    }
    let mut interim = 0;
    for request in &case.forwarded {
        let answer = answer(&mut client, &request.method, &mut interim).await;
        assert_eq!(status(&answer), 200, "{}", answer.head);
    }
    finish(&case, &mut client, &mut interim).await;

    let mut expected = case.forwarded.clone();
    if matches!(case.end, End::Open | End::Here(_)) {
        let probe = b"GET /probe HTTP/1.1\r\nhost: probe\r\n\r\n";
        send(&mut client, probe).await;
        let answer = answer(&mut client, "GET", &mut interim).await;
        assert_eq!(status(&answer), 200, "the connection is usable");
        expected.push(Forwarded::read("GET /probe"));
    }
    assert_eq!(interim, case.interim, "100 Continue");
    compare(&case, &origin, &expected);
    judge_counters(&case, &sidecar, expected.len()).await;
    let cut = origin.cut();
    if !matches!(case.end, End::Broken(_)) {
        assert!(cut.is_empty(), "half a request at the upstream: {cut:?}");
    }
}

/// What is sent by the cases of which everything is forwarded.
pub(crate) fn good_requests() -> Vec<Vec<u8>> {
    let cases = script::read(CASES).into_iter().map(Case::read);
    let good = cases.filter(Case::is_forwarded);
    good.map(|case| case.sent.concat()).collect()
}

async fn sidecar(case: &Case, origin: &Origin) -> Sidecar {
    let toml = case.toml.replace("ORIGIN", &origin.addr.to_string());
    if toml.contains("upstream =") {
        Sidecar::configured(&toml, &[]).await
    } else {
        Sidecar::before(origin.addr, &toml).await
    }
}

async fn send(client: &mut Peer, bytes: &[u8]) {
    let _sent_or_closed = tokio::io::AsyncWriteExt::write_all(&mut client.stream, bytes).await;
}

/// The next answer that is not an interim one.
async fn answer(client: &mut Peer, method: &str, interim: &mut usize) -> Message {
    loop {
        let mut answer = client.head().await;
        if status(&answer) == 100 {
            *interim += 1;
            continue;
        }
        if method != "HEAD" {
            client.body_of(&mut answer).await.unwrap();
        }
        return answer;
    }
}

fn status(answer: &Message) -> u16 {
    answer.head[9..12].parse().unwrap()
}

/// What comes after the answers to what was forwarded.
async fn finish(case: &Case, client: &mut Peer, interim: &mut usize) {
    match case.end {
        End::Open => {}
        End::Closed => {
            let rest = client.rest().await;
            assert_eq!(latin1(&rest), "", "closed");
        }
        End::Here(expected) => {
            let answer = answer(client, "GET", interim).await;
            assert_eq!(status(&answer), expected, "{}", answer.head);
        }
        End::Refused(expected) | End::Broken(expected) => {
            let answer = answer(client, "GET", interim).await;
            assert_eq!(status(&answer), expected, "{}", answer.head);
            let kind = answer.header("content-type");
            assert_eq!(kind, Some("application/problem+json"), "{}", answer.head);
            assert_eq!(answer.header("connection"), Some("close"));
            if expected == 405 {
                assert!(answer.header("allow").is_some(), "{}", answer.head);
            }
            let rest = client.rest().await;
            assert_eq!(latin1(&rest), "", "closed behind the refusal");
        }
    }
}

/// What the upstream saw is what it should have seen, and the same on every attempt.
fn compare(case: &Case, origin: &Origin, expected: &[Forwarded]) {
    let seen = origin.seen();
    let count = expected.len() * case.attempts();
    assert_eq!(seen.len(), count, "requests at the upstream: {seen:#?}");
    for (request, attempts) in expected.iter().zip(seen.chunks(case.attempts())) {
        for (index, attempt) in attempts.iter().enumerate() {
            assert_eq!(sorted(attempt), request.head(case, origin, index + 1));
            assert_eq!(latin1(&attempt.joined()), latin1(&request.body), "the body");
        }
        if let [first, second] = attempts {
            let renumbered = first.head.join("\n");
            let renumbered = renumbered.replace("edrive-attempt: 1", "edrive-attempt: 2");
            let renumbered = renumbered.replace("edrive-Attempt: 1", "edrive-Attempt: 2");
            assert_eq!(second.head.join("\n"), renumbered, "to the byte");
        }
    }
}

/// What is refused costs nothing, and is counted as what it is.
async fn judge_counters(case: &Case, sidecar: &Sidecar, forwarded: usize) {
    let refused = matches!(case.end, End::Refused(_) | End::Broken(_));
    let rejected = [r#"outcome="rejected""#];
    let expected = f64::from(u8::from(refused));
    sidecar.settles(REQUESTS, &rejected, expected).await;
    let retries = if case.throttles { forwarded } else { 0 };
    let told = sidecar.total("redrive_retries_total", &[]).await;
    assert_eq!(told, retries as f64, "retries");
    if refused {
        let attempts = sidecar.total("redrive_attempts_total", &[]).await;
        let cancelled = usize::from(matches!(case.end, End::Broken(_)));
        assert_eq!(attempts, (forwarded + cancelled) as f64, "attempts");
        let skipped = sidecar.total("redrive_retries_skipped_total", &[]).await;
        assert_eq!(skipped, 0.0, "no retry was even thought of");
        let tokens = sidecar.total("redrive_retry_budget_tokens", &[]).await;
        assert_eq!(tokens, 500.0, "the budget is untouched");
    }
}

const REQUESTS: &str = "redrive_requests_total";

/// The battery does not shrink.
const CASES_MIN: usize = 275;

groups! {
    request_lines: "request line",
    targets: "target",
    hosts: "Host",
    lengths: "Content-Length",
    codings: "Transfer-Encoding",
    lengths_beside_codings: "Content-Length and Transfer-Encoding",
    chunks: "chunks",
    trailers: "trailers",
    fields: "fields",
    hop_by_hop: "hop by hop",
    pipelines: "pipelines",
    versions: "versions",
    expectations: "Expect",
    limits: "limits",
    cases_of_names: "header case",
}
