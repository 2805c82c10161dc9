//! A host and a port as `Host`, `:authority` and a target name them (RFC 9110 section 7.2): read in one way, or not at all.
//!
//! `http::uri::Authority` takes more: a user, brackets anywhere, a sign before the port. Whoever reads the same name behind
//! us may take that for another host.

use std::net::{IpAddr, Ipv6Addr};

/// A host, and a port where one is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPort<'a> {
    /// A registered name or an address, one of IPv6 in its brackets.
    pub host: &'a str,
    /// The port, if there is one.
    pub port: Option<u16>,
}

impl<'a> HostPort<'a> {
    /// Reads one; `None` where the text is none (RFC 3986 section 3.2.2 and 3.2.3). A percent sign is not taken: what it means
    /// depends on who decodes it.
    pub fn read(text: &'a str) -> Option<Self> {
        let end = if text.starts_with('[') {
            let end = text.find(']')? + 1;
            text[1..end - 1].parse::<Ipv6Addr>().ok()?;
            end
        } else {
            let name = text.bytes().take_while(|byte| is_of_name(*byte));
            let end = name.count();
            let is_name = end > 0 && (end == text.len() || text[end..].starts_with(':'));
            is_name.then_some(end)?
        };
        let (host, rest) = text.split_at(end);
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            None => return None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        Some(Self { host, port })
    }

    /// The address that the host is, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare.parse()
            .ok()
            .map(|address: IpAddr| address.to_canonical())
    }
}

/// Unreserved characters and delimiters.
fn is_of_name(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'')
        || matches!(byte, b'('..=b',' | b';' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, Option<u16>)>) {
        let read = HostPort::read(text).map(|it| (it.host, it.port));

        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn a_name_or_an_address_may_have_a_port() {
        check("a", Some(("a", None)));
        check("A-1._~!$&'()*+,;=", Some(("A-1._~!$&'()*+,;=", None)));
        check("a:", Some(("a", None)));
        check("a:0", Some(("a", Some(0))));
        check("a:00080", Some(("a", Some(80))));
        check("127.0.0.1:65535", Some(("127.0.0.1", Some(65535))));
        check("[::1]", Some(("[::1]", None)));
        check("[::ffff:1.2.3.4]:80", Some(("[::ffff:1.2.3.4]", Some(80))));
    }

    #[test]
    fn what_could_be_read_in_another_way_is_none() {
        for text in [
            "",
            ":",
            ":80",
            "a b",
            "a/b",
            "a@b",
            "a#b",
            "a%62",
            "a\\b",
            "é",
            "a:b",
            "a:+80",
            "a:-1",
            "a: 80",
            "a:80 ",
            "a:65536",
            "a:80:80",
            "::1",
            "[::1",
            "::1]",
            "[]",
            "[evil]",
            "[127.0.0.1]",
            "[fe80::1%25eth0]",
            "[v1.a]",
            "[::1]x",
            "[::1]x:80",
            "[::1]:+8",
            "[[::1]]",
            "a[b]",
            "a]",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn an_address_is_known_as_one_however_it_is_written() {
        let address = |text| HostPort::read(text).and_then(|it| it.address());

        assert_eq!(address("127.0.0.1:80"), Some(IpAddr::from([127, 0, 0, 1])));
        assert_eq!(address("[::ffff:127.0.0.1]"), address("127.0.0.1"));
        assert_eq!(address("[::1]"), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        assert_eq!(address("localhost"), None);
    }
}
