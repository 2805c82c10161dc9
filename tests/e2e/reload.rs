//! A reload: what is in use for whom, what stays of what was learned and counted, and what a faulty file changes: nothing.

use redrive::app::ReloadError;
use tokio::task::JoinSet;

use crate::answers::{answer, ok, throttled, throttled_with};
use crate::support::{Client, Origin, Peer, Reply, Sidecar, Upstream};

/// So that the next attempt comes on a connection of its own.
const CLOSE: [(&str, &str); 1] = [("Connection", "close")];

const TOKENS: &str = "redrive_retry_budget_tokens";

fn to(upstream: &Upstream, toml: &str) -> String {
    format!("upstream = \"http://{}\"\n{toml}", upstream.addr)
}

/// A route with what it sets.
fn route(name: &str, more: &str) -> String {
    format!("[[route]]\nname = \"{name}\"\npath = \"/{name}\"\n{more}\n")
}

#[tokio::test]
async fn a_request_on_its_way_ends_under_the_rules_that_it_began_with() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("GET", "/", &[], b"").await;
    let mut upstream = origin.accept().await;
    upstream.message().await;

    let never = format!("upstream = \"http://{}\"\nretry.on = []\n", origin.addr);
    sidecar.reload(&never).await.unwrap();
    upstream.write(throttled_with(&CLOSE)).await;
    let mut upstream = origin.accept().await;
    upstream.message().await;
    upstream.write(answer("200 OK", &CLOSE, "good")).await;
    let first = client.answer_to("GET").await;
    client.send("GET", "/", &[], b"").await;
    let mut upstream = origin.accept().await;
    upstream.message().await;
    upstream.write(throttled_with(&CLOSE)).await;
    let second = client.answer_to("GET").await;

    assert_eq!((first.status, first.explained()), (200, ("2", "-", "yes")));
    assert_eq!((second.status, second.explained()), (429, ("-", "-", "-")));
}

#[tokio::test]
async fn an_answer_that_is_being_read_is_read_to_its_end() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Peer::connect(sidecar.addr).await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream = origin.accept().await;
    upstream.message().await;
    upstream
        .write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        .await;
    let mut answer = client.head().await;

    // Nothing of what it is read by stays: neither upstream, nor its connections, nor limits.
    let elsewhere = "upstream = \"http://127.0.0.1:1\"\nconnections.max = 1\nreplay = { max_body = \"1B\", max_total = \"1B\" }\n";
    sidecar.reload(elsewhere).await.unwrap();
    upstream.write("rest").await;

    client.body_of(&mut answer).await.unwrap();
    assert_eq!(answer.body, b"halfrest");
    sidecar
        .settles("redrive_upstream_connections", &[], 0.0)
        .await;
}

#[tokio::test]
async fn upstream_routes_and_limits_are_the_new_ones_for_the_next_request_on_the_same_connection() {
    let one = Upstream::answering([Reply::Bytes(answer("200 OK", &[], "one"))]).await;
    let other = Upstream::answering([Reply::Bytes(answer("200 OK", &[], "other"))]).await;
    let sidecar = Sidecar::before(one.addr, "").await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("GET", "/a", &[], b"").await;
    assert_eq!(client.answer_to("GET").await.text(), "one");

    let routed = route("a", &to(&other, ""));
    sidecar.reload(&to(&one, &routed)).await.unwrap();
    client.send("GET", "/a", &[], b"").await;
    let routed = client.answer_to("GET").await;
    client.send("GET", "/b", &[], b"").await;
    let not_routed = client.answer_to("GET").await;

    assert_eq!(routed.text(), "other");
    assert_eq!(not_routed.text(), "one");
}

#[tokio::test]
async fn the_kill_switch_and_the_dry_run_are_switched_under_load() {
    let upstream = Upstream::scripted(|_, seen| {
        let is_again = seen.header("redrive-attempt") != Some("1");
        if is_again {
            ok()
        } else {
            Reply::Bytes(throttled())
        }
    })
    .await;
    let plain = to(&upstream, "");
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let mut client = Client::connect(sidecar.addr).await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let addr = sidecar.addr;
    let mut crowd = JoinSet::new();
    crowd.spawn(async move {
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(Client::connect(addr).await);
        }
        let mut answers = 0;
        while stopped.try_recv().is_err() {
            for client in &mut clients {
                client.send("POST", "/", &[], b"body").await;
            }
            for client in &mut clients {
                let answer = client.answer_to("POST").await;
                assert!([200, 429].contains(&answer.status));
                answers += 1;
            }
        }
        answers
    });

    for _ in 0..5 {
        for (more, status, reason) in [
            ("bypass = true", 429, "bypass"),
            ("retry.dry_run = true", 429, "dry_run"),
            ("", 200, "-"),
        ] {
            sidecar.reload(&format!("{plain}{more}")).await.unwrap();
            client.send("POST", "/", &[], b"body").await;
            let answer = client.answer_to("POST").await;
            assert_eq!((answer.status, answer.explained().1), (status, reason));
        }
    }

    stop.send(()).unwrap();
    assert!(crowd.join_all().await[0] >= 4);
}

#[tokio::test]
async fn a_faulty_file_changes_nothing_and_is_shown() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let failed = "redrive_config_reload_failed";
    let last = "redrive_config_last_reload_timestamp_seconds";
    assert_eq!(sidecar.metric(failed).await, 0.0);
    let began = sidecar.metric(last).await;
    assert!(began > 1.6e9, "Unix time");

    let files = "[tls.upstream]\nca_file = \"/nonexistent.pem\"\n";
    let secure = format!("upstream = \"https://127.0.0.1:1\"\n{files}");
    for (faulty, told) in [
        ("upstream = \"nowhere\"\nbypas = true\n", "2 faults"),
        (&secure, "/nonexistent.pem"),
        ("", "no `upstream`"),
    ] {
        let error = sidecar.reload(faulty).await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(sidecar.metric(failed).await, 1.0);
        assert_eq!(Client::get(sidecar.addr, "/").await.status, 200);
    }
    assert_eq!(sidecar.metric(last).await, began);

    sidecar.reload(&to(&upstream, "")).await.unwrap();
    assert_eq!(sidecar.metric(failed).await, 0.0);
    assert!(sidecar.metric(last).await >= began);
}

#[tokio::test]
async fn a_budget_stays_as_empty_as_it_is_also_that_of_a_route_that_was_away() {
    let upstream = Upstream::answering([Reply::Bytes(throttled())]).await;
    let budget = "budget = { capacity = 10, ratio = 0, min_per_second = 0 }\n";
    let brisk = "retry.backoff = { max = \"10ms\" }\n";
    let own = format!("{brisk}{budget}{}", route("own", budget));
    let sidecar = Sidecar::before(upstream.addr, &own).await;
    let level = async |label: &str| sidecar.total(TOKENS, &[label]).await;
    for path in ["/own", "/"] {
        Client::get(sidecar.addr, path).await;
    }
    let (of_own, shared) = (r#"route="own""#, r#"route="default""#);
    assert_eq!((level(of_own).await, level(shared).await), (1.0, 1.0));

    let larger = own.replace("capacity = 10", "capacity = 20");
    sidecar.reload(&to(&upstream, &larger)).await.unwrap();
    assert_eq!((level(of_own).await, level(shared).await), (1.0, 1.0));
    let capacity = "redrive_retry_budget_capacity_tokens";
    assert_eq!(sidecar.total(capacity, &[of_own]).await, 20.0);

    sidecar.reload(&to(&upstream, budget)).await.unwrap();
    assert!(
        !sidecar
            .metrics()
            .await
            .contains(&format!("{TOKENS}{{{of_own}}}"))
    );
    sidecar.reload(&to(&upstream, &own)).await.unwrap();
    assert_eq!((level(of_own).await, level(shared).await), (1.0, 1.0));
}

#[tokio::test]
async fn what_the_window_learned_and_the_connections_stay() {
    let upstream = Upstream::scripted(|_, seen| {
        if seen.head.starts_with("GET /new ") {
            ok()
        } else {
            Reply::Bytes(throttled())
        }
    })
    .await;
    let toml = "retry.on = []\npace.max_wait = \"10s\"\n";
    let sidecar = Sidecar::pacing(upstream.addr, toml).await;
    let mut client = Client::connect(sidecar.addr).await;
    let closed = "redrive_gate_closed";
    let mut paths = ["/a/a", "/b/b"].into_iter().cycle();
    while sidecar.total(closed, &[]).await == 0.0 {
        client.send("GET", paths.next().unwrap(), &[], b"").await;
        assert_eq!(client.answer_to("GET").await.status, 429);
    }
    let window = sidecar.total("redrive_window", &[]).await;
    let accepted = upstream.accepted();

    let more = format!("{toml}deadline.total = \"20s\"\n{}", route("new", ""));
    sidecar.reload(&to(&upstream, &more)).await.unwrap();

    assert_eq!(sidecar.total(closed, &[]).await, 1.0);
    assert_eq!(sidecar.total("redrive_window", &[]).await, window);
    client.send("GET", "/new", &[], b"").await;
    assert_eq!(client.answer_to("GET").await.status, 200);
    assert_eq!(upstream.accepted(), accepted, "the same connection");
}

#[tokio::test]
async fn series_of_a_new_route_begin_at_0_and_those_of_one_that_went_stay() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, &route("old", "pace.max_wait = \"1s\"")).await;
    Client::get(sidecar.addr, "/old").await;
    Client::get(sidecar.addr, "/").await;
    let served =
        |route: &str| format!("redrive_requests_total{{outcome=\"ok\",route=\"{route}\"}}");
    sidecar.reaches("redrive_requests_total", &[], 2.0).await;

    sidecar
        .reload(&to(&upstream, &route("new", "")))
        .await
        .unwrap();

    let page = sidecar.metrics().await;
    for (name, count) in [("old", 1), ("default", 1), ("new", 0)] {
        assert!(
            page.contains(&format!("{} {count}\n", served(name))),
            "{name}"
        );
    }
    assert!(page.contains("redrive_window{route=\"default\"}"));
    assert!(
        !page.contains("redrive_window{route=\"old\"}"),
        "a window that is gone has no size"
    );
    assert!(page.contains("redrive_request_duration_seconds_count{route=\"new\"} 0"));
    Client::get(sidecar.addr, "/new").await;
    sidecar
        .reload(&to(&upstream, &route("old", "")))
        .await
        .unwrap();
    Client::get(sidecar.addr, "/old").await;
    sidecar.reaches("redrive_requests_total", &[], 4.0).await;
    assert_eq!(sidecar.metric(&served("old")).await, 2.0);
    assert_eq!(sidecar.metric(&served("new")).await, 1.0);
}

#[tokio::test]
async fn names_that_come_and_go_for_ever_leave_no_end_of_series() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, &route("r0", "")).await;
    let routes = |from: usize| {
        let routes = (from..from + 100).map(|n| route(&format!("r{n}"), ""));
        to(&upstream, &routes.collect::<String>())
    };

    for n in 1..6 {
        sidecar.reload(&routes(n * 100)).await.unwrap();
    }

    let page = sidecar.metrics().await;
    let known = |name: &str| page.contains(&format!("route=\"{name}\""));
    assert!(known("r500") && known("r599") && known("r350") && known("default"));
    assert!(!known("r0") && !known("r100") && !known("r199"));
}

#[tokio::test]
async fn what_clients_may_do_is_the_new_for_connections_that_come_later() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let mut early = Client::connect(sidecar.addr).await;
    early.send("GET", "/", &[], b"").await;
    early.answer_to("GET").await;

    let fewer = "client = { max_connections = 1, title_case_headers = true }\n";
    sidecar.reload(&to(&upstream, fewer)).await.unwrap();
    let refused = Client::get(sidecar.addr, "/").await;
    early.send("GET", "/", &[], b"").await;
    let kept = early.answer_to("GET").await;
    drop(early);
    sidecar
        .settles("redrive_client_connections", &[], 0.0)
        .await;
    let mut late = Client::connect(sidecar.addr).await;
    late.send("GET", "/", &[], b"").await;
    let answer = late.answer_to("GET").await;

    assert_eq!(refused.status, 503);
    assert_eq!(kept.status, 200);
    assert!(kept.head.contains("content-type"), "{}", kept.head);
    assert!(answer.head.contains("Content-Type"), "{}", answer.head);
}

#[tokio::test]
async fn nothing_is_reloaded_once_a_drain_has_begun() {
    let origin = Origin::new();
    let upstream = format!("upstream = \"http://{}\"\n", origin.addr);
    let mut sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("GET", "/", &[], b"").await;
    let mut asked = origin.accept().await;
    asked.message().await;

    sidecar.terminate();
    sidecar.is_draining().await;
    let reloaded = sidecar.reload(&format!("{upstream}bypass = true")).await;
    asked.write(answer("200 OK", &[], "done")).await;

    assert!(matches!(reloaded, Err(ReloadError::Draining)));
    assert_eq!(client.answer_to("GET").await.text(), "done");
    assert_eq!(
        sidecar.metric("redrive_config_reload_failed").await,
        0.0,
        "nothing was tried"
    );
    sidecar.ended().await;
}

/// What the operator is shown of a key.
async fn shown(sidecar: &Sidecar, key: &str) -> String {
    let host = [("Host", "localhost")];
    let answer = Client::request(sidecar.admin, "GET", "/config", &host, b"").await;
    let settings: Vec<serde_json::Value> = serde_json::from_slice(&answer.body).unwrap();
    let setting = settings.iter().find(|it| it["key"] == key);
    setting.unwrap()["value"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_configuration_that_is_shown_is_the_one_in_use() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "retry.max_attempts.other = 4").await;
    assert_eq!(shown(&sidecar, "retry.max_attempts.other").await, "4");

    let faulty = to(&upstream, "retry.max_attempts.other = 0");
    assert!(sidecar.reload(&faulty).await.is_err());
    assert_eq!(shown(&sidecar, "retry.max_attempts.other").await, "4");

    // The second key is used after a restart only.
    let new = "retry.max_attempts.other = 5\nlog.format = \"text\"";
    sidecar.reload(&to(&upstream, new)).await.unwrap();
    assert_eq!(shown(&sidecar, "retry.max_attempts.other").await, "5");
    assert_eq!(shown(&sidecar, "log.format").await, "\"json\"");
}
