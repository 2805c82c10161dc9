//! Configurations from maps and strings: nothing here touches the process's environment.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::{Config, Error, Flags, Loaded, Sources};

mod amounts;
mod environment;
mod faults;
mod keys;
mod order;
mod routes;
mod samples;
mod warnings;

/// An upstream, for tests that are about something else.
const UPSTREAM: &str = "https://api.example/prod";

/// Loads a file under the name `redrive.toml`, an environment and flags.
fn load(file: &str, env: &[(&str, &str)], flags: Flags) -> Result<Loaded, Error> {
    let read = |path: &Path| {
        if path == Path::new("redrive.toml") {
            Ok(file.to_owned())
        } else {
            Err(io::Error::from(io::ErrorKind::NotFound))
        }
    };
    Config::load(&Sources {
        flags,
        env: env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        read: &read,
    })
}

/// Flags that name the file.
fn with_file() -> Flags {
    Flags {
        config: Some("redrive.toml".into()),
        ..Flags::default()
    }
}

/// Loads a file that has no faults; an upstream is put before it.
#[track_caller]
fn file(text: &str) -> Loaded {
    let text = format!("upstream = \"{UPSTREAM}\"\n{text}");
    load(&text, &[], with_file()).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// What holds for a key, and who said so.
#[track_caller]
fn effective(loaded: &Loaded, key: &str) -> (String, String) {
    let line = loaded.effective.iter().find(|line| line.key == key);
    let line = line.unwrap_or_else(|| panic!("`{key}` holds nothing"));
    (line.value.clone(), line.origin.clone())
}
