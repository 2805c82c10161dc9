//! What holds, and who said so: the lines of `check --print`, and what the admin's `/config` shows.
//!
//! Whoever asks `check` can read the file; whoever asks the admin listener may be somebody else, and is shown no secrets.

use super::keys::{Key, Scope};
use super::layer::{Layer, Layers, View};
use crate::admin::Setting;

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

/// The same without secrets.
pub(super) fn settings(layers: &Layers) -> Vec<Setting> {
    let values = values(layers).into_iter();
    values.map(covered).collect()
}

/// No key of this version takes a secret itself: each names the file that holds it, and a URL takes no password. One that will take
/// a secret is covered by its name, so that nobody has to think of it.
fn covered(line: Effective) -> Setting {
    let Effective {
        key, value, origin, ..
    } = line;
    let name = key.rsplit('.').next().unwrap_or(&key);
    Setting {
        value: if SECRET_NAMES.contains(&name) {
            COVER.to_owned()
        } else {
            value
        },
        key,
        origin,
    }
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

/// The names, without their tables, of keys that take a secret.
const SECRET_NAMES: [&str; 7] = [
    "api_key",
    "client_secret",
    "credentials",
    "headers",
    "password",
    "secret",
    "token",
];

/// What stands in a secret's place; a secret's length is nobody's business either.
const COVER: &str = "\"[redacted]\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_like_a_secret_is_covered_and_nothing_else() {
        let shown = |key: &str| {
            let line = Effective {
                key: key.to_owned(),
                value: "\"hunter2\"".to_owned(),
                origin: "env X".to_owned(),
                needs_restart: false,
            };
            covered(line).value
        };

        for key in ["sign.api_key", "otlp.headers", "route.a.client_secret"] {
            assert_eq!(shown(key), COVER, "{key}");
        }
        let keys = [Scope::Top, Scope::Route, Scope::Classify];
        for key in keys.into_iter().flat_map(Scope::keys) {
            assert_ne!(shown(key.path), COVER, "{}", key.path);
        }
    }
}
