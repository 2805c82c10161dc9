//! From values to parameters: the only place that knows which key feeds which module.
//!
//! Runs only on a configuration without faults, so every key with a default has a value; what is missing here is a
//! mistake in the table of keys, and every key is built in a test.

use std::num::NonZeroU32;
use std::path::PathBuf;

use http::StatusCode;

use super::keys::RETRIABLE;
use super::layer::{Layer, Layers, View};
use super::{Config, DEFAULT_ROUTE, effective, words};
use crate::pace::{self, Limit};
use crate::proxy::{self, deadline, replay, route, upstream};
use crate::retry::backoff::Backoff;
use crate::retry::budget;
use crate::retry::classify::{CustomRule, Rules};
use crate::retry::{MaxAttempts, Policy, Retriable};
use crate::{admin, server, telemetry, tls};

/// What every key with a default holds, and `upstream` too, once there are no faults.
const HELD: &str = "a configuration without faults holds every key that has a default";

/// Builds every module's parameters.
pub(super) fn config(layers: &Layers) -> Config {
    let top = View::top(layers);
    let custom: Vec<CustomRule> = layers.rules.iter().map(rule).collect();
    let mut routes: Vec<route::Params> = layers
        .routes
        .iter()
        .map(|own| route(View::route(layers, own), Some(own), &custom))
        .collect();
    routes.push(route(top, None, &custom));
    Config {
        server: server::Params {
            listen: top.address("listen").expect(HELD),
            max_connections: count(top, "client.max_connections"),
            header_timeout: top.time("client.header_timeout").expect(HELD),
            idle: top.time("client.idle").expect(HELD),
            body_idle: top.time("client.body_idle").expect(HELD),
            header_bytes: top.size("client.header_bytes").expect(HELD),
            half_close: top.switch("client.half_close").expect(HELD),
            title_case_headers: top.switch("client.title_case_headers").expect(HELD),
            preserve_header_case: top.switch("client.preserve_header_case").expect(HELD),
            tls: listen_tls(top),
        },
        admin: admin::Params {
            listen: top.address("admin.listen").expect(HELD),
            pages: words::PAGES.value(top, "admin.pages"),
        },
        proxy: proxy::Params {
            bypass: top.switch("bypass").expect(HELD),
            host: words::HOST.value(top, "host"),
            forwarded: words::FORWARDED.value(top, "forwarded"),
            replay: replay::Params {
                max_body: top.size("replay.max_body").expect(HELD),
                max_total: top.size("replay.max_total").expect(HELD),
            },
            routes,
        },
        grace: top.time("shutdown.grace").expect(HELD),
        log: telemetry::Params {
            format: words::LOG_FORMAT.value(top, "log.format"),
            requests: words::LOG_REQUESTS.value(top, "log.requests"),
        },
        settings: effective::settings(layers),
    }
}

fn listen_tls(top: View<'_>) -> Option<tls::ServerParams> {
    let file = |path| top.text(path).map(PathBuf::from);
    Some(tls::ServerParams {
        cert: file("tls.listen.cert")?,
        key: file("tls.listen.key")?,
        client_ca: file("tls.listen.client_ca"),
    })
}

/// The parameters of one route; `own` is what it sets itself, and the default route has nothing of its own.
fn route(view: View<'_>, own: Option<&Layer>, custom: &[CustomRule]) -> route::Params {
    let share = |table: &str| match own {
        Some(own) if own.has_table(table) => route::Share::Own,
        _ => route::Share::Upstream,
    };
    route::Params {
        name: own
            .and_then(|_| view.text("name"))
            .unwrap_or_else(|| DEFAULT_ROUTE.to_owned()),
        path: own
            .and_then(|_| view.text("path"))
            .unwrap_or_else(|| EVERY_PATH.to_owned()),
        methods: own
            .and_then(|_| view.methods("methods"))
            .unwrap_or_default(),
        upstream: upstream(view),
        deadline: deadline::Params {
            total: view.time("deadline.total").expect(HELD),
            attempt: view.time("deadline.attempt").expect(HELD),
            connect: view.time("deadline.connect").expect(HELD),
            header: view.header("deadline.header").expect(HELD),
        },
        retry: policy(view, custom),
        budget: budget::Params {
            capacity_milli: view.milli("budget.capacity").expect(HELD),
            ratio_milli: view.milli("budget.ratio").expect(HELD),
            per_second_milli: view.milli("budget.min_per_second").expect(HELD),
            cost: budget::Cost {
                throttled_milli: view.milli("budget.cost.throttled").expect(HELD),
                suspected_milli: view.milli("budget.cost.suspected").expect(HELD),
                other_milli: view.milli("budget.cost.other").expect(HELD),
            },
        },
        budget_share: share("budget"),
        pace: pace(view),
        pace_share: share("pace"),
    }
}

fn upstream(view: View<'_>) -> upstream::Params {
    let url = view.url("upstream").expect(HELD);
    let file = |path| view.text(path).map(PathBuf::from);
    upstream::Params {
        scheme: url.scheme,
        authority: url.authority,
        base_path: url.base_path,
        tls: upstream::TlsParams {
            ca_file: file("tls.upstream.ca_file"),
            client_cert: file("tls.upstream.client_cert"),
            client_key: file("tls.upstream.client_key"),
            server_name: view.text("tls.upstream.server_name"),
        },
        connections: upstream::ConnectionParams {
            max: count(view, "connections.max"),
            idle: view.time("connections.idle").expect(HELD),
            max_age: view.time("connections.max_age").expect(HELD),
        },
    }
}

fn policy(view: View<'_>, custom: &[CustomRule]) -> Policy {
    let on = view.words("retry.on").expect(HELD);
    let has = |class: &str| {
        debug_assert!(
            RETRIABLE.contains(&class),
            "`{class}` can stand in retry.on"
        );
        on.contains(&class)
    };
    Policy {
        on: Retriable {
            throttled: has("throttled"),
            suspected: has("suspected"),
            overloaded: has("overloaded"),
            unsent: has("unsent"),
            broken: has("broken"),
            timeout: has("timeout"),
        },
        max_attempts: MaxAttempts {
            throttled: positive(view, "retry.max_attempts.throttled"),
            suspected: positive(view, "retry.max_attempts.suspected"),
            other: positive(view, "retry.max_attempts.other"),
        },
        unsafe_methods: words::UNSAFE_METHODS.value(view, "retry.unsafe_methods"),
        idempotency_key: words::IDEMPOTENCY_KEY.value(view, "retry.idempotency_key"),
        backoff: Backoff {
            throttle_base: view.time("retry.backoff.throttle_base").expect(HELD),
            base: view.time("retry.backoff.base").expect(HELD),
            max: view.time("retry.backoff.max").expect(HELD),
        },
        futility: words::SWITCH.value(view, "retry.futility"),
        add_retry_after: view.switch("retry.add_retry_after").expect(HELD),
        dry_run: view.switch("retry.dry_run").expect(HELD),
        rules: Rules {
            custom: custom.to_vec(),
            marker_header: view.header("retry.marker_header").expect(HELD),
            proof: words::PROOF.value(view, "retry.proof"),
            integration: words::INTEGRATION.value(view, "retry.integration"),
        },
    }
}

fn pace(view: View<'_>) -> pace::Params {
    let limit = view.count("pace.limit.per_second").map(|_| Limit {
        per_second: positive(view, "pace.limit.per_second"),
        burst: positive(view, "pace.limit.burst"),
    });
    let max_in_flight = match view.count("pace.max_in_flight") {
        Some(_) => count(view, "pace.max_in_flight"),
        None => count(view, "connections.max"),
    };
    pace::Params {
        mode: words::PACE_MODE.value(view, "pace.mode"),
        max_wait: view.time("pace.max_wait").expect(HELD),
        max_waiting: count(view, "pace.max_waiting"),
        patient: view.switch("pace.patient").expect(HELD),
        limit,
        max_in_flight,
    }
}

fn rule(rule: &Layer) -> CustomRule {
    let view = View::rule(rule);
    let status = view.count("status").map(|status| {
        u16::try_from(status)
            .ok()
            .and_then(|status| StatusCode::from_u16(status).ok())
            .expect("the table of keys admits only real statuses")
    });
    CustomRule {
        status,
        body_contains: view.text("body_contains"),
        header: view.header("header.name").zip(view.text("header.value")),
        class: view
            .word("class")
            .and_then(|word| word.parse().ok())
            .expect("the table of keys admits only real classes, and a rule must have one"),
        ran: view
            .word("ran")
            .unwrap_or(super::defaults::CLASSIFY_RAN)
            .parse()
            .expect("the table of keys admits only the words of `Ran`"),
    }
}

fn count(view: View<'_>, path: &str) -> usize {
    usize::try_from(view.count(path).expect(HELD)).expect("the table of keys bounds every count")
}

fn positive(view: View<'_>, path: &str) -> NonZeroU32 {
    NonZeroU32::new(view.count(path).expect(HELD)).expect("the table of keys admits no zero here")
}

/// The path of the default route.
const EVERY_PATH: &str = "*";
