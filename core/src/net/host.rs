//! A host: the one reading of a host's name for URLs, SNI, certificates and proxies.
//!
//! All of them must agree on a name. Otherwise, a certificate could be checked for another host than
//! the one that was looked up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustls_pki_types::{DnsName, ServerName};

/// A host in its canonical form.
///
/// A DNS name is in lower case, without a final dot, and with A-labels in place of labels beyond ASCII
/// (UTS #46). An underscore is refused: it is not allowed in the name of a host (RFC 1123 section 2.1),
/// and a CA may not certify one (RFC 5280 section 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Dns(DnsName<'static>),
    Ip(IpAddr),
}

/// The longest text that is parsed. A DNS name has at most 253 bytes, and its Unicode form is not much
/// longer.
const LONGEST: usize = 1024;

impl Host {
    /// Parses the host of a URL (RFC 3986 section 3.2.2): an IPv6 address is in brackets.
    ///
    /// Fails with the end of a sentence whose subject is the text.
    pub(crate) fn of_url(text: &str) -> Result<Self, &'static str> {
        if let Some(rest) = text.strip_prefix('[') {
            let address =
                rest.strip_suffix(']').ok_or("is an IPv6 address without a closing bracket")?;
            return ipv6(address);
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(address.into()));
        }
        dns(text).map(Self::Dns)
    }

    /// Parses a name that stands alone: as [`Host::of_url`], and an IPv6 address may have no brackets.
    pub(crate) fn named(text: &str) -> Result<Self, &'static str> {
        // Neither a DNS name nor an IPv4 address has a colon.
        if text.contains(':') && !text.starts_with('[') { ipv6(text) } else { Self::of_url(text) }
    }

    /// The form that TLS and webpki use.
    pub(crate) fn server_name(&self) -> ServerName<'_> {
        match self {
            Self::Dns(name) => ServerName::DnsName(name.borrow()),
            Self::Ip(address) => ServerName::IpAddress((*address).into()),
        }
    }

    /// Returns the host as in a URL: an IPv6 address in brackets.
    pub(crate) fn in_url(&self) -> String {
        match self {
            Self::Ip(IpAddr::V6(address)) => format!("[{address}]"),
            other => other.to_string(),
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name.as_ref()),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

fn ipv6(text: &str) -> Result<Host, &'static str> {
    if text.contains('%') {
        return Err("is an IPv6 address with a zone, which no certificate contains");
    }
    let address = text.parse::<Ipv6Addr>().map_err(|_| "is a malformed IPv6 address")?;
    Ok(Host::Ip(address.into()))
}

fn dns(text: &str) -> Result<DnsName<'static>, &'static str> {
    const NO_NAME: &str = "is not a DNS name";
    if text.is_empty() {
        return Err("is empty");
    }
    if text.len() > LONGEST {
        return Err(NO_NAME);
    }
    if text.contains('_') {
        return Err(
            "has an underscore, which no host name and no certificate may have; use a name of \
             letters, digits and hyphens",
        );
    }
    let name = idna::domain_to_ascii_strict(text.strip_suffix('.').unwrap_or(text))
        .map_err(|_| NO_NAME)?;
    // The resolver would accept 127.1, 2130706433 and 0x7f000001 as addresses.
    let last = name.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if numeric {
        return Err("is an IPv4 address that is not four decimal numbers");
    }
    DnsName::try_from(name).map_err(|_| NO_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_canonical_form() {
        for (text, canonical) in [
            ("Hooks.ACME.test", "hooks.acme.test"),
            ("hooks.acme.test.", "hooks.acme.test"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("192.0.2.10", "192.0.2.10"),
            ("[2001:DB8:0::10]", "2001:db8::10"),
        ] {
            let host = Host::of_url(text).unwrap();
            assert_eq!(host.to_string(), canonical);
            assert_eq!(Host::named(text), Ok(host.clone()));
            assert_eq!(Host::named(canonical), Ok(host.clone()));
            assert_eq!(Host::of_url(&host.in_url()), Ok(host.clone()));
            assert_eq!(host.server_name().to_str(), canonical);
        }
    }

    #[test]
    fn another_text_is_no_host_anywhere() {
        for text in [
            "",
            ".",
            "a_b.test",
            "_dmarc.acme.test",
            "acme..test",
            "acme.test..",
            "-acme.test",
            "*.acme.test",
            "acme%2etest",
            "acme test",
            "acme.test:443",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "a.0x7f",
            "[127.0.0.1]",
            "[2001:db8::10",
            "[fe80::1%eth0]",
        ] {
            assert!(Host::of_url(text).is_err(), "{text}");
            assert!(Host::named(text).is_err(), "{text}");
        }
        for address in ["127.1", "2130706433", "0x7f000001", "a.0x7f"] {
            let why = "is an IPv4 address that is not four decimal numbers";
            assert_eq!(Host::named(address), Err(why), "{address}");
        }
        assert!(Host::of_url("2001:db8::10").is_err() && Host::named("2001:db8::10").is_ok());
        assert!(Host::named("fe80::1%eth0").is_err());
        assert!(Host::named(&"a.".repeat(600)).is_err());
    }
}
