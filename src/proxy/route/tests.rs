//! Which route a request takes.

use std::time::Duration;

use http::HeaderName;
use http::uri::{Authority, Scheme};
use proptest::prelude::*;

use super::*;

fn policy(unsafe_methods: UnsafeMethods) -> retry::Policy {
    retry::Policy {
        unsafe_methods,
        ..retry::tests::policy()
    }
}

fn params(path: &str, methods: &[Method], unsafe_methods: UnsafeMethods) -> Params {
    let pace = pace::Params {
        mode: pace::Mode::Off,
        max_wait: Duration::from_secs(10),
        max_waiting: 10,
        patient: false,
        limit: None,
        max_in_flight: 10,
    };
    Params {
        name: path.to_owned(),
        path: path.to_owned(),
        methods: methods.to_vec(),
        upstream: upstream::Params {
            scheme: Scheme::HTTP,
            authority: Authority::from_static("upstream"),
            base_path: String::new(),
            tls: upstream::TlsParams::default(),
            connections: upstream::ConnectionParams {
                max: 1,
                idle: Duration::from_secs(1),
                max_age: Duration::from_secs(1),
            },
        },
        deadline: deadline::Params {
            total: Duration::from_secs(30),
            attempt: Duration::from_secs(31),
            connect: Duration::from_secs(3),
            header: HeaderName::from_static("redrive-timeout"),
        },
        retry: policy(unsafe_methods),
        budget: budget::Params {
            capacity_milli: 1000,
            ratio_milli: 200,
            per_second_milli: 1000,
            cost: budget::Cost {
                throttled_milli: 1000,
                suspected_milli: 1000,
                other_milli: 1000,
            },
        },
        budget_share: Share::Upstream,
        pace,
        pace_share: Share::Upstream,
    }
}

fn table() -> Table<&'static str> {
    let routes = [
        (params("/orders/new", &[], UnsafeMethods::Proven), "exact"),
        (
            params("/orders/*", &[Method::POST], UnsafeMethods::Always),
            "posts",
        ),
        (params("/orders/*", &[], UnsafeMethods::Proven), "orders"),
        (params("*", &[], UnsafeMethods::Proven), "default"),
    ];
    Table::new(
        routes
            .iter()
            .map(|(params, name)| (params, *name))
            .collect(),
    )
}

#[track_caller]
fn check(method: &Method, path: &str, expected: &str) {
    assert_eq!(*table().find(method, path), expected, "{method} {path}");
}

#[test]
fn the_first_match_in_file_order_wins() {
    check(&Method::POST, "/orders/new", "exact");
    check(&Method::POST, "/orders/1", "posts");
    check(&Method::GET, "/orders/1", "orders");
    check(&Method::GET, "/other", "default");
}

#[test]
fn a_prefix_matches_any_suffix_and_not_less_than_itself() {
    check(&Method::GET, "/orders/", "orders");
    check(&Method::GET, "/orders/1/items/2", "orders");
    check(&Method::GET, "/orders", "default");
    check(&Method::GET, "/ordersx", "default");
}

#[test]
fn a_path_that_two_servers_read_differently_never_reaches_a_looser_route() {
    for path in [
        "/orders/../x",
        "/orders//x",
        "/orders/%2e%2e/x",
        "/orders/a%2Fb",
        "/orders/%2E/",
        "/orders/a\\b",
    ] {
        check(&Method::POST, path, "orders");
    }
}

proptest! {
    #[test]
    fn every_path_has_a_route(path in "\\PC*") {
        let table = table();
        let found = *table.find(&Method::POST, &path);
        let loose = found == "posts";
        prop_assert!(!loose || !(path.contains("..") || path.contains("//")));
    }
}
