//! The files in `config/`, and the schema: what is shipped holds what is true.

use std::path::Path;

use serde_json::Value as Json;
use toml::de::DeTable;

use super::super::keys::{ARRAYS, Key, Scope};
use super::super::{Config, Sources, read_file, schema};
use super::{effective, load, with_file};

fn read_sample(name: &str) -> String {
    read_file(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("config")
            .join(name),
    )
    .unwrap()
}

#[test]
fn every_sample_is_valid_and_without_contradictions() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();

        let loaded = Config::load(&Sources {
            flags: super::Flags {
                config: Some(path.clone()),
                ..super::Flags::default()
            },
            env: std::collections::BTreeMap::new(),
            read: &read_file,
        })
        .unwrap_or_else(|error| panic!("{error}"));

        assert_eq!(loaded.warnings, [], "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 6, "the samples are there");
}

#[test]
fn the_reference_file_sets_every_key_with_a_default_to_exactly_that() {
    let loaded = load(&read_sample("redrive.toml"), &[], with_file()).unwrap();

    let mut walked = 0;
    for key in Scope::Top
        .keys()
        .filter(|key| key.missing.is_none() && key.default.is_some())
    {
        let default = key.kind.read_bare(key.default.unwrap()).unwrap();
        let (value, origin) = effective(&loaded, key.path);
        assert_eq!(value, default.to_string(), "`{}`", key.path);
        assert!(
            origin.starts_with("redrive.toml:"),
            "`{}` is not in the reference file",
            key.path
        );
        walked += 1;
    }
    assert!(walked > 50, "the table of keys was walked");
}

#[test]
fn the_reference_file_names_every_other_key_in_a_comment() {
    // Commented keys have no blank behind the `#`; prose has.
    let text: String = read_sample("redrive.toml")
        .lines()
        .map(|line| {
            let key = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
            format!("{}\n", key.unwrap_or(line))
        })
        .collect();
    let table = DeTable::parse(&text).unwrap_or_else(|error| panic!("{error}"));

    let has = |table: &DeTable<'_>, path: &str| {
        let mut parts = path.split('.');
        let first = table.get(parts.next().unwrap());
        parts
            .try_fold(first?, |value, part| value.get_ref().as_table()?.get(part))
            .map(|_| ())
    };
    for key in Scope::Top.keys().filter(|key| !key.is_secret) {
        assert!(has(table.get_ref(), key.path).is_some(), "`{}`", key.path);
    }
    for (name, scope) in ARRAYS {
        let list = table.get_ref().get(name).unwrap().get_ref();
        let first = list.as_array().unwrap()[0].get_ref();
        let own = scope.keys().filter(|key| !key.in_routes);
        for key in own {
            assert!(
                has(first.as_table().unwrap(), key.path).is_some(),
                "`{name}.{}`",
                key.path
            );
        }
    }
}

#[test]
fn every_key_says_what_it_means_in_a_sentence() {
    for scope in [Scope::Top, Scope::Route, Scope::Classify] {
        for key in scope.keys() {
            assert!(key.about.ends_with('.'), "`{}`: {}", key.path, key.about);
        }
    }
}

#[test]
fn the_schema_knows_every_key_and_no_other() {
    let schema = schema();
    let mut described = Vec::new();
    collect("", &schema, &mut described);
    let mut known: Vec<String> = Scope::Top.keys().map(|key| key.path.to_owned()).collect();
    for (name, scope) in ARRAYS {
        known.extend(scope.keys().map(|key: &Key| format!("{name}.{}", key.path)));
    }
    described.sort();
    known.sort();

    assert_eq!(described, known);
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert_eq!(
        schema["properties"]["retry"]["properties"]["proof"]["enum"],
        serde_json::json!(["usual", "strict"])
    );
    assert_eq!(
        schema["properties"]["budget"]["properties"]["ratio"]["default"],
        serde_json::json!(0.2)
    );
    assert_eq!(
        schema["properties"]["deadline"]["properties"]["total"]["default"],
        "30s"
    );
}

/// Collects the paths of all leaves, and holds every table to be closed and every leaf to be described.
fn collect(path: &str, node: &Json, leaves: &mut Vec<String>) {
    let node = if node["type"] == "array" && node["items"]["type"] == "object" {
        &node["items"]
    } else {
        node
    };
    let Some(properties) = node["properties"].as_object() else {
        assert!(node["description"].is_string(), "`{path}` is not described");
        leaves.push(path.to_owned());
        return;
    };
    assert_eq!(node["additionalProperties"], false, "`{path}` is open");
    for (name, child) in properties {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        collect(&path, child, leaves);
    }
}
