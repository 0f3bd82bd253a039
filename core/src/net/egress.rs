//! Which addresses may be connected to. Endpoint URLs come from customers; without a policy, a
//! customer could aim our deliveries at our own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::cidr::Cidr;
use crate::error::{Blame, Error, Kind, Stage};
use crate::options;

/// Which addresses a dispatcher may connect to. The default is [`public`](Self::public).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    private: bool,
    allow: Arc<[Cidr]>,
    deny: Arc<[Cidr]>,
    /// The network's own prefixes, the longest first.
    nat64: Arc<[Cidr]>,
}

impl Default for Egress {
    fn default() -> Self {
        Self::public()
    }
}

impl Egress {
    /// Addresses of the public Internet alone.
    pub fn public() -> Self {
        let (allow, deny, nat64) = Default::default();
        Self { private: false, allow, deny, nat64 }
    }

    /// Public addresses, and private networks: RFC 1918, RFC 6598 (shared) and RFC 4193 (ULA).
    /// Loopback, link-local and multicast stay denied.
    pub fn private() -> Self {
        Self { private: true, ..Self::public() }
    }

    /// A preset by its name: `public` or `private`. Fails with `option_invalid`.
    pub fn preset(name: &str) -> Result<Self, Error> {
        match name {
            "public" => Ok(Self::public()),
            "private" => Ok(Self::private()),
            _ => Err(options::fault("egress", "must be public or private")),
        }
    }

    /// Allows networks beyond the preset, as CIDR (`10.1.0.0/16`, `::1/128`) or single addresses.
    ///
    /// Fails with `option_invalid`.
    pub fn allow<I>(mut self, networks: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.allow = Cidr::parse_all(networks)?;
        Ok(self)
    }

    /// Denies networks, whatever else allows them. Fails with `option_invalid`.
    pub fn deny<I>(mut self, networks: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.deny = Cidr::parse_all(networks)?;
        Ok(self)
    }

    /// Names the prefixes by which this network's own NAT64 gateways reach IPv4: an address in one is
    /// judged by the IPv4 address that it holds (RFC 6052), as the gateway will connect to that. The
    /// well-known prefix, 64:ff9b::/96, need not be named.
    ///
    /// * `prefixes`: IPv6 networks with a prefix of 32, 40, 48, 56, 64 or 96 bits.
    ///
    /// Fails with `option_invalid`.
    pub fn nat64<I>(mut self, prefixes: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut parsed = Cidr::parse_all(prefixes)?.to_vec();
        if let Some(unfit) = parsed.iter().find(|cidr| !cidr.may_be_nat64()) {
            return Err(options::fault(
                "egress",
                format_args!(
                    "has the NAT64 prefix {unfit}; a prefix is IPv6, has 32, 40, 48, 56, 64 or 96 bits, \
                     and its bits 64 to 71 are zero (RFC 6052)"
                ),
            ));
        }
        parsed.sort_by_key(|cidr| std::cmp::Reverse(cidr.prefix));
        self.nat64 = parsed.into();
        Ok(self)
    }

    /// Every address: for those that the caller chose and no customer did.
    pub(super) fn unrestricted() -> Self {
        let all = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let allow = all.map(|network| Cidr { network, prefix: 0 });
        Self { allow: Arc::new(allow), ..Self::public() }
    }

    /// Fails with `egress_denied`, which says by which rule.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), Error> {
        // An IPv4 address in IPv6 clothes reaches what the IPv4 address reaches.
        let plain = self.behind_nat64(address).unwrap_or(address.to_canonical());
        // What is denied is denied by every way to it: a gateway would connect to the address inside.
        let reached = [Some(address), Some(plain), hidden(plain)];
        let denying =
            |address: &IpAddr| self.deny.iter().find(|cidr| cidr.contains(*address)).copied();
        if let Some(rule) = reached.iter().flatten().find_map(denying) {
            return Err(denied(
                address,
                &format!("it reaches into {rule}, which is denied"),
                &rule.to_string(),
                format!(
                    "If this address is meant to be reached, take {rule} out of what the \
                     dispatcher's egress policy denies."
                ),
            ));
        }
        if self.allow.iter().any(|cidr| cidr.contains(address) || cidr.contains(plain)) {
            return Ok(());
        }
        let class = match plain {
            IpAddr::V4(v4) => class_v4(v4),
            IpAddr::V6(v6) => class_v6(v6),
        };
        match class {
            Class::Public => Ok(()),
            Class::Private(_) if self.private => Ok(()),
            Class::Private(name) | Class::Special(name) => {
                let preset = if self.private { "private" } else { "public" };
                let denies = format_args!("which the preset {preset} denies");
                let bits = if plain.is_ipv4() { 32 } else { 128 };
                Err(denied(
                    address,
                    &match self.behind_nat64(address) {
                        Some(_) => format!("it reaches {plain}, which is {name}, {denies}"),
                        None => format!("it is {name}, {denies}"),
                    },
                    name,
                    format!(
                        "If this address is meant to be reached, allow it in the dispatcher's \
                         egress policy: {plain}/{bits}."
                    ),
                ))
            }
        }
    }
}

impl Egress {
    /// The IPv4 address that a gateway of this network would connect to for this one. Of several
    /// prefixes, the longest holds, as in routing.
    fn behind_nat64(&self, address: IpAddr) -> Option<IpAddr> {
        let IpAddr::V6(v6) = address else { return None };
        let prefix = self.nat64.iter().find(|cidr| cidr.contains(address))?.prefix;
        // Octet 8 is left out of all forms (RFC 6052 section 2.2).
        let octets = v6.octets();
        let mut inside = octets[usize::from(prefix / 8)..].iter().enumerate();
        let at = usize::from(prefix / 8);
        let mut next = || inside.find(|(place, _)| at + place != 8).map(|(_, octet)| *octet);
        Some(Ipv4Addr::new(next()?, next()?, next()?, next()?).into())
    }
}

fn denied(address: IpAddr, why: &str, rule: &str, remedy: String) -> Error {
    Error::new(Kind::EgressDenied, format!("{address} may not be connected to: {why}"))
        .at(Stage::Resolve)
        .blamed(Blame::Theirs)
        .noting("address", address.to_string())
        .noting("rule", rule)
        .advising(remedy)
}

/// The IPv4 address that a gateway or a tunnel would connect to for this one.
fn hidden(address: IpAddr) -> Option<IpAddr> {
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
        // ISATAP (RFC 5214), whose bit for "of universal scope" may be either way.
        [.., 0 | 0x200, 0x5efe, high, low] => inside(high, low),
        _ => None,
    }
}

enum Class {
    Public,
    /// Allowed by the preset `private`.
    Private(&'static str),
    Special(&'static str),
}

/// The IANA IPv4 special-purpose registry (RFC 6890).
fn class_v4(address: Ipv4Addr) -> Class {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Class::Private("private (RFC 1918)"),
        (100, 64..=127, _) => Class::Private("shared address space (RFC 6598)"),
        (0, ..) => Class::Special("this network (0.0.0.0/8)"),
        (127, ..) => Class::Special("loopback"),
        (169, 254, _) => Class::Special("link-local, where clouds serve their metadata"),
        (192, 0, 0) => Class::Special("IETF protocol assignments"),
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => Class::Special("documentation"),
        (192, 88, 99) => Class::Special("6to4 relay anycast"),
        (198, 18 | 19, _) => Class::Special("benchmarking (RFC 2544)"),
        (224..=239, ..) => Class::Special("multicast"),
        (240.., ..) => Class::Special("reserved or broadcast"),
        _ => Class::Public,
    }
}

/// The IANA IPv6 special-purpose registry, and the forms that carry an IPv4 address.
fn class_v6(address: Ipv6Addr) -> Class {
    let segments = address.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Class::Special("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Special("loopback"),
        [0, 0, 0, 0, 0, 0, ..] => Class::Special("IPv4-compatible, a retired form"),
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
        [0x2001, 0, ..] => Class::Special("Teredo, which hides an IPv4 address"),
        [0x2001, 0x1..=0x1ff, ..] => Class::Special("IETF protocol assignments"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Class::Special("documentation"),
        [0x2002, ..] => Class::Special("6to4, which hides an IPv4 address"),
        [0xfc00..=0xfdff, ..] => Class::Private("a unique local address (RFC 4193)"),
        [0xfe80..=0xfebf, ..] => Class::Special("link-local"),
        [0xff00..=0xffff, ..] => Class::Special("multicast"),
        [.., 0 | 0x200, 0x5efe, _, _] => Class::Special("ISATAP, which hides an IPv4 address"),
        [0x2000..=0x3fff, ..] => Class::Public,
        _ => Class::Special("outside the global unicast space"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(egress: &Egress, address: &str) -> bool {
        egress.check(address.parse().unwrap()).is_ok()
    }

    #[test]
    fn public_reaches_the_internet_alone() {
        let egress = Egress::public();
        for address in ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"] {
            assert!(allows(&egress, address), "{address}");
        }
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:0:1::1",
            "2a00:1450:4001:800:0:5efe:a00:1",
            "2a00:1450:4001:800:200:5efe:5db8:d822",
            "::ffff:0:7f00:1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "198.18.0.1",
            "4000::1",
        ] {
            assert!(!allows(&egress, address), "{address}");
        }
    }

    #[test]
    fn deny_is_stronger_than_allow() {
        let egress =
            Egress::public().allow(["127.0.0.0/8", "::1"]).unwrap().deny(["127.0.0.2"]).unwrap();
        assert!(
            allows(&egress, "127.0.0.1")
                && allows(&egress, "::1")
                && allows(&egress, "::ffff:127.0.0.1")
        );
        assert!(!allows(&egress, "127.0.0.2") && !allows(&egress, "::ffff:127.0.0.2"));
    }

    #[test]
    fn what_is_denied_is_denied_in_every_form_even_where_the_form_is_allowed() {
        let anywhere = ["0.0.0.0/0", "::/0"];
        let egress = Egress::public().allow(anywhere).unwrap().deny(["93.184.216.0/24"]).unwrap();
        for address in [
            "93.184.216.34",
            "::ffff:93.184.216.34",
            "::93.184.216.34",
            "64:ff9b::93.184.216.34",
            "64:ff9b:1::93.184.216.34",
            "2002:5db8:d822::1",
            "2001:0:1::a247:27dd",
            "2a00::200:5efe:93.184.216.34",
        ] {
            let error = egress.check(address.parse().unwrap()).unwrap_err();
            assert_eq!(error.context()["rule"], "93.184.216.0/24", "{address}");
            assert!(error.remedy().contains("take 93.184.216.0/24 out"), "{}", error.remedy());
        }
        assert!(allows(&egress, "64:ff9b::93.184.217.34") && allows(&egress, "127.0.0.1"));
    }

    #[test]
    fn the_remedy_names_the_network_that_would_allow_the_address() {
        for address in ["127.0.0.1", "::ffff:10.0.0.7", "fd00::7", "64:ff9b::a00:1", "ff02::1"] {
            let error = Egress::public().check(address.parse().unwrap()).unwrap_err();
            let network = error.remedy().rsplit(": ").next().unwrap().trim_end_matches('.');
            let egress = Egress::public().allow([network]).unwrap();
            assert!(allows(&egress, address), "{address} by {network}");
        }
    }

    #[test]
    fn an_address_behind_the_networks_own_nat64_is_judged_by_the_one_it_holds() {
        // The forms of RFC 6052 section 2.2: metadata, a public and a private address behind each.
        for (prefix, of_metadata, of_public, of_private) in [
            ("2001:db8::/32", "2001:db8:a9fe:a9fe::", "2001:db8:5db8:d822::", "2001:db8:a00:1::"),
            (
                "2001:db8:100::/40",
                "2001:db8:1a9:fea9:fe::",
                "2001:db8:15d:b8d8:22::",
                "2001:db8:10a:0:1::",
            ),
            (
                "2001:db8:122::/48",
                "2001:db8:122:a9fe:a9:fe00::",
                "2001:db8:122:5db8:d8:2200::",
                "2001:db8:122:a00:0:100::",
            ),
            (
                "2001:db8:122:300::/56",
                "2001:db8:122:3a9:fe:a9fe::",
                "2001:db8:122:35d:b8:d822::",
                "2001:db8:122:30a:0:1::",
            ),
            (
                "2001:db8:122:344::/64",
                "2001:db8:122:344:a9:fea9:fe00::",
                "2001:db8:122:344:5d:b8d8:2200::",
                "2001:db8:122:344:a:0:100::",
            ),
            (
                "2001:db8:122:344::/96",
                "2001:db8:122:344::a9fe:a9fe",
                "2001:db8:122:344::5db8:d822",
                "2001:db8:122:344::a00:1",
            ),
        ] {
            let egress = Egress::public().nat64([prefix]).unwrap();
            assert!(allows(&egress, of_public), "{of_public}");
            assert!(!allows(&egress, of_metadata) && !allows(&egress, of_private), "{prefix}");
            let error = egress.check(of_metadata.parse().unwrap()).unwrap_err();
            assert!(error.message().contains("169.254.169.254"), "{error}");
            assert!(error.remedy().contains("169.254.169.254/32"), "{}", error.remedy());
            let private = Egress::private().nat64([prefix]).unwrap();
            assert!(allows(&private, of_private) && !allows(&private, of_metadata));
            let denying = egress.clone().deny(["93.184.216.0/24"]).unwrap();
            assert!(!allows(&denying, of_public), "{of_public}");
            let allowing = egress.allow(["169.254.169.254"]).unwrap();
            assert!(allows(&allowing, of_metadata) && !allows(&allowing, of_private));
        }
    }

    #[test]
    fn a_prefix_in_global_space_hides_nothing_once_it_is_named() {
        let hiding = "2a00:1450:64::169.254.169.254";
        assert!(allows(&Egress::public(), hiding), "nobody can know");
        let egress = Egress::public().nat64(["2a00:1450:64::/96", "2a00:1450::/32"]).unwrap();
        assert!(!allows(&egress, hiding));
        // The longest prefix holds.
        assert!(allows(&egress, "2a00:1450:64::93.184.216.34"));
        assert!(!allows(&egress, "2a00:1450:a00:1::"));
    }

    #[test]
    fn what_is_no_nat64_prefix_is_refused() {
        for prefix in [
            "10.0.0.0/8",
            "64:ff9b::/95",
            "2001:db8::/33",
            "2001:db8::1",
            "2001:db8:0:0:100::/96",
            "x",
        ] {
            let error = Egress::public().nat64([prefix]).unwrap_err();
            assert_eq!(error.kind(), Kind::OptionInvalid, "{prefix}");
        }
    }

    #[test]
    fn private_adds_networks_but_not_the_host() {
        let egress = Egress::private();
        assert!(
            allows(&egress, "10.1.2.3")
                && allows(&egress, "fd00::1")
                && allows(&egress, "100.64.0.1")
        );
        assert!(!allows(&egress, "127.0.0.1") && !allows(&egress, "169.254.169.254"));
    }
}
