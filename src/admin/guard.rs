//! Who may see the pages that show routes, upstreams and requests.
//!
//! Two guards, since one is not enough. The peer must be on loopback: that keeps the network out. But the operator's own browser
//! is such a peer, and a stranger's web page runs in it. The browser does not let that page read another origin, unless the
//! stranger's name server answers with a loopback address, which makes redrive the page's own origin (DNS rebinding); what
//! remains of the stranger then is the name in `Host`. So `Host` must be a loopback address or `localhost`, which no name server
//! outside can stand for (RFC 6761, section 6.3). Whoever tunnels here (`ssh -L`, `kubectl port-forward`) uses such a name anyway.

use std::net::{IpAddr, Ipv6Addr};

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Request};

/// Who may see the pages that show routes and upstreams (`admin.pages`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Peers on a loopback address, which call redrive by such an address or `localhost`.
    Loopback,
    /// Anyone who reaches the listener, by whatever name.
    Any,
}

impl Pages {
    /// Whether this peer may see what it asks for.
    pub(super) fn are_open_to<B>(self, peer: IpAddr, request: &Request<B>) -> bool {
        match self {
            // A listener on an IPv6 wildcard sees an IPv4 peer as a mapped address.
            Self::Loopback => peer.to_canonical().is_loopback() && names_loopback(request),
            Self::Any => true,
        }
    }
}

/// Whether a page of another origin asks, which could not read the answer but would hold a place among the listeners.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    // Every browser sends it since 2023, and no page can change it; whoever sends none is no browser.
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin" && site != "none")
}

/// Whether every name that the request gives redrive is one of loopback. A browser always gives one; without any it is none.
fn names_loopback<B>(request: &Request<B>) -> bool {
    let in_target = request.uri().authority().map(Authority::as_str);
    let in_headers = request.headers().get_all(HOST).into_iter();
    in_headers
        .map(|host| host.to_str().unwrap_or_default())
        .chain(in_target)
        .all(is_loopback_name)
}

fn is_loopback_name(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    match (bare, host.parse::<IpAddr>()) {
        (Some(bare), _) => bare
            .parse::<Ipv6Addr>()
            .is_ok_and(|address| IpAddr::from(address).to_canonical().is_loopback()),
        (None, Ok(address)) => address.is_loopback(),
        (None, Err(_)) => {
            let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn to(host: &str) -> Request<()> {
        Request::get("/").header(HOST, host).body(()).unwrap()
    }

    #[test]
    fn pages_are_for_loopback_peers_unless_they_are_for_anyone() {
        let near = [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::from([127, 8, 0, 1]),
            IpAddr::from(Ipv6Addr::LOCALHOST),
            IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped()),
        ];
        let far = [
            IpAddr::from([10, 0, 0, 1]),
            IpAddr::from(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped()),
            IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]),
        ];

        for peer in near {
            assert!(
                Pages::Loopback.are_open_to(peer, &to("localhost")),
                "{peer}"
            );
        }
        for peer in far {
            assert!(
                !Pages::Loopback.are_open_to(peer, &to("localhost")),
                "{peer}"
            );
            assert!(
                Pages::Any.are_open_to(peer, &to("status.example")),
                "{peer}"
            );
        }
    }

    #[track_caller]
    fn check(request: &Request<()>, open: bool) {
        let peer = IpAddr::from(Ipv4Addr::LOCALHOST);
        assert_eq!(
            Pages::Loopback.are_open_to(peer, request),
            open,
            "{request:?}"
        );
    }

    #[test]
    fn a_strangers_name_for_loopback_opens_nothing() {
        for host in [
            "localhost",
            "localhost:7481",
            "LOCALHOST.",
            "redrive.localhost:80",
            "127.0.0.1:7481",
            "127.1.2.3",
            "[::1]:7481",
            "[::ffff:127.0.0.1]",
        ] {
            check(&to(host), true);
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.evil.example",
            "10.0.0.1:7481",
            "0.0.0.0:7481",
            "[::2]",
            "2130706433",
            "",
            "a b",
        ] {
            check(&to(host), false);
        }
    }

    #[test]
    fn every_name_in_a_request_counts() {
        check(&Request::get("/").body(()).unwrap(), true);
        let target = Request::get("http://evil.example/").header(HOST, "localhost");
        check(&target.body(()).unwrap(), false);
        let twice = to("localhost");
        let (mut parts, ()) = twice.into_parts();
        parts.headers.append(HOST, "evil.example".parse().unwrap());
        check(&Request::from_parts(parts, ()), false);
    }

    #[test]
    fn a_page_of_another_origin_is_told_apart() {
        let from = |site: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("sec-fetch-site", site.parse().unwrap());
            is_from_elsewhere(&headers)
        };

        assert!(from("cross-site"));
        assert!(from("same-site"), "another port of localhost");
        assert!(!from("same-origin"));
        assert!(!from("none"), "typed by a person");
        assert!(!is_from_elsewhere(&HeaderMap::new()));
    }
}
