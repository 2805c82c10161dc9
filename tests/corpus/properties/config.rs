//! Any text as a configuration: parameters or faults, each of which can be shown, and the same every time.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use redrive::config::{Config, Flags, Sources};

/// Bytes that are no text are no configuration.
pub fn holds(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let no_file = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
    // One half is a file, the other a variable: both are strangers' text.
    let (file, variable) = text.split_once('\0').unwrap_or((text, "5"));
    let sources = || Sources {
        flags: Flags {
            upstream: Some("http://upstream.example/prod".to_owned()),
            ..Flags::default()
        },
        env: BTreeMap::from([
            ("REDRIVE_CONFIG_TOML".to_owned(), file.to_owned()),
            (
                "REDRIVE_RETRY__MAX_ATTEMPTS__OTHER".to_owned(),
                variable.to_owned(),
            ),
        ]),
        read: &no_file,
    };

    let shown = match Config::load(&sources()) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                assert!(!warning.to_string().is_empty());
            }
            let again = Config::load(&sources()).expect("it was valid a moment ago");
            assert_eq!(loaded.effective, again.effective);
            assert!(
                !loaded.config.proxy.routes.is_empty(),
                "the default route is always there"
            );
            return;
        }
        Err(error) => error.to_string(),
    };
    assert!(!shown.is_empty(), "a fault says what is wrong");
    assert!(Config::load(&sources()).is_err_and(|error| error.to_string() == shown));
}
