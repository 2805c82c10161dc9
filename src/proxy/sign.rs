//! What redrive says to the API in a client's name (`[sign]`): an API key, for clients that cannot send one.
//!
//! It is said to the host of `upstream` and to nobody else: a route that leads to another host gets nothing of it. And it is
//! said only where the client says nothing itself: one that sends a key of its own, or has signed its request, means that one.

mod key;

use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use self::key::Followed;
use crate::tls::Reloaded;

pub use self::key::{KeyError, Unfit, api_key};

/// What redrive says in a client's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// The API key, if there is one.
    pub api_key: Option<ApiKey>,
}

/// Where the API key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiKey {
    /// It was given (`REDRIVE_SIGN__API_KEY`); the value is marked as sensitive, so that no `Debug` shows it.
    Given(HeaderValue),
    /// A file holds it (`sign.api_key_file`), and is read again when it changes.
    File(PathBuf),
}

/// What says it.
pub struct Signer {
    params: Params,
    api_key: Option<Source>,
}

enum Source {
    Given(HeaderValue),
    File(Followed),
}

impl Signer {
    /// Reads the file that the key is in, if it is in one; blocks for as long as that takes.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no key.
    pub fn new(params: &Params) -> Result<Arc<Self>, KeyError> {
        let api_key = match &params.api_key {
            None => None,
            Some(ApiKey::Given(key)) => Some(Source::Given(key.clone())),
            Some(ApiKey::File(path)) => Some(Source::File(Followed::read(path)?)),
        };
        Ok(Arc::new(Self {
            params: params.clone(),
            api_key,
        }))
    }

    /// By other parameters: the same one where they are the same, so that what cannot be read again is told once.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn follow(self: &Arc<Self>, params: &Params) -> Result<Arc<Self>, KeyError> {
        if *params == self.params {
            Ok(Arc::clone(self))
        } else {
            Self::new(params)
        }
    }

    /// Reads the key's file again; blocks for as long as that takes.
    pub fn reload(&self) -> Reloaded {
        match &self.api_key {
            Some(Source::File(file)) => file.reload(),
            _ => Reloaded::Same,
        }
    }

    /// Adds the API key to the head that goes up, unless the client sent one. An empty one is none: no plan has it.
    pub fn add_api_key(&self, headers: &mut HeaderMap) {
        let key = match &self.api_key {
            None => return,
            Some(Source::Given(key)) => key.clone(),
            Some(Source::File(file)) => file.key(),
        };
        let own = headers.get_all(X_API_KEY).iter();
        let has_own = own
            .into_iter()
            .any(|own| !own.as_bytes().trim_ascii().is_empty());
        if !has_own {
            headers.insert(X_API_KEY, key);
        }
    }
}

/// What an API key is sent in (API Gateway: "API key source" HEADER).
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Arc<Signer> {
        let key = api_key(b"ours").unwrap();
        let api_key = Some(ApiKey::Given(key));
        Signer::new(&Params { api_key }).unwrap()
    }

    #[track_caller]
    fn check(own: &[&'static str], sent: &[&str]) {
        let mut headers = HeaderMap::new();
        for value in own {
            headers.append(X_API_KEY, HeaderValue::from_static(value));
        }

        signer().add_api_key(&mut headers);

        let keys: Vec<_> = headers.get_all(X_API_KEY).iter().collect();
        assert_eq!(keys, sent, "{own:?}");
    }

    #[test]
    fn a_key_is_added_where_the_client_sent_none_and_its_own_is_kept() {
        check(&[], &["ours"]);
        check(&["theirs"], &["theirs"]);
        check(&["", "theirs"], &["", "theirs"]);
        check(&[""], &["ours"]);
        check(&["", " "], &["ours"]);
    }

    #[test]
    fn nothing_that_is_printed_holds_the_key() {
        let signer = signer();
        let mut headers = HeaderMap::new();
        signer.add_api_key(&mut headers);

        let printed = format!("{:?} {headers:?}", signer.params);

        assert!(!printed.contains("ours"), "{printed}");
    }
}
