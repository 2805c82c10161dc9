//! The status page over real sockets: its files, who may see them, and what it is told. A real browser looks at it in
//! `.ci/page`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;

use crate::answers::{answer, ok, throttled};
use crate::support::{Answer, Client, Origin, Reply, Reserved, Sidecar, Upstream};

/// Asks by a name of loopback, as a browser on the same machine does.
async fn ask(sidecar: &Sidecar, path: &str) -> Answer {
    ask_by(sidecar, "localhost:7481", path).await
}

async fn ask_by(sidecar: &Sidecar, host: &str, path: &str) -> Answer {
    Client::request(sidecar.admin, "GET", path, &[("Host", host)], b"").await
}

/// A page that listens.
struct Listener {
    stream: BufReader<TcpStream>,
}

impl Listener {
    /// Begins to listen; the status and head if that is refused.
    async fn to(sidecar: &Sidecar, path: &str) -> Result<Self, (u16, String)> {
        let mut client = Client::connect(sidecar.admin).await;
        client
            .send("GET", path, &[("Host", "localhost")], b"")
            .await;
        let head = client.head().await;
        let status: u16 = head[9..12].parse().unwrap();
        if status != 200 {
            return Err((status, head));
        }
        assert!(head.contains("content-type: text/event-stream\r\n"));
        Ok(Self {
            stream: BufReader::new(client.stream),
        })
    }

    /// The next event: a chunk of its own.
    async fn next(&mut self) -> Value {
        tokio::time::timeout(Duration::from_secs(30), self.read())
            .await
            .expect("an event in time")
    }

    async fn read(&mut self) -> Value {
        let mut size = String::new();
        self.stream.read_line(&mut size).await.unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).await.unwrap();
        let text = String::from_utf8(chunk).unwrap();
        let data = text.lines().find_map(|line| line.strip_prefix("data: "));
        serde_json::from_str(data.expect("an event has data")).unwrap()
    }

    /// The first event, from now on, of which this holds.
    async fn until(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        let mut event = Value::Null;
        for _ in 0..30 {
            event = self.next().await;
            if holds(&event) {
                return event;
            }
        }
        panic!("never so; the last event: {event}");
    }
}

fn has_explained(requests: usize) -> impl Fn(&Value) -> bool {
    move |event| {
        event["explained"]
            .as_array()
            .is_some_and(|it| it.len() == requests)
    }
}

/// Whether so many requests got a good answer.
fn has_served(share: &'static str) -> impl Fn(&Value) -> bool {
    move |event| {
        let detail = event["summary"]["detail"].as_str().unwrap();
        detail.starts_with(&format!("{share} requests got a good answer"))
    }
}

#[tokio::test]
async fn the_page_and_its_files_run_nothing_but_themselves() {
    let sidecar = Sidecar::before(Reserved::new().addr, "").await;

    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/assets/page.css", "text/css; charset=utf-8"),
        ("/assets/page.js", "text/javascript; charset=utf-8"),
        ("/assets/words.js", "text/javascript; charset=utf-8"),
        ("/assets/uplot.js", "text/javascript; charset=utf-8"),
        ("/assets/uplot.css", "text/css; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
    ] {
        let answer = ask(&sidecar, path).await;

        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.is_empty(), "{path}");
        assert_eq!(answer.header("content-type"), Some(content_type));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(policy.contains("require-trusted-types-for 'script'"));
    }
}

#[tokio::test]
async fn whoever_calls_loopback_by_a_strangers_name_sees_nothing() {
    let near = Sidecar::before(Reserved::new().addr, "").await;
    let open = Sidecar::before(Reserved::new().addr, "admin.pages = \"any\"").await;

    for path in ["/", "/status", "/config", "/events", "/assets/page.js"] {
        let answer = ask_by(&near, "evil.example", path).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text().contains("admin.pages"), "{path}");
    }
    for path in ["/", "/status", "/config", "/assets/page.js"] {
        assert_eq!(ask_by(&near, "[::1]:7481", path).await.status, 200);
        assert_eq!(ask_by(&open, "evil.example", path).await.status, 200);
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        let answer = ask_by(&near, "redrive.svc.cluster.local", path).await;
        assert_eq!(answer.status, 200, "{path} is for machines elsewhere");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_takes_no_place_among_the_listeners() {
    let sidecar = Sidecar::before(Reserved::new().addr, "").await;

    let headers = [("Host", "localhost"), ("Sec-Fetch-Site", "cross-site")];
    let answer = Client::request(sidecar.admin, "GET", "/events", &headers, b"").await;

    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn a_throttled_request_that_became_good_is_counted_explained_and_told_in_words() {
    let replies = [Reply::Bytes(throttled()), ok()];
    let upstream = Upstream::answering(replies).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let mut page = Listener::to(&sidecar, "/events").await.unwrap();
    let first = page.next().await;
    assert_eq!(first["reset"], true);
    assert_eq!(first["summary"]["words"], "Nobody has asked.");

    let answer = Client::get(sidecar.addr, "/orders/17/lines?token=secret").await;
    assert_eq!(answer.status, 200);

    let event = page.until(has_explained(1)).await;
    let request = &event["explained"][0];
    assert_eq!(request["outcome"], "ok_after_retry");
    assert_eq!(
        (&request["method"], &request["path"]),
        (&json!("GET"), &json!("/orders/17/…")),
        "two segments, and no query"
    );
    assert_eq!(
        (&request["status"], &request["attempts"]),
        (&json!(200), &json!(2))
    );
    let steps = request["steps"].as_array().unwrap();
    assert_eq!(steps[0]["class"], "throttled");
    assert_eq!(steps[0]["status"], 429);
    assert_eq!(steps[1]["class"], "ok");
    assert!(steps[1]["waited"].as_f64().unwrap() > 0.0);
    let told = event["summary"]["line"].as_str().unwrap();
    assert!(
        told.starts_with("1 of 1 throttled requests became good ones"),
        "{told}"
    );
    assert!(told.ends_with("2.00 attempts per request"), "{told}");
}

#[tokio::test]
async fn what_was_not_retried_says_why() {
    let upstream = Upstream::answering([Reply::Bytes(throttled())]).await;
    let sidecar = Sidecar::before(upstream.addr, "retry.unsafe_methods = \"never\"").await;
    let mut page = Listener::to(&sidecar, "/events").await.unwrap();

    let answer = Client::post(sidecar.addr, "/orders", b"{}").await;
    assert_eq!(answer.status, 429);

    let event = page.until(has_explained(1)).await;
    let request = &event["explained"][0];
    assert_eq!(request["reason"], "unsafe");
    assert_eq!(request["outcome"], "upstream_error");
    assert_eq!(request["ran"], "no");
    assert_eq!(event["reasons"], json!([["unsafe", 1]]));
    assert_eq!(event["summary"]["words"], "No, redrive does not help now.");
}

#[tokio::test]
async fn what_was_good_at_once_is_not_told_one_by_one() {
    let upstream = Upstream::answering([ok(), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, "").await;
    let mut page = Listener::to(&sidecar, "/events").await.unwrap();
    page.next().await;

    Client::get(sidecar.addr, "/a").await;
    Client::get(sidecar.addr, "/b").await;

    let event = page.until(has_served("2 of 2")).await;
    assert_eq!(event.get("explained"), None);
    assert!(event["rows"][0][2].as_f64().is_some(), "served per second");
}

#[tokio::test]
async fn a_route_has_a_story_of_its_own() {
    let toml = "[[route]]\nname = \"orders\"\npath = \"/orders/*\"\nretry.dry_run = true";
    let upstream = Upstream::answering([ok(), ok()]).await;
    let sidecar = Sidecar::before(upstream.addr, toml).await;
    let mut orders = Listener::to(&sidecar, "/events?route=orders")
        .await
        .unwrap();
    let mut default = Listener::to(&sidecar, "/events?route=default")
        .await
        .unwrap();
    let first = orders.next().await;
    assert_eq!(first["routes"], json!(["orders", "default"]));
    assert_eq!(first["dry_run"], json!(["orders"]));
    assert_eq!(first["summary"]["words"], "Dry run: redrive only watches.");

    Client::get(sidecar.addr, "/orders/1").await;

    orders.until(has_served("1 of 1")).await;
    let other = default.next().await;
    assert_eq!(other["summary"]["detail"], "");
    let unknown = Listener::to(&sidecar, "/events?route=nobody").await;
    assert_eq!(unknown.err().map(|(status, _)| status), Some(404));
}

#[tokio::test]
async fn a_bypass_is_the_first_thing_that_is_said() {
    let sidecar = Sidecar::before(Reserved::new().addr, "bypass = true").await;
    let mut page = Listener::to(&sidecar, "/events").await.unwrap();

    let first = page.next().await;

    assert_eq!(first["bypass"], true);
    assert_eq!(first["summary"]["words"], "redrive is switched off.");
}

#[tokio::test]
async fn after_a_reload_the_page_shows_what_is_in_use_and_keeps_what_was() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let old = "[[route]]\nname = \"old\"\npath = \"/old\"\n";
    let new = "[[route]]\nname = \"new\"\npath = \"/new\"\nretry.dry_run = true\n";
    let sidecar = Sidecar::before(upstream.addr, old).await;
    let mut page = Listener::to(&sidecar, "/events").await.unwrap();
    for path in ["/old", "/"] {
        assert_eq!(Client::get(sidecar.addr, path).await.status, 200);
    }
    page.until(has_served("2 of 2")).await;

    let toml = format!("upstream = \"http://{}\"\nbypass = true\n", upstream.addr);
    sidecar.reload(&format!("{toml}{new}")).await.unwrap();

    let status: Value = serde_json::from_slice(&ask(&sidecar, "/status").await.body).unwrap();
    assert_eq!(status["bypass"], true);
    let routes = status["routes"].as_array().unwrap().iter();
    let routes: Vec<_> = routes
        .map(|it| json!([it["name"], it["dry_run"]]))
        .collect();
    assert_eq!(routes, [json!(["new", true]), json!(["default", false])]);
    let event = page.until(|event| event["bypass"] == true).await;
    assert_eq!(event["reset"], false, "the same page goes on");
    assert_eq!(event["routes"], json!(["new", "default"]));
    assert_eq!(event["routes_gone"], json!(["old"]));
    assert_eq!(event["dry_run"], json!(["new"]));
    assert_eq!(event["summary"]["words"], "redrive is switched off.");
    assert!(has_served("2 of 2")(&event), "what was stays: {event}");

    let mut later = Listener::to(&sidecar, "/events").await.unwrap();
    let everything = later.next().await;
    assert_eq!(everything["explained"][0]["route"], "old");
    assert!(everything["rows"].as_array().unwrap().len() > 1);
    let mut gone = Listener::to(&sidecar, "/events?route=old").await.unwrap();
    assert!(has_served("1 of 1")(&gone.next().await));
    let mut came = Listener::to(&sidecar, "/events?route=new").await.unwrap();
    assert_eq!(came.next().await["summary"]["detail"], "", "it begins at 0");
    for path in ["/new", "/"] {
        assert_eq!(Client::get(sidecar.addr, path).await.status, 200);
    }
    came.until(has_served("1 of 1")).await;
    page.until(has_served("4 of 4")).await;
}

#[tokio::test]
async fn what_is_on_its_way_when_its_route_goes_still_counts_there_and_in_the_sum() {
    let origin = Origin::new();
    let route = "[[route]]\nname = \"old\"\npath = \"/old\"\n";
    let sidecar = Sidecar::before(origin.addr, route).await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("GET", "/old", &[], b"").await;
    let mut upstream = origin.accept().await;
    upstream.message().await;
    let mut all = Listener::to(&sidecar, "/events").await.unwrap();
    let mut old = Listener::to(&sidecar, "/events?route=old").await.unwrap();
    old.next().await;

    let without = format!("upstream = \"http://{}\"\n", origin.addr);
    sidecar.reload(&without).await.unwrap();
    all.until(|event| event["routes_gone"] == json!(["old"]))
        .await;
    upstream.write(answer("200 OK", &[], "late")).await;
    assert_eq!(client.answer_to("GET").await.text(), "late");

    old.until(has_served("1 of 1")).await;
    all.until(has_served("1 of 1")).await;
}

#[tokio::test]
async fn one_page_too_many_is_asked_to_come_back_and_finds_room_when_another_leaves() {
    let sidecar = Sidecar::before(Reserved::new().addr, "").await;
    let mut pages = Vec::new();
    let refused = loop {
        match Listener::to(&sidecar, "/events").await {
            Ok(page) => pages.push(page),
            Err(refused) => break refused,
        }
    };

    assert_eq!(pages.len(), 16);
    assert_eq!(refused.0, 503);
    assert!(refused.1.contains("retry-after: 2\r\n"), "{}", refused.1);
    assert_eq!(Client::get(sidecar.admin, "/readyz").await.status, 200);

    pages.pop();
    // Its place is free with the next event.
    for page in &mut pages {
        page.next().await;
        page.next().await;
        page.next().await;
    }
    assert!(Listener::to(&sidecar, "/events").await.is_ok());
}
