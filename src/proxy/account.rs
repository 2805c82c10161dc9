//! One request's account: what happened to it, told once when it ends.
//!
//! It travels with the request and then with its answer's body. Whichever way it ends, also when the client leaves and
//! the future is dropped in the middle of anything, dropping the account counts the request and logs it. The same words
//! go into the answer's headers.
//!
//! The names of the line's fields are an interface, as metrics' names are; the README has them. Of what a client sends the line
//! holds the method alone: no path, no query, no header.

mod history;
mod shown;
mod traced;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use self::history::History;
use super::admit::Permit;
use super::error::Error;
use super::headers::{REDRIVE_ATTEMPTS, REDRIVE_RAN, REDRIVE_REASON, REDRIVE_WAITED};
use super::lane::Lane;
use super::metrics::RequestOutcome;
use super::recent::shown_method;
use super::trace::{Attempted, Trace};
use crate::clock;
use crate::retry::Reason;
use crate::retry::classify::{Class, Classified, Ran};

/// Which requests are logged (`log.requests`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Every one.
    All,
    /// Those that were retried, delayed, given up, refused, or answered by redrive itself.
    Retried,
    /// None.
    None,
}

/// One request's account.
pub struct Account {
    lane: Arc<Lane>,
    told: Told,
    /// What is told to whoever collects traces.
    pub trace: Trace,
    method: Method,
    /// Its target, for the beginning of its path.
    target: Option<PathAndQuery>,
    is_routed: bool,
    /// When the request came.
    pub arrival: Instant,
    /// How long it waited so far.
    pub waited: Duration,
    /// How much of it was waited before the attempts so far.
    waited_told: Duration,
    history: History,
    looked_throttled: bool,
    last: Option<Classified>,
    /// The most that any attempt may have done.
    ran: Option<Ran>,
    reason: Option<Reason>,
    status: Option<StatusCode>,
    /// Unknown until the answer is settled; a request that ends without is one whose client left.
    outcome: Option<RequestOutcome>,
    /// Why redrive answered itself, where it did: the word and the sentence that the client is given, too.
    error: Option<(&'static str, String)>,
    /// Whether a retry is due and waited for, so that a client that leaves now leaves it unmade.
    pub owes_retry: bool,
    /// The turn of the attempt whose answer is delivered: it ends with the request.
    permit: Option<Permit>,
}

impl Account {
    /// Opens the account of a request that is not routed yet: it is the default route's until then.
    pub fn open(
        lane: Arc<Lane>,
        told: Told,
        method: Method,
        target: Option<PathAndQuery>,
        trace: Trace,
    ) -> Self {
        lane.metrics.in_flight.inc();
        Self {
            lane,
            told,
            trace,
            method,
            target,
            is_routed: false,
            arrival: clock::now(),
            waited: Duration::ZERO,
            waited_told: Duration::ZERO,
            history: History::default(),
            looked_throttled: false,
            last: None,
            ran: None,
            reason: None,
            status: None,
            outcome: None,
            error: None,
            owes_retry: false,
            permit: None,
        }
    }

    /// The request goes this way.
    pub fn route(&mut self, lane: &Arc<Lane>) {
        lane.pulse.arrive();
        self.is_routed = true;
        if !Arc::ptr_eq(&self.lane, lane) {
            self.lane = Arc::clone(lane);
        }
    }

    /// An attempt begins.
    pub fn begin(&mut self, at: Instant) {
        self.trace.begin(at, &self.lane.target.authority);
    }

    /// An attempt ended that took this long, with this answer if there was one.
    pub fn attempt(
        &mut self,
        outcome: &Classified,
        took: Duration,
        answer: Option<(StatusCode, &HeaderMap)>,
    ) {
        let waited = self.waited.saturating_sub(self.waited_told);
        self.waited_told = self.waited;
        self.history.add(outcome, waited, took, answer);
        self.trace.end(&Attempted {
            outcome,
            waited,
            took,
            status: answer.map(|(status, _)| status),
            request_id: self.history.last_request_id(),
        });
        self.last = Some(*outcome);
        self.ran = self.ran.max(Some(outcome.ran));
        self.looked_throttled |= outcome.class.is_throttle_like();
    }

    /// A retry would have been due, but for this.
    pub fn stop(&mut self, reason: Reason) {
        self.reason = Some(reason);
        self.lane.metrics.skipped(reason).inc();
        let looked_throttled = self
            .last
            .is_some_and(|last| matches!(last.class, Class::Throttled | Class::Suspected));
        if reason == Reason::Unsafe && looked_throttled {
            self.lane.notices.unsafe_stop(&self.method);
        }
    }

    /// The answer is the upstream's. The turn that it came with ends with the request.
    pub fn answered(&mut self, status: StatusCode, permit: Option<Permit>) {
        self.status = Some(status);
        self.permit = permit;
        self.outcome = Some(match self.last.map(|last| last.class) {
            Some(Class::Ok) if self.history.made() > 1 => RequestOutcome::OkAfterRetry,
            // Without an attempt redrive answered for itself, and well.
            Some(Class::Ok) | None => RequestOutcome::Ok,
            Some(Class::Permanent) if status.is_client_error() => RequestOutcome::ClientError,
            _ => self.failed(),
        });
    }

    /// The answer is redrive's own.
    pub fn refused(&mut self, error: &Error, status: StatusCode) {
        self.status = Some(status);
        self.error = Some((error.proxy_status(), error.to_string()));
        self.outcome = Some(match error {
            error if error.is_clients() => RequestOutcome::Rejected,
            Error::Shed { .. } | Error::SlowUpload => RequestOutcome::Shed,
            Error::Deadline { .. } => {
                self.reason.get_or_insert(Reason::Deadline);
                RequestOutcome::GaveUp
            }
            _ => self.failed(),
        });
    }

    /// The upstream broke the answer after its head had gone out.
    pub fn broke(&mut self) {
        self.stop(Reason::Started);
        self.outcome = Some(RequestOutcome::UpstreamError);
    }

    /// The client left before the answer's end.
    pub fn left(&mut self) {
        self.outcome = None;
    }

    /// What the client is told, when there is something to tell.
    pub fn explain(&self, headers: &mut HeaderMap) {
        if self.history.made() <= 1 && self.reason.is_none() {
            return;
        }
        headers.insert(REDRIVE_ATTEMPTS, HeaderValue::from(self.history.made()));
        let waited = format!("{:.3}", self.waited.as_secs_f64());
        headers.insert(
            REDRIVE_WAITED,
            HeaderValue::try_from(waited).expect("digits and a dot"),
        );
        if let Some(reason) = self.reason {
            headers.insert(REDRIVE_REASON, HeaderValue::from_static(reason.as_str()));
        }
        if let Some(ran) = self.ran {
            headers.insert(REDRIVE_RAN, HeaderValue::from_static(ran.as_str()));
        }
    }

    /// A failure: given up if retries were stopped short, the upstream's error if the policy wanted none.
    fn failed(&self) -> RequestOutcome {
        match self.reason {
            None
            | Some(
                Reason::Unsafe | Reason::Quota | Reason::Upgrade | Reason::DryRun | Reason::Bypass,
            ) if self.history.made() <= 1 => RequestOutcome::UpstreamError,
            _ => RequestOutcome::GaveUp,
        }
    }

    /// The last attempt's verdict; none where there was no attempt, or none that ended.
    fn verdict(&self) -> Option<&'static str> {
        match (self.reason, self.outcome) {
            (Some(_), _) => Some("stop"),
            (None, Some(_)) if self.last.is_some() => Some("deliver"),
            (None, _) => None,
        }
    }

    fn tell(&self, outcome: RequestOutcome, took: Duration) {
        let (error, detail) = self.error.as_ref().map(|(word, text)| (word, text)).unzip();
        tracing::info!(
            route = self.lane.name,
            method = shown_method(&self.method),
            status = self.status.map(|status| status.as_u16()),
            outcome = outcome.as_str(),
            verdict = self.verdict(),
            reason = self.reason.map(Reason::as_str),
            error,
            detail,
            ran = self.ran.map(Ran::as_str),
            because = self.last.map(|last| last.because),
            waited_seconds = self.waited.as_secs_f64(),
            duration_seconds = took.as_secs_f64(),
            attempts_made = self.history.made(),
            attempts = %self.history,
            "request"
        );
    }

    fn is_told(&self) -> bool {
        match self.told {
            Told::All => true,
            Told::None => false,
            Told::Retried => self.has_story(),
        }
    }

    /// Whether it was retried, delayed, given up, refused, or answered by redrive itself.
    fn has_story(&self) -> bool {
        // Whatever redrive answers itself is an error that the upstream's own log does not have.
        let is_ours = self.error.is_some();
        self.history.made() > 1 || !self.waited.is_zero() || self.reason.is_some() || is_ours
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.lane.metrics.in_flight.dec();
        if self.outcome.is_none() && std::thread::panicking() {
            self.outcome = Some(RequestOutcome::UpstreamError);
        }
        if self.outcome.is_none() && self.owes_retry {
            self.stop(Reason::ClientGone);
        }
        let outcome = self.outcome.unwrap_or(RequestOutcome::ClientGone);
        let now = clock::now();
        if let Some(permit) = self.permit.take() {
            permit.release(now);
        }
        let took = now.saturating_duration_since(self.arrival);
        let metrics = &self.lane.metrics;
        metrics.requests(outcome).inc();
        metrics.request_duration.observe(took.as_secs_f64());
        metrics.wait.observe(self.waited.as_secs_f64());
        if self.is_told() {
            self.tell(outcome, took);
        }
        self.show(outcome, took);
        self.close_trace(outcome);
    }
}

/// The field of the log's line that holds a list: `{:#?}` of its value is JSON.
pub const ATTEMPTS: &str = "attempts";
