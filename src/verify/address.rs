//! Where an API or one of its cases is: a URL without user, query and fragment.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};

/// An absolute URL of which scheme, host, port and path have a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `http` or `https`.
    pub(super) scheme: Scheme,
    /// Host and port.
    pub(super) authority: Authority,
    /// Begins with a slash, and is one where nothing was given.
    pub(super) path: String,
}

/// A text that is no such URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a URL such as https://abc123.execute-api.eu-west-1.amazonaws.com/verify")]
pub struct NoAddress;

impl Address {
    /// The place of a path below this one. Whether it ends in a slash makes no difference.
    pub(super) fn below(&self, path: &str) -> Self {
        Self {
            path: format!("{}{path}", self.path.trim_end_matches('/')),
            ..self.clone()
        }
    }
}

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let uri = Uri::from_str(text).map_err(|_| NoAddress)?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(NoAddress);
        };
        let is_http = *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
        let is_bare = !authority.as_str().contains('@') && uri.query().is_none();
        if !is_http || !is_bare || authority.host().is_empty() || text.contains('#') {
            return Err(NoAddress);
        }
        Ok(Self {
            scheme: scheme.clone(),
            authority: authority.clone(),
            path: uri.path().to_owned(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}{}", self.scheme, self.authority, self.path)
    }
}
