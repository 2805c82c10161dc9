//! A request's attempts, as its line in the log tells them: in words for people, as a JSON list for machines.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use serde::Serialize;

use crate::proxy::recent::{STEPS_MAX, Step};
use crate::retry::classify::{Classified, Ran};
use crate::retry::fields::rare;

/// What came of each attempt. `{}` is for people, `{:#}` is JSON.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Those before the last, of which there are mostly none.
    before: Vec<Attempt>,
    last: Option<Attempt>,
    made: u32,
}

/// One attempt. The names are part of the interface: they are the log's.
#[derive(Debug, Serialize)]
struct Attempt {
    class: &'static str,
    /// Absent without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    ran: &'static str,
    waited_seconds: f64,
    duration_seconds: f64,
    /// What AWS calls the attempt; absent where the answer does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// What made it this class, in words; for the status page.
    #[serde(skip)]
    because: &'static str,
}

impl History {
    /// An attempt ended: what it proved, how long it was waited for and how long it took, and its answer if there was one.
    pub(super) fn add(
        &mut self,
        outcome: &Classified,
        waited: Duration,
        took: Duration,
        answer: Option<(StatusCode, &HeaderMap)>,
    ) {
        self.made = self.made.saturating_add(1);
        let attempt = Attempt {
            class: outcome.class.as_str(),
            status: answer.map(|(status, _)| status.as_u16()),
            ran: Ran::as_str(outcome.ran),
            waited_seconds: waited.as_secs_f64(),
            duration_seconds: took.as_secs_f64(),
            request_id: answer.and_then(|(_, headers)| request_id(headers)),
            because: outcome.because,
        };
        // The last attempt is what was delivered, so it is always told.
        if let Some(before) = self.last.replace(attempt)
            && self.before.len() < ATTEMPTS_TOLD_MAX - 1
        {
            self.before.push(before);
        }
    }

    /// Those that are told.
    fn told(&self) -> impl Iterator<Item = &Attempt> {
        self.before.iter().chain(&self.last)
    }

    /// The last attempts that are told, as the status page shows them.
    pub(super) fn steps(&self) -> Vec<Step> {
        let skipped = self.told().count().saturating_sub(STEPS_MAX);
        let steps = self.told().skip(skipped).map(|attempt| Step {
            class: attempt.class,
            status: attempt.status,
            waited: attempt.waited_seconds,
            because: attempt.because,
        });
        steps.collect()
    }

    /// What AWS calls the last attempt, if its answer says so.
    pub(super) fn last_request_id(&self) -> Option<&str> {
        self.last.as_ref()?.request_id.as_deref()
    }

    /// How many attempts were made, told or not.
    pub(super) fn made(&self) -> u32 {
        self.made
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            let told: Vec<&Attempt> = self.told().collect();
            let json = serde_json::to_string(&told).map_err(|_| fmt::Error)?;
            return f.write_str(&json);
        }
        f.write_str("[")?;
        for (index, attempt) in self.told().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{attempt}")?;
        }
        f.write_str("]")
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.class)?;
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        write!(f, " in {:.3}s", self.duration_seconds)?;
        if self.waited_seconds > 0.0 {
            write!(f, " after {:.3}s", self.waited_seconds)?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " {id}")?;
        }
        Ok(())
    }
}

/// The name under which AWS finds the attempt again: what a REST API, a function URL and Lambda call `x-amzn-RequestId`, an HTTP
/// API `apigw-requestid`. An answer made before either is known has the extended id alone.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = REQUEST_IDS.iter().find_map(|name| rare(headers, name))?;
    let id = id.to_str().ok()?;
    (id.len() <= REQUEST_ID_BYTES_MAX).then(|| id.to_owned())
}

static REQUEST_IDS: [HeaderName; 3] = [
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("apigw-requestid"),
    HeaderName::from_static("x-amz-apigw-id"),
];

/// A request that is allowed more attempts than this has the first of them told, and the last.
const ATTEMPTS_TOLD_MAX: usize = 32;

/// A request id of AWS has 36 bytes or fewer; what is longer is not one, and has no business in the log.
const REQUEST_ID_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::retry::classify::{Class, Kind, Scope};

    fn outcome(class: Class, ran: Ran) -> Classified {
        Classified {
            class,
            ran,
            kind: Kind::Unknown,
            scope: Scope::Unknown,
            because: "a test says so",
        }
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let fields = fields.iter();
        fields
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn json(history: &History) -> Value {
        serde_json::from_str(&format!("{history:#}")).unwrap()
    }

    #[test]
    fn attempts_are_told_in_words_and_as_json() {
        let mut history = History::default();
        let id = headers(&[("x-amzn-RequestId", "2a5c3f0e")]);
        history.add(
            &outcome(Class::Throttled, Ran::No),
            Duration::ZERO,
            Duration::from_millis(12),
            Some((StatusCode::TOO_MANY_REQUESTS, &id)),
        );
        history.add(
            &outcome(Class::Broken, Ran::Maybe),
            Duration::from_millis(1500),
            Duration::from_millis(3),
            None,
        );

        assert_eq!(
            history.to_string(),
            "[throttled 429 in 0.012s 2a5c3f0e, broken in 0.003s after 1.500s]"
        );
        assert_eq!(
            json(&history),
            json!([
                {"class": "throttled", "status": 429, "ran": "no", "waited_seconds": 0.0, "duration_seconds": 0.012,
                 "request_id": "2a5c3f0e"},
                {"class": "broken", "ran": "maybe", "waited_seconds": 1.5, "duration_seconds": 0.003},
            ])
        );
    }

    #[test]
    fn no_attempt_is_an_empty_list() {
        assert_eq!(json(&History::default()), json!([]));
    }

    #[test]
    fn however_many_attempts_there_are_the_line_stays_short_and_ends_with_the_last() {
        let mut history = History::default();
        for _ in 0..1000 {
            let throttled = outcome(Class::Throttled, Ran::No);
            history.add(&throttled, Duration::ZERO, Duration::ZERO, None);
        }
        let ok = outcome(Class::Ok, Ran::Yes);
        history.add(&ok, Duration::ZERO, Duration::ZERO, None);

        let told = json(&history);

        assert_eq!(history.made(), 1001);
        assert_eq!(told.as_array().unwrap().len(), ATTEMPTS_TOLD_MAX);
        assert_eq!(told[ATTEMPTS_TOLD_MAX - 1]["class"], "ok");
        let steps = history.steps();
        assert_eq!(steps.len(), STEPS_MAX);
        assert_eq!(steps[STEPS_MAX - 1].class, "ok");
    }

    #[test]
    fn every_front_has_its_own_header_for_the_id_and_what_is_no_id_is_not_told() {
        let rest = [("x-amz-apigw-id", "extended"), ("x-amzn-requestid", "rest")];
        for (fields, expected) in [
            (&rest[..], Some("rest")),
            (&[("apigw-requestid", "http")], Some("http")),
            (&[("x-amz-apigw-id", "extended")], Some("extended")),
            (&[("x-amzn-requestid", "x".repeat(65).as_str())], None),
            (&[], None),
        ] {
            assert_eq!(request_id(&headers(fields)).as_deref(), expected);
        }
    }
}
