//! Warnings: a configuration that is valid and contradicts itself.
//!
//! Silent on the defaults, and on anything that is only unusual. Expects a configuration without faults.

use std::time::Duration;

use super::fault::Fault;
use super::layer::{Layer, Layers, View};
use super::value::Value;

/// Everything odd in what was configured.
pub(super) fn warnings(layers: &Layers) -> Vec<Fault> {
    let mut warnings = Vec::new();
    let top = View::top(layers);
    switches(top, &mut warnings);
    times(top, &mut warnings);
    budget(top, &mut warnings);
    for route in &layers.routes {
        let view = View::route(layers, route);
        times(view, &mut warnings);
        budget(view, &mut warnings);
    }
    covered(layers, &mut warnings);
    warnings
}

fn switches(top: View<'_>, warnings: &mut Vec<Fault>) {
    if top.switch("bypass") == Some(true) && top.switch("retry.dry_run") == Some(true) {
        warnings.push(Fault::new(
            top.place(&["retry.dry_run", "bypass"]),
            "`retry.dry_run` decides nothing while `bypass` is on",
            "one of them is enough",
        ));
    }
    let is_plain = top
        .url("upstream")
        .is_some_and(|url| url.scheme == http::uri::Scheme::HTTP);
    let tls = [
        "tls.upstream.ca_file",
        "tls.upstream.client_cert",
        "tls.upstream.server_name",
    ];
    if is_plain && layers_set(top, &tls) {
        warnings.push(Fault::new(
            top.place(&tls),
            "[tls.upstream] is without effect: `upstream` is http",
            "did you mean https?",
        ));
    }
}

fn layers_set(view: View<'_>, paths: &[&str]) -> bool {
    paths.iter().any(|path| view.slot(path).is_some())
}

/// Times that end each other.
fn times(view: View<'_>, warnings: &mut Vec<Fault>) {
    let total = view.time("deadline.total").unwrap_or(Duration::MAX);
    let mut warn = |paths: &[&str], is_odd: bool, what: &str, why: &str| {
        if is_odd && view.sets_any(paths) {
            let what = format!("{what} ({})", Value::Time(total));
            warnings.push(Fault::new(view.place(paths), what, why));
        }
    };
    let exceeds = |path: &str, limit: Duration| view.time(path).is_some_and(|time| time > limit);

    warn(
        &["deadline.attempt", "deadline.total"],
        exceeds("deadline.attempt", total.saturating_mul(2)),
        "`deadline.attempt` is more than twice `deadline.total`",
        "an attempt that was started in time may keep its caller that long",
    );
    warn(
        &["pace.max_wait", "deadline.total"],
        exceeds("pace.max_wait", total),
        "`pace.max_wait` is above `deadline.total`",
        "the deadline ends the wait first",
    );
    // With full jitter the least wait is nothing, so a ceiling at twice the deadline is where most retries are lost.
    let ceiling = view.time("retry.backoff.max").unwrap_or(Duration::MAX);
    for path in ["retry.backoff.base", "retry.backoff.throttle_base"] {
        let first = view.time(path).map(|base| base.min(ceiling));
        warn(
            &[path, "retry.backoff.max", "deadline.total"],
            first.is_some_and(|first| first >= total.saturating_mul(2)),
            &format!("`{path}` is twice `deadline.total` or more"),
            "half of all first retries would wait past the deadline, and are not made",
        );
    }
}

fn budget(view: View<'_>, warnings: &mut Vec<Fault>) {
    let income = ["budget.ratio", "budget.min_per_second"];
    let earns_nothing = income.iter().all(|path| view.milli(path) == Some(0));
    if earns_nothing && view.sets_any(&income) {
        warnings.push(Fault::new(
            view.place(&income),
            "the budget earns nothing: `budget.ratio` and `budget.min_per_second` are 0",
            "once `budget.capacity` is spent on retries that fail, nothing is retried until a restart",
        ));
    }
}

/// Routes that an earlier one leaves nothing to.
fn covered(layers: &Layers, warnings: &mut Vec<Fault>) {
    for (index, route) in layers.routes.iter().enumerate() {
        let earlier = layers.routes[..index]
            .iter()
            .find(|earlier| covers(earlier, route));
        let Some(earlier) = earlier else { continue };
        let view = View::rule(route);
        let text = |layer: &Layer, path| View::rule(layer).text(path).unwrap_or_default();
        let gets = if LOOSENING.iter().any(|path| earlier.slot(path).is_some()) {
            "gets at most requests whose path holds `..`, `//` or an encoded step"
        } else {
            "gets no requests"
        };
        warnings.push(Fault::new(
            view.place(&["path"]),
            format!(
                "route `{}` {gets}: `{}` stands before it and matches what it matches",
                text(route, "name"),
                text(earlier, "name")
            ),
            "put the narrower route first",
        ));
    }
}

fn covers(earlier: &Layer, later: &Layer) -> bool {
    let (earlier, later) = (View::rule(earlier), View::rule(later));
    let (Some(wide), Some(narrow)) = (earlier.text("path"), later.text("path")) else {
        return false;
    };
    let paths = match wide.strip_suffix('*') {
        Some(prefix) => narrow.starts_with(prefix),
        None => wide == narrow,
    };
    let methods = match (earlier.methods("methods"), later.methods("methods")) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => narrow.iter().all(|method| wide.contains(method)),
    };
    paths && methods
}

/// A route that sets one of these may loosen safety, and then does not match paths that two servers may read differently.
const LOOSENING: [&str; 4] = [
    "retry.unsafe_methods",
    "retry.proof",
    "retry.integration",
    "retry.idempotency_key",
];
