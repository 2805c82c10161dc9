//! Connections to the upstream: refused, broken, stale, reused, limited, aged.

use std::collections::HashSet;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::answers::{answer, ok};
use crate::support::{Answer, Client, Origin, Reply, Reserved, Sidecar, Upstream};

const OPEN: &str = "redrive_upstream_connections";
const ATTEMPTS: &str = "redrive_attempts_total";

/// An answer of redrive itself.
#[track_caller]
fn is_problem(answer: &Answer, status: u16, error: &str) {
    assert_eq!(
        (
            answer.status,
            answer.header("content-type"),
            answer.header("proxy-status")
        ),
        (
            status,
            Some("application/problem+json"),
            Some(format!("redrive; error={error}").as_str())
        ),
        "{}",
        answer.head
    );
    assert!(
        answer.text().contains(&format!("\"status\":{status}")),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_and_then_told() {
    let nobody = Reserved::new();
    let sidecar = Sidecar::before(nobody.addr, "").await;

    let answer = Client::post(sidecar.addr, "/", b"body").await;

    is_problem(&answer, 502, "connection_refused");
    assert_eq!(answer.header("redrive-attempts"), Some("3"));
    assert_eq!(answer.header("redrive-reason"), Some("attempts"));
    assert_eq!(answer.header("redrive-ran"), Some("no"));
    assert_eq!(sidecar.total(ATTEMPTS, &[r#"class="unsent""#]).await, 3.0);
    assert_eq!(sidecar.total(ATTEMPTS, &[]).await, 3.0);
}

#[tokio::test]
async fn a_post_that_could_not_be_sent_is_sent_once_the_upstream_listens() {
    let reserved = Reserved::new();
    let sidecar = Sidecar::before(
        reserved.addr,
        "[retry]\nmax_attempts = { other = 1000 }\nbackoff = { max = \"30ms\" }\n",
    )
    .await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("POST", "/orders", &[], b"one book").await;
    sidecar.reaches(ATTEMPTS, &[r#"class="unsent""#], 2.0).await;

    let origin = reserved.listen();
    let mut upstream = origin.accept().await;
    let request = upstream.message().await;
    upstream.write(answer("200 OK", &[], "done")).await;
    let answer = client.answer_to("POST").await;

    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert_eq!(request.body, b"one book");
}

#[tokio::test]
async fn a_get_whose_connection_is_reset_is_sent_again() {
    let upstream = Upstream::answering([Reply::Reset, ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let answer = Client::get(sidecar.addr, "/").await;

    assert_eq!(
        (answer.status, answer.header("redrive-attempts")),
        (200, Some("2"))
    );
    assert_eq!(upstream.count(), 2);
    assert_eq!(sidecar.total(ATTEMPTS, &[r#"class="broken""#]).await, 1.0);
}

#[tokio::test]
async fn a_post_whose_connection_ends_without_an_answer_is_not_sent_again() {
    for reply in [Reply::Reset, Reply::Cut] {
        let upstream = Upstream::answering([reply.clone(), ok()]).await;
        let sidecar = Sidecar::before(upstream.addr, "").await;

        let answer = Client::post(sidecar.addr, "/", b"body").await;

        is_problem(&answer, 502, "connection_terminated");
        assert_eq!(
            (
                answer.header("redrive-reason"),
                answer.header("redrive-ran")
            ),
            (Some("unsafe"), Some("maybe")),
            "{reply:?}"
        );
        assert_eq!(upstream.count(), 1);
        assert_eq!(sidecar.total(ATTEMPTS, &[r#"class="broken""#]).await, 1.0);
    }
}

#[tokio::test]
async fn what_is_not_http_or_half_an_answer_is_a_broken_attempt() {
    for (bytes, error) in [
        ("220 mail.example ESMTP\r\n\r\n", "http_protocol_error"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
            "http_protocol_error",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Le", "connection_terminated"),
    ] {
        let upstream = Upstream::answering([Reply::ThenClose(bytes.into()), ok()]).await;
        let sidecar = Sidecar::before(upstream.addr, "").await;

        let posted = Client::post(sidecar.addr, "/", b"body").await;

        is_problem(&posted, 502, error);
        assert_eq!(upstream.count(), 1, "{bytes:?}");
        assert_eq!(sidecar.total(ATTEMPTS, &[r#"class="broken""#]).await, 1.0);
    }
}

/// Forty POSTs over one client connection to an upstream that always does this: all are answered at the first attempt,
/// and the upstream sees each once.
async fn check_posts(reply: Reply) {
    let upstream = Upstream::answering([reply]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let mut client = Client::connect(sidecar.addr).await;

    for number in 0..40 {
        let body = format!("body {number}");
        client.send("POST", "/", &[], body.as_bytes()).await;
        let answer = client.answer_to("POST").await;
        assert_eq!(
            (answer.status, answer.header("redrive-attempts")),
            (200, None)
        );
    }

    let bodies: Vec<Vec<u8>> = upstream.seen().into_iter().map(|it| it.body).collect();
    let distinct: HashSet<&Vec<u8>> = bodies.iter().collect();
    assert_eq!((bodies.len(), distinct.len()), (40, 40));
    sidecar.settles(OPEN, &[], 0.0).await;
}

#[tokio::test]
async fn posts_over_connections_that_close_behind_each_answer_all_arrive_once() {
    check_posts(Reply::ThenClose(answer("200 OK", &[], "done"))).await;
}

#[tokio::test]
async fn posts_over_connections_that_close_shortly_after_each_answer_all_arrive_once() {
    let shortly = Duration::from_millis(1);
    check_posts(Reply::ThenCloseAfter(
        shortly,
        answer("200 OK", &[], "done"),
    ))
    .await;
}

#[tokio::test]
async fn gets_over_connections_that_close_behind_each_answer_are_all_answered() {
    let upstream = Upstream::answering([Reply::ThenClose(answer("200 OK", &[], "done"))]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let mut clients = JoinSet::new();

    for _ in 0..8 {
        let addr = sidecar.addr;
        clients.spawn(async move {
            let mut client = Client::connect(addr).await;
            for _ in 0..10 {
                client.send("GET", "/", &[], b"").await;
                assert_eq!(client.answer_to("GET").await.status, 200);
            }
        });
    }
    clients.join_all().await;

    // A GET may meet a closing connection and be sent again; it is then counted, and nothing else is.
    let attempts = sidecar.total(ATTEMPTS, &[]).await;
    let retries = sidecar.total("redrive_retries_total", &[]).await;
    assert_eq!(attempts, 80.0 + retries);
    assert_eq!(sidecar.total(ATTEMPTS, &[r#"class="ok""#]).await, 80.0);
    sidecar.settles(OPEN, &[], 0.0).await;
}

#[tokio::test]
async fn gets_that_would_not_be_sent_again_meet_no_closing_connection() {
    for config in ["bypass = true\n", "[retry]\ndry_run = true\n"] {
        let shortly = Duration::from_millis(1);
        let reply = Reply::ThenCloseAfter(shortly, answer("200 OK", &[], "done"));
        let upstream = Upstream::answering([reply]).await;
        let sidecar = Sidecar::before(upstream.addr, config).await;
        let mut client = Client::connect(sidecar.addr).await;

        for _ in 0..10 {
            client.send("GET", "/", &[], b"").await;
            assert_eq!(client.answer_to("GET").await.status, 200, "{config}");
        }

        assert_eq!(upstream.count(), 10, "{config}");
    }
}

#[tokio::test]
async fn a_connection_that_the_upstream_keeps_is_used_again() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    for _ in 0..20 {
        assert_eq!(Client::get(sidecar.addr, "/").await.status, 200);
    }

    assert_eq!((upstream.count(), upstream.accepted()), (20, 1));
    assert_eq!(sidecar.total(OPEN, &[]).await, 1.0);
}

#[tokio::test]
async fn a_post_uses_a_connection_again_that_has_been_quiet_for_a_while() {
    let upstream = Upstream::answering([ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    for _ in 0..3 {
        assert_eq!(Client::post(sidecar.addr, "/", b"body").await.status, 200);
        // Longer than a connection must be quiet to be trusted with a request that may not be sent twice.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    assert_eq!((upstream.count(), upstream.accepted()), (3, 1));
}

#[tokio::test]
async fn an_answer_with_an_error_status_keeps_its_connection() {
    let throttled = Reply::Bytes(crate::answers::throttled());
    let upstream = Upstream::answering([throttled.clone(), throttled, ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    let answer = Client::get(sidecar.addr, "/").await;

    assert_eq!(answer.header("redrive-attempts"), Some("3"));
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn never_more_attempts_are_in_flight_than_connections_allowed() {
    let reply = Reply::After(Duration::from_millis(30), answer("200 OK", &[], "done"));
    let upstream = Upstream::answering([reply]).await;
    let sidecar = Sidecar::before(upstream.addr, "[connections]\nmax = 4\n").await;
    let mut clients = JoinSet::new();

    for _ in 0..24 {
        let addr = sidecar.addr;
        clients.spawn(async move { Client::post(addr, "/", b"body").await.status });
    }
    let statuses = clients.join_all().await;

    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!((upstream.count(), upstream.most_in_flight()), (24, 4));
}

#[tokio::test]
async fn a_connection_that_is_unused_for_too_long_is_closed() {
    for limit in ["idle = \"200ms\"", "max_age = \"200ms\""] {
        let origin = Origin::new();
        let sidecar = Sidecar::before(origin.addr, &format!("[connections]\n{limit}\n")).await;
        let mut client = Client::connect(sidecar.addr).await;
        client.send("GET", "/", &[], b"").await;
        let mut upstream = origin.accept().await;
        upstream.message().await;
        upstream.write(answer("200 OK", &[], "done")).await;
        assert_eq!(client.answer_to("GET").await.status, 200);

        assert_eq!(upstream.rest().await, b"", "closed without another byte");
        sidecar.settles(OPEN, &[], 0.0).await;
    }
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_given_to_nobody() {
    let origin = Origin::new();
    let sidecar = Sidecar::before(origin.addr, "").await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("GET", "/first", &[], b"").await;
    let mut poisoned = origin.accept().await;
    poisoned.message().await;
    let mut two = answer("200 OK", &[], "first");
    two.extend(answer("200 OK", &[], "poison"));
    poisoned.write(two).await;
    assert_eq!(client.answer_to("GET").await.text(), "first");

    client.send("GET", "/second", &[], b"").await;
    let mut clean = origin.accept().await;
    clean.message().await;
    clean.write(answer("200 OK", &[], "second")).await;

    assert_eq!(client.answer_to("GET").await.text(), "second");
}

#[tokio::test]
async fn an_upstream_that_announces_the_end_of_its_connection_is_given_a_new_one() {
    let closing = answer("200 OK", &[("Connection", "close")], "done");
    let upstream = Upstream::answering([Reply::Bytes(closing), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;

    for _ in 0..2 {
        assert_eq!(Client::get(sidecar.addr, "/").await.status, 200);
    }

    assert_eq!((upstream.count(), upstream.accepted()), (2, 2));
    assert_eq!(sidecar.total("redrive_retries_total", &[]).await, 0.0);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_an_attempt_that_was_not_sent() {
    let sidecar = Sidecar::configured("upstream = \"http://nowhere.invalid\"\n", &[]).await;

    let answer = Client::get(sidecar.addr, "/").await;

    // Whether the machine has no such name or no resolver at all, it is told fast or by the limit for connecting.
    assert!(matches!(answer.status, 502 | 504), "{}", answer.head);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(answer.header("redrive-ran"), Some("no"));
    assert!(sidecar.total(ATTEMPTS, &[r#"class="unsent""#]).await >= 1.0);
}
