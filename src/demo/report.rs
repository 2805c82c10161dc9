//! What came out: both sides beside each other, as a table and as JSON.
//!
//! Pure. The shares and waits are the clients'; the attempts are the gateways' own counts, since only they know what was
//! really sent to them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::schedule::Shape;
use super::tally::Tally;
use crate::gateway::{self, Seen};

/// Both sides of the comparison, and what they were given. Displays as a table and a sentence that reads it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What was sent, to each side.
    pub traffic: Traffic,
    /// What each of the two gateways let through.
    pub gateway: Limits,
    /// The clients that asked their gateway themselves.
    pub direct: SideReport,
    /// The clients that asked through redrive.
    pub redrive: SideReport,
}

/// The traffic, the same for both sides.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Traffic {
    /// Where its randomness began.
    pub seed: u64,
    /// How long requests were sent.
    pub seconds: f64,
    /// Requests per second on average.
    pub mean_per_second: f64,
    /// Requests per second in a burst.
    pub burst_per_second: u32,
    /// How long a burst lasts.
    pub burst_seconds: f64,
    /// From one burst to the next.
    pub period_seconds: f64,
}

/// A gateway's limits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// Requests per second; none is no limit.
    pub rate_per_second: Option<u32>,
    /// Requests at once after a pause.
    pub burst: Option<u32>,
    /// How long an execution takes.
    pub service_seconds: f64,
}

/// One side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SideReport {
    /// Requests that the clients sent.
    pub sent: u64,
    /// Requests that got a good answer.
    pub ok: u64,
    /// Requests that got a bad answer, or none in time.
    pub failed: u64,
    /// Requests that were still waiting when the demo was stopped; 0 when it ended by itself.
    pub unanswered: u64,
    /// `ok` among those that ended.
    pub success: Option<f64>,
    /// Requests that the gateway saw.
    pub gateway_requests: u64,
    /// Requests that the gateway served.
    pub gateway_served: u64,
    /// `gateway_requests` for each of `gateway_served`.
    pub attempts_per_success: Option<f64>,
    /// Half of the successes took no longer.
    pub p50_seconds: Option<f64>,
    /// All but a hundredth of the successes took no longer.
    pub p99_seconds: Option<f64>,
    /// The longest that a client waited for its answer, good or bad.
    pub longest_wait_seconds: f64,
    /// Why requests failed: a status, or what happened to the connection.
    pub failures: BTreeMap<String, u64>,
}

impl Traffic {
    /// Traffic of this shape for so long.
    pub(super) fn new(shape: Shape, seed: u64, length: Duration) -> Self {
        let period_seconds = shape.period.as_secs_f64();
        Self {
            seed,
            seconds: length.as_secs_f64(),
            mean_per_second: ratio(shape.requests_per_period(), 1).unwrap_or(0.0) / period_seconds,
            burst_per_second: shape.burst_rate,
            burst_seconds: shape.burst_length.as_secs_f64(),
            period_seconds,
        }
    }
}

impl Limits {
    /// The limits among a gateway's parameters that the demo's traffic can meet.
    pub(super) fn new(params: &gateway::Params) -> Self {
        Self {
            rate_per_second: params.rate,
            burst: params.burst.or(params.rate),
            service_seconds: params.service_time.as_secs_f64(),
        }
    }
}

impl SideReport {
    /// What the clients tallied and their gateway counted.
    pub(super) fn new(tally: &Tally, seen: &Seen) -> Self {
        Self {
            sent: tally.sent(),
            ok: tally.ok(),
            failed: tally.failed(),
            unanswered: tally.waiting(),
            success: ratio(tally.ok(), tally.ok() + tally.failed()),
            gateway_requests: seen.requests,
            gateway_served: seen.served,
            attempts_per_success: ratio(seen.requests, seen.served),
            p50_seconds: tally.percentile(50).map(|wait| wait.as_secs_f64()),
            p99_seconds: tally.percentile(99).map(|wait| wait.as_secs_f64()),
            longest_wait_seconds: tally.longest_wait().as_secs_f64(),
            failures: tally
                .failures()
                .map(|(failure, count)| (failure.to_string(), count))
                .collect(),
        }
    }

    /// `success` to three places, rounded down: 0.9996 is not every request.
    fn share(&self) -> String {
        (self.ok * 1_000)
            .checked_div(self.ok + self.failed)
            .map_or_else(nothing, |share| {
                format!("{}.{:03}", share / 1_000, share % 1_000)
            })
    }

    /// Such as `319 x 429`, in the order of the causes.
    fn causes(&self) -> String {
        let causes: Vec<String> = self
            .failures
            .iter()
            .map(|(cause, count)| format!("{count} x {cause}"))
            .collect();
        if causes.is_empty() {
            "none".to_owned()
        } else {
            causes.join(", ")
        }
    }

    fn failed_in_100(&self) -> Option<f64> {
        self.success.map(|success| 100.0 * (1.0 - success))
    }
}

impl Report {
    /// The table in a sentence, with no more praise than the figures bear.
    fn reading(&self) -> String {
        let (Some(direct), Some(redrive)) =
            (self.direct.failed_in_100(), self.redrive.failed_in_100())
        else {
            return "Too little was answered to compare.".to_owned();
        };
        let (direct_longest, redrive_longest) = (
            wait(Some(self.direct.longest_wait_seconds)),
            wait(Some(self.redrive.longest_wait_seconds)),
        );
        let waits = format!(
            "the longest wait was {redrive_longest} with redrive and {direct_longest} without"
        );
        if redrive < direct {
            format!(
                "Of 100 requests {direct:.1} failed when sent directly and {redrive:.1} through redrive.\n\
                 The price is time: {waits}."
            )
        } else {
            format!(
                "Of 100 requests {direct:.1} failed when sent directly and {redrive:.1} through redrive.\n\
                 Here redrive did not help; {waits}."
            )
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (direct, redrive) = (&self.direct, &self.redrive);
        writeln!(f, "{:<32}{:>16}{:>16}", "", "direct", "through redrive")?;
        let mut row = |what: &str, of: &dyn Fn(&SideReport) -> String| {
            writeln!(f, "{what:<32}{:>16}{:>16}", of(direct), of(redrive))
        };
        row("success share", &SideReport::share)?;
        row("attempts per success", &|side| {
            figure(side.attempts_per_success)
        })?;
        row("p50 of successes", &|side| wait(side.p50_seconds))?;
        row("p99 of successes", &|side| wait(side.p99_seconds))?;
        row("longest wait", &|side| {
            wait(Some(side.longest_wait_seconds))
        })?;
        row("sent by clients", &|side| side.sent.to_string())?;
        row("failed", &SideReport::causes)?;
        if direct.unanswered + redrive.unanswered > 0 {
            row("waiting at the end, not counted", &|side| {
                side.unanswered.to_string()
            })?;
        }
        row("seen by the gateway", &|side| {
            side.gateway_requests.to_string()
        })?;
        row("served by the gateway", &|side| {
            side.gateway_served.to_string()
        })?;
        write!(f, "\n{}", self.reading())
    }
}

fn figure(figure: Option<f64>) -> String {
    figure.map_or_else(nothing, |figure| format!("{figure:.2}"))
}

/// Milliseconds below a second, seconds from there on.
fn wait(seconds: Option<f64>) -> String {
    seconds.map_or_else(nothing, |seconds| {
        if seconds < 1.0 {
            format!("{:.0} ms", seconds * 1_000.0)
        } else {
            format!("{seconds:.2} s")
        }
    })
}

fn nothing() -> String {
    "-".to_owned()
}

/// `None` for a share of nothing.
fn ratio(part: u64, whole: u64) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of a demo, far below 2^52"
    )]
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests;
