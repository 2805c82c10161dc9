//! The names that a target may carry: our own, and the upstreams'.
//!
//! A client with redrive as its `http_proxy` names the authority in the target (RFC 9112 section 3.2.2). That works where
//! the authority is where its request goes anyway. For any other, redrive would answer with somebody else's resource, and
//! give the upstream what was meant for somebody else, so the request is refused; it is an open proxy for nobody.
//!
//! redrive's own names are its address, and `localhost` where that is one of loopback. By whatever else it may be called, such
//! as the name of a service, a client that has no proxy gives it in `Host`, which may be any.

use std::net::SocketAddr;

use http::uri::Scheme;
use http::{Request, Uri, Version};

use super::error::Error;
use super::host_port::HostPort;
use super::upstream;

/// The names that a target may carry.
#[derive(Clone, Debug)]
pub struct Names {
    /// Where redrive listens.
    own: SocketAddr,
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
    /// Where we listen, and every upstream.
    pub fn new<'a>(
        own: SocketAddr,
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
            own,
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
        let Some(named) = HostPort::read(authority.as_str()) else {
            return Err(Error::Malformed("the target names no host and port"));
        };
        if self.is_own(&named, scheme) {
            return Ok(());
        }
        let mut named = self.upstreams.iter().filter(|it| it.is(&named));
        let local = named.find_map(|site| below(uri, &site.base_path));
        *request.uri_mut() = local.ok_or(Error::Misdirected)?;
        Ok(())
    }

    /// Whether this is redrive itself. The port alone does not tell: others have the same.
    fn is_own(&self, named: &HostPort<'_>, scheme: &Scheme) -> bool {
        let listens = self.own.ip().to_canonical();
        let is_everywhere = listens.is_unspecified();
        let is_host = match named.address() {
            Some(address) => address == listens || (is_everywhere && address.is_loopback()),
            None => {
                (is_everywhere || listens.is_loopback())
                    && named.host.eq_ignore_ascii_case("localhost")
            }
        };
        is_host && named.port.unwrap_or_else(|| default_port(scheme)) == self.own.port()
    }
}

impl Site {
    /// Without a port it is the upstream's: a client of a proxy says `http://` also where the upstream is not.
    fn is(&self, named: &HostPort<'_>) -> bool {
        named.host.eq_ignore_ascii_case(&self.host)
            && named.port.is_none_or(|port| port == self.port)
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

    /// What becomes of a target, where `https://api.example/prod` is the upstream and redrive listens on 127.0.0.1:7480.
    #[track_caller]
    fn check(target: &str, expected: Result<&str, StatusCode>) {
        check_on("127.0.0.1:7480", target, expected);
    }

    #[track_caller]
    fn check_on(own: &str, target: &str, expected: Result<&str, StatusCode>) {
        let names = Names {
            own: own.parse().unwrap(),
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
        check("http://127.0.0.1:7480/prod/a", Ok("/prod/a"));
        check_on("[::1]:7480", "http://[0::1]:7480/a", Ok("/a"));
        check_on("0.0.0.0:80", "http://LOCALHOST/a", Ok("/a"));
        check_on("[::]:7480", "http://127.0.0.1:7480/a", Ok("/a"));
        check_on("10.0.0.1:80", "http://10.0.0.1/a", Ok("/a"));
    }

    #[test]
    fn a_port_like_ours_makes_nobody_else_redrive() {
        let misdirected = Err(StatusCode::MISDIRECTED_REQUEST);
        check("http://evil.example:7480/a", misdirected);
        check("http://sidecar:7480/a", misdirected);
        check("http://10.0.0.1:7480/a", misdirected);
        check("http://[::1]:7480/a", misdirected);
        check("http://127.0.0.1/a", misdirected);
        check_on("0.0.0.0:80", "http://evil.example/a", misdirected);
        check_on("0.0.0.0:7480", "http://10.0.0.1:7480/a", misdirected);
        check_on("10.0.0.1:7480", "http://localhost:7480/a", misdirected);
    }

    #[test]
    fn what_is_no_host_and_port_is_nobody() {
        let malformed = Err(StatusCode::BAD_REQUEST);
        check("http://api.example:99999/prod/a", malformed);
        check("http://api.example:+443/prod/a", malformed);
        check("http://[api.example]/prod/a", malformed);
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
