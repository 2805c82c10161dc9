//! The operator's side: liveness, readiness, metrics, and nothing else.

use crate::answers::ok;
use crate::support::{Client, Reserved, Sidecar, Upstream};

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

    for path in ["/nothing", "/metrics/", "//livez", "/livez%20"] {
        assert_eq!(Client::get(sidecar.admin, path).await.status, 404, "{path}");
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        let answer = Client::post(sidecar.admin, path, b"").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET, HEAD")),
            "{path}"
        );
        let answer = Client::request(sidecar.admin, "HEAD", path, &[], b"").await;
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
