//! Explains a refusal of webpki in terms that an operator can act on. Runs only after a refusal.

use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::Error as Webpki;

use super::search::Search;
use super::{Expectation, millis};
use crate::clock::utc_text;
use crate::error::{Blame, Error, Kind, key, presented};
use crate::x509::{ParsedCertificate, Presented};

/// Ranks a failure by how much it tells the operator. Of two failures, the higher rank is reported.
pub(super) fn rank(error: &Error) -> u8 {
    match error.kind() {
        Kind::CertificateRevoked => 10,
        Kind::IssuerDistrusted => 9,
        Kind::CertificateExpired => 8,
        Kind::CertificateNotYetValid => 7,
        Kind::ChainTooLong => 6,
        Kind::IssuerRekeyed => 5,
        Kind::IssuerUnknown => 4,
        Kind::CrlUnusable => 3,
        Kind::ConstraintViolated => 2,
        _ => 1,
    }
}

/// Checks the validity period at the instant `at` (Unix seconds).
///
/// * `what`: the certificate's role, as the start of the message.
pub(super) fn check_dates(
    certificate: &ParsedCertificate<'_>,
    at: i64,
    what: &str,
) -> Result<(), Error> {
    let subject = certificate.subject_text();
    let fault = |kind, why: String| {
        Err(Error::new(kind, format!("{what} ({subject}) {why}"))
            .noting(key::SUBJECT, subject.clone())
            .noting(key::NOT_BEFORE, millis(certificate.not_before))
            .noting(key::NOT_AFTER, millis(certificate.not_after))
            .noting(key::AT, millis(at)))
    };
    if at > certificate.not_after {
        let why = format!("expired on {}", utc_text(certificate.not_after));
        return fault(Kind::CertificateExpired, why);
    }
    if at < certificate.not_before {
        let why = format!("becomes valid on {}", utc_text(certificate.not_before));
        return fault(Kind::CertificateNotYetValid, why);
    }
    Ok(())
}

pub(super) fn key_weak(certificate: &ParsedCertificate<'_>, weakness: &str) -> Error {
    let subject = certificate.subject_text();
    Error::new(Kind::KeyWeak, format!("{subject} has {weakness}"))
        .noting(key::SUBJECT, subject)
        .noting(key::WEAKNESS, weakness)
}

pub(super) fn too_costly(signatures: usize) -> Error {
    Error::new(
        Kind::ChainTooLong,
        format!("no path to a trusted CA was found within {signatures} signature checks"),
    )
    .noting(key::SIGNATURE_CHECKS, signatures)
}

/// The error for a certificate that this crate parses and webpki does not.
pub(super) fn unreadable(error: &Webpki, certificate: &ParsedCertificate<'_>) -> Error {
    invalid(certificate, &format!("cannot be used ({})", presented(&format!("{error:?}"))))
}

fn invalid(certificate: &ParsedCertificate<'_>, why: &str) -> Error {
    let subject = certificate.subject_text();
    Error::new(Kind::CertificateInvalid, format!("the peer's certificate ({subject}) {why}"))
        .noting(key::SUBJECT, subject)
}

/// Converts an error of webpki.
pub(super) fn explain(
    error: &Webpki,
    search: &Search<'_>,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> Error {
    let (leaf, issuers, expected) = (search.leaf.parsed(), search.issuers, search.expected);
    match error {
        Webpki::CertExpired { .. }
        | Webpki::CertNotValidYet { .. }
        | Webpki::InvalidCertValidity => outside_dates(leaf, issuers, expected.at),
        Webpki::PathLenConstraintViolated => {
            constraint(leaf, "is below a CA that may not issue to a CA (path length)")
        }
        Webpki::NameConstraintViolation
        | Webpki::MalformedNameConstraint
        | Webpki::InvalidNetworkMaskConstraint
        | Webpki::MaximumNameConstraintComparisonsExceeded => {
            constraint(leaf, "has a name that one of its CAs may not issue (name constraints)")
        }
        Webpki::EndEntityUsedAsCa => {
            constraint(leaf, "was issued by a certificate that is not a CA")
        }
        Webpki::RequiredEkuNotFoundContext(_) => ca_purpose(leaf),
        Webpki::MaximumPathBuildCallsExceeded
        | Webpki::MaximumPathDepthExceeded
        | Webpki::MaximumSignatureChecksExceeded => {
            Error::new(Kind::ChainTooLong, "the peer's certificates form too many paths to judge")
        }
        Webpki::UnknownIssuer
        | Webpki::InvalidSignatureForPublicKey
        | Webpki::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            first_broken_link(leaf, issuers, expected, algorithms)
        }
        Webpki::UnsupportedSignatureAlgorithmContext(_) | Webpki::SignatureAlgorithmMismatch => {
            invalid(
                leaf,
                "or one of its issuers has a signature with an algorithm that is not accepted, such as SHA-1",
            )
        }
        // A self-signed CA certificate, which `openssl req -x509` makes by default. That no anchor
        // matches it tells more than that it is a CA.
        Webpki::CaUsedAsEndEntity if leaf.issuer == leaf.subject && !is_anchor(leaf, expected) => {
            issuer_missing(leaf, leaf, 0)
        }
        Webpki::CaUsedAsEndEntity => invalid(leaf, "is a CA certificate; a leaf is expected"),
        Webpki::UnsupportedCriticalExtension => {
            invalid(leaf, "or one of its issuers has a critical extension that is not understood")
        }
        other => {
            let why = presented(&format!("{other:?}"));
            invalid(leaf, &format!("or one of its issuers is malformed ({why})"))
        }
    }
}

/// The error of the first certificate that is outside its validity period.
fn outside_dates(leaf: &ParsedCertificate<'_>, issuers: &[Presented<'_>], at: i64) -> Error {
    let outside = std::iter::once(leaf).chain(issuers.iter().map(Presented::parsed)).find_map(
        |certificate| check_dates(certificate, at, "a certificate of the peer's chain").err(),
    );
    outside.unwrap_or_else(|| invalid(leaf, "has a notAfter before its notBefore"))
}

/// The error if the extendedKeyUsage of a CA excludes the role.
fn ca_purpose(leaf: &ParsedCertificate<'_>) -> Error {
    let subject = leaf.subject_text();
    let message = format!("the extendedKeyUsage of a CA above {subject} does not allow the role");
    Error::new(Kind::PurposeNotAllowed, message).noting(key::SUBJECT, subject)
}

fn constraint(leaf: &ParsedCertificate<'_>, why: &str) -> Error {
    let subject = leaf.subject_text();
    Error::new(Kind::ConstraintViolated, format!("{subject} {why}")).noting(key::SUBJECT, subject)
}

fn is_anchor(leaf: &ParsedCertificate<'_>, expected: &Expectation<'_>) -> bool {
    expected.trust.anchors().iter().any(|anchor| anchor.certificate.parsed().spki == leaf.spki)
}

/// Follows issuer names from the leaf to find the link at which the path to an anchor breaks.
fn first_broken_link(
    leaf: &ParsedCertificate<'_>,
    issuers: &[Presented<'_>],
    expected: &Expectation<'_>,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> Error {
    let mut at = leaf;
    let mut steps = 0;
    loop {
        let anchor = expected
            .trust
            .anchors()
            .iter()
            .find(|anchor| anchor.certificate.parsed().subject == at.issuer);
        if let Some(anchor) = anchor {
            let issuer = anchor.certificate.parsed();
            if let Err(error) = check_dates(&issuer, expected.at, "the trusted CA") {
                return error
                    .blamed(Blame::Ours)
                    .advising("Supply the CA's current certificate in the trust bundle.");
            }
            return anchor_rekeyed(at, &issuer);
        }
        // Skips a self-signed certificate, because it leads to no other issuer.
        let named = || {
            issuers
                .iter()
                .map(Presented::parsed)
                .filter(|issuer| issuer.subject == at.issuer && issuer.spki != at.spki)
                .take(super::MAX_CHAIN)
        };
        // The issuer with the named key identifier is the likely signer. It comes first, because the
        // number of signature checks is limited.
        let likely = named().filter(|issuer| names_key_of(at, issuer));
        let others = named().filter(|issuer| !names_key_of(at, issuer));
        let signer =
            likely.chain(others).find(|issuer| at.signed.is_made_by(issuer.spki, algorithms));
        let Some(next) = signer.or_else(|| named().next()) else {
            return issuer_missing(at, leaf, steps);
        };
        if let Err(error) = check_dates(next, expected.at, "an intermediate of the peer") {
            return error;
        }
        if let Some(weakness) = next.key.weakness() {
            return key_weak(next, &weakness);
        }
        if signer.is_none() {
            return issuer_rekeyed(at, next);
        }
        at = next;
        steps += 1;
        if steps > super::MAX_CHAIN {
            return issuer_missing(at, leaf, steps);
        }
    }
}

/// The error if the presented issuer has the right name, but its key did not sign the certificate.
fn issuer_rekeyed(certificate: &ParsedCertificate<'_>, issuer: &ParsedCertificate<'_>) -> Error {
    let (subject, name) = (certificate.subject_text(), issuer.subject_text());
    if names_key_of(certificate, issuer) {
        return invalid(certificate, "has a signature that its CA's key did not make");
    }
    Error::new(
        Kind::IssuerUnknown,
        format!("{subject} was issued by {name}, but the presented certificate of that name has another key"),
    )
    .noting(key::MISSING_ISSUER, name)
    .noting(key::SUBJECT, subject)
}

/// Returns whether the authorityKeyIdentifier of the certificate is the subjectKeyIdentifier of the
/// issuer.
fn names_key_of(certificate: &ParsedCertificate<'_>, issuer: &ParsedCertificate<'_>) -> bool {
    matches!(
        (certificate.authority_key_id, issuer.subject_key_id),
        (Some(wanted), Some(held)) if wanted == held
    )
}

/// The error if the anchor has the right name, but its key did not sign the certificate.
fn anchor_rekeyed(certificate: &ParsedCertificate<'_>, anchor: &ParsedCertificate<'_>) -> Error {
    let subject = certificate.subject_text();
    if names_key_of(certificate, anchor) {
        return invalid(certificate, "has a signature that its CA's key did not make");
    }
    Error::new(
        Kind::IssuerRekeyed,
        format!(
            "{subject} was issued by {}, but the trusted CA of that name has another key",
            anchor.subject_text()
        ),
    )
    .noting(key::SUBJECT, subject)
    .noting(key::ISSUER, anchor.subject_text())
}

/// The error if neither an anchor nor a presented certificate has the issuer's name.
fn issuer_missing(at: &ParsedCertificate<'_>, leaf: &ParsedCertificate<'_>, steps: usize) -> Error {
    let issuer = at.issuer_text();
    let error = if at.issuer == at.subject {
        let what = if steps == 0 {
            "the peer's certificate is self-signed"
        } else {
            "the peer's chain ends in a root"
        };
        Error::new(Kind::IssuerUnknown, format!("{what} ({issuer}), which is not trusted"))
    } else {
        Error::new(
            Kind::IssuerUnknown,
            format!(
                "{} was issued by {issuer}, which is neither trusted nor presented",
                at.subject_text()
            ),
        )
    };
    error.noting(key::MISSING_ISSUER, issuer).noting(key::SUBJECT, leaf.subject_text())
}
