//! What a trace holds, and how it is one with its caller's.

use crate::answers::{ok, throttled};
use crate::support::{Authority, Client, Collector, Files, Process, Reply, Upstream};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
const ROOT: &str = "Root=1-67891233-abcdef012345678912345678";

/// A caller's span with these flags.
fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

async fn throttling_twice() -> Upstream {
    Upstream::answering([Reply::Bytes(throttled()), Reply::Bytes(throttled()), ok()]).await
}

#[tokio::test]
async fn a_request_that_was_throttled_twice_is_one_span_with_three_attempts_below_it() {
    let (upstream, collector) = (throttling_twice().await, Collector::new().await);
    let route = "[[route]]\nname = \"orders\"\npath = \"/orders/*\"";
    let redrive = Process::with(upstream.addr, route, &collector.env()).await;

    let answer = Client::get(redrive.addr, "/orders/17/items/4?token=hidden").await;

    assert_eq!(answer.status, 200);
    let request = collector.request().await;
    let attempts = collector.attempts(&request, 3).await;
    assert_eq!(
        collector.spans().len(),
        4,
        "the exporter does not trace itself"
    );
    assert_eq!(
        (request.name.as_str(), request.parent.as_str()),
        ("GET orders", "")
    );
    assert_eq!(request.service, "redrive");
    assert!(!request.is_error);
    for (key, word) in [
        ("http.request.method", "GET"),
        ("url.scheme", "http"),
        ("url.path", "/orders/17/…"),
        ("redrive.route", "orders"),
        ("redrive.outcome", "ok_after_retry"),
        ("redrive.verdict", "deliver"),
        ("redrive.ran", "yes"),
    ] {
        assert_eq!(request.text(key), Some(word), "{key}");
    }
    assert_eq!(request.text("redrive.reason"), None);
    assert_eq!(request.text("error.type"), None);
    assert_eq!(request.number("http.response.status_code"), Some(200));
    assert_eq!(request.number("redrive.attempts"), Some(3));
    let told: Vec<_> = attempts
        .iter()
        .map(|attempt| {
            (
                attempt.number("http.request.resend_count"),
                attempt.number("http.response.status_code").unwrap(),
                attempt.text("redrive.class").unwrap(),
                attempt.text("redrive.ran").unwrap(),
                attempt.text("error.type"),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (None, 429, "throttled", "no", Some("429")),
            (Some(1), 429, "throttled", "no", Some("429")),
            (Some(2), 200, "ok", "yes", None),
        ]
    );
    let mut before = request.began;
    for attempt in &attempts {
        assert_eq!(
            (attempt.trace.as_str(), attempt.name.as_str()),
            (request.trace.as_str(), "GET")
        );
        assert_eq!(attempt.is_error, attempt.text("error.type").is_some());
        assert_eq!(attempt.text("server.address"), Some("127.0.0.1"));
        assert_eq!(
            attempt.number("server.port"),
            Some(upstream.addr.port().into())
        );
        assert!(before <= attempt.began && attempt.began <= attempt.ended);
        before = attempt.ended;
    }
    assert!(before <= request.ended);
    assert_eq!(
        attempts[0].text("aws.request_id"),
        Some("2a5c3f0e-0000-4000-8000-1234567890ab")
    );
    let waited: f64 = attempts
        .iter()
        .filter_map(|it| it.seconds("redrive.waited"))
        .sum();
    let in_all = request.seconds("redrive.waited").unwrap();
    assert!((waited - in_all).abs() < 1e-6, "{waited} of {in_all}");
}

#[tokio::test]
async fn a_caller_s_span_is_the_parent_and_goes_upstream_as_it_came() {
    let (upstream, collector) = (throttling_twice().await, Collector::new().await);
    let redrive = Process::with(upstream.addr, "", &collector.env()).await;
    let parent = traceparent("01");
    let headers = [
        ("traceparent", parent.as_str()),
        ("tracestate", "vendor=1"),
        ("X-Amzn-Trace-Id", ROOT),
    ];

    Client::request(redrive.addr, "GET", "/", &headers, b"").await;

    let request = collector.request().await;
    assert_eq!(
        (request.trace.as_str(), request.parent.as_str()),
        (TRACE, CALLER)
    );
    let seen = upstream.seen();
    assert_eq!(seen.len(), 3);
    for attempt in seen {
        for (name, value) in headers {
            assert_eq!(attempt.headers(name), [value]);
        }
    }
}

#[tokio::test]
async fn a_request_without_a_caller_s_span_carries_its_own_on_every_attempt() {
    let (upstream, collector) = (throttling_twice().await, Collector::new().await);
    let redrive = Process::with(upstream.addr, "", &collector.env()).await;
    let headers = [("X-Amzn-Trace-Id", ROOT)];

    Client::request(redrive.addr, "GET", "/", &headers, b"").await;

    let request = collector.request().await;
    let expected = format!("00-{}-{}-01", request.trace, request.id);
    let seen = upstream.seen();
    assert_eq!(seen.len(), 3);
    for attempt in seen {
        assert_eq!(attempt.headers("traceparent"), [expected.as_str()]);
        assert_eq!(attempt.header("tracestate"), None);
        assert_eq!(attempt.headers("x-amzn-trace-id"), [ROOT]);
    }
}

#[tokio::test]
async fn a_caller_that_does_not_sample_has_nothing_exported() {
    let upstream = Upstream::answering([ok()]).await;
    let collector = Collector::new().await;
    let redrive = Process::with(upstream.addr, "", &collector.env()).await;
    let (unsampled, sampled) = (traceparent("00"), traceparent("01"));

    for parent in [&unsampled, &sampled] {
        let headers = [("traceparent", parent.as_str())];
        Client::request(redrive.addr, "GET", "/", &headers, b"").await;
    }

    // Spans stand in one queue, so that what came first would be here, too.
    let request = collector.request().await;
    collector.attempts(&request, 1).await;
    assert_eq!(collector.spans().len(), 2);
    assert_eq!(
        upstream.seen()[0].header("traceparent"),
        Some(unsampled.as_str())
    );
}

#[tokio::test]
async fn a_sampler_that_takes_nothing_still_tells_the_upstream_so() {
    let upstream = Upstream::answering([ok()]).await;
    let collector = Collector::new().await;
    let mut env = collector.env();
    env.push(("OTEL_TRACES_SAMPLER", "parentbased_always_off".into()));
    let redrive = Process::with(upstream.addr, "", &env).await;

    Client::get(redrive.addr, "/").await;

    let seen = upstream.seen();
    let carried = seen[0].header("traceparent").unwrap();
    assert!(carried.ends_with("-00"), "{carried}");
}

#[tokio::test]
async fn a_bypass_adds_nothing_to_what_goes_up() {
    let upstream = Upstream::answering([ok()]).await;
    let collector = Collector::new().await;
    let redrive = Process::with(upstream.addr, "bypass = true", &collector.env()).await;

    Client::get(redrive.addr, "/").await;

    collector.request().await;
    assert_eq!(upstream.seen()[0].header("traceparent"), None);
}

#[tokio::test]
async fn nothing_that_may_be_a_secret_is_exported() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let collector = Collector::new().await;
    let redrive = Process::with(upstream.addr, "", &collector.env()).await;
    let headers = [("Authorization", "Bearer hidden"), ("Cookie", "id=hidden")];
    let path = "/reset/you/hidden?token=hidden";

    Client::request(redrive.addr, "HIDDEN", path, &headers, b"hidden").await;

    let request = collector.request().await;
    collector.attempts(&request, 1).await;
    assert_eq!(request.text("http.request.method"), Some("_OTHER"));
    assert_eq!(request.name, "HTTP default");
    for batch in collector.batches() {
        let text = String::from_utf8_lossy(&batch.body).to_lowercase();
        assert!(!text.contains("hidden"), "{text}");
    }
}

#[tokio::test]
async fn an_attempt_whose_client_left_is_told_as_cancelled() {
    let upstream = Upstream::answering([Reply::Hang]).await;
    let collector = Collector::new().await;
    let redrive = Process::with(upstream.addr, "", &collector.env()).await;
    let mut client = Client::connect(redrive.addr).await;
    client.send("GET", "/", &[], b"").await;
    upstream.saw(1).await;

    drop(client);

    let request = collector.request().await;
    assert_eq!(request.text("redrive.outcome"), Some("client_gone"));
    let attempts = collector.attempts(&request, 1).await;
    assert_eq!(attempts[0].text("redrive.class"), Some("cancelled"));
}

#[tokio::test]
async fn what_redrive_answers_itself_is_an_error_of_the_request_s_span() {
    let upstream = Upstream::answering([Reply::Cut]).await;
    let collector = Collector::new().await;
    let redrive = Process::with(upstream.addr, "", &collector.env()).await;

    Client::post(redrive.addr, "/", b"order").await;

    let request = collector.request().await;
    let attempts = collector.attempts(&request, 1).await;
    assert!(request.is_error && attempts[0].is_error);
    assert_eq!(request.text("error.type"), Some("502"));
    assert_eq!(request.text("redrive.reason"), Some("unsafe"));
    assert_eq!(attempts[0].text("error.type"), Some("broken"));
}

#[tokio::test]
async fn the_environment_names_the_service() {
    let upstream = Upstream::answering([ok()]).await;
    let collector = Collector::new().await;
    let mut env = collector.env();
    env.push(("OTEL_SERVICE_NAME", "orders-sidecar".into()));
    let redrive = Process::with(upstream.addr, "", &env).await;

    Client::get(redrive.addr, "/").await;

    assert_eq!(collector.request().await.service, "orders-sidecar");
}

#[tokio::test]
async fn a_collector_may_be_asked_over_tls() {
    let upstream = Upstream::answering([ok()]).await;
    let collector = Collector::new().await;
    let (files, authority) = (Files::new(), Authority::new());
    let issued = authority.issue("localhost");
    let cert = files.write("cert.pem", &issued.pem());
    let key = files.write("key.pem", &issued.key_pem());
    let tls = format!("[tls.listen]\ncert = {cert:?}\nkey = {key:?}");
    // Another redrive stands before the collector, and speaks TLS for it.
    let front = Process::before(collector.upstream().addr, &tls).await;
    let mut env = collector.env();
    env[0].1 = format!("https://localhost:{}", front.addr.port());
    env.push(("SSL_CERT_FILE", files.write("roots.pem", &authority.pem())));
    let redrive = Process::with(upstream.addr, "", &env).await;

    Client::get(redrive.addr, "/").await;

    assert_eq!(collector.request().await.name, "GET default");
}
