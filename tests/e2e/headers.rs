//! What the upstream sees of a request's head, and what the client sees of an answer's.

use crate::answers::{answer, ok, throttled};
use crate::support::{Client, Message, Reply, Sidecar, Upstream};

/// What the upstream sees of this request, on a first and a second attempt.
async fn seen(toml: &str, head: &str) -> [Message; 2] {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let base = upstream.addr;
    let toml = toml.replace("UPSTREAM", &format!("http://{base}"));
    let sidecar = if toml.contains("upstream =") {
        Sidecar::configured(&toml, &[]).await
    } else {
        Sidecar::before(base, &toml).await
    };
    let mut client = Client::connect(sidecar.addr).await;
    let head = head.replace("UPSTREAM", &base.to_string());
    client.raw(head.as_bytes()).await;
    let answer = client.answer_to("GET").await;
    assert_eq!(answer.status, 200, "{head:?} {}", answer.text());
    upstream.seen().try_into().unwrap()
}

#[tokio::test]
async fn every_attempt_has_the_head_that_the_client_sent_but_for_its_number() {
    let kept = [
        (
            "X-Amzn-Trace-Id",
            "Root=1-5759e988-bd862e3fe1be46a994272793",
        ),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("Authorization", "Bearer a.b.c"),
        ("X-Api-Key", "key"),
        ("Accept", "text/html, */*;q=0.1"),
        ("User-Agent", "legacy/1.0"),
        ("Cookie", "a=1; b=2"),
        ("X-Odd", "\u{fc}ber"),
        ("Referer", "http://sidecar.test/?a=b"),
    ];
    let mut head = "GET /a?b HTTP/1.1\r\nHost: sidecar.test\r\n".to_owned();
    for (name, value) in kept {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("X-Many: 1\r\nX-Many: 2\r\nX-Many: 1\r\n\r\n");

    let [first, second] = seen("", &head).await;

    for (name, value) in kept {
        assert_eq!(first.headers(name), [value], "{name}");
    }
    assert_eq!(first.headers("x-many"), ["1", "2", "1"]);
    assert_eq!(first.headers("via"), ["1.1 redrive"]);
    assert_eq!(first.headers("redrive-attempt"), ["1"]);
    assert_eq!(
        second.head,
        first
            .head
            .replace("redrive-attempt: 1", "redrive-attempt: 2")
    );
    for name in [
        "x-forwarded-for",
        "forwarded",
        "content-length",
        "transfer-encoding",
    ] {
        assert_eq!(first.header(name), None, "{name} is not ours to add");
    }
}

#[tokio::test]
async fn what_is_meant_for_one_hop_goes_no_further() {
    let [first, second] = seen(
        "",
        "GET / HTTP/1.1\r\nHost: sidecar.test\r\nConnection: keep-alive, X-Private\r\nConnection: x-secret\r\n\
         Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic abc\r\nTE: gzip\r\n\
         X-Private: 1\r\nX-Secret: 2\r\nX-Public: 3\r\n\r\n",
    )
    .await;

    for attempt in [first, second] {
        for name in [
            "connection",
            "keep-alive",
            "proxy-connection",
            "proxy-authorization",
            "te",
            "x-private",
            "x-secret",
        ] {
            assert_eq!(attempt.header(name), None, "{name}");
        }
        assert_eq!(attempt.header("x-public"), Some("3"));
    }
}

#[tokio::test]
async fn a_wish_for_trailers_is_redrives_own_and_nothing_else_of_it_goes_up() {
    let [first, second] = seen(
        "",
        "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers;q=1, trailers\r\nConnection: te, x-private\r\nX-Private: 1\r\n\r\n",
    )
    .await;

    for attempt in [first, second] {
        assert_eq!(attempt.headers("te"), ["trailers"]);
        assert_eq!(attempt.headers("connection"), ["te"]);
        assert_eq!(attempt.header("x-private"), None);
    }
}

#[tokio::test]
async fn nominating_host_or_length_changes_nothing() {
    let [first, _] = seen(
        "",
        "POST / HTTP/1.1\r\nHost: sidecar.test\r\nConnection: host, content-length\r\nContent-Length: 4\r\n\r\nbody",
    )
    .await;

    assert_eq!(first.header("content-length"), Some("4"));
    assert_eq!(first.headers("host").len(), 1);
    assert_eq!(first.body, b"body");
}

#[tokio::test]
async fn the_upstream_sees_its_own_host_or_the_clients() {
    let head = "GET / HTTP/1.1\r\nHost: shop.example:8443\r\n\r\n";

    let [own, _] = seen("", head).await;
    let [clients, _] = seen("host = \"client\"\n", head).await;

    let host = own.header("host").unwrap();
    assert!(host.starts_with("127.0.0.1:"), "{host}");
    assert_eq!(clients.headers("host"), ["shop.example:8443"]);
}

#[tokio::test]
async fn a_target_with_an_authority_names_the_host_whatever_the_header_says() {
    let [seen, _] = seen(
        "host = \"client\"\n",
        "GET http://UPSTREAM/a?b HTTP/1.1\r\nHost: other.example\r\n\r\n",
    )
    .await;

    assert!(
        seen.head.starts_with("GET /a?b HTTP/1.1\r\n"),
        "{}",
        seen.head
    );
    let host = seen.header("host").unwrap_or_default();
    assert!(host.starts_with("127.0.0.1:"), "{host}");
}

#[tokio::test]
async fn the_clients_address_is_told_as_configured() {
    let head = "GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n\r\n";

    let [off, _] = seen("", head).await;
    let [legacy, _] = seen("forwarded = \"x-forwarded-for\"\n", head).await;
    let [standard, _] = seen("forwarded = \"forwarded\"\n", head).await;

    assert_eq!(off.headers("x-forwarded-for"), ["10.0.0.1"]);
    assert_eq!(off.headers("forwarded"), ["for=10.0.0.1"]);
    assert_eq!(
        legacy.headers("x-forwarded-for").join(", "),
        "10.0.0.1, 127.0.0.1"
    );
    assert_eq!(legacy.headers("x-forwarded-host"), ["shop.example"]);
    assert_eq!(legacy.headers("x-forwarded-proto"), ["http"]);
    assert_eq!(
        standard.headers("forwarded").join(", "),
        "for=10.0.0.1, for=127.0.0.1;proto=http;host=\"shop.example\""
    );
}

#[tokio::test]
async fn the_target_goes_up_byte_for_byte() {
    for target in [
        "/",
        "/?",
        "/a//b/../c/./d",
        "//double",
        "/%2e%2E/%2F%zz?x=%20+%41&&=",
        "/a;b=c,d:e@f!$'()*~",
        "/q?a?b/c=d{}|^`",
        "/\u{e9}",
    ] {
        let [first, second] = seen("", &format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;

        for attempt in [first, second] {
            assert_eq!(
                attempt.head.split("\r\n").next(),
                Some(format!("GET {target} HTTP/1.1").as_str())
            );
        }
    }
}

#[tokio::test]
async fn the_upstreams_own_path_is_put_before_the_target() {
    for (target, expected) in [
        ("/", "/prod/"),
        ("/orders?id=1", "/prod/orders?id=1"),
        ("//x", "/prod//x"),
        ("/?a", "/prod/?a"),
    ] {
        let [seen, _] = seen(
            "upstream = \"UPSTREAM/prod\"\n",
            &format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
        )
        .await;

        assert!(
            seen.head
                .starts_with(&format!("GET {expected} HTTP/1.1\r\n")),
            "{}",
            seen.head
        );
    }
}

#[tokio::test]
async fn via_is_added_behind_those_that_passed_it_on_before() {
    let [seen, _] = seen(
        "",
        "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 first, 1.0 second\r\n\r\n",
    )
    .await;

    assert_eq!(
        seen.headers("via").join(", "),
        "1.1 first, 1.0 second, 1.1 redrive"
    );
}

#[tokio::test]
async fn the_answer_reaches_the_client_unchanged_but_for_what_is_meant_for_one_hop() {
    let bytes = "HTTP/1.1 299 Quite Fine\r\nDate: Tue, 01 Jan 2030 00:00:00 GMT\r\nServer: upstream\r\nSet-Cookie: a=1; Path=/\r\n\
        X-Between: x\r\nSet-Cookie: b=2\r\nVia: 1.1 edge\r\nx-amzn-RequestId: abc\r\nContent-Type: application/json\r\n\
        X-Odd: \u{fc}\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
        Proxy-Authenticate: Basic\r\nContent-Length: 4\r\n\r\nbody";
    let upstream = Upstream::answering([Reply::Bytes(bytes.into())]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("GET", "/", &[], b"").await;

    let answer = client.answer_to("GET").await;

    let message = Message {
        head: answer.head.clone(),
        body: answer.body.clone(),
        trailers: String::new(),
    };
    assert_eq!((answer.status, answer.text().as_str()), (299, "body"));
    assert_eq!(message.headers("set-cookie"), ["a=1; Path=/", "b=2"]);
    for (name, value) in [
        ("date", "Tue, 01 Jan 2030 00:00:00 GMT"),
        ("server", "upstream"),
        ("via", "1.1 edge"),
        ("x-between", "x"),
        ("x-amzn-requestid", "abc"),
        ("content-type", "application/json"),
        ("content-length", "4"),
        ("x-odd", "\u{fc}"),
    ] {
        assert_eq!(message.headers(name), [value], "{name}");
    }
    for name in [
        "connection",
        "x-private",
        "keep-alive",
        "proxy-authenticate",
        "redrive-attempts",
        "redrive-waited",
        "redrive-reason",
        "redrive-ran",
    ] {
        assert_eq!(message.header(name), None, "{name}");
    }
    assert_eq!(
        message.head.split("\r\n").count(),
        12 + 1,
        "{}",
        message.head
    );
}

#[tokio::test]
async fn header_names_keep_their_case_where_that_is_wanted() {
    let bytes = "HTTP/1.1 200 OK\r\nX-oDD-Case: 1\r\ncontent-length: 0\r\n\r\n";
    let upstream = Upstream::answering([Reply::Bytes(bytes.into())]).await;
    let sidecar = Sidecar::before(upstream.addr, "[client]\npreserve_header_case = true\n").await;

    let answer = Client::request(sidecar.addr, "GET", "/", &[("X-wEIRD", "1")], b"").await;

    assert!(
        answer.head.contains("\r\nX-oDD-Case: 1\r\n"),
        "{}",
        answer.head
    );
    let seen = &upstream.seen()[0];
    assert!(seen.head.contains("\r\nX-wEIRD: 1\r\n"), "{}", seen.head);
}

#[tokio::test]
async fn header_names_are_in_title_case_where_that_is_wanted() {
    let bytes = "HTTP/1.1 200 OK\r\nx-odd-case: 1\r\ncontent-length: 0\r\n\r\n";
    let upstream = Upstream::answering([Reply::Bytes(bytes.into())]).await;
    let sidecar = Sidecar::before(upstream.addr, "[client]\ntitle_case_headers = true\n").await;

    let answer = Client::request(sidecar.addr, "GET", "/", &[("x-weird", "1")], b"").await;

    assert!(
        answer.head.contains("\r\nX-Odd-Case: 1\r\n"),
        "{}",
        answer.head
    );
    let seen = &upstream.seen()[0];
    assert!(seen.head.contains("\r\nX-Weird: 1\r\n"), "{}", seen.head);
}

#[tokio::test]
async fn an_answers_head_may_be_long_and_not_endless() {
    for (length, status) in [(60 << 10, 200), (66 << 10, 502)] {
        let long = "x".repeat(length);
        let head = [("X-Long", long.as_str())];
        let upstream = Upstream::answering([Reply::Bytes(answer("200 OK", &head, "done"))]).await;
        let sidecar = Sidecar::before(upstream.addr, "").await;

        let answer = Client::post(sidecar.addr, "/", b"once").await;

        assert_eq!(answer.status, status, "{length} bytes");
        let passed = answer.header("x-long").map(str::len);
        assert_eq!(passed, (status == 200).then_some(length));
        assert_eq!(upstream.count(), 1, "it ran");
    }
}
