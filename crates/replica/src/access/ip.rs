//! The `ip` scheme: addresses and ranges of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use types::Id;

/// Addresses that share their first bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Range {
    address: IpAddr,
    bits: u32,
}

impl Range {
    /// The range written as `address` or `address/bits`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address = parse_address(address)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        (bits <= width).then_some(Self { address, bits })
    }

    /// Whether the address is of the same family and shares the first bits.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(range), IpAddr::V4(address)) => {
                let differing = range.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= self.bits
            }
            (IpAddr::V6(range), IpAddr::V6(address)) => {
                let differing = range.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= self.bits
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// An address from its text; decimal parts may have leading zeros.
pub(super) fn parse_address(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        *octet = parts.next()?.parse().ok()?;
    }
    parts.next().is_none().then_some(IpAddr::V4(Ipv4Addr::from(octets)))
}

/// The identity of a connection from this address, in Java's spelling (IPv6 without `::`).
pub(super) fn identity(address: IpAddr) -> Id {
    let text = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.to_string(),
            None => address.segments().map(|segment| format!("{segment:x}")).join(":"),
        },
    };
    Id::new("ip", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_addresses() {
        for (range, address, holds) in [
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("10.1.0.0/16", "10.1.255.4", true),
            ("10.1.0.0/16", "10.2.0.0", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("10.1.2.3/32", "10.1.2.3", true),
            ("::1", "::1", true),
            ("fe80::/10", "fe80::1", true),
            ("fe80::/10", "::1", false),
            ("0.0.0.0/0", "::1", false),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(
                Range::parse(range).expect("a range").contains(address),
                holds,
                "{range} {address}"
            );
        }
    }

    #[test]
    fn malformed_ranges_are_refused() {
        for text in ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.4/33", "1.2.3.4/", "::1/129"] {
            assert_eq!(Range::parse(text), None, "{text}");
        }
    }

    #[test]
    fn spells_addresses_as_java_does() {
        let spelled = |text: &str| identity(text.parse().expect("an address")).id;
        assert_eq!(&*spelled("127.0.0.1"), "127.0.0.1");
        assert_eq!(&*spelled("::1"), "0:0:0:0:0:0:0:1");
        assert_eq!(&*spelled("::ffff:10.0.0.1"), "10.0.0.1");
    }
}
