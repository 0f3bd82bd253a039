//! Why a chain is refused, said so that somebody can act on it. Runs only after a refusal.

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use webpki::Error as Webpki;

use super::{Expectation, millis, read_known};
use crate::error::{Blame, Error, Kind, presented};
use crate::x509::ParsedCertificate;

/// Which of two reasons tells more; the higher one wins.
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

pub(super) fn check_dates(
    certificate: &ParsedCertificate<'_>,
    at: i64,
    what: &str,
) -> Result<(), Error> {
    let subject = certificate.subject_text();
    let fault = |kind, why: String| {
        Err(Error::new(kind, format!("{what} ({subject}) {why}"))
            .noting("subject", subject.clone())
            .noting("not_before_ms", millis(certificate.not_before))
            .noting("not_after_ms", millis(certificate.not_after))
            .noting("at_ms", millis(at)))
    };
    if at > certificate.not_after {
        let late = at - certificate.not_after;
        return fault(Kind::CertificateExpired, format!("expired {late} seconds ago"));
    }
    if at < certificate.not_before {
        let early = certificate.not_before - at;
        return fault(Kind::CertificateNotYetValid, format!("becomes valid in {early} seconds"));
    }
    Ok(())
}

pub(super) fn key_weak(certificate: &ParsedCertificate<'_>, weakness: &str) -> Error {
    let subject = certificate.subject_text();
    Error::new(Kind::KeyWeak, format!("{subject} has {weakness}"))
        .noting("subject", subject)
        .noting("weakness", weakness)
}

pub(super) fn too_costly(signatures: usize) -> Error {
    Error::new(
        Kind::ChainTooLong,
        format!("no path to a trusted CA was found within {signatures} signature checks"),
    )
    .noting("signature_checks", signatures)
}

/// A certificate that this crate can read and webpki cannot.
pub(super) fn unreadable(error: &Webpki, certificate: &ParsedCertificate<'_>) -> Error {
    invalid(certificate, &format!("cannot be used ({})", presented(&format!("{error:?}"))))
}

fn invalid(certificate: &ParsedCertificate<'_>, why: &str) -> Error {
    let subject = certificate.subject_text();
    Error::new(Kind::CertificateInvalid, format!("the peer's certificate ({subject}) {why}"))
        .noting("subject", subject)
}

/// Turns webpki's refusal into ours.
pub(super) fn explain(
    error: &Webpki,
    leaf_der: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    expected: &Expectation<'_>,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> Error {
    let leaf = read_known(leaf_der);
    let issuers: Vec<ParsedCertificate<'_>> = intermediates.iter().map(read_known).collect();
    match error {
        Webpki::CertExpired { .. }
        | Webpki::CertNotValidYet { .. }
        | Webpki::InvalidCertValidity => {
            let outside = std::iter::once(&leaf).chain(&issuers).find_map(|certificate| {
                check_dates(certificate, expected.at, "a certificate of the peer's chain").err()
            });
            outside.unwrap_or_else(|| invalid(&leaf, "has dates that contradict each other"))
        }
        Webpki::PathLenConstraintViolated => {
            constraint(&leaf, "is below a CA that may not issue to a CA (path length)")
        }
        Webpki::NameConstraintViolation
        | Webpki::MalformedNameConstraint
        | Webpki::InvalidNetworkMaskConstraint
        | Webpki::MaximumNameConstraintComparisonsExceeded => {
            constraint(&leaf, "has a name that one of its CAs may not issue (name constraints)")
        }
        Webpki::EndEntityUsedAsCa => constraint(&leaf, "was issued by a certificate that is no CA"),
        Webpki::RequiredEkuNotFoundContext(_) => Error::new(
            Kind::PurposeNotAllowed,
            format!(
                "the extendedKeyUsage of a CA above {} does not allow the role",
                leaf.subject_text()
            ),
        )
        .noting("subject", leaf.subject_text()),
        Webpki::MaximumPathBuildCallsExceeded
        | Webpki::MaximumPathDepthExceeded
        | Webpki::MaximumSignatureChecksExceeded => {
            Error::new(Kind::ChainTooLong, "the peer's certificates form too many paths to judge")
        }
        Webpki::UnknownIssuer
        | Webpki::InvalidSignatureForPublicKey
        | Webpki::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            walk(&leaf, &issuers, expected, algorithms)
        }
        Webpki::UnsupportedSignatureAlgorithmContext(_) | Webpki::SignatureAlgorithmMismatch => {
            invalid(
                &leaf,
                "or one of its issuers bears a signature of an algorithm that is not accepted, such as SHA-1",
            )
        }
        // What `openssl req -x509` makes by default; that nobody trusts it says more.
        Webpki::CaUsedAsEndEntity if leaf.issuer == leaf.subject && !is_anchor(&leaf, expected) => {
            missing(&leaf, &leaf, 0)
        }
        Webpki::CaUsedAsEndEntity => invalid(&leaf, "is a CA certificate; a leaf is expected"),
        Webpki::UnsupportedCriticalExtension => {
            invalid(&leaf, "or one of its issuers has a critical extension that is not understood")
        }
        other => {
            let why = presented(&format!("{other:?}"));
            invalid(&leaf, &format!("or one of its issuers is malformed ({why})"))
        }
    }
}

fn constraint(leaf: &ParsedCertificate<'_>, why: &str) -> Error {
    let subject = leaf.subject_text();
    Error::new(Kind::ConstraintViolated, format!("{subject} {why}")).noting("subject", subject)
}

fn is_anchor(leaf: &ParsedCertificate<'_>, expected: &Expectation<'_>) -> bool {
    expected.trust.anchors().iter().any(|anchor| anchor.certificate.parsed().spki == leaf.spki)
}

/// Follows issuer names from the leaf to say where the way to an anchor breaks off.
fn walk(
    leaf: &ParsedCertificate<'_>,
    issuers: &[ParsedCertificate<'_>],
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
            let view = anchor.certificate.parsed();
            if let Err(error) = check_dates(&view, expected.at, "the trusted CA") {
                return error
                    .blamed(Blame::Ours)
                    .advising("Supply the CA's current certificate in the trust bundle.");
            }
            return mismatched(at, &view);
        }
        // A certificate that signs itself leads nowhere.
        let named = || {
            issuers
                .iter()
                .filter(|issuer| issuer.subject == at.issuer && issuer.spki != at.spki)
                .take(super::MAX_CHAIN)
        };
        // The one whose key is named most likely signed, and every check is counted.
        let likely = named().filter(|issuer| names_key_of(at, issuer));
        let others = named().filter(|issuer| !names_key_of(at, issuer));
        let signer =
            likely.chain(others).find(|issuer| at.signed.is_made_by(issuer.spki, algorithms));
        let Some(next) = signer.or_else(|| named().next()) else {
            return missing(at, leaf, steps);
        };
        if let Err(error) = check_dates(next, expected.at, "an intermediate of the peer") {
            return error;
        }
        if let Some(weakness) = next.key.weakness() {
            return key_weak(next, &weakness);
        }
        if signer.is_none() {
            return unsigned(at, next);
        }
        at = next;
        steps += 1;
        if steps > super::MAX_CHAIN {
            return missing(at, leaf, steps);
        }
    }
}

/// The name of the presented issuer is right, and yet its key did not sign.
fn unsigned(certificate: &ParsedCertificate<'_>, issuer: &ParsedCertificate<'_>) -> Error {
    let (subject, name) = (certificate.subject_text(), issuer.subject_text());
    if names_key_of(certificate, issuer) {
        return invalid(certificate, "bears a signature that its CA's key did not make");
    }
    Error::new(
        Kind::IssuerUnknown,
        format!("{subject} was issued by {name}, and the one presented has another key"),
    )
    .noting("missing_issuer", name)
    .noting("subject", subject)
}

fn names_key_of(certificate: &ParsedCertificate<'_>, issuer: &ParsedCertificate<'_>) -> bool {
    matches!(
        (certificate.authority_key_id, issuer.subject_key_id),
        (Some(wanted), Some(held)) if wanted == held
    )
}

/// The name of the anchor is right, and yet its key did not sign.
fn mismatched(certificate: &ParsedCertificate<'_>, anchor: &ParsedCertificate<'_>) -> Error {
    let subject = certificate.subject_text();
    if names_key_of(certificate, anchor) {
        return invalid(certificate, "bears a signature that its CA's key did not make");
    }
    Error::new(
        Kind::IssuerRekeyed,
        format!(
            "{subject} was issued by {}, but by another key than the trusted CA of that name has",
            anchor.subject_text()
        ),
    )
    .noting("subject", subject)
    .noting("issuer", anchor.subject_text())
}

fn missing(at: &ParsedCertificate<'_>, leaf: &ParsedCertificate<'_>, steps: usize) -> Error {
    let issuer = at.issuer_text();
    let error = if at.issuer == at.subject {
        let what = if steps == 0 {
            "the peer's certificate signs itself"
        } else {
            "the peer's chain ends in a root"
        };
        Error::new(Kind::IssuerUnknown, format!("{what} ({issuer}), and that is not trusted"))
    } else {
        Error::new(
            Kind::IssuerUnknown,
            format!(
                "{} was issued by {issuer}, which is neither trusted nor presented",
                at.subject_text()
            ),
        )
    };
    error.noting("missing_issuer", issuer).noting("subject", leaf.subject_text())
}
