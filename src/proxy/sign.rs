//! What redrive says to the API in a client's name (`[sign]`): an API key, or a signature, for clients that cannot.
//!
//! It is said to the host of `upstream` and to nobody else: a route that leads to another host gets nothing of it. And it is
//! said only where the client says nothing itself: one that sends a key of its own, or has signed its request, means that one.
//!
//! A signature covers the whole body, so that is read to its end before the first attempt, and every attempt is signed anew:
//! a signature has a date. Whatever cannot be signed is not sent. Without the feature `sigv4` nobody signs
//! (`sign/absent.rs`).

#[cfg(not(feature = "sigv4"))]
mod absent;
#[cfg(feature = "sigv4")]
mod aws;
mod key;
pub mod own;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};

#[cfg(not(feature = "sigv4"))]
pub use self::absent::Payload;
#[cfg(not(feature = "sigv4"))]
use self::absent::Signatory;
#[cfg(feature = "sigv4")]
pub use self::aws::Payload;
#[cfg(feature = "sigv4")]
use self::aws::Signatory;
use self::key::Followed;
use crate::tls::Reloaded;

pub use self::key::{KeyError, Unfit, api_key};

/// What redrive says in a client's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// The API key, if there is one.
    pub api_key: Option<ApiKey>,
    /// The AWS region to sign for; `None`: nothing is signed.
    pub region: Option<String>,
    /// The AWS service to sign for.
    pub service: String,
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
    signatory: Option<Signatory>,
}

/// A request was not signed, and must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsigned;

enum Source {
    Given(HeaderValue),
    File(Followed),
}

impl Params {
    /// Looks whether the API key's file holds one, and keeps nothing of it.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no key.
    pub fn check(&self) -> Result<(), KeyError> {
        match &self.api_key {
            Some(ApiKey::File(path)) => key::read(path).map(drop),
            _ => Ok(()),
        }
    }
}

impl Signer {
    /// Reads the file that the key is in, if it is in one, and blocks for as long as that takes; begins to look for credentials, if
    /// any are needed.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no key.
    pub fn new(params: &Params) -> Result<Arc<Self>, KeyError> {
        let api_key = match &params.api_key {
            None => None,
            Some(ApiKey::Given(key)) => Some(Source::Given(key.clone())),
            Some(ApiKey::File(path)) => Some(Source::File(Followed::read(path)?)),
        };
        let region = params.region.as_deref();
        let signatory = region.and_then(|region| Signatory::new(region, &params.service));
        Ok(Arc::new(Self {
            params: params.clone(),
            api_key,
            signatory,
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

    /// What of a request's body goes into its signatures; `None` where nothing is signed.
    pub fn payload(&self, body: &[Bytes]) -> Option<Payload> {
        let signatory = self.signatory.as_ref()?;
        Some(signatory.payload(body))
    }

    /// Whether requests are signed.
    pub fn signs(&self) -> bool {
        self.signatory.is_some()
    }

    /// Signs a request that is about to be sent, as of now; waits until `by`, at most, for the first credentials.
    ///
    /// # Errors
    /// When there are no credentials, or the request cannot be signed.
    pub async fn sign(
        &self,
        request: &mut Request<()>,
        payload: &Payload,
        by: Instant,
    ) -> Result<(), Unsigned> {
        match &self.signatory {
            Some(signatory) => signatory.sign(request, payload, by).await,
            None => Ok(()),
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
        let params = Params {
            api_key,
            ..Params::default()
        };
        Signer::new(&params).unwrap()
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
