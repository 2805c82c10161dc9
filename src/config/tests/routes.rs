//! Routes: what they inherit, what is their own, and what stands last.

use std::time::Duration;

use http::Method;

use super::super::super::proxy::route::Share;
use super::super::super::retry::UnsafeMethods;
use super::file;

#[test]
fn a_route_inherits_every_key_that_it_does_not_set_one_by_one() {
    let loaded = file(
        r#"
        [deadline]
        total = "20s"
        [retry]
        max_attempts = { throttled = 7, other = 2 }
        [budget]
        capacity = 100
        [[route]]
        name = "orders"
        path = "/orders/*"
        methods = ["POST", "PATCH"]
        upstream = "http://orders.example:8080/v2/"
        deadline = { attempt = "5s" }
        retry = { unsafe_methods = "always", max_attempts = { other = 5 } }
        budget = { ratio = 0.125 }
        "#,
    );

    let [orders, default] = &loaded.config.proxy.routes[..] else {
        panic!("two routes");
    };
    assert_eq!(orders.name, "orders");
    assert_eq!(orders.path, "/orders/*");
    assert_eq!(orders.methods, [Method::POST, Method::PATCH]);
    assert_eq!(orders.upstream.authority.as_str(), "orders.example:8080");
    assert_eq!(orders.upstream.base_path, "/v2");
    assert_eq!(
        orders.deadline.total,
        Duration::from_secs(20),
        "from the top"
    );
    assert_eq!(orders.deadline.attempt, Duration::from_secs(5), "its own");
    assert_eq!(
        orders.deadline.connect,
        Duration::from_secs(3),
        "the default"
    );
    assert_eq!(orders.retry.unsafe_methods, UnsafeMethods::Always);
    let limits = orders.retry.max_attempts;
    assert_eq!(
        [limits.throttled, limits.suspected, limits.other].map(std::num::NonZeroU32::get),
        [7, 4, 5]
    );
    assert_eq!(orders.budget.capacity_milli, 100_000);
    assert_eq!(orders.budget.ratio_milli, 125);
    assert_eq!(default.retry.unsafe_methods, UnsafeMethods::Proven);
    assert_eq!(default.budget.ratio_milli, 200);
}

#[test]
fn the_last_route_is_the_default_and_matches_everything() {
    for text in ["", "[[route]]\nname = \"a\"\npath = \"/a\""] {
        let loaded = file(text);

        let last = loaded.config.proxy.routes.last().unwrap();
        assert_eq!((last.name.as_str(), last.path.as_str()), ("default", "*"));
        assert!(last.methods.is_empty());
    }
}

#[test]
fn a_route_has_its_own_bucket_or_window_exactly_when_it_sets_that_table() {
    let cases = [
        ("", Share::Upstream, Share::Upstream),
        ("budget = { ratio = 0.1 }", Share::Own, Share::Upstream),
        ("pace = { max_wait = \"1s\" }", Share::Upstream, Share::Own),
        ("budget = {}\npace = {}", Share::Own, Share::Own),
        (
            "retry = { dry_run = true }",
            Share::Upstream,
            Share::Upstream,
        ),
    ];

    for (line, budget, pace) in cases {
        let loaded = file(&format!(
            "[budget]\ncapacity = 9\n[pace]\nmode = \"off\"\n[[route]]\nname = \"a\"\npath = \"/a\"\n{line}"
        ));

        let [route, default] = &loaded.config.proxy.routes[..] else {
            panic!("two routes");
        };
        assert_eq!(
            (route.budget_share, route.pace_share),
            (budget, pace),
            "{line}"
        );
        assert_eq!(
            (default.budget_share, default.pace_share),
            (Share::Upstream, Share::Upstream)
        );
    }
}

#[test]
fn attempts_in_flight_are_bounded_by_the_connections_unless_told() {
    let loaded = file(
        "[connections]\nmax = 40\n[[route]]\nname = \"a\"\npath = \"/a\"\npace = { max_in_flight = 7 }",
    );

    let in_flight: Vec<usize> = loaded
        .config
        .proxy
        .routes
        .iter()
        .map(|route| route.pace.max_in_flight)
        .collect();
    assert_eq!(in_flight, [7, 40]);
}

#[test]
fn the_operators_rules_reach_every_route_in_file_order() {
    let loaded = file(
        r#"
        [[classify]]
        status = 503
        body_contains = "slow down"
        header = { name = "X-Why", value = "busy" }
        class = "throttled"
        ran = "no"
        [[classify]]
        status = 404
        class = "ok"
        [[route]]
        name = "a"
        path = "/a"
        "#,
    );

    for route in &loaded.config.proxy.routes {
        let [first, second] = &route.retry.rules.custom[..] else {
            panic!("two rules");
        };
        assert_eq!(first.status.unwrap().as_u16(), 503);
        assert_eq!(first.body_contains.as_deref(), Some("slow down"));
        let (name, value) = first.header.as_ref().unwrap();
        assert_eq!((name.as_str(), value.as_str()), ("x-why", "busy"));
        assert_eq!(
            (first.class.as_str(), first.ran.as_str()),
            ("throttled", "no")
        );
        assert_eq!(
            (second.class.as_str(), second.ran.as_str()),
            ("ok", "maybe")
        );
    }
}
