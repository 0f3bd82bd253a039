//! The use of an IP address, by the special-purpose registries of IANA.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the embedded IPv4 address that a gateway or a tunnel would connect to.
pub(super) fn embedded_ipv4(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(v6) = address else {
        return None;
    };
    let inside = |high: u16, low: u16| {
        let bits = u32::from(high) << 16 | u32::from(low);
        Some(IpAddr::from(Ipv4Addr::from_bits(bits)))
    };
    match v6.segments() {
        // IPv4-compatible (RFC 4291), and NAT64 by either prefix (RFC 6052, RFC 8215).
        [0, 0, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, .., high, low]
        // 6to4 (RFC 3056).
        | [0x2002, high, low, ..] => inside(high, low),
        // Teredo (RFC 4380): the client's address, inverted.
        [0x2001, 0, .., high, low] => inside(!high, !low),
        // ISATAP (RFC 5214), with either value of the universal/local bit.
        [.., 0 | 0x200, 0x5efe, high, low] => inside(high, low),
        _ => None,
    }
}

/// What an address is used for.
pub(super) enum Class {
    /// Globally reachable.
    Public,
    /// Allowed by the preset `private`.
    Private(&'static str),
    /// Denied by both presets.
    Special(&'static str),
}

/// Returns the class of an IPv4 address, by the IANA special-purpose registry (RFC 6890).
pub(super) fn class_v4(address: Ipv4Addr) -> Class {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Class::Private("private (RFC 1918)"),
        (100, 64..=127, _) => Class::Private("shared address space (RFC 6598)"),
        (0, ..) => Class::Special("this network (0.0.0.0/8)"),
        (127, ..) => Class::Special("loopback"),
        (169, 254, _) => Class::Special("link-local, used by cloud metadata services"),
        (192, 0, 0) => Class::Special("IETF protocol assignments"),
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => Class::Special("documentation"),
        (192, 88, 99) => Class::Special("6to4 relay anycast"),
        (198, 18 | 19, _) => Class::Special("benchmarking (RFC 2544)"),
        (224..=239, ..) => Class::Special("multicast"),
        (240.., ..) => Class::Special("reserved or broadcast"),
        _ => Class::Public,
    }
}

/// Returns the class of an IPv6 address, by the IANA special-purpose registry and the forms that embed
/// an IPv4 address.
pub(super) fn class_v6(address: Ipv6Addr) -> Class {
    let segments = address.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Class::Special("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Special("loopback"),
        [0, 0, 0, 0, 0, 0, ..] => Class::Special("IPv4-compatible, a deprecated form"),
        // A NAT64 gateway connects to the address inside (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            match class_v4(Ipv4Addr::new(a, b, c, d)) {
                Class::Private(_) | Class::Special(_) => {
                    Class::Special("NAT64 of an address that is not public")
                }
                Class::Public => Class::Public,
            }
        }
        [0x64, 0xff9b, 1, ..] => Class::Special("local-use NAT64 (RFC 8215)"),
        [0x100, 0, 0, 0, ..] => Class::Special("discard-only"),
        [0x2001, 0, ..] => Class::Special("Teredo, which embeds an IPv4 address"),
        [0x2001, 0x1..=0x1ff, ..] => Class::Special("IETF protocol assignments"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Class::Special("documentation"),
        [0x2002, ..] => Class::Special("6to4, which embeds an IPv4 address"),
        // Before the private networks: a router of the private network connects to the address inside.
        [.., 0 | 0x200, 0x5efe, _, _] => Class::Special("ISATAP, which embeds an IPv4 address"),
        [0xfc00..=0xfdff, ..] => Class::Private("a unique local address (RFC 4193)"),
        [0xfe80..=0xfebf, ..] => Class::Special("link-local"),
        [0xff00..=0xffff, ..] => Class::Special("multicast"),
        [0x2000..=0x3fff, ..] => Class::Public,
        _ => Class::Special("outside the global unicast space"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, class_v4, class_v6};

    /// The error of a refused address says what the address is used for.
    #[test]
    fn each_block_has_its_own_words() {
        for (address, words) in [
            ("10.1.2.3", "private (RFC 1918)"),
            ("172.31.0.1", "private (RFC 1918)"),
            ("192.168.0.1", "private (RFC 1918)"),
            ("100.64.0.1", "shared address space (RFC 6598)"),
            ("0.1.2.3", "this network (0.0.0.0/8)"),
            ("127.0.0.1", "loopback"),
            ("169.254.169.254", "link-local, used by cloud metadata services"),
            ("192.0.0.1", "IETF protocol assignments"),
            ("203.0.113.1", "documentation"),
            ("192.88.99.1", "6to4 relay anycast"),
            ("198.18.0.1", "benchmarking (RFC 2544)"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "reserved or broadcast"),
            ("93.184.216.34", "public"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::5db8:d822", "IPv4-compatible, a deprecated form"),
            ("64:ff9b::10.0.0.1", "NAT64 of an address that is not public"),
            ("64:ff9b::93.184.216.34", "public"),
            ("64:ff9b:1::1", "local-use NAT64 (RFC 8215)"),
            ("100::1", "discard-only"),
            ("2001::1", "Teredo, which embeds an IPv4 address"),
            ("2001:1::1", "IETF protocol assignments"),
            ("2001:db8::1", "documentation"),
            ("3fff::1", "documentation"),
            ("2002::1", "6to4, which embeds an IPv4 address"),
            ("fd00::5efe:a00:1", "ISATAP, which embeds an IPv4 address"),
            ("fd00::1", "a unique local address (RFC 4193)"),
            ("fe80::1", "link-local"),
            ("ff02::1", "multicast"),
            ("2606:2800:220:1::1", "public"),
            ("4000::1", "outside the global unicast space"),
        ] {
            let class = match address.parse().unwrap() {
                std::net::IpAddr::V4(v4) => class_v4(v4),
                std::net::IpAddr::V6(v6) => class_v6(v6),
            };
            let seen = match class {
                Class::Public => "public",
                Class::Private(words) | Class::Special(words) => words,
            };
            assert_eq!(seen, words, "{address}");
        }
    }
}
