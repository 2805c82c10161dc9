//! What the operator says, for all requests or for a route's.

use crate::answers::{answer, ok, suspected, throttled};
use crate::support::{Client, Reply, Sidecar, Upstream};

fn failing() -> Reply {
    Reply::Bytes(suspected("500 Internal Server Error"))
}

#[tokio::test]
async fn unsafe_methods_never_keeps_even_a_proven_post_back() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "retry.unsafe_methods = \"never\"").await;

    let post = Client::post(sidecar.addr, "/", b"once").await;
    assert_eq!(
        (post.status, post.explained()),
        (429, ("1", "unsafe", "no"))
    );
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn unsafe_methods_never_leaves_a_get_alone() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "retry.unsafe_methods = \"never\"").await;

    let get = Client::get(sidecar.addr, "/").await;

    assert_eq!((get.status, get.explained().0), (200, "2"));
}

#[tokio::test]
async fn unsafe_methods_always_sends_a_post_again_that_may_have_run() {
    for first in [failing(), Reply::Cut] {
        let upstream = Upstream::answering([first, ok()]).await;
        let sidecar = Sidecar::before(upstream.addr, "retry.unsafe_methods = \"always\"").await;

        let post = Client::post(sidecar.addr, "/", b"twice").await;

        assert_eq!((post.status, post.explained().0), (200, "2"));
        assert!(upstream.seen().iter().all(|seen| seen.body == b"twice"));
    }
}

const ROUTES: &str = "
    [retry]
    max_attempts = { suspected = 2 }
    backoff = { max = \"20ms\" }

    [[route]]
    name = \"orders\"
    path = \"/orders/*\"
    methods = [\"POST\"]
    retry = { unsafe_methods = \"always\" }

    [[route]]
    name = \"strict\"
    path = \"/strict\"
    retry = { on = [] }
    budget = { capacity = 7 }
";

#[tokio::test]
async fn a_route_sets_what_it_names_and_inherits_the_rest() {
    let upstream = Upstream::answering([failing()]).await;
    let sidecar = Sidecar::before(upstream.addr, ROUTES).await;

    let order = Client::post(sidecar.addr, "/orders/1", b"book").await;
    let bare = Client::post(sidecar.addr, "/orders", b"book").await;
    let read = Client::get(sidecar.addr, "/orders/1").await;
    let strict = Client::get(sidecar.addr, "/strict").await;

    assert_eq!(order.explained(), ("2", "attempts", "maybe"));
    assert_eq!(bare.explained(), ("1", "unsafe", "maybe"));
    assert_eq!(read.explained(), ("2", "attempts", "maybe"));
    assert_eq!(strict.explained(), ("-", "-", "-"));
    for (route, requests, attempts) in [
        ("orders", 1.0, 2.0),
        ("default", 2.0, 3.0),
        ("strict", 1.0, 1.0),
    ] {
        let route = format!("route=\"{route}\"");
        assert_eq!(
            sidecar.total("redrive_requests_total", &[&route]).await,
            requests,
            "{route}"
        );
        assert_eq!(
            sidecar.total("redrive_attempts_total", &[&route]).await,
            attempts,
            "{route}"
        );
    }
}

#[tokio::test]
async fn a_route_that_sets_a_budget_has_its_own() {
    let upstream = Upstream::answering([failing()]).await;
    let sidecar = Sidecar::before(upstream.addr, ROUTES).await;

    let capacity = "redrive_retry_budget_capacity_tokens";
    assert_eq!(sidecar.total(capacity, &[r#"route="strict""#]).await, 7.0);
    assert_eq!(
        sidecar.total(capacity, &[r#"route="default""#]).await,
        500.0
    );
    assert_eq!(sidecar.total(capacity, &[]).await, 507.0, "and nobody else");
}

#[tokio::test]
async fn an_ambiguous_path_does_not_reach_a_looser_route() {
    let upstream = Upstream::answering([failing()]).await;
    let sidecar = Sidecar::before(upstream.addr, ROUTES).await;

    for path in [
        "/orders/../pay",
        "/orders//1",
        "/orders/%2e%2e/pay",
        "/orders/a%2Fb",
    ] {
        let answer = Client::post(sidecar.addr, path, b"pay").await;
        assert_eq!(answer.explained(), ("1", "unsafe", "maybe"), "{path}");
    }
    let orders = [r#"route="orders""#];
    assert_eq!(sidecar.total("redrive_requests_total", &orders).await, 0.0);
}

#[tokio::test]
async fn the_operators_own_rule_comes_before_the_table() {
    let toml = "
        [[classify]]
        status = 503
        body_contains = \"slow down\"
        class = \"throttled\"
        ran = \"no\"

        [[classify]]
        header = { name = \"x-done\", value = \"yes\" }
        class = \"permanent\"
        ran = \"yes\"
    ";
    let busy = answer("503 Service Unavailable", &[], "please slow down a bit");
    let upstream = Upstream::answering([Reply::Bytes(busy), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, toml).await;

    let post = Client::post(sidecar.addr, "/", b"once").await;

    assert_eq!((post.status, post.explained()), (200, ("2", "-", "yes")));
    let throttled = [r#"class="throttled""#];
    assert_eq!(
        sidecar.total("redrive_retries_total", &throttled).await,
        1.0
    );

    let done = answer("429 Too Many Requests", &[("x-done", "yes")], "no more");
    let upstream = Upstream::answering([Reply::Bytes(done), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, toml).await;

    let get = Client::get(sidecar.addr, "/").await;

    assert_eq!((get.status, get.explained()), (429, ("-", "-", "-")));
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_dry_run_decides_counts_and_explains_but_sends_once() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "retry.dry_run = true").await;

    let answer = Client::post(sidecar.addr, "/", b"once").await;

    assert_eq!(
        (answer.status, answer.explained()),
        (429, ("1", "dry_run", "no"))
    );
    assert_eq!(upstream.count(), 1);
    let skipped = [r#"reason="dry_run""#];
    assert_eq!(
        sidecar
            .total("redrive_retries_skipped_total", &skipped)
            .await,
        1.0
    );
    assert_eq!(sidecar.total("redrive_retries_total", &[]).await, 0.0);
}

#[tokio::test]
async fn a_dry_run_promises_no_retry_that_the_body_would_not_allow() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let toml = "retry.dry_run = true\nreplay.max_body = \"1000B\"";
    let sidecar = Sidecar::before(upstream.addr, toml).await;

    let answer = Client::post(sidecar.addr, "/", &[b'x'; 1001]).await;

    assert_eq!(answer.explained(), ("1", "body_too_large", "no"));
}

#[tokio::test]
async fn bypass_sends_once_and_still_counts() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "bypass = true").await;

    let answer = Client::get(sidecar.addr, "/").await;

    assert_eq!(
        (answer.status, answer.explained()),
        (429, ("1", "bypass", "no"))
    );
    assert_eq!(upstream.count(), 1);
    let skipped = [r#"reason="bypass""#];
    assert_eq!(
        sidecar
            .total("redrive_retries_skipped_total", &skipped)
            .await,
        1.0
    );
    let throttled = [r#"class="throttled""#];
    assert_eq!(
        sidecar.total("redrive_attempts_total", &throttled).await,
        1.0
    );
}

#[tokio::test]
async fn bypass_lets_nobody_wait() {
    let upstream = Upstream::scripted(|_, seen| {
        if seen.head.starts_with("GET /slow ") {
            Reply::Hang
        } else {
            ok()
        }
    })
    .await;
    let toml = "bypass = true\npace = { max_in_flight = 1, max_waiting = 0 }";
    let sidecar = Sidecar::before(upstream.addr, toml).await;
    let mut slow = Client::connect(sidecar.addr).await;
    slow.send("GET", "/slow", &[], b"").await;
    upstream.saw(1).await;

    let answer = Client::get(sidecar.addr, "/").await;

    assert_eq!(answer.status, 200, "{}", answer.head);
}

#[tokio::test]
async fn bypass_adds_no_idempotency_key() {
    let upstream = Upstream::answering([ok()]).await;
    let toml = "bypass = true\nretry.idempotency_key = \"add\"";
    let sidecar = Sidecar::before(upstream.addr, toml).await;

    Client::post(sidecar.addr, "/", b"once").await;

    assert_eq!(upstream.seen()[0].header("idempotency-key"), None);
}
