//! Faults between values: each alone is fine, together they are impossible.
//!
//! Only values that were understood are judged, so that one mistake is reported once. What is merely odd is a warning;
//! that is [`advice`](super::advice).

use super::fault::{Fault, MISSING_UPSTREAM};
use super::layer::{Layer, Layers, View};
use super::quantity::spell_milli;
use super::value::Value;

/// Everything impossible in what was configured.
pub(super) fn faults(layers: &Layers) -> Vec<Fault> {
    let mut faults = Vec::new();
    let top = View::top(layers);
    if layers.is_whole {
        upstream(top, &mut faults);
    }
    addresses(top, &mut faults);
    circles(top, &mut faults);
    sizes(top, &mut faults);
    certificates(top, &mut faults);
    api_keys(top, &mut faults);
    scope(top, &mut faults);
    policy(top, &mut faults);
    for route in &layers.routes {
        let view = View::route(layers, route);
        circles(view, &mut faults);
        policy(view, &mut faults);
        required(route, "route", &["name", "path"], &mut faults);
    }
    route_names(layers, &mut faults);
    for rule in &layers.rules {
        self::rule(rule, &mut faults);
    }
    faults
}

fn upstream(top: View<'_>, faults: &mut Vec<Fault>) {
    if top.slot("upstream").is_none() {
        faults.push(Fault::new(
            None,
            MISSING_UPSTREAM,
            "set `upstream` in the file, REDRIVE_UPSTREAM, or --upstream URL",
        ));
    }
}

fn addresses(top: View<'_>, faults: &mut Vec<Fault>) {
    let (listen, admin) = (top.address("listen"), top.address("admin.listen"));
    // Port 0 is a port of its own each time.
    if listen == admin && listen.is_some_and(|at| at.port() != 0) {
        faults.push(Fault::new(
            top.place(&["admin.listen", "listen"]),
            "`listen` and `admin.listen` are the same address",
            "expected two",
        ));
    }
}

/// An upstream that is redrive itself.
fn circles(view: View<'_>, faults: &mut Vec<Fault>) {
    let Some(url) = view.url("upstream") else {
        return;
    };
    let target = url.authority.as_str().replace("localhost", "127.0.0.1");
    for path in ["listen", "admin.listen"] {
        let address = view.address(path);
        if view.sets_any(&["upstream"]) && address.is_some_and(|at| at.to_string() == target) {
            faults.push(Fault::new(
                view.place(&["upstream", path]),
                format!("`upstream` is our own `{path}`"),
                "expected the API: requests would go round",
            ));
        }
    }
}

fn sizes(top: View<'_>, faults: &mut Vec<Fault>) {
    let (body, total) = (top.size("replay.max_body"), top.size("replay.max_total"));
    if let (Some(body), Some(total)) = (body, total)
        && body > total
    {
        faults.push(Fault::new(
            top.place(&["replay.max_body", "replay.max_total"]),
            "`replay.max_body` is above `replay.max_total`",
            format!("expected one body to fit into {}", Value::Size(total)),
        ));
    }
}

fn certificates(top: View<'_>, faults: &mut Vec<Fault>) {
    let (upstream_cert, upstream_key) = ("tls.upstream.client_cert", "tls.upstream.client_key");
    let (listen_cert, listen_key) = ("tls.listen.cert", "tls.listen.key");
    for (given, missing) in [
        (upstream_cert, upstream_key),
        (upstream_key, upstream_cert),
        (listen_cert, listen_key),
        (listen_key, listen_cert),
    ] {
        if top.slot(given).is_some() && top.slot(missing).is_none() {
            faults.push(Fault::new(
                top.place(&[given]),
                format!("`{given}` without `{missing}`"),
                "expected both or neither",
            ));
        }
    }
    let client_ca = "tls.listen.client_ca";
    let is_plain = [listen_cert, listen_key].map(|path| top.slot(path).is_none());
    if top.slot(client_ca).is_some() && is_plain == [true, true] {
        faults.push(Fault::new(
            top.place(&[client_ca]),
            format!("`{client_ca}` without `{listen_cert}` and `{listen_key}`"),
            "expected them too: certificates are asked for over TLS",
        ));
    }
}

fn api_keys(top: View<'_>, faults: &mut Vec<Fault>) {
    let both = ["sign.api_key_file", "sign.api_key"];
    if both.iter().all(|path| top.slot(path).is_some()) {
        faults.push(Fault::new(
            top.place(&both),
            "`sign.api_key_file` and `sign.api_key` are both set",
            "expected one of them",
        ));
    }
}

/// What a signature is good for stands in it as it is, between slashes.
fn scope(top: View<'_>, faults: &mut Vec<Fault>) {
    for (path, example) in [
        ("sign.region", "eu-west-1"),
        ("sign.service", "execute-api"),
    ] {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if let Some(text) = top.text(path).filter(|text| !text.bytes().all(plain)) {
            faults.push(Fault::new(
                top.place(&[path]),
                format!("`{path}` cannot be `{text}`"),
                format!("expected a name of AWS like {example:?}"),
            ));
        }
    }
}

/// What a route may set, as it holds there.
fn policy(view: View<'_>, faults: &mut Vec<Fault>) {
    let mut seen = Vec::new();
    for class in ["throttled", "suspected", "other"] {
        let cost_path = format!("budget.cost.{class}");
        let pair = [cost_path.as_str(), "budget.capacity"];
        let (cost, capacity) = (view.milli(&cost_path), view.milli("budget.capacity"));
        let place = view.place(&pair);
        if let (Some(cost), Some(capacity)) = (cost, capacity)
            && cost > capacity
            && view.sets_any(&pair)
            // A small capacity is one mistake, not one for each price.
            && !seen.contains(&place)
        {
            seen.push(place.clone());
            faults.push(Fault::new(
                place,
                format!(
                    "`{cost_path}` ({}) is above `budget.capacity` ({})",
                    spell_milli(cost),
                    spell_milli(capacity)
                ),
                "expected a bucket that can hold the price of a retry; to switch retries off, set `retry.on = []`",
            ));
        }
    }
    let pair = ["pace.max_in_flight", "connections.max"];
    if let (Some(in_flight), Some(connections)) = (view.count(pair[0]), view.count(pair[1]))
        && in_flight > connections
        && view.sets_any(&pair)
    {
        faults.push(Fault::new(
            view.place(&pair),
            format!("`pace.max_in_flight` is above `connections.max` ({connections})"),
            "expected a connection for every attempt in flight",
        ));
    }
    let (rate, burst) = ("pace.limit.per_second", "pace.limit.burst");
    for (given, missing) in [(rate, burst), (burst, rate)] {
        if view.slot(given).is_some() && view.slot(missing).is_none() {
            faults.push(Fault::new(
                view.place(&[given]),
                format!("`{given}` without `{missing}`"),
                "expected both: a limit is a rate and a burst",
            ));
        }
    }
}

fn required(table: &Layer, name: &str, keys: &[&str], faults: &mut Vec<Fault>) {
    for key in keys.iter().filter(|key| table.slot(key).is_none()) {
        faults.push(Fault::new(
            table.place.clone(),
            format!("[[{name}]] without `{key}`"),
            format!("expected `{key} = ...` in this table"),
        ));
    }
}

fn route_names(layers: &Layers, faults: &mut Vec<Fault>) {
    let mut seen: Vec<String> = Vec::new();
    for route in &layers.routes {
        let view = View::rule(route);
        let Some(name) = view.text("name") else {
            continue;
        };
        if seen.contains(&name) {
            faults.push(Fault::new(
                view.place(&["name"]),
                format!("a second route named `{name}`"),
                "expected a name of its own: it is how logs and metrics tell routes apart",
            ));
        }
        seen.push(name);
    }
}

fn rule(rule: &Layer, faults: &mut Vec<Fault>) {
    required(rule, "classify", &["class"], faults);
    let (name, value) = ("header.name", "header.value");
    for (given, missing) in [(name, value), (value, name)] {
        if rule.slot(given).is_some() && rule.slot(missing).is_none() {
            faults.push(Fault::new(
                View::rule(rule).place(&[given]),
                format!("`{given}` without `{missing}`"),
                "expected both",
            ));
        }
    }
    let conditions = ["status", "body_contains", name, value];
    if conditions.iter().all(|path| rule.slot(path).is_none()) {
        faults.push(Fault::new(
            rule.place.clone(),
            "[[classify]] without a condition",
            "expected `status`, `body_contains` or `header`: this rule would match every answer",
        ));
    }
}
