//! The operator's side: liveness, readiness, metrics, the status, and nothing else.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::answers::{ok, throttled};
use crate::support::{Authority, Client, Files, Reply, Reserved, Sidecar, Upstream};

#[tokio::test]
async fn health_and_readiness_never_speak_of_the_upstream() {
    let nobody = Reserved::new();
    let sidecar = Sidecar::before(nobody.addr, "").await;
    assert_eq!(Client::get(sidecar.addr, "/").await.status, 502);

    for (path, text) in [("/livez", "live\n"), ("/readyz", "ready\n")] {
        let answer = Client::get(sidecar.admin, path).await;

        assert_eq!((answer.status, answer.text().as_str()), (200, text));
        let content_type = answer.header("content-type").unwrap_or_default();
        assert!(content_type.starts_with("text/plain"), "{content_type}");
    }
}

#[tokio::test]
async fn the_metrics_page_says_its_format_and_has_every_series_from_the_start() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let answer = Client::get(sidecar.admin, "/metrics").await;

    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4")
    );
    let page = answer.text();
    for series in [
        r#"redrive_requests_total{outcome="client_gone",route="default"} 0"#,
        r#"redrive_attempts_total{class="cancelled",route="default"} 0"#,
        r#"redrive_retries_skipped_total{reason="shutdown",route="default"} 0"#,
        "redrive_upstream_connections 0",
        "redrive_rejected_connections_total 0",
        "redrive_replay_limit_bytes 67108864",
    ] {
        assert!(page.lines().any(|line| line == series), "{series}");
    }
}

#[tokio::test]
async fn there_is_nothing_else_and_nothing_to_change() {
    let sidecar = Sidecar::before(Reserved::new().addr, "").await;

    for path in [
        "/nothing",
        "/metrics/",
        "//livez",
        "/livez%20",
        "/assets/",
        "/assets/../page.rs",
    ] {
        assert_eq!(Client::get(sidecar.admin, path).await.status, 404, "{path}");
    }
    for path in [
        "/", "/livez", "/readyz", "/metrics", "/status", "/config", "/events",
    ] {
        let answer = Client::post(sidecar.admin, path, b"").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET, HEAD")),
            "{path}"
        );
        let host = [("Host", "127.0.0.1")];
        let answer = Client::request(sidecar.admin, "HEAD", path, &host, b"").await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_question_of_the_operator_is_no_request() {
    let sidecar = Sidecar::before(Reserved::new().addr, "").await;

    for _ in 0..5 {
        Client::get(sidecar.admin, "/metrics").await;
    }

    assert_eq!(sidecar.total("redrive_requests_total", &[]).await, 0.0);
    assert_eq!(sidecar.total("redrive_client_connections", &[]).await, 0.0);
}

async fn status(sidecar: &Sidecar) -> Value {
    let host = [("Host", "localhost")];
    let answer = Client::request(sidecar.admin, "GET", "/status", &host, b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn the_status_says_that_nothing_is_learned_before_anything_happened() {
    let toml = "[[route]]\nname = \"orders\"\npath = \"/orders/*\"\npace = { max_in_flight = 7 }";
    let sidecar = Sidecar::pacing(Reserved::new().addr, toml).await;

    let status = status(&sidecar).await;

    assert_eq!(status["in_flight"], 0);
    assert_eq!(status["replay"]["limit_bytes"], 64 << 20);
    let routes: Vec<_> = status["routes"].as_array().unwrap().iter().collect();
    assert_eq!(routes[0]["name"], "orders");
    assert_eq!(routes[1]["name"], "default");
    assert_eq!(routes[0]["requests"], json!({}));
    let windows = status["windows"].as_array().unwrap();
    let own = windows.iter().find(|window| window["route"] == "orders");
    let own = own.expect("a route that sets the pace has a window of its own");
    assert_eq!(own["window"], 7.0);
    assert_eq!(own["gate_closed"], false);
    assert_eq!(own["learned_requests_per_second"], Value::Null);
}

#[tokio::test]
async fn the_status_shows_what_the_window_learned_and_counts_with_the_metrics_words() {
    let replies = (0..8).map(|n| {
        if n % 2 == 0 {
            ok()
        } else {
            Reply::Bytes(throttled())
        }
    });
    let upstream = Upstream::answering(replies).await;
    let toml = "retry.max_attempts.throttled = 1";
    let sidecar = Sidecar::pacing(upstream.addr, toml).await;
    for _ in 0..8 {
        Client::get(sidecar.addr, "/a/b").await;
    }

    let status = status(&sidecar).await;

    let window = &status["windows"][0];
    assert_eq!(window["route"], "default");
    assert_eq!(window["gate_closed"], true);
    assert_eq!(window["throttle_share"], 0.5);
    assert!(window["learned_requests_per_second"].as_f64().unwrap() > 0.0);
    assert!(window["service_seconds"].as_f64().unwrap() > 0.0);
    let route = &status["routes"][0];
    assert_eq!(route["requests"], json!({ "ok": 4, "gave_up": 4 }));
    assert_eq!(route["attempts"], json!({ "ok": 4, "throttled": 4 }));
    assert_eq!(route["retries_skipped"], json!({ "attempts": 4 }));
    let budget = &status["budgets"][0];
    assert_eq!(budget["tokens"], budget["capacity_tokens"]);
}

/// The settings that are shown, by their keys: value and origin.
async fn settings(sidecar: &Sidecar) -> (BTreeMap<String, (String, String)>, String) {
    let host = [("Host", "localhost")];
    let answer = Client::request(sidecar.admin, "GET", "/config", &host, b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let settings: Vec<Value> = serde_json::from_slice(&answer.body).unwrap();
    let word = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
    let settings = settings.iter().map(|it| {
        let said = (word(it, "value"), word(it, "origin"));
        (word(it, "key"), said)
    });
    (settings.collect(), answer.text())
}

#[tokio::test]
async fn the_configuration_shows_every_value_and_who_set_it() {
    let toml = "retry.max_attempts.throttled = 7\n\
        [[route]]\nname = \"orders\"\npath = \"/orders/*\"\nretry = { unsafe_methods = \"always\" }\n";
    let sidecar = Sidecar::before(Reserved::new().addr, toml).await;

    let (settings, _) = settings(&sidecar).await;

    for (key, value, origin) in [
        ("deadline.total", "\"30s\"", "default"),
        ("retry.max_attempts.throttled", "7", "REDRIVE_CONFIG_TOML:2"),
        ("listen", "\"127.0.0.1:0\"", "env REDRIVE_LISTEN"),
        (
            "route.orders.retry.unsafe_methods",
            "\"always\"",
            "REDRIVE_CONFIG_TOML:6",
        ),
    ] {
        let said = (value.to_owned(), origin.to_owned());
        assert_eq!(settings.get(key), Some(&said), "{key}");
    }
}

#[tokio::test]
async fn nothing_that_the_operator_is_shown_holds_a_secret() {
    let issued = Authority::new().issue("127.0.0.1");
    let files = Files::new();
    let cert = files.write("cert.pem", &issued.pem());
    let key = files.write("key.pem", &issued.key_pem());
    let toml = format!(
        "upstream = \"http://{}\"\n[tls.listen]\ncert = {cert:?}\nkey = {key:?}\n",
        Reserved::new().addr
    );
    // A variable of somebody else, such as AWS's, is not redrive's to tell.
    let others = [("AWS_SECRET_ACCESS_KEY", "hunter2")];
    let sidecar = Sidecar::configured(&toml, &others).await;
    let key = issued.key_pem();
    let key: Vec<&str> = key.lines().filter(|line| !line.starts_with('-')).collect();

    for path in ["/config", "/status", "/metrics", "/"] {
        let host = [("Host", "localhost")];
        let answer = Client::request(sidecar.admin, "GET", path, &host, b"").await;

        assert_eq!(answer.status, 200, "{path}");
        let text = answer.text();
        assert!(!text.contains("hunter2"), "{path}");
        assert!(key.iter().all(|it| !text.contains(it)), "{path}");
    }
}
