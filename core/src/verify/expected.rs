//! The names that a certificate must contain.

use std::sync::Arc;

use webpki::EndEntityCert;

use crate::error::{Error, Kind, MAX_PRESENTED, key, presented_list};
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

    /// Checks a leaf (RFC 6125, RFC 9525). The common name never counts.
    ///
    /// * `webpki`: the same leaf as webpki has read it.
    ///
    /// Fails with `name_mismatch`.
    pub(super) fn check(
        &self,
        leaf: &ParsedCertificate<'_>,
        webpki: &EndEntityCert<'_>,
    ) -> Result<(), Error> {
        if let Some(uri) = &self.uri
            && !leaf.san_uris().any(|seen| seen == &**uri)
        {
            return Err(wrong_name(leaf, uri));
        }
        if let Some(name) = &self.name
            && webpki.verify_is_valid_for_subject_name(&name.server_name()).is_err()
        {
            return Err(wrong_name(leaf, &name.to_string()));
        }
        Ok(())
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
    let list = match count {
        0 => "no name".to_owned(),
        count if count > MAX_NAMES_IN_MESSAGE => {
            format!("{named} and {} more names", count - MAX_NAMES_IN_MESSAGE)
        }
        _ => named,
    };
    Error::new(
        Kind::NameMismatch,
        format!("expected a certificate for {expected}; the peer's certificate is for {list}"),
    )
    .noting(key::EXPECTED_NAME, expected)
    .noting(key::PRESENTED, some)
}
