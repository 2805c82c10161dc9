//! The first words of the status page: does redrive help?
//!
//! Pure: counts of the last minutes in, sentences out. A request counts as throttled when one of its attempts looked so, and as
//! good when its client got a good answer in the end; both are counted when it ends, so that one never runs ahead of the other.

use std::time::Duration;

use serde::Serialize;

use super::history::wait_quantile;
use crate::proxy::reading::Counts;
use crate::retry::Reason;

/// What there is to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    /// How it looks.
    pub(super) tone: Tone,
    /// The answer.
    pub(super) words: &'static str,
    /// The figures that it rests on.
    pub(super) line: String,
    /// What it costs.
    pub(super) detail: String,
}

/// How it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tone {
    /// It helps.
    Good,
    /// There is nothing to help with.
    Calm,
    /// It helps some.
    Warn,
    /// It does not help.
    Bad,
}

/// What the operator has switched off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Switches {
    /// Everything is passed straight through.
    pub(super) bypass: bool,
    /// Retries are decided and not made, on every route that is looked at.
    pub(super) dry_run: bool,
}

/// Says what these counts, gathered over such a time, mean.
pub(super) fn summarise(counts: &Counts<u64>, over: Duration, switches: Switches) -> Summary {
    let period = period(over);
    let (hit, rescued) = (counts.hit, counts.rescued);
    let (tone, words, line) = if switches.bypass {
        let line = format!(
            "bypass passes everything straight through; throttled requests {period}: {}",
            thousands(hit)
        );
        (Tone::Warn, "redrive is switched off.", line)
    } else if switches.dry_run {
        let line = format!(
            "Retries decided and not made {period}: {}; throttled requests: {}",
            thousands(counts.reasons[place(Reason::DryRun)]),
            thousands(hit)
        );
        (Tone::Warn, "Dry run: redrive only watches.", line)
    } else if counts.offered == 0 && counts.attempts == 0 {
        let line = format!("No requests {period}");
        (Tone::Calm, "Nobody has asked.", line)
    } else if hit == 0 {
        let failed = if counts.failed == 0 {
            String::new()
        } else {
            format!(", {} failed for other reasons", thousands(counts.failed))
        };
        let line = format!(
            "None of {} requests was throttled {period}{failed}; {} attempts per request",
            thousands(counts.offered),
            amplification(counts)
        );
        (Tone::Calm, "No need for it now.", line)
    } else {
        let (tone, words) = judgement(hit, rescued);
        let line = format!(
            "{} of {} throttled requests became good ones {period}; {} attempts per request",
            thousands(rescued),
            thousands(hit),
            amplification(counts)
        );
        (tone, words, line)
    };
    Summary {
        tone,
        words,
        line,
        detail: detail(counts),
    }
}

/// What the share of saved requests is called. The last word is for less than half.
fn judgement(hit: u64, rescued: u64) -> (Tone, &'static str) {
    let at_least = |percent: u64| rescued * 100 >= hit * percent;
    if at_least(95) {
        (Tone::Good, "Yes, redrive helps.")
    } else if at_least(50) {
        (Tone::Warn, "redrive helps, but not always.")
    } else if rescued > 0 {
        (Tone::Bad, "redrive helps little now.")
    } else {
        (Tone::Bad, "No, redrive does not help now.")
    }
}

/// What became of all requests, and what the help costs: time.
fn detail(counts: &Counts<u64>) -> String {
    let ended: u64 = counts.waits.iter().sum();
    if ended == 0 {
        return String::new();
    }
    let waited = ended - counts.waits[0];
    let served = format!(
        "{} of {} requests got a good answer",
        thousands(counts.served),
        thousands(ended)
    );
    if waited == 0 {
        return format!("{served}; none waited.");
    }
    format!(
        "{served}; {} waited, 99 of 100 no longer than about {}.",
        thousands(waited),
        about(wait_quantile(counts, 0.99).unwrap_or_default())
    )
}

/// How many attempts a request took, by those that ended.
fn amplification(counts: &Counts<u64>) -> String {
    let firsts = counts.attempts.saturating_sub(counts.retried).max(1);
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let ratio = counts.attempts.max(firsts) as f64 / firsts as f64;
    format!("{ratio:.2}")
}

fn period(over: Duration) -> String {
    match over.as_secs() {
        0..=1 => "in the last second".to_owned(),
        seconds @ 2..=119 => format!("in the last {seconds} seconds"),
        // The last minute is said to be full a little early, since a second is never quite one.
        seconds => format!("in the last {} minutes", (seconds + 5) / 60),
    }
}

/// A wait as it is known: within a fifth.
fn about(seconds: f64) -> String {
    if seconds < 0.1 {
        format!("{:.0} ms", seconds * 1000.0)
    } else {
        format!("{seconds:.1} s")
    }
}

/// A number as people read it: 1,204.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn place(reason: Reason) -> usize {
    let reasons = Reason::ALL.iter();
    reasons
        .take_while(|it| **it != reason)
        .count()
        .min(Reason::ALL.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(offered: u64, hit: u64, rescued: u64) -> Counts<u64> {
        let mut counts = Counts {
            offered,
            served: offered - (hit - rescued),
            failed: hit - rescued,
            attempts: offered + hit,
            throttled: hit,
            retried: hit,
            hit,
            rescued,
            ..Counts::default()
        };
        counts.waits[0] = offered;
        counts
    }

    fn said(counts: &Counts<u64>) -> (Tone, &'static str, String) {
        let summary = summarise(counts, Duration::from_secs(900), Switches::default());
        (summary.tone, summary.words, summary.line)
    }

    #[test]
    fn the_first_words_answer_whether_it_helps_and_the_line_says_by_what() {
        let (tone, words, line) = said(&counts(10_500, 420, 412));

        assert_eq!((tone, words), (Tone::Good, "Yes, redrive helps."));
        assert_eq!(
            line,
            "412 of 420 throttled requests became good ones in the last 15 minutes; 1.04 attempts per request"
        );
    }

    #[test]
    fn the_fewer_are_saved_the_less_it_is_said_to_help() {
        let mut words: Vec<_> = [100, 95, 94, 50, 49, 1, 0]
            .map(|rescued| said(&counts(1_000, 100, rescued)).1)
            .to_vec();
        words.dedup();

        assert_eq!(
            words,
            [
                "Yes, redrive helps.",
                "redrive helps, but not always.",
                "redrive helps little now.",
                "No, redrive does not help now.",
            ]
        );
    }

    #[test]
    fn without_throttles_there_is_no_claim_and_other_failures_are_told() {
        let mut counts = counts(1_204, 0, 0);
        counts.failed = 3;

        let (tone, words, line) = said(&counts);

        assert_eq!((tone, words), (Tone::Calm, "No need for it now."));
        assert!(line.starts_with("None of 1,204 requests was throttled in the last 15 minutes"));
        assert!(line.contains("3 failed for other reasons"));
        assert_eq!(said(&Counts::default()).1, "Nobody has asked.");
    }

    #[test]
    fn what_is_switched_off_is_said_before_anything_else() {
        let mut counts = counts(100, 40, 0);
        counts.reasons[place(Reason::DryRun)] = 40;
        let said = |switches| summarise(&counts, Duration::from_secs(60), switches);

        let bypass = said(Switches {
            bypass: true,
            dry_run: true,
        });
        let dry_run = said(Switches {
            bypass: false,
            dry_run: true,
        });

        assert_eq!(bypass.words, "redrive is switched off.");
        assert!(
            bypass
                .line
                .ends_with("throttled requests in the last 60 seconds: 40")
        );
        assert_eq!(dry_run.words, "Dry run: redrive only watches.");
        assert!(
            dry_run
                .line
                .starts_with("Retries decided and not made in the last 60 seconds: 40;")
        );
    }

    #[test]
    fn what_it_costs_is_told_in_time() {
        let mut counts = counts(100, 10, 10);
        counts.waits = Counts::default().waits;
        (counts.waits[0], counts.waits[20]) = (90, 10);

        let summary = summarise(&counts, Duration::from_secs(3), Switches::default());

        assert_eq!(
            summary.detail,
            "100 of 100 requests got a good answer; 10 waited, 99 of 100 no longer than about 0.9 s."
        );
        assert!(summary.line.contains("in the last 3 seconds"));
    }

    #[test]
    fn numbers_are_written_as_people_read_them() {
        let written = [0, 999, 1_000, 12_345, 1_234_567].map(thousands);

        assert_eq!(written, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }
}
