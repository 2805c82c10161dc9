//! The names that a target may carry: our own, and the upstreams'.
//!
//! A client with redrive as its `http_proxy` names the authority in the target (RFC 9112 section 3.2.2). That works where
//! the authority is where its request goes anyway. For any other, redrive would answer with somebody else's resource, so
//! the request is refused; it is an open proxy for nobody.

use http::uri::{Authority, Scheme};
use http::{Request, Uri, Version};

use super::error::Error;
use super::upstream;

/// The names that a target may carry.
#[derive(Clone, Debug)]
pub struct Names {
    /// Where redrive listens. Under which names clients know it is theirs to say; the port tells.
    own_port: u16,
    upstreams: Vec<Site>,
}

/// An upstream by its name.
#[derive(Clone, Debug)]
struct Site {
    host: String,
    port: u16,
    base_path: String,
}

impl Names {
    /// Our own port, and every upstream.
    pub fn new<'a>(
        own_port: u16,
        upstreams: impl IntoIterator<Item = &'a upstream::Params>,
    ) -> Self {
        let sites = upstreams.into_iter().map(|upstream| Site {
            host: upstream.authority.host().to_owned(),
            port: upstream
                .authority
                .port_u16()
                .unwrap_or_else(|| default_port(&upstream.scheme)),
            base_path: upstream.base_path.clone(),
        });
        Self {
            own_port,
            upstreams: sites.collect(),
        }
    }

    /// Makes a target that names an upstream one below the upstream's base path, like every other, so that routes match
    /// and the base path is not put before itself.
    ///
    /// # Errors
    /// When the target names neither redrive nor what an upstream is configured to serve.
    pub fn localise<B>(&self, request: &mut Request<B>) -> Result<(), Error> {
        // Over HTTP/2 every target has an authority, and means what Host means here.
        if request.version() == Version::HTTP_2 {
            return Ok(());
        }
        let uri = request.uri();
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Ok(());
        };
        if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
            return Err(Error::Malformed("the target's scheme is not http"));
        }
        if authority.as_str().contains('@') {
            return Err(Error::Malformed("the target names a user"));
        }
        let port = authority.port_u16();
        if port.unwrap_or_else(|| default_port(scheme)) == self.own_port {
            return Ok(());
        }
        let mut named = self.upstreams.iter().filter(|it| it.is(authority, port));
        let local = named.find_map(|site| below(uri, &site.base_path));
        *request.uri_mut() = local.ok_or(Error::Misdirected)?;
        Ok(())
    }
}

impl Site {
    /// Without a port it is the upstream's: a client of a proxy says `http://` also where the upstream is not.
    fn is(&self, authority: &Authority, port: Option<u16>) -> bool {
        authority.host().eq_ignore_ascii_case(&self.host)
            && port.is_none_or(|port| port == self.port)
    }
}

/// The same target without the base path, if it has it.
fn below(uri: &Uri, base_path: &str) -> Option<Uri> {
    if base_path.is_empty() {
        return Some(uri.clone());
    }
    let path_and_query = uri.path_and_query()?.as_str();
    let rest = path_and_query.strip_prefix(base_path)?;
    let local = match rest.as_bytes().first() {
        None => "/".to_owned(),
        Some(b'?') => format!("/{rest}"),
        Some(b'/') => rest.to_owned(),
        Some(_) => return None,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(local.parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn default_port(scheme: &Scheme) -> u16 {
    if *scheme == Scheme::HTTPS { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    /// What becomes of a target, where `https://api.example/prod` is the upstream and redrive listens on 7480.
    #[track_caller]
    fn check(target: &str, expected: Result<&str, StatusCode>) {
        let names = Names {
            own_port: 7480,
            upstreams: vec![Site {
                host: "api.example".into(),
                port: 443,
                base_path: "/prod".into(),
            }],
        };
        let mut request = Request::builder().uri(target).body(()).unwrap();

        let done = names.localise(&mut request).map_err(|error| error.status());

        let path = request.uri().path_and_query().map(|it| it.as_str());
        assert_eq!(done.map(|()| path.unwrap()), expected, "{target}");
    }

    #[test]
    fn a_target_without_a_name_is_ours() {
        check("/prod/a", Ok("/prod/a"));
    }

    #[test]
    fn redrive_itself_may_be_named() {
        check("http://localhost:7480/a?b", Ok("/a?b"));
        check("http://sidecar:7480/prod/a", Ok("/prod/a"));
    }

    #[test]
    fn the_upstream_may_be_named_with_all_of_its_path() {
        check("http://api.example/prod/a?b", Ok("/a?b"));
        check("https://API.example:443/prod/a", Ok("/a"));
        check("http://api.example/prod", Ok("/"));
        check("http://api.example/prod?b", Ok("/?b"));
    }

    #[test]
    fn nobody_else_may_be_named() {
        let misdirected = Err(StatusCode::MISDIRECTED_REQUEST);
        check("http://other.example/prod/a", misdirected);
        check("http://api.example:8443/prod/a", misdirected);
        check("http://api.example/other/a", misdirected);
        check("http://api.example/production/a", misdirected);
        check("http://api.example.evil/prod/a", misdirected);
        check(
            "http://user@api.example/prod/a",
            Err(StatusCode::BAD_REQUEST),
        );
        check("ftp://api.example/prod/a", Err(StatusCode::BAD_REQUEST));
    }
}
