//! What operators paste: every query in rules, alerts, dashboard and README asks for series that a running redrive has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::answers::ok;
use crate::support::{Sidecar, Upstream};

/// Every metric of a page with its labels, and every label with its values.
#[derive(Default)]
struct Page(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

/// One selector in a query: a name, and what it demands of labels.
#[derive(Debug, PartialEq, Eq)]
struct Selector {
    name: String,
    labels: Vec<(String, String)>,
}

impl Page {
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let selector = &selectors(line)[0];
            let labels = page.0.entry(selector.name.clone()).or_default();
            for (label, value) in &selector.labels {
                labels
                    .entry(label.clone())
                    .or_default()
                    .insert(value.clone());
            }
        }
        page
    }

    /// The same for prose, which calls a histogram by its name alone.
    fn for_prose(&self) -> Self {
        let mut page = self.0.clone();
        for (name, labels) in &self.0 {
            if let Some(histogram) = name.strip_suffix("_bucket") {
                page.insert(histogram.to_owned(), labels.clone());
            }
        }
        Self(page)
    }

    /// Everything that a text asks for in vain. `recorded` are the names that rules record.
    fn faults(&self, text: &str, recorded: &BTreeSet<String>) -> Vec<String> {
        let mut faults = Vec::new();
        for selector in selectors(text) {
            let name = &selector.name;
            if let Some((level, _)) = name.split_once(':') {
                let labels: Vec<&str> = level.split('_').collect();
                let misses = |label: &str| !labels.contains(&label);
                faults
                    .extend((!recorded.contains(name)).then(|| format!("{name} is not recorded")));
                let missing = selector.labels.iter().filter(|(label, _)| misses(label));
                faults.extend(missing.map(|(label, _)| format!("{name} has no label {label}")));
                continue;
            }
            match self.0.get(name) {
                Some(labels) => faults.extend(selector.faults(labels)),
                None => faults.push(format!("{name} does not exist")),
            }
        }
        let known: BTreeSet<&str> = self
            .0
            .values()
            .flat_map(|it| it.keys())
            .map(String::as_str)
            .collect();
        for label in groupings(text) {
            if !known.contains(label) && !BY_PROMETHEUS.contains(&label) {
                faults.push(format!("nothing has the label {label} to group by"));
            }
        }
        faults
    }
}

impl Selector {
    fn faults(&self, labels: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
        let name = &self.name;
        let mut faults = Vec::new();
        for (label, wanted) in &self.labels {
            if BY_PROMETHEUS.contains(&label.as_str()) || wanted.contains('$') {
                continue;
            }
            let Some(values) = labels.get(label) else {
                faults.push(format!("{name} has no label {label}"));
                continue;
            };
            // Routes are named by the operator, versions by us.
            let is_open = ["route", "version"].contains(&label.as_str()) || wanted.contains(".*");
            let missing = wanted
                .split('|')
                .filter(|word| !is_open && !values.contains(*word));
            faults.extend(missing.map(|word| format!("{name} has no {label}=\"{word}\"")));
        }
        faults
    }
}

/// Every selector of our metrics, and of those of rules, wherever it stands in a text.
fn selectors(text: &str) -> Vec<Selector> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_name) {
        rest = &rest[start..];
        let end = rest.find(|letter| !is_name(letter)).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        rest = behind;
        let own = name.split(':').nth(1).unwrap_or(name);
        let is_ours = own.starts_with("redrive_") || own.starts_with("process_");
        // What ends in a separator is the start of a pattern.
        if !is_ours || name.ends_with(['_', ':']) {
            continue;
        }
        let labels = behind.strip_prefix('{').and_then(|it| it.split_once('}'));
        found.push(Selector {
            name: name.to_owned(),
            labels: labels
                .map(|(labels, _)| matchers(labels))
                .unwrap_or_default(),
        });
    }
    found
}

/// `a="b", c=~"d|e"`, whichever the operator.
fn matchers(text: &str) -> Vec<(String, String)> {
    // Outside and inside of quotes take turns.
    let parts: Vec<&str> = text.split('"').collect();
    let pairs = parts.chunks_exact(2);
    pairs
        .map(|pair| {
            let label = pair[0]
                .trim_matches(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            (label.to_owned(), pair[1].to_owned())
        })
        .collect()
}

/// The labels in every `by (a, b)`.
fn groupings(text: &str) -> Vec<&str> {
    let lists = text.split("by (").skip(1);
    lists
        .filter_map(|it| it.split_once(')'))
        .flat_map(|(list, _)| list.split(','))
        .map(str::trim)
        .collect()
}

/// Every string in a JSON document.
fn strings<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, found)),
        _ => {}
    }
}

fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn recorded() -> BTreeSet<String> {
    let rules = file("deploy/prometheus/rules.yaml");
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "));
    names.map(str::to_owned).collect()
}

async fn page_of_a_running_sidecar() -> Page {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    Page::read(&sidecar.metrics().await)
}

#[tokio::test]
async fn whatever_operators_are_given_to_paste_asks_for_what_exists() {
    let page = page_of_a_running_sidecar().await;
    let recorded = recorded();
    assert!(recorded.len() > 5, "{recorded:?}");

    let mut faults = Vec::new();
    for path in [
        "deploy/prometheus/rules.yaml",
        "deploy/prometheus/alerts.yaml",
        "deploy/prometheus/alerts_test.yaml",
    ] {
        let here = page.faults(&file(path), &recorded).into_iter();
        faults.extend(here.map(|fault| format!("{path}: {fault}")));
    }
    faults.extend(page.for_prose().faults(&file("README.md"), &recorded));
    let path = "deploy/grafana/redrive.json";
    let dashboard: Value = serde_json::from_str(&file(path)).unwrap();
    let mut queries = Vec::new();
    strings(&dashboard, &mut queries);
    for query in queries {
        let here = page.faults(query, &recorded).into_iter();
        faults.extend(here.map(|fault| format!("{path}: {fault} in {query}")));
    }

    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test]
async fn every_family_of_redrives_own_has_its_place_on_the_dashboard() {
    let page = page_of_a_running_sidecar().await;
    let dashboard = file("deploy/grafana/redrive.json");
    let asked: BTreeSet<String> = selectors(&dashboard)
        .into_iter()
        .map(|it| it.name)
        .collect();

    let exists = page.0.keys().filter(|name| name.starts_with("redrive_"));
    // A histogram's buckets stand for its sum and count.
    let missing: Vec<&String> = exists
        .filter(|name| !name.ends_with("_sum") && !name.ends_with("_count"))
        .filter(|name| !asked.contains(*name))
        .collect();

    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_query_for_what_does_not_exist_is_a_fault() {
    let page = Page::read(
        "# TYPE redrive_a_total counter\nredrive_a_total{route=\"default\",outcome=\"ok\"} 0\n",
    );
    let recorded = BTreeSet::from(["job_route:redrive_a:rate5m".to_owned()]);
    for (query, expected) in [
        (
            r#"sum by (job, route) (rate(redrive_a_total{outcome=~"ok", job="x"}[5m]))"#,
            "",
        ),
        (
            r#"redrive_a_total{route="orders", outcome=~"$outcome"}"#,
            "",
        ),
        ("job_route:redrive_a:rate5m{route=\"a\"} > 1", ""),
        ("redrive_b_total", "redrive_b_total does not exist"),
        (
            r#"redrive_a_total{class="ok"}"#,
            "redrive_a_total has no label class",
        ),
        (
            r#"redrive_a_total{outcome!~"ok|fine"}"#,
            r#"redrive_a_total has no outcome="fine""#,
        ),
        (
            "sum by (le, kind) (x)",
            "nothing has the label kind to group by",
        ),
        (
            "job:redrive_a:rate5m",
            "job:redrive_a:rate5m is not recorded",
        ),
        (
            r#"job_route:redrive_a:rate5m{reason="a"}"#,
            "job_route:redrive_a:rate5m has no label reason",
        ),
    ] {
        assert_eq!(
            page.faults(query, &recorded).join("; "),
            expected,
            "{query}"
        );
    }
}

/// What Prometheus adds to every series, or makes of a histogram.
const BY_PROMETHEUS: [&str; 3] = ["job", "instance", "le"];
