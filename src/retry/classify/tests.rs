//! How the tests of the table put an answer together, and the lines that need none.

mod failures;
mod lookalikes;
mod properties;
mod throttles;

use http::HeaderValue;

use super::*;

/// One answer under test, and the rules it is looked at with.
#[derive(Clone, Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    complete: bool,
    elapsed: Duration,
    rules: Rules,
}

fn rules() -> Rules {
    Rules {
        custom: Vec::new(),
        marker_header: HeaderName::from_static("x-gw-error"),
        proof: Proof::Usual,
        integration: Integration::Any,
    }
}

fn answer(status: u16) -> Answer {
    Answer {
        status,
        headers: HeaderMap::new(),
        body: Vec::new(),
        complete: true,
        elapsed: Duration::from_millis(40),
        rules: rules(),
    }
}

/// A REST API's own error: both its ids, and the error's name.
fn rest(status: u16, error_type: &str, body: &str) -> Answer {
    answer(status)
        .header("content-type", "application/json")
        .header("x-amzn-requestid", "4c1d5d0b-0c6b-4f0e-8a30-0d6a2d8d7a11")
        .header("x-amz-apigw-id", "DwXyZEo1oAMFbZg=")
        .header("x-amzn-errortype", error_type)
        .body(body)
}

/// An HTTP API's own error: its id, and nothing else.
fn http_api(status: u16, body: &str) -> Answer {
    answer(status)
        .header("content-type", "application/json")
        .header("apigw-requestid", "LwE1ugYKDoEEMbQ=")
        .body(body)
}

/// A function URL's own error.
fn function_url(status: u16, body: &str) -> Answer {
    answer(status)
        .header("x-amzn-requestid", "9f0b7a52-7f1e-4a55-b5c1-6b0c0d3f9e21")
        .body(body)
}

impl Answer {
    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers
            .append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    fn body(mut self, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self
    }

    fn after(mut self, elapsed: Duration) -> Self {
        self.elapsed = elapsed;
        self
    }

    fn rules(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(&mut self.rules);
        self
    }

    fn classify(&self) -> Classified {
        self.rules.classify(&Outcome::Answered {
            status: StatusCode::from_u16(self.status).unwrap(),
            headers: &self.headers,
            body_head: &self.body,
            body_complete: self.complete,
            elapsed: self.elapsed,
        })
    }
}

#[track_caller]
fn check(answer: &Answer, expected: (Class, Ran, Kind, Scope)) {
    let found = answer.classify();

    let (class, ran, kind, scope) = (found.class, found.ran, found.kind, found.scope);
    assert_eq!((class, ran, kind, scope), expected, "{}", found.because);
}

#[track_caller]
fn check_because(answer: &Answer, because: &str) {
    assert_eq!(answer.classify().because, because);
}

const OK: (Class, Ran, Kind, Scope) = (Class::Ok, Ran::Yes, Kind::Unknown, Scope::Unknown);
const QUOTA: (Class, Ran, Kind, Scope) = (Class::Quota, Ran::No, Kind::Quota, Scope::Api);
const THROTTLED_RATE: (Class, Ran, Kind, Scope) =
    (Class::Throttled, Ran::No, Kind::Rate, Scope::Api);
const THROTTLED_UNPROVEN: (Class, Ran, Kind, Scope) =
    (Class::Throttled, Ran::Maybe, Kind::Unknown, Scope::Unknown);
const SUSPECTED_CONCURRENCY: (Class, Ran, Kind, Scope) = (
    Class::Suspected,
    Ran::Maybe,
    Kind::Concurrency,
    Scope::Unknown,
);
const PERMANENT: (Class, Ran, Kind, Scope) =
    (Class::Permanent, Ran::Yes, Kind::Unknown, Scope::Unknown);

const fn plain(class: Class, ran: Ran) -> (Class, Ran, Kind, Scope) {
    (class, ran, Kind::Unknown, Scope::Unknown)
}

#[test]
fn a_status_below_400_is_ok() {
    for status in [101, 200, 204, 302, 304] {
        check(&answer(status), OK);
    }
}

#[test]
fn a_fault_is_unsent_only_if_nothing_can_have_arrived() {
    use FaultKind::*;
    let check_fault = |kind, sent, class, ran| {
        let found = rules().classify(&Outcome::Failed(Fault { kind, sent }));
        assert_eq!((found.class, found.ran), (class, ran), "{kind:?} {sent:?}");
    };

    for kind in [Refused, Dns, Tls, ConnectTimeout, Closed, Unreadable] {
        check_fault(kind, Sent::Nothing, Class::Unsent, Ran::No);
        check_fault(kind, Sent::Perhaps, Class::Broken, Ran::Maybe);
    }
    for sent in [Sent::Nothing, Sent::Perhaps] {
        check_fault(StreamRefused, sent, Class::Unsent, Ran::No);
        check_fault(Http1Required, sent, Class::Broken, Ran::Maybe);
        check_fault(HeadTimeout, sent, Class::Timeout, Ran::Maybe);
    }
}

#[test]
fn each_word_is_found_again_by_its_spelling() {
    for class in Class::ALL {
        assert_eq!(class.as_str().parse(), Ok(class));
    }
    for ran in Ran::ALL {
        assert_eq!(ran.as_str().parse(), Ok(ran));
    }
    assert_eq!(
        "Throttled".parse::<Class>(),
        Err(UnknownWord {
            vocabulary: "class"
        })
    );
}
