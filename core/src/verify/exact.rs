//! Verifies a peer against one certificate, without a CA: there is no path, and no CRL applies.

use super::link::Link;
use super::path::Path;
use super::{Expectation, PeerIdentity, check_leaf, check_pins, check_tenant, failure};
use crate::error::{Error, Kind, key};
use crate::x509::{Certificate, Presented, pin_text};

/// Verifies the leaf. Further certificates that the peer has presented do not count.
///
/// * `certificate`: the only certificate that is trusted.
///
/// Fails with `issuer_unknown` if the leaf is another certificate, else as [`verify`](super::verify) does.
pub(super) fn verify(
    leaf: &Presented<'_>,
    certificate: &Certificate,
    expected: &Expectation<'_>,
) -> Result<PeerIdentity, Error> {
    check_certificate(leaf, certificate)?;
    failure::check_dates(&Link::leaf(leaf.parsed()), expected.at)?;
    check_leaf(&Link::leaf(leaf.parsed()), &expected.leaf_rules())?;
    expected.names.check(leaf.parsed())?;
    let path = Path::default();
    let pin = check_pins(leaf, &path, expected, true)?;
    let tenant = check_tenant(leaf.parsed(), expected)?;
    Ok(PeerIdentity::new(leaf, expected.role, tenant, pin, path, expected.at))
}

/// Fails with `issuer_unknown` if the leaf is another certificate than the trusted one.
pub(super) fn check_certificate(
    leaf: &Presented<'_>,
    certificate: &Certificate,
) -> Result<(), Error> {
    if leaf.der() == certificate.der() {
        return Ok(());
    }
    Err(other_certificate(leaf, certificate))
}

/// The error if the peer presents another certificate. A renewed one, and one that was issued by the
/// trusted certificate, are the common cases.
fn other_certificate(leaf: &Presented<'_>, certificate: &Certificate) -> Error {
    let (seen, trusted) = (leaf.parsed(), certificate.parsed());
    let (is_renewed, is_below) = (seen.spki == trusted.spki, seen.issuer == trusted.subject);
    let why = if is_renewed {
        "has the key of the trusted certificate, but is another certificate"
    } else if is_below && trusted.is_ca {
        "was issued by the trusted certificate, which is trusted exactly and not as a CA"
    } else {
        "is not the trusted certificate"
    };
    let remedy = if is_below && trusted.is_ca && !is_renewed {
        "Load the CA with from_pem or from_files (fromPem, fromFiles in Node) instead of exact."
    } else {
        "Ask the peer for its current certificate, and replace the exact trust."
    };
    let subject = seen.subject_text();
    let message = format!("the peer's certificate ({subject}) {why} ({})", trusted.subject_text());
    Error::new(Kind::IssuerUnknown, message)
        .noting(key::SUBJECT, subject)
        .noting(key::OBSERVED_PIN, pin_text(&seen.spki_digest()))
        .advising(remedy)
}
