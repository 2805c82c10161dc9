//! The latest requests that have something to explain: retried, delayed, given up or refused, and why.
//!
//! Those that were only delayed, those that a retry made good and those that did not end well are kept apart, so that a burst
//! that waits its turn never pushes out the one failure that somebody is looking for. What was good at once leaves nothing here.
//!
//! Of a request's target only the first two segments of its path are kept, which is what redrive itself tells cells apart
//! by: enough to find the caller, while what follows, and any query, is more often an identifier or a secret. A segment that is
//! long enough to be a token is left out, too.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use http::Method;
use serde::Serialize;

use super::metrics::RequestOutcome;

/// The latest requests with something to explain. The lock is held for one entry's move only.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Rings>);

#[derive(Debug, Default)]
struct Rings {
    delayed: VecDeque<Arc<Explained>>,
    retried: VecDeque<Arc<Explained>>,
    failed: VecDeque<Arc<Explained>>,
    /// How many there ever were.
    total: u64,
}

/// One request and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// When it ended, in milliseconds since 1970.
    pub at: u64,
    /// Its route.
    pub route: String,
    /// Its method.
    pub method: String,
    /// The beginning of its path; see [`shown_path`].
    pub path: String,
    /// The status that the client got, if it stayed for one.
    pub status: Option<u16>,
    /// How it ended.
    #[serde(serialize_with = "outcome_word")]
    pub outcome: RequestOutcome,
    /// Why no further retry was made, if one would have been due.
    pub reason: Option<&'static str>,
    /// Why redrive answered itself, if it did.
    pub error: Option<&'static str>,
    /// Whether the function may have run.
    pub ran: Option<&'static str>,
    /// How long it waited in all, in seconds.
    pub waited: f64,
    /// How long it took in all, in seconds.
    pub took: f64,
    /// How many attempts there were.
    pub attempts: u32,
    /// The last of them, in order; at most [`STEPS_MAX`].
    pub steps: Vec<Step>,
}

/// One attempt of an explained request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Step {
    /// What it was.
    pub class: &'static str,
    /// The status of its answer, if there was one.
    pub status: Option<u16>,
    /// How long the request waited before it, in seconds.
    pub waited: f64,
    /// What made it this class, in words.
    pub because: &'static str,
}

impl Recent {
    /// Keeps a request; the oldest of its kind goes if there are [`ENTRIES_MAX`].
    pub fn push(&self, request: Explained) {
        let request = Arc::new(request);
        let mut rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rings.total += 1;
        let ring = match request.outcome {
            RequestOutcome::Ok => &mut rings.delayed,
            RequestOutcome::OkAfterRetry => &mut rings.retried,
            _ => &mut rings.failed,
        };
        if ring.len() == ENTRIES_MAX {
            ring.pop_front();
        }
        ring.push_back(request);
    }

    /// All that are kept, kind by kind, each from the oldest on; and how many there ever were, to be asked with next time: with
    /// nothing new since `known` there is nothing to tell.
    pub fn since(&self, known: u64) -> Option<(u64, Vec<Arc<Explained>>)> {
        let rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (rings.total != known).then(|| {
            let all = rings.delayed.iter().chain(&rings.retried);
            let all = all.chain(&rings.failed);
            (rings.total, all.cloned().collect())
        })
    }
}

/// Milliseconds since 1970.
pub fn since_epoch(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// What of a path may be shown: its first two segments, each only if it is short; `…` stands for what is left out.
pub fn shown_path(path: &str) -> String {
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
    let mut shown = String::new();
    for segment in segments.by_ref().take(SEGMENTS_SHOWN) {
        shown.push('/');
        // A semicolon begins parameters, such as a session's.
        let name = segment.split(';').next().unwrap_or_default();
        let is_short = name.len() <= SEGMENT_BYTES_MAX;
        shown.push_str(if is_short { name } else { "…" });
        if is_short && name.len() < segment.len() {
            shown.push_str(";…");
        }
    }
    if segments.next().is_some() {
        shown.push_str("/…");
    }
    shown
}

/// A method as it is shown: a client may send any token, and one that is long is nobody's method.
pub fn shown_method(method: &Method) -> String {
    let method = method.as_str();
    let is_short = method.len() <= METHOD_BYTES_MAX;
    (if is_short { method } else { "…" }).to_owned()
}

fn outcome_word<S: serde::Serializer>(
    outcome: &RequestOutcome,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(outcome.as_str())
}

/// How many are kept of each kind; one more pushes out the oldest.
pub const ENTRIES_MAX: usize = 50;

/// How many attempts of a request are kept; of more, the last ones.
pub const STEPS_MAX: usize = 16;

/// The most bytes that all of it may take, but for names of routes, which the configuration limits to 64 bytes each.
pub const MEMORY_MAX: usize = 3
    * ENTRIES_MAX
    * (size_of::<Explained>() + STEPS_MAX * size_of::<Step>() + PATH_BYTES_MAX + METHOD_BYTES_MAX);

const _: () = assert!(MEMORY_MAX <= 256 << 10);

/// Two segments of [`SEGMENT_BYTES_MAX`] with what stands for their parameters, and for what follows.
const PATH_BYTES_MAX: usize = SEGMENTS_SHOWN * (1 + SEGMENT_BYTES_MAX + 4) + 4;

/// The longest registered method, `UPDATEREDIRECTREF`, has 17 bytes.
const METHOD_BYTES_MAX: usize = 20;

/// As many as tell cells apart.
const SEGMENTS_SHOWN: usize = 2;

/// Names of resources are short, and so is a UUID (36); what is longer is more likely a token and is left out.
const SEGMENT_BYTES_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(outcome: RequestOutcome, at: u64) -> Explained {
        Explained {
            at,
            route: "default".into(),
            method: "GET".into(),
            path: "/a".into(),
            status: Some(200),
            outcome,
            reason: None,
            error: None,
            ran: None,
            waited: 0.0,
            took: 0.0,
            attempts: 1,
            steps: Vec::new(),
        }
    }

    #[test]
    fn a_burst_that_ended_well_does_not_push_out_a_failure() {
        let recent = Recent::default();
        recent.push(explained(RequestOutcome::GaveUp, 1));

        recent.push(explained(RequestOutcome::OkAfterRetry, 2));
        for at in 3..1_000 {
            recent.push(explained(RequestOutcome::Ok, at));
        }

        let (total, kept) = recent.since(0).unwrap();
        assert_eq!(total, 999);
        assert_eq!(kept.len(), ENTRIES_MAX + 2);
        assert_eq!(kept[0].at, 1_000 - 50, "the oldest have gone");
        assert_eq!(kept[ENTRIES_MAX].at, 2, "what a retry made good, too");
        assert_eq!(kept.last().unwrap().at, 1, "the failure is still there");
    }

    #[test]
    fn with_nothing_new_there_is_nothing_to_tell() {
        let recent = Recent::default();
        assert!(recent.since(0).is_none());
        recent.push(explained(RequestOutcome::Shed, 1));

        let (known, _) = recent.since(0).unwrap();

        assert!(recent.since(known).is_none());
    }

    #[test]
    fn a_method_is_shown_unless_it_is_too_long_to_be_one() {
        let shown = |method: &str| shown_method(&method.parse().unwrap());

        assert_eq!(shown("UPDATEREDIRECTREF"), "UPDATEREDIRECTREF");
        assert_eq!(shown(&"X".repeat(METHOD_BYTES_MAX)).len(), METHOD_BYTES_MAX);
        assert_eq!(shown(&"X".repeat(METHOD_BYTES_MAX + 1)), "…");
    }

    #[test]
    fn a_path_shows_its_first_two_segments_and_nothing_that_may_be_a_secret() {
        for (path, shown) in [
            ("/", "/"),
            ("/orders", "/orders"),
            ("/orders/17", "/orders/17"),
            ("/orders/17/", "/orders/17/…"),
            ("/orders/17/items/secret", "/orders/17/…"),
            ("/cart;jsessionid=ABC/1", "/cart;…/1"),
            ("*", "/*"),
        ] {
            assert_eq!(shown_path(path), shown);
        }
        let token =
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.Et9HFtf9R3GEMA0IICOfFMVXY7kkTX1wr4qCyhIf58U";
        assert_eq!(shown_path(&format!("/reset/{token}")), "/reset/…");
    }
}
