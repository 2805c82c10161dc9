//! Where requests go: a URL of which only scheme, host, port and path can have a meaning.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};

use super::kind::Kind;
use super::parse::Misfit;

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// `http` or `https`.
    pub(crate) scheme: Scheme,
    /// Host and port.
    pub(crate) authority: Authority,
    /// Empty, or starting with a slash and not ending in one.
    pub(crate) base_path: String,
}

impl fmt::Display for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}://{}{}",
            self.scheme, self.authority, self.base_path
        )
    }
}

/// Understands a URL, and names what cannot be part of it.
pub(super) fn url(text: &str) -> Result<Url, Misfit> {
    if !text.contains("://") {
        let proposal = format!("https://{text}");
        let is_likely = text.contains('.') && url(&proposal).is_ok();
        return Err(Kind::Url.meaning(is_likely.then(|| format!("{proposal:?}"))));
    }
    let uri = Uri::from_str(text).map_err(|_| Kind::Url.misfit())?;
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return Err(Kind::Url.misfit());
    };
    if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
        return Err(Misfit::new("a URL that starts with http:// or https://"));
    }
    if authority.as_str().contains('@') {
        return Err(Misfit::new("a URL without user and password"));
    }
    if uri.query().is_some() || text.contains('#') {
        return Err(Misfit::new(
            "a URL without query and fragment: only its path is put before the request's",
        ));
    }
    if authority.host().is_empty() || !has_valid_port(authority) {
        return Err(Kind::Url.misfit());
    }
    Ok(Url {
        scheme: scheme.clone(),
        authority: authority.clone(),
        base_path: uri.path().trim_end_matches('/').to_owned(),
    })
}

fn has_valid_port(authority: &Authority) -> bool {
    match authority.as_str().strip_prefix(authority.host()) {
        Some("") => true,
        Some(_) => authority.port_u16().is_some_and(|port| port > 0),
        None => false,
    }
}
