//! The names that a certificate must contain.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::dns_name;
use crate::error::{Error, Kind, MAX_PRESENTED, cause, key, presented_list};
use crate::net::Host;
use crate::x509::{ParsedCertificate, San};

/// The names that the subjectAltName of a peer must contain: each one that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    name: Option<Host>,
    uri: Option<Arc<str>>,
}

impl Expected {
    /// The names of a consumer: the server name and the URI of its endpoint, or the host of its URL if
    /// the endpoint has neither.
    pub(crate) fn of_consumer(host: &Host, name: Option<&Host>, uri: Option<&str>) -> Self {
        let host = if uri.is_none() { Some(host) } else { None };
        Self::of_peer(name.or(host).cloned(), uri.map(Arc::from))
    }

    /// The names of the peer of a verifier: all that are given.
    pub(crate) fn of_peer(name: Option<Host>, uri: Option<Arc<str>>) -> Self {
        Self { name, uri }
    }

    /// Returns the SAN URI that is expected, if one is.
    pub(crate) fn uri(&self) -> Option<&str> {
        self.uri.as_deref()
    }

    /// Checks a leaf (RFC 6125, RFC 9525). The common name never counts.
    ///
    /// Fails with `name_mismatch`.
    pub(super) fn check(&self, leaf: &ParsedCertificate<'_>) -> Result<(), Error> {
        if let Some(uri) = &self.uri
            && !leaf.san_uris().any(|seen| seen == &**uri)
        {
            return Err(wrong_name(leaf, uri));
        }
        if let Some(name) = &self.name
            && !leaf.sans().any(|san| is_for(san, name))
        {
            return Err(wrong_name(leaf, &name.to_string()));
        }
        Ok(())
    }
}

/// The names, for a person.
impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.uri, &self.name) {
            (Some(uri), Some(name)) => write!(f, "{uri} and {name}"),
            (Some(uri), None) => f.write_str(uri),
            (None, Some(name)) => write!(f, "{name}"),
            (None, None) => f.write_str("no name"),
        }
    }
}

/// Returns whether a name of the certificate is the expected one, of the same type.
fn is_for(san: San<'_>, expected: &Host) -> bool {
    match (san, expected) {
        (San::Dns(name), Host::Dns(expected)) => dns_name::matches(name, expected.as_ref()),
        (San::Ip(address), Host::Ip(expected)) => address == *expected,
        _ => false,
    }
}

fn wrong_name(leaf: &ParsedCertificate<'_>, expected: &str) -> Error {
    /// The most names in the message. The context has more of them.
    const MAX_NAMES_IN_MESSAGE: usize = 5;
    let sans = || {
        leaf.sans().filter_map(|san| match san {
            San::Dns(name) => Some(name.to_owned()),
            San::Ip(address) => Some(address.to_string()),
            San::Uri(uri) => Some(uri.to_owned()),
            San::Email(_) => None,
        })
    };
    let (count, some) = (sans().count(), sans().take(MAX_PRESENTED).collect::<Vec<_>>());
    let some = presented_list(some.iter().map(String::as_str));
    let named = some[..some.len().min(MAX_NAMES_IN_MESSAGE)].join(", ");
    let mut list = match count {
        0 => "no name".to_owned(),
        count if count > MAX_NAMES_IN_MESSAGE => {
            format!("{named} and {} more names", count - MAX_NAMES_IN_MESSAGE)
        }
        _ => named,
    };
    // The same text in another type or form must not look equal.
    if let Some(why) = leaf.sans().find_map(|san| lookalike(san, expected)) {
        list = format!("{list}, but {why}");
    }
    let is_address = expected.parse::<IpAddr>().is_ok();
    let what = if is_address { "the IP address " } else { "" };
    let error = Error::new(
        Kind::NameMismatch,
        format!(
            "expected a certificate for {what}{expected}; the peer's certificate is for {list}"
        ),
    )
    .noting(key::EXPECTED_NAME, expected)
    .noting(key::PRESENTED, some);
    if is_address && count > 0 { error.caused(&cause::ADDRESS_NOT_NAMED, &[]) } else { error }
}

/// Returns why a name with the text of the expected one is not that name.
fn lookalike(san: San<'_>, expected: &str) -> Option<&'static str> {
    let is_address = expected.parse::<IpAddr>().is_ok();
    match san {
        San::Dns(name) if is_address && name == expected => {
            Some("as a DNS name; an IP address must be in the certificate as an IP address")
        }
        San::Dns(name) if name.trim_end_matches('.').eq_ignore_ascii_case(expected) => {
            Some("not in the form that a DNS name has in a certificate")
        }
        San::Uri(uri) if uri == expected => Some("as a URI, not as a DNS name"),
        San::Dns(name) if name == expected => Some("as a DNS name, not as a URI"),
        _ => None,
    }
}
