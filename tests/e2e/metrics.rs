//! The metrics are an interface: names, labels, zeros from the start, and sums that agree to the one.

use std::collections::BTreeSet;

use crate::answers::{answer, ok, suspected, throttled};
use crate::support::{Client, Reply, Sidecar, Upstream};

/// The name and type of every family.
const FAMILIES: [(&str, &str); 31] = [
    ("redrive_requests_total", "counter"),
    ("redrive_attempts_total", "counter"),
    ("redrive_retries_total", "counter"),
    ("redrive_retries_skipped_total", "counter"),
    ("redrive_throttled_total", "counter"),
    ("redrive_upstream_responses_total", "counter"),
    ("redrive_request_duration_seconds", "histogram"),
    ("redrive_attempt_duration_seconds", "histogram"),
    ("redrive_wait_seconds", "histogram"),
    ("redrive_retry_budget_tokens", "gauge"),
    ("redrive_retry_budget_capacity_tokens", "gauge"),
    ("redrive_window", "gauge"),
    ("redrive_gate_closed", "gauge"),
    ("redrive_window_unresponsive", "gauge"),
    ("redrive_learned_requests_per_second", "gauge"),
    ("redrive_in_flight_requests", "gauge"),
    ("redrive_waiting_requests", "gauge"),
    ("redrive_upstream_connections", "gauge"),
    ("redrive_client_connections", "gauge"),
    ("redrive_tunnels", "gauge"),
    ("redrive_tls_expiry_timestamp_seconds", "gauge"),
    ("redrive_futile_cells", "gauge"),
    ("redrive_replay_bytes", "gauge"),
    ("redrive_replay_limit_bytes", "gauge"),
    ("redrive_hints_total", "counter"),
    ("redrive_caller_retries_total", "counter"),
    ("redrive_rejected_connections_total", "counter"),
    ("redrive_log_dropped_total", "counter"),
    ("redrive_config_reload_failed", "gauge"),
    ("redrive_config_last_reload_timestamp_seconds", "gauge"),
    ("redrive_build_info", "gauge"),
];

/// What is not 0 at the start: what is configured, and what is always 1.
const NOT_ZERO: [&str; 6] = [
    "redrive_window",
    "redrive_retry_budget_tokens",
    "redrive_retry_budget_capacity_tokens",
    "redrive_replay_limit_bytes",
    "redrive_config_last_reload_timestamp_seconds",
    "redrive_build_info",
];

/// Every series of the page, as its name with labels and its value.
fn series(page: &str) -> Vec<(&str, f64)> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect()
}

fn family(series: &str) -> &str {
    series.split('{').next().unwrap()
}

#[tokio::test]
async fn every_family_is_there_from_the_start() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let page = sidecar.metrics().await;

    for (name, kind) in FAMILIES {
        let declared = format!("# TYPE {name} {kind}\n");
        assert!(page.contains(&declared), "{name} is no {kind}\n{page}");
    }
    assert!(page.contains("# TYPE process_cpu_seconds_total counter"));
    let declared = page
        .lines()
        .filter(|line| line.starts_with("# TYPE redrive_"));
    assert_eq!(
        declared.count(),
        FAMILIES.len(),
        "no more than these\n{page}"
    );
}

#[tokio::test]
async fn every_series_is_zero_at_the_start() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let page = sidecar.metrics().await;

    let known: BTreeSet<&str> = FAMILIES.map(|(name, _)| name).into();
    for (name, value) in series(&page) {
        let family = family(name);
        if known.contains(family) && !NOT_ZERO.contains(&family) {
            assert_eq!(value, 0.0, "{name}");
        }
    }
}

#[tokio::test]
async fn every_word_of_a_closed_vocabulary_has_its_series() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let page = sidecar.metrics().await;

    let labels: [(&str, &str, &[&str]); 6] = [
        (
            "redrive_requests_total",
            "outcome",
            &[
                "ok",
                "ok_after_retry",
                "client_error",
                "upstream_error",
                "gave_up",
                "shed",
                "rejected",
                "client_gone",
            ],
        ),
        ("redrive_attempts_total", "class", &CLASSES),
        ("redrive_retries_total", "class", &CLASSES),
        (
            "redrive_retries_skipped_total",
            "reason",
            &[
                "attempts",
                "budget",
                "deadline",
                "unsafe",
                "body_too_large",
                "memory",
                "hint_too_long",
                "quota",
                "futile",
                "caller_retries",
                "upgrade",
                "dry_run",
                "bypass",
                "client_gone",
                "started",
                "shutdown",
            ],
        ),
        (
            "redrive_throttled_total",
            "kind",
            &["rate", "concurrency", "quota", "unknown"],
        ),
        (
            "redrive_throttled_total",
            "scope",
            &["function", "account", "api", "unknown"],
        ),
    ];
    for (name, label, words) in labels {
        let found: BTreeSet<String> = series(&page)
            .into_iter()
            .filter(|(series, _)| family(series) == name)
            .filter_map(|(series, _)| {
                let (_, rest) = series.split_once(&format!("{label}=\""))?;
                Some(rest.split('"').next()?.to_owned())
            })
            .collect();
        let expected: BTreeSet<String> = words.iter().map(|&word| word.to_owned()).collect();
        assert_eq!(found, expected, "{name} by {label}");
    }
}

const CLASSES: [&str; 10] = [
    "ok",
    "throttled",
    "quota",
    "suspected",
    "overloaded",
    "timeout",
    "unsent",
    "broken",
    "permanent",
    "cancelled",
];

/// What each of the 200 requests of the mixed run meets, by its number.
fn meets(number: usize, first: bool) -> Reply {
    match number % 8 {
        0..=2 => ok(),
        3 if first => Reply::Bytes(throttled()),
        4 => Reply::Bytes(throttled()),
        5 => Reply::Bytes(suspected("500 Internal Server Error")),
        6 if first => Reply::Cut,
        7 => Reply::Bytes(answer("404 Not Found", &[], "nothing here")),
        _ => ok(),
    }
}

#[tokio::test]
async fn after_a_mixed_run_every_sum_agrees_to_the_one() {
    let upstream = Upstream::scripted(|_, seen| {
        let path = seen.head.split(' ').nth(1).unwrap();
        let number = path.trim_start_matches('/').parse().unwrap();
        meets(number, seen.header("redrive-attempt") == Some("1"))
    })
    .await;
    let toml = "
        retry = { max_attempts = { throttled = 3, suspected = 2 }, backoff = { max = \"10ms\" } }
    ";
    let sidecar = Sidecar::before(upstream.addr, toml).await;
    let addr = sidecar.addr;
    let mut running = tokio::task::JoinSet::new();
    for worker in 0..20 {
        running.spawn(async move {
            for number in (worker * 10)..(worker * 10 + 10) {
                let path = format!("/{number}");
                // Two rounds of the mix as GET, then two as POST.
                let method = if number % 32 < 16 { "GET" } else { "POST" };
                Client::request(addr, method, &path, &[], b"").await;
            }
        });
    }
    running.join_all().await;
    sidecar.reaches("redrive_requests_total", &[], 200.0).await;

    let page = sidecar.metrics().await;

    let sum = |name: &str, label: &str| -> f64 {
        let all = series(&page).into_iter();
        let those = all.filter(|(series, _)| family(series) == name && series.contains(label));
        those.map(|(_, value)| value).sum()
    };
    let seen = u32::try_from(upstream.count()).unwrap();
    let attempts = sum("redrive_attempts_total", "");
    assert_eq!(attempts, f64::from(seen), "as many as the upstream saw");
    assert_eq!(sum("redrive_requests_total", ""), 200.0);
    assert_eq!(sum("redrive_retries_total", "") + 200.0, attempts);
    assert_eq!(
        sum("redrive_upstream_responses_total", "") + sum("redrive_attempts_total", "broken"),
        attempts
    );
    let throttled = sum("redrive_attempts_total", "throttled");
    assert_eq!(sum("redrive_throttled_total", ""), throttled);
    // Of each residue of 8 there are 25 requests, and of 13 of these the method is GET.
    for (label, requests) in [
        (r#"outcome="ok""#, 3.0 * 25.0),
        (r#"outcome="client_error""#, 25.0),
        (r#"outcome="ok_after_retry""#, 25.0 + 13.0),
        (r#"outcome="gave_up""#, 25.0 + 13.0),
        (r#"outcome="upstream_error""#, 12.0 + 12.0),
    ] {
        assert_eq!(sum("redrive_requests_total", label), requests, "{label}");
    }
    for (label, skipped) in [
        (r#"reason="attempts""#, 25.0 + 13.0),
        (r#"reason="unsafe""#, 12.0 + 12.0),
        ("", 25.0 + 13.0 + 12.0 + 12.0),
    ] {
        let name = "redrive_retries_skipped_total";
        assert_eq!(sum(name, label), skipped, "{label}");
    }
    assert_eq!(sum("redrive_request_duration_seconds_count", ""), 200.0);
    assert_eq!(sum("redrive_wait_seconds_count", ""), 200.0);
    assert_eq!(sum("redrive_attempt_duration_seconds_count", ""), attempts);
    assert_eq!(sum("redrive_in_flight_requests", ""), 0.0);
    assert_eq!(sum("redrive_waiting_requests", ""), 0.0);
    assert_eq!(sum("redrive_replay_bytes", ""), 0.0);
    assert!(series(&page).iter().all(|(_, value)| *value >= 0.0));
}
