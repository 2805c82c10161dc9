//! What is printed: a table for each scenario as it is played, redrive's targets below it; or one JSON object at the end.

use std::time::Duration;

use serde_json::{Value, json};

use super::figures::Run;
use super::promise::{Bound, Target};
use super::rival::Rival;

/// Prints, and remembers for the end.
pub(crate) struct Report {
    is_json: bool,
    lines: Vec<Value>,
    missed: Vec<String>,
}

impl Report {
    pub(crate) fn new(is_json: bool) -> Self {
        Self {
            is_json,
            lines: Vec::new(),
            missed: Vec::new(),
        }
    }

    /// A remark for the reader.
    pub(crate) fn say(&self, text: &str) {
        if self.is_json {
            eprintln!("{text}");
        } else {
            println!("{text}");
        }
    }

    pub(crate) fn open(&self, name: &str, about: &str) {
        self.say(&format!("\n{name}: {about}"));
    }

    /// The table's head.
    pub(crate) fn head(&self) {
        self.say(&format!(
            "  {:<12}{:>8}{:>8}{:>13}{:>13}{:>13}{:>9}  failed",
            "", "success", "att/ok", "p50", "p99", "longest", "of limit"
        ));
    }

    pub(crate) fn row(&mut self, scenario: &str, rival: Rival, run: &Run) {
        let all = run.all();
        let (p50, p99) = (all.percentile(50), all.percentile(99));
        let goodput = run.goodput();
        let failed: Vec<_> = all
            .failures
            .iter()
            .map(|(how, count)| format!("{count} x {how}"))
            .collect();
        self.say(&format!(
            "  {:<12}{:>8.3}{:>8.3}{:>13}{:>13}{:>13}{:>9}  {}",
            rival.name(),
            all.success(),
            run.attempts_per_success(),
            millis(p50),
            millis(p99),
            millis(all.longest),
            goodput.map_or_else(String::new, |share| format!("{share:.3}")),
            failed.join(", ")
        ));
        self.lines.push(json!({
            "scenario": scenario,
            "through": rival.name(),
            "sent": all.sent,
            "success": all.success(),
            "attempts_per_success": run.attempts_per_success(),
            "p50_seconds": p50.as_secs_f64(),
            "p99_seconds": p99.as_secs_f64(),
            "longest_seconds": all.longest.as_secs_f64(),
            "share_of_limit": goodput,
            "failed": all.failures,
        }));
    }

    /// What redrive promised.
    pub(crate) fn targets(&mut self, scenario: &str, targets: &[Target]) {
        for target in targets {
            let (sign, bound) = match target.bound {
                Bound::AtLeast(least) => (">=", least),
                Bound::AtMost(most) => ("<=", most),
            };
            let end = if target.is_met() { "pass" } else { "MISS" };
            let measured = if target.measured < NEVER {
                format!("{:.3}", target.measured)
            } else {
                "never".to_owned()
            };
            let line = format!(
                "{end}  {} {measured}, {sign} {bound:.3} is due",
                target.what
            );
            self.say(&format!("  {line}"));
            self.lines.push(json!({
                "scenario": scenario,
                "target": target.what,
                "measured": target.measured,
                "bound": format!("{sign} {bound}"),
                "met": target.is_met(),
            }));
            if !target.is_met() {
                self.missed.push(format!("{scenario}: {line}"));
            }
        }
    }

    /// The last words; whether redrive reached all of its targets.
    pub(crate) fn close(self) -> bool {
        if self.is_json {
            println!("{}", Value::from(self.lines));
        } else if self.missed.is_empty() {
            println!("\nredrive met every target");
        } else {
            println!("\nmissed:\n  {}", self.missed.join("\n  "));
        }
        self.missed.is_empty()
    }
}

fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}

/// What did not happen in a run is measured as far beyond it.
const NEVER: f64 = 1e9;
