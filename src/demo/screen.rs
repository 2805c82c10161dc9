//! What the demo says while it runs and at its end.
//!
//! For people: a line a second, or one line that changes where the output is a terminal, and then the table. For programs
//! (`--json`): one object at the end, and nothing before it on the same output. Only the result must be written; that
//! nobody reads the lines on the way is no reason to stop.

use std::fmt;
use std::io::{self, Write};

use super::report::{Limits, Report, Traffic};
use super::stage::{Moment, Plan, Stage};

/// Where the demo's words go.
pub(super) struct Screen<W> {
    out: W,
    form: Form,
}

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A program: the result alone.
    Json,
    /// People, later: a line a second.
    Lines,
    /// People, now: one line that changes.
    Terminal,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W, form: Form) -> Self {
        Self { out, form }
    }

    /// Says what is about to happen, and where everything listens.
    pub(super) fn open(&mut self, plan: &Plan, stage: &Stage) {
        if self.form != Form::Json {
            self.say(format_args!(
                "{}\n\n{}\n\n{HEADING}",
                introduction(plan),
                addresses(stage)
            ));
        }
    }

    /// Says where the traffic stands.
    pub(super) fn show(&mut self, moment: &Moment) {
        match self.form {
            Form::Json => {}
            Form::Lines => self.say(format_args!("{}\n", line(moment))),
            // Back to the line's beginning, and clear what a longer one left behind.
            Form::Terminal => self.say(format_args!("\r{}\x1b[K", line(moment))),
        }
    }

    /// Writes the result.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn close(&mut self, report: &Report) -> io::Result<()> {
        match self.form {
            Form::Json => {
                serde_json::to_writer(&mut self.out, report)?;
                writeln!(self.out)?;
            }
            Form::Lines => writeln!(self.out, "\n{report}\n\n{NEXT}")?,
            Form::Terminal => writeln!(self.out, "\n\n{report}\n\n{NEXT}")?,
        }
        self.out.flush()
    }

    /// Says something on the way; best effort.
    pub(super) fn say(&mut self, words: fmt::Arguments<'_>) {
        // Whoever closed the other end has seen enough.
        self.out
            .write_fmt(words)
            .and_then(|()| self.out.flush())
            .ok();
    }
}

/// Where clients and operators can reach the stage while it runs.
pub(super) fn addresses(stage: &Stage) -> String {
    format!(
        "status page            http://{1}/\n\
         redrive for clients    http://{0}\n\
         redrive's metrics      http://{1}/metrics\n\
         gateway without it     http://{2}",
        stage.client_addr(),
        stage.admin_addr(),
        stage.direct_addr()
    )
}

fn introduction(plan: &Plan) -> String {
    let traffic = Traffic::new(plan.shape, plan.seed, plan.length.unwrap_or_default());
    let limits = Limits::new(&plan.gateway);
    let length = plan.length.map_or_else(
        || "until SIGINT or SIGTERM".to_owned(),
        |length| format!("for {:.0} s", length.as_secs_f64()),
    );
    let rate = limits.rate_per_second.map_or_else(
        || "as many requests as they can".to_owned(),
        |rate| {
            let burst = limits.burst.unwrap_or(rate);
            format!("{rate} requests/s in bursts of {burst}")
        },
    );
    format!(
        "The same requests, sent to an API directly and through redrive with its defaults, {length}.\n\
         The clients never retry: {:.0}/s on average, {}/s for {} s in every {} s, seed {}.\n\
         The API is a stand-in for API Gateway, not AWS. There are two of it, one for each side, so that\n\
         both meet the same limits and neither disturbs the other: {rate}, {:.0} ms for each.",
        traffic.mean_per_second,
        traffic.burst_per_second,
        traffic.burst_seconds,
        traffic.period_seconds,
        traffic.seed,
        limits.service_seconds * 1_000.0,
    )
}

fn line(moment: &Moment) -> String {
    format!(
        "{:>5} s{:>9}  |{:>9}{:>9}  |{:>9}{:>9}{:>9}",
        moment.elapsed.as_secs(),
        moment.sent,
        moment.direct_ok,
        moment.direct_failed,
        moment.redrive_ok,
        moment.redrive_failed,
        moment.redrive_waiting
    )
}

/// Stands above [`line()`]; as wide.
const HEADING: &str = concat!(
    "                  |  direct            |  through redrive\n",
    "   time     sent  |       ok   failed  |       ok   failed  waiting\n"
);

/// Where to go from here.
const NEXT: &str = "\
Next: `redrive run --upstream https://ID.execute-api.REGION.amazonaws.com/STAGE`, and send your client's requests to\n\
http://127.0.0.1:7480 instead. README.md says what is retried, what never is, and what to watch.";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::demo::report::SideReport;
    use crate::demo::tally::Tally;
    use crate::gateway::Seen;

    fn moment() -> Moment {
        Moment {
            elapsed: Duration::from_millis(3_004),
            sent: 240,
            direct_ok: 160,
            direct_failed: 79,
            redrive_ok: 180,
            redrive_failed: 0,
            redrive_waiting: 60,
        }
    }

    fn report() -> Report {
        let plan = Plan::default();
        let side = SideReport::new(&Tally::new(), &Seen::default());
        Report {
            traffic: Traffic::new(plan.shape, plan.seed, Duration::from_secs(20)),
            gateway: Limits::new(&plan.gateway),
            direct: side.clone(),
            redrive: side,
        }
    }

    fn written(form: Form) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, form);
        screen.show(&moment());
        screen.show(&moment());
        screen.close(&report()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_program_gets_one_object_on_one_line_and_nothing_else() {
        let written = written(Form::Json);

        assert_eq!(written.lines().count(), 1);
        let object: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert!(object["redrive"].is_object());
    }

    #[test]
    fn a_file_gets_a_line_for_each_moment_and_no_control_characters() {
        let written = written(Form::Lines);

        let moments = written.lines().filter(|line| line.contains('|')).count();
        assert_eq!(moments, 2);
        assert!(!written.contains(['\r', '\x1b']));
        assert!(written.contains("success share"));
        assert!(written.ends_with(&format!("{NEXT}\n")));
    }

    #[test]
    fn a_terminal_gets_one_line_that_changes_and_then_the_table() {
        let written = written(Form::Terminal);

        assert_eq!(written.matches('\r').count(), 2);
        let first = written.lines().next().unwrap();
        assert_eq!(first.matches('|').count(), 2 * 2, "both moments share it");
        assert!(written.contains("success share"));
    }

    #[test]
    fn every_figure_stands_under_its_heading() {
        let bars = |text: &str| -> Vec<usize> {
            text.match_indices('|').map(|(column, _)| column).collect()
        };
        let line = line(&moment());

        for heading in HEADING.lines() {
            assert_eq!(bars(heading), bars(&line), "{heading}\n{line}");
        }
        let last = HEADING.lines().last().unwrap();
        assert_eq!(last.len(), line.len());
    }

    #[test]
    fn the_introduction_says_what_both_sides_are_given() {
        let plan = Plan::default();

        let words = introduction(&plan);
        let stay = introduction(&Plan {
            length: None,
            ..plan
        });

        for said in [
            "for 20 s",
            "60/s on average",
            "300/s for 0.65 s in every 5 s",
            "100 requests/s in bursts of 50",
            "There are two of it",
            "not AWS",
        ] {
            assert!(words.contains(said), "{said} in {words}");
        }
        assert!(stay.contains("until SIGINT or SIGTERM"));
    }
}
