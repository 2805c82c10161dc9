//! When the upstream says when to come back, nobody comes earlier.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use redrive::clock;

use crate::answers::{answer, ok, suspected, throttled_with};
use crate::support::{Client, Reply, Sidecar, Upstream};

/// Answers the first request like this and the second one well, and tells when each of them came.
async fn timed(
    first: impl Fn() -> Vec<u8> + Send + Sync + 'static,
) -> (Upstream, Arc<Mutex<Vec<(Instant, SystemTime)>>>) {
    let times = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&times);
    let upstream = Upstream::scripted(move |index, _| {
        noted.lock().unwrap().push((clock::now(), clock::wall()));
        if index == 0 {
            Reply::Bytes(first())
        } else {
            ok()
        }
    })
    .await;
    (upstream, times)
}

#[tokio::test]
async fn a_retry_never_comes_before_the_hint() {
    for (name, value, wait, source) in [
        ("Retry-After", "1", 1000, "retry_after_seconds"),
        ("retry-after-ms", "400", 400, "retry_after_ms"),
        ("x-amz-retry-after", "300", 300, "x_amz_retry_after"),
        ("RateLimit-Reset", "1", 1000, "ratelimit_reset"),
        ("x-ratelimit-reset", "1", 1000, "x_ratelimit_reset"),
    ] {
        let (upstream, times) = timed(move || throttled_with(&[(name, value)])).await;
        let sidecar = Sidecar::before(upstream.addr, "").await;

        let answer = Client::post(sidecar.addr, "/", b"once").await;

        assert_eq!(answer.status, 200, "{name}");
        let wait = Duration::from_millis(wait);
        let times = times.lock().unwrap().clone();
        assert!(times[1].0 - times[0].0 >= wait, "{name}: {times:?}");
        assert!(answer.waited() >= wait.as_secs_f64(), "{name}");
        let source = format!("source=\"{source}\"");
        assert_eq!(
            sidecar.total("redrive_hints_total", &[&source]).await,
            1.0,
            "{name}"
        );
        assert_eq!(sidecar.total("redrive_hints_total", &[]).await, 1.0);
    }
}

#[tokio::test]
async fn a_retry_never_comes_before_the_date_of_the_hint() {
    let date = clock::wall() + Duration::from_secs(2);
    let text = httpdate::fmt_http_date(date);
    let moment = httpdate::parse_http_date(&text).unwrap();
    let (upstream, times) = timed(move || throttled_with(&[("Retry-After", &text)])).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let answer = Client::get(sidecar.addr, "/").await;

    assert_eq!(answer.status, 200);
    let (_, came) = times.lock().unwrap()[1];
    assert!(came >= moment, "{came:?} is before {moment:?}");
}

#[tokio::test]
async fn a_503_that_says_when_to_come_back_is_retried_then() {
    let (upstream, times) = timed(|| {
        answer(
            "503 Service Unavailable",
            &[("retry-after-ms", "300")],
            "busy",
        )
    })
    .await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let answer = Client::get(sidecar.addr, "/").await;

    assert_eq!((answer.status, answer.explained().0), (200, "2"));
    let times = times.lock().unwrap().clone();
    assert!(times[1].0 - times[0].0 >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_hint_past_the_deadline_is_the_clients_at_once() {
    let upstream =
        Upstream::answering([Reply::Bytes(throttled_with(&[("Retry-After", "60")]))]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let answer = Client::get(sidecar.addr, "/").await;

    assert_eq!(answer.status, 429);
    assert_eq!(answer.explained(), ("1", "hint_too_long", "no"));
    assert_eq!(answer.header("retry-after"), Some("60"));
    assert_eq!(answer.header("redrive-waited"), Some("0.000"));
    assert_eq!(upstream.count(), 1);
    let skipped = [r#"reason="hint_too_long""#];
    assert_eq!(
        sidecar
            .total("redrive_retries_skipped_total", &skipped)
            .await,
        1.0
    );
}

#[tokio::test]
async fn a_hint_past_the_clients_own_limit_is_the_clients_at_once() {
    let upstream =
        Upstream::answering([Reply::Bytes(throttled_with(&[("Retry-After", "5")]))]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let limit = [("redrive-timeout", "4s")];
    let answer = Client::request(sidecar.addr, "GET", "/", &limit, b"").await;

    assert_eq!(answer.explained(), ("1", "hint_too_long", "no"));
    assert_eq!(answer.header("retry-after"), Some("5"));
}

#[tokio::test]
async fn a_hint_that_makes_no_sense_is_counted_and_not_followed() {
    for value in ["-5", "soon", "999999999999"] {
        let (upstream, _) = timed(move || throttled_with(&[("Retry-After", value)])).await;
        let sidecar = Sidecar::before(upstream.addr, "").await;

        let answer = Client::get(sidecar.addr, "/").await;

        assert_eq!((answer.status, answer.explained().0), (200, "2"), "{value}");
        let ignored = [r#"source="ignored""#];
        assert_eq!(
            sidecar.total("redrive_hints_total", &ignored).await,
            1.0,
            "{value}"
        );
    }
}

#[tokio::test]
async fn a_hint_on_any_other_status_is_none() {
    let (upstream, _) = timed(|| {
        let plain = String::from_utf8(suspected("500 Internal Server Error")).unwrap();
        plain
            .replacen("x-amzn-", "Retry-After: 60\r\nx-amzn-", 1)
            .into_bytes()
    })
    .await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let answer = Client::get(sidecar.addr, "/").await;

    assert_eq!((answer.status, answer.explained().0), (200, "2"));
    assert_eq!(sidecar.total("redrive_hints_total", &[]).await, 0.0);
}
