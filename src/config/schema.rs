//! The JSON schema of the file (draft 2020-12), made from the table of keys.

use serde_json::{Map, Value as Json, json};

use super::keys::{ARRAY_ITEMS_MAX, ARRAYS, Key, Scope};
use super::kind::Kind;
use super::value::Value;

/// The schema of a whole configuration file.
pub fn schema() -> Json {
    let mut root = table(Scope::Top, "");
    for (name, scope) in ARRAYS {
        let about = match scope {
            Scope::Classify => {
                "The operator's own classification: the first that matches, before the table."
            }
            Scope::Route | Scope::Top => {
                "Named rules that choose upstream and policy: the first that matches, in file order."
            }
        };
        root["properties"][name] = json!({
            "description": about,
            "type": "array",
            "maxItems": ARRAY_ITEMS_MAX,
            "items": item(scope),
        });
    }
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("redrive");
    root["description"] = json!(
        "Configuration of redrive. `upstream` must be set here, in REDRIVE_UPSTREAM or with --upstream."
    );
    root
}

/// The schema of one route or one rule.
fn item(scope: Scope) -> Json {
    let mut item = table(scope, "");
    match scope {
        Scope::Route => item["required"] = json!(["name", "path"]),
        Scope::Classify => {
            item["required"] = json!(["class"]);
            item["anyOf"] = json!([
                { "required": ["status"] },
                { "required": ["body_contains"] },
                { "required": ["header"] },
            ]);
            item["properties"]["header"]["required"] = json!(["name", "value"]);
        }
        Scope::Top => {}
    }
    item
}

/// The schema of the table at this path.
fn table(scope: Scope, section: &str) -> Json {
    let mut properties = Map::new();
    for name in scope.names_in(section) {
        let path = if section.is_empty() {
            name.to_owned()
        } else {
            format!("{section}.{name}")
        };
        let property = match scope.key(&path) {
            // No value is valid for what a file may not hold.
            Some(key) if key.is_secret => json!({
                "description": format!("{} Set {} instead.", key.about, key.variable()),
                "not": {},
            }),
            Some(key) => match key.missing {
                None => leaf(scope, key),
                Some(feature) => json!({
                    "description": format!("{} Needs a build with the feature {feature}.", key.about),
                    "not": {},
                }),
            },
            None if scope.is_section(&path) => table(scope, &path),
            None => continue,
        };
        properties.insert(name.to_owned(), property);
    }
    let mut table = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if section == "pace.limit" {
        table["dependentRequired"] = json!({ "per_second": ["burst"], "burst": ["per_second"] });
    }
    if section == "tls.upstream" {
        table["dependentRequired"] =
            json!({ "client_cert": ["client_key"], "client_key": ["client_cert"] });
    }
    if section == "tls.listen" {
        table["dependentRequired"] =
            json!({ "cert": ["key"], "key": ["cert"], "client_ca": ["cert", "key"] });
    }
    table
}

fn leaf(scope: Scope, key: &Key) -> Json {
    let mut leaf = form(key.kind);
    leaf["description"] = json!(key.about);
    // A route's keys have no default of their own: they inherit.
    let default = key
        .default
        .filter(|_| scope != Scope::Route)
        .and_then(|text| key.kind.read_bare(text).ok());
    if let Some(default) = default {
        leaf["default"] = plain(&default);
    }
    leaf
}

fn form(kind: Kind) -> Json {
    match kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Words(words) => json!({
            "type": "array",
            "uniqueItems": true,
            "items": { "type": "string", "enum": words },
        }),
        Kind::Time { .. } => json!({
            "type": "string",
            "pattern": "^\\s*[0-9].*[a-zA-Z]\\s*$",
            "examples": ["250ms", "30s", "5m"],
        }),
        Kind::Size { .. } => json!({
            "type": "string",
            "pattern": "^[0-9]+(B|KiB|MiB|GiB)$",
            "examples": ["32KiB", "10MiB"],
        }),
        Kind::Count { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Tokens { zero: true } => json!({ "type": "number", "minimum": 0 }),
        Kind::Tokens { zero: false } => json!({ "type": "number", "exclusiveMinimum": 0 }),
        Kind::Methods => json!({
            "type": "array",
            "minItems": 1,
            "items": { "type": "string", "minLength": 1 },
        }),
        Kind::Url => json!({ "type": "string", "pattern": "^https?://[^@?#]+$" }),
        Kind::Pattern => json!({ "type": "string", "pattern": "^/[^*?#\\s]*\\*?$" }),
        Kind::Name => json!({
            "type": "string",
            "pattern": "^[A-Za-z0-9_.-]{1,64}$",
            "not": { "const": super::DEFAULT_ROUTE },
        }),
        Kind::Header => json!({ "type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" }),
        Kind::Address | Kind::Text | Kind::Secret => json!({ "type": "string", "minLength": 1 }),
    }
}

/// A value as it stands in a file, in JSON.
fn plain(value: &Value) -> Json {
    match value {
        Value::Bool(value) => json!(value),
        Value::Word(word) => json!(word),
        Value::Words(words) => json!(words),
        Value::Count(count) => json!(count),
        Value::Milli(milli) if milli % super::quantity::MILLI == 0 => {
            json!(milli / super::quantity::MILLI)
        }
        other => {
            let text = other.to_string();
            // A string is spelt with quotes and a number without: both are JSON as they are.
            serde_json::from_str(&text).unwrap_or(Json::String(text))
        }
    }
}
