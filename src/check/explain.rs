//! What redrive makes of an answer: class, proof, the line of the table, and what the policy would do next.
//!
//! Asks the same code that decides in the proxy, with the configuration's own policy (that of no particular route), a full
//! budget and a request without a body, right after the first attempt.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::saved::Answer;
use crate::clock;
use crate::config::Config;
use crate::proxy::route;
use crate::retry::classify::{BODY_HEAD_BYTES_MAX, Classified, Outcome};
use crate::retry::hint::{self, Hint};
use crate::retry::{Circumstances, IdempotencyKey, Session, Subject, Verdict};

/// The explanation, a few aligned lines.
pub(super) fn explain(answer: &Answer, config: &Config) -> String {
    let Some(default) = config.proxy.routes.last() else {
        return "no route, so nothing to explain it by".to_owned();
    };
    let classified = classify(answer, default);
    let reading = hint::read(answer.status, &answer.headers, clock::wall());

    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        writeln!(text, "{name:<8} {value}").ok();
    };
    line("status", &answer.status.to_string());
    line("class", classified.class.as_str());
    line(
        "ran",
        &format!("{}, {}", classified.ran.as_str(), ran_in_words(&classified)),
    );
    line("kind", classified.kind.as_str());
    line("scope", classified.scope.as_str());
    line("because", classified.because);
    match reading.hint {
        Some(hint) => line("hint", &told(&hint)),
        None if reading.ignored > 0 => line("hint", "none that can be followed"),
        None => line("hint", "none"),
    }
    for method in [Method::GET, Method::POST] {
        let verdict = verdict(&method, default, &classified, reading.hint.as_ref());
        line(method.as_str(), &verdict);
    }
    if answer.status == http::StatusCode::SERVICE_UNAVAILABLE {
        line("assumed", "the answer came within 5 s");
    }
    text
}

fn classify(answer: &Answer, route: &route::Params) -> Classified {
    let rules = &route.retry.rules;
    // The proxy holds a body back only where it is evidence.
    let body: &[u8] = if rules.wants_body(answer.status, &answer.headers) {
        &answer.body
    } else {
        &[]
    };
    let head = &body[..body.len().min(BODY_HEAD_BYTES_MAX)];
    rules.classify(&Outcome::Answered {
        status: answer.status,
        headers: &answer.headers,
        body_head: head,
        body_complete: head.len() == answer.body.len(),
        elapsed: Duration::ZERO,
    })
}

fn ran_in_words(classified: &Classified) -> &'static str {
    use crate::retry::classify::Ran;

    match classified.ran {
        Ran::No => "the function did not run",
        Ran::Maybe => "the function may have run",
        Ran::Yes => "the function ran",
    }
}

fn told(hint: &Hint) -> String {
    format!(
        "{} ({})",
        humantime::format_duration(hint.wait),
        hint.source.as_str()
    )
}

/// What the policy would do after this outcome of a first attempt.
fn verdict(
    method: &Method,
    route: &route::Params,
    classified: &Classified,
    hint: Option<&Hint>,
) -> String {
    let now = clock::now();
    let subject = Subject {
        method: method.clone(),
        idempotency_key: route.retry.idempotency_key == IdempotencyKey::Add,
        upgrade: false,
        callers_max: None,
    };
    let deadline = now + route.deadline.total;
    let mut session = Session::new(Arc::new(route.retry.clone()), subject, deadline);
    let circumstances = Circumstances {
        body: Ok(()),
        futile: false,
        affordable: true,
        draining: false,
        rest: None,
    };
    // The draw itself is not shown, so any seed will do.
    let mut rng = fastrand::Rng::with_seed(0);
    match session.on_outcome(now, classified, hint, circumstances, &mut rng) {
        Verdict::Deliver => "delivered as it is".to_owned(),
        Verdict::Retry { .. } => {
            let limit = route.retry.max_attempts.of(classified.class);
            format!("sent again, up to {limit} attempts")
        }
        Verdict::Stop(reason) => format!("delivered, not sent again: {reason}"),
    }
}
