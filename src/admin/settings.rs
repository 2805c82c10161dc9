//! What the configuration says, as `/config` tells it: every key that holds a value, and who set it.
//!
//! Knows no keys and no secrets: whoever reads the configuration covers what must not be shown, and says what holds now.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde::Serialize;

/// One key that holds a value, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The key's path; keys of a route or rule begin with `route.NAME.` or `classify.N.`.
    pub key: String,
    /// The value, as TOML.
    pub value: String,
    /// `default`, a file's line, a variable or a flag.
    pub origin: String,
}

/// The settings in use. Every clone shows the same ones.
#[derive(Clone, Debug)]
pub struct Settings(Arc<ArcSwap<Vec<Setting>>>);

impl Settings {
    /// These are in use.
    pub fn new(settings: Vec<Setting>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(settings)))
    }

    /// From now on these are.
    pub fn replace(&self, settings: Vec<Setting>) {
        self.0.store(Arc::new(settings));
    }

    /// All of them, as JSON.
    pub(super) fn page(&self) -> Bytes {
        let settings = self.0.load();
        let page = serde_json::to_vec(&**settings).expect("a setting is text");
        Bytes::from(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(value: &str) -> Vec<Setting> {
        vec![Setting {
            key: "bypass".to_owned(),
            value: value.to_owned(),
            origin: "default".to_owned(),
        }]
    }

    #[test]
    fn what_is_shown_is_what_is_in_use_now() {
        let settings = Settings::new(setting("false"));
        let shown = settings.clone();

        settings.replace(setting("true"));

        let page = shown.page();
        assert_eq!(
            page,
            r#"[{"key":"bypass","value":"true","origin":"default"}]"#
        );
    }
}
