//! Warnings: a configuration that is valid and contradicts itself.
//!
//! Silent on the defaults, and on anything that is only unusual. Expects a configuration without faults.

use std::time::Duration;

use super::fault::Fault;
use super::layer::{Layer, Layers, View};
use super::value::Value;
use crate::proxy::route::is_ambiguous;
use crate::retry::backoff::Backoff;
use crate::retry::classify::Class;

/// Everything odd in what was configured.
pub(super) fn warnings(layers: &Layers) -> Vec<Fault> {
    let mut warnings = Vec::new();
    let top = View::top(layers);
    switches(top, &mut warnings);
    let routes = layers.routes.iter();
    let views = routes.map(|route| View::route(layers, route));
    for view in [top].into_iter().chain(views) {
        times(view, &mut warnings);
        attempts(view, &mut warnings);
        budget(view, &mut warnings);
    }
    unreachable(layers, &mut warnings);
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

    // Somewhat above is usual: an attempt that was started in time is worth waiting for.
    warn(
        &["deadline.attempt", "deadline.total"],
        exceeds("deadline.attempt", total.saturating_mul(2)),
        "`deadline.attempt` is more than twice `deadline.total`",
        "an attempt that was started in time may keep its caller that long: set it to less",
    );
    warn(
        &["pace.max_wait", "deadline.total"],
        exceeds("pace.max_wait", total),
        "`pace.max_wait` is above `deadline.total`",
        "the deadline ends the wait first: set it to less, or the deadline to more",
    );
    // With full jitter the least wait is nothing, so a ceiling at twice the deadline is where most retries are lost.
    let ceiling = view.time("retry.backoff.max").unwrap_or(Duration::MAX);
    for path in ["retry.backoff.base", "retry.backoff.throttle_base"] {
        let first = view.time(path).map(|base| base.min(ceiling));
        warn(
            &[path, "retry.backoff.max", "deadline.total"],
            first.is_some_and(|first| first >= total.saturating_mul(2)),
            &format!("`{path}` is twice `deadline.total` or more"),
            "half of all first retries would wait past the deadline, and are not made: set it to a fraction of the deadline",
        );
    }
}

/// Attempts that there is no time for.
///
/// Every wait is drawn from zero up to its ceiling, so that no sum of waits is certain; what is compared is their mean. After
/// throttles the backoff counts only where the pace is off: in the learned window they wait for their turn.
fn attempts(view: View<'_>, warnings: &mut Vec<Fault>) {
    let (Some(total), Some(max)) = (view.time("deadline.total"), view.time("retry.backoff.max"))
    else {
        return;
    };
    let is_paced = view.word("pace.mode") == Some("adaptive");
    for (class, base) in [
        ("throttled", "throttle_base"),
        ("suspected", "throttle_base"),
        ("other", "base"),
    ] {
        let (limit, first) = (
            format!("retry.max_attempts.{class}"),
            format!("retry.backoff.{base}"),
        );
        let paths = [&limit, "retry.backoff.max", &first, "deadline.total"];
        let (Some(wanted), Some(base)) = (view.count(&limit), view.time(&first)) else {
            continue;
        };
        // What nobody wrote contradicts nothing.
        if is_paced && class != "other" || !view.sets_any(&paths) || view.place(&paths).is_none() {
            continue;
        }
        let backoff = Backoff {
            throttle_base: base,
            base,
            max,
        };
        let fitting = attempts_within(total, wanted, backoff);
        // One that waits past the deadline before its first retry is told so by its base.
        if (2..wanted).contains(&fitting) && base < total.saturating_mul(2) {
            warnings.push(Fault::new(
                view.place(&paths),
                format!(
                    "`{limit}` = {wanted} is more than `deadline.total` ({}) has time for",
                    Value::Time(total)
                ),
                format!(
                    "by then the waits of {fitting} attempts are over, on average: set {fitting}, or less `retry.backoff`"
                ),
            ));
        }
    }
}

/// How many of the wanted attempts come within `total` when every wait is the mean of its kind.
fn attempts_within(total: Duration, wanted: u32, backoff: Backoff) -> u32 {
    let mut left = total;
    for retry in 1..wanted {
        let wait = backoff.ceiling(Class::Broken, retry) / 2;
        match left.checked_sub(wait) {
            Some(rest) => left = rest,
            None => return retry,
        }
    }
    wanted
}

fn budget(view: View<'_>, warnings: &mut Vec<Fault>) {
    let income = ["budget.ratio", "budget.min_per_second"];
    let earns_nothing = income.iter().all(|path| view.milli(path) == Some(0));
    if earns_nothing && view.sets_any(&income) {
        warnings.push(Fault::new(
            view.place(&income),
            "the budget earns nothing: `budget.ratio` and `budget.min_per_second` are 0",
            "once `budget.capacity` is spent on retries that fail, nothing is retried until a restart: set one of them",
        ));
    }
}

/// Routes that an earlier one leaves nothing to, or that their own path keeps requests from.
fn unreachable(layers: &Layers, warnings: &mut Vec<Fault>) {
    for (index, route) in layers.routes.iter().enumerate() {
        if let Some(path) = View::rule(route).text("path").filter(|_| loosens(route))
            && is_ambiguous(&path)
        {
            warnings.push(Fault::new(
                View::rule(route).place(&["path"]),
                format!(
                    "route `{}` gets no requests: two servers may read its path differently",
                    View::rule(route).text("name").unwrap_or_default()
                ),
                "such a path never matches a route that loosens safety: leave out what loosens it, or the path",
            ));
            continue;
        }
        let earlier = layers.routes[..index]
            .iter()
            .find(|earlier| covers(earlier, route));
        let Some(earlier) = earlier else { continue };
        let view = View::rule(route);
        let text = |layer: &Layer, path| View::rule(layer).text(path).unwrap_or_default();
        let gets = if loosens(earlier) {
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
            "put it before that one, or leave it out",
        ));
    }
}

fn loosens(route: &Layer) -> bool {
    LOOSENING.iter().any(|path| route.slot(path).is_some())
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
