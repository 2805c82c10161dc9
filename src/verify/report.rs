//! What is told: a table that grows with each case, and at its end what it comes to; or one JSON object.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::case::{Case, Expected};
use super::observation::{Finding, Observation, Seen};

/// What came of all the cases.
#[derive(Debug)]
pub struct Report {
    rows: Vec<(&'static Case, Observation)>,
    unknown: Vec<String>,
}

impl Report {
    /// Nothing yet; these cases of the stack are left out, since nobody knows what to expect of them.
    pub(super) fn new(unknown: Vec<String>) -> Self {
        Self {
            rows: Vec::new(),
            unknown,
        }
    }

    /// Takes up what came of a case, and puts it in a line; more than one where it needs explaining.
    pub(super) fn add(&mut self, case: &'static Case, observation: Observation) -> String {
        let text = row(case, &observation);
        self.rows.push((case, observation));
        text
    }

    /// Whether every case that the stack has came out as expected.
    pub fn is_as_expected(&self) -> bool {
        self.faults() == 0
    }

    /// How many cases did not.
    pub fn faults(&self) -> usize {
        let faults = self.findings().filter(|finding| finding.is_fault());
        faults.count()
    }

    /// How many cases there are.
    pub fn cases(&self) -> usize {
        self.rows.len()
    }

    /// The line under the table.
    pub(super) fn foot(&self) -> String {
        let counts = Finding::ALL.into_iter().filter_map(|finding| {
            let count = self.count(finding);
            (count > 0).then(|| format!("{count} {}", finding.as_str()))
        });
        let counts: Vec<String> = counts.collect();
        let mut text = format!("\n{} cases: {}", self.cases(), counts.join(", "));
        if !self.unknown.is_empty() {
            // Writing to a String cannot fail.
            write!(
                text,
                "\nnot known to this redrive: {}",
                self.unknown.join(", ")
            )
            .ok();
        }
        text
    }

    /// All of it as one object.
    pub(super) fn to_json(&self) -> String {
        let cases: Vec<Value> = self
            .rows
            .iter()
            .map(|(case, it)| object(case, it))
            .collect();
        let report = json!({
            "as_expected": self.is_as_expected(),
            "cases": cases,
            "unknown": self.unknown,
        });
        format!("{report:#}")
    }

    fn count(&self, wanted: Finding) -> usize {
        self.findings().filter(|finding| *finding == wanted).count()
    }

    fn findings(&self) -> impl Iterator<Item = Finding> + '_ {
        self.rows
            .iter()
            .map(|(case, observation)| observation.against(&case.expected))
    }
}

/// The line above the table.
pub(super) fn head() -> String {
    line(
        ["case", "expected", "observed", "finding"],
        "named in the answer",
    )
}

fn row(case: &Case, observation: &Observation) -> String {
    let expected = &case.expected;
    let finding = observation.against(expected);
    let seen = match observation {
        Observation::Seen { seen, .. } => Some(seen),
        _ => None,
    };
    let observed = seen.map_or_else(|| "-".to_owned(), of_seen);
    let named = seen.map_or_else(String::new, |seen| {
        names(seen.error_type.as_deref(), seen.marker.as_deref())
    });
    let mut text = line(
        [
            case.name,
            &of_expected(expected),
            &observed,
            finding.as_str(),
        ],
        &named,
    );
    let mut more = |what: &str, value: &str| {
        // Writing to a String cannot fail.
        write!(text, "\n  {what:<8} {value}").ok();
    };
    match (finding, seen) {
        (Finding::Differs, Some(seen)) => {
            more("because", seen.classified.because);
            if !seen.body.is_empty() {
                more("body", &seen.body);
            }
        }
        (Finding::OtherEvidence, _) => {
            let named = names(expected.error_type, expected.marker);
            more("wanted", format!("{} {named}", expected.status).trim_end());
        }
        (Finding::NotProvoked, _) => {
            let requests = observation.requests();
            more(
                "because",
                &format!("all of {requests} requests were answered well"),
            );
        }
        _ => {}
    }
    text
}

fn line([case, expected, observed, finding]: [&str; 4], named: &str) -> String {
    let line = format!("{case:<22} {expected:<20} {observed:<20} {finding:<14} {named}");
    line.trim_end().to_owned()
}

fn of_expected(expected: &Expected) -> String {
    let Expected {
        status, class, ran, ..
    } = expected;
    format!("{status} {} {}", class.as_str(), ran.as_str())
}

fn of_seen(seen: &Seen) -> String {
    let status = seen
        .status
        .map_or_else(|| "---".to_owned(), |it| it.to_string());
    let (class, ran) = (seen.classified.class, seen.classified.ran);
    format!("{status} {} {}", class.as_str(), ran.as_str())
}

/// Error type and marker, as far as there are any.
fn names(error_type: Option<&str>, marker: Option<&str>) -> String {
    let names: Vec<&str> = error_type.into_iter().chain(marker).collect();
    names.join(", ")
}

fn object(case: &Case, observation: &Observation) -> Value {
    let expected = &case.expected;
    let observed = match observation {
        Observation::Seen { seen, .. } => json!({
            "status": seen.status,
            "class": seen.classified.class.as_str(),
            "ran": seen.classified.ran.as_str(),
            "kind": seen.classified.kind.as_str(),
            "scope": seen.classified.scope.as_str(),
            "because": seen.classified.because,
            "error_type": seen.error_type,
            "marker": seen.marker,
            "body": seen.body,
        }),
        _ => Value::Null,
    };
    json!({
        "case": case.name,
        "finding": observation.against(expected).as_str(),
        "requests": observation.requests(),
        "expected": {
            "status": expected.status,
            "class": expected.class.as_str(),
            "ran": expected.ran.as_str(),
            "error_type": expected.error_type,
            "marker": expected.marker,
        },
        "observed": observed,
    })
}
