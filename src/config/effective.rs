//! What holds, and who said so: the lines of `check --print`.

use super::keys::{Key, Scope};
use super::layer::{Layer, Layers, View};

/// One key, its value and its origin, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The key's path; keys of a route or rule begin with `route.NAME.` or `classify.N.`.
    pub key: String,
    /// The value, as TOML.
    pub value: String,
    /// `default`, a file's line, a variable or a flag.
    pub origin: String,
    /// Whether a change of it is in use after a restart only.
    pub needs_restart: bool,
}

/// Every key that holds a value, in the order of the documentation; then what routes and rules set themselves.
pub(super) fn values(layers: &Layers) -> Vec<Effective> {
    let top = View::top(layers);
    let mut lines: Vec<Effective> = Scope::Top
        .keys()
        .filter(|key| key.supported)
        .filter_map(|key| match key.path {
            "pace.max_in_flight" => line(top, key, "").or_else(|| in_flight(top, key)),
            _ => line(top, key, ""),
        })
        .collect();
    for (index, rule) in layers.rules.iter().enumerate() {
        lines.extend(own_lines(
            rule,
            Scope::Classify,
            &format!("classify.{}.", index + 1),
        ));
    }
    for route in &layers.routes {
        let name = View::rule(route).text("name").unwrap_or_default();
        lines.extend(own_lines(route, Scope::Route, &format!("route.{name}.")));
    }
    lines
}

fn own_lines(layer: &Layer, scope: Scope, prefix: &str) -> Vec<Effective> {
    let view = View::rule(layer);
    scope
        .keys()
        .filter_map(|key| line(view, key, prefix))
        .collect()
}

fn line(view: View<'_>, key: &Key, prefix: &str) -> Option<Effective> {
    let slot = view.slot(key.path)?;
    Some(Effective {
        key: format!("{prefix}{}", key.path),
        value: slot.value.as_ref()?.to_string(),
        origin: slot.origin.to_string(),
        needs_restart: key.needs_restart,
    })
}

/// The one default that is another key's value.
fn in_flight(top: View<'_>, key: &Key) -> Option<Effective> {
    Some(Effective {
        key: key.path.to_owned(),
        value: top.get("connections.max")?.to_string(),
        origin: "default (connections.max)".to_owned(),
        needs_restart: key.needs_restart,
    })
}
