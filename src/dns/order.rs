//! The order in which the addresses of a name are tried: RFC 6724, section 6, as the C library does it.
//!
//! Of its rules, those that a program can know: unusable ones last (1), by scope (2), by label (5), by precedence (6), by smaller
//! scope (8). What remains equal keeps its order (10). Rule 9, the longest common prefix, is left out on purpose: it would send
//! everybody in one network to the same one of many equal addresses.
//!
//! The first one's family is preferred by the connector, and the other tried beside it a little later (RFC 8305).

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Sorts them. `source` is the address that the system would use to get to one, if there is a way.
pub(super) fn sort(addresses: &mut [IpAddr], source: impl Fn(IpAddr) -> Option<IpAddr>) {
    addresses.sort_by_cached_key(|&to| {
        let (precedence, label) = policy(to);
        let from = source(to);
        let scope = scope(to);
        (
            from.is_none(),
            from.is_some_and(|from| self::scope(from) != scope),
            from.is_some_and(|from| policy(from).1 != label),
            Reverse(precedence),
            scope,
        )
    });
}

/// The address that the system would use to get to this one. Connecting a UDP socket chooses it, and sends nothing.
pub(super) fn source(to: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match to {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(to, ANY_PORT)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Precedence and label (RFC 6724, section 2.1).
fn policy(address: IpAddr) -> (u8, u8) {
    let bits = as_v6(address).to_bits();
    let covers = |(prefix, length): (Ipv6Addr, u32)| {
        let shift = 128 - length;
        let part = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
        part(bits) == part(prefix.to_bits())
    };
    let row = POLICIES.iter().find(|row| covers((row.0, row.1)));
    row.map_or((40, 1), |&(_, _, precedence, label)| (precedence, label))
}

/// How far an address reaches; larger is farther (RFC 6724, sections 3.1 and 3.2; RFC 4291, section 2.7, for the numbers).
fn scope(address: IpAddr) -> u8 {
    let is_near = match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    };
    if is_near { 0x2 } else { 0xe }
}

fn as_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// Prefix, its length, precedence and label, longest first. All other addresses have 40 and 1.
const POLICIES: [(Ipv6Addr, u32, u8, u8); 8] = [
    (Ipv6Addr::LOCALHOST, 128, 50, 0),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 35, 4),
    (Ipv6Addr::UNSPECIFIED, 96, 1, 3),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, 5, 5),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 30, 2),
    (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16, 1, 12),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, 1, 11),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, 3, 13),
];

/// Nothing is sent there; 0 would be refused.
const ANY_PORT: u16 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    /// Sorts these by the ways that there are: from the first of a pair to the second.
    #[track_caller]
    fn check(ways: &[(&str, &str)], addresses: &[&str], sorted: &[&str]) {
        let parse = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut addresses: Vec<_> = addresses.iter().map(|it| parse(it)).collect();

        sort(&mut addresses, |to| {
            let way = ways.iter().find(|(_, end)| parse(end) == to);
            way.map(|(from, _)| parse(from))
        });

        let texts: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
        assert_eq!(texts, sorted);
    }

    #[test]
    fn ipv6_goes_first_where_both_can_be_reached() {
        check(
            &[("10.0.0.1", "192.0.2.1"), ("2600::1", "2600:1::1")],
            &["192.0.2.1", "2600:1::1"],
            &["2600:1::1", "192.0.2.1"],
        );
    }

    #[test]
    fn what_cannot_be_reached_goes_last() {
        check(
            &[("10.0.0.1", "192.0.2.1")],
            &["2600:1::1", "192.0.2.1"],
            &["192.0.2.1", "2600:1::1"],
        );
    }

    #[test]
    fn a_private_ipv6_address_of_our_own_does_not_lead_to_the_world() {
        check(
            &[("10.0.0.1", "192.0.2.1"), ("fd00::1", "2600:1::1")],
            &["2600:1::1", "192.0.2.1"],
            &["192.0.2.1", "2600:1::1"],
        );
    }

    #[test]
    fn a_link_local_address_of_our_own_does_not_lead_to_the_world() {
        check(
            &[("169.254.7.7", "192.0.2.1"), ("2600::1", "2600:1::1")],
            &["192.0.2.1", "2600:1::1"],
            &["2600:1::1", "192.0.2.1"],
        );
        check(
            &[("10.0.0.1", "192.0.2.1"), ("fe80::1", "2600:1::1")],
            &["2600:1::1", "192.0.2.1"],
            &["192.0.2.1", "2600:1::1"],
        );
    }

    #[test]
    fn equal_ones_keep_their_order() {
        let way = |to| ("10.0.0.1", to);
        check(
            &[way("192.0.2.3"), way("10.0.0.2"), way("192.0.2.1")],
            &["192.0.2.3", "10.0.0.2", "192.0.2.1"],
            &["192.0.2.3", "10.0.0.2", "192.0.2.1"],
        );
    }

    #[test]
    fn loopback_can_be_reached_from_loopback() {
        let loopback = Ipv4Addr::LOCALHOST.into();

        assert_eq!(source(loopback), Some(loopback));
    }
}
