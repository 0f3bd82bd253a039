//! Failures of a path in terms that an operator can act on, and the explanation of a search that found no
//! path with valid signatures.

use super::link::{Link, Place};
use super::millis;
use super::names::Names;
use super::search::{Issuer, Search, SignatureVerdict};
use crate::clock::utc_text;
use crate::error::{Blame, Error, Kind, cause, key, presented};
use crate::x509::{ParsedCertificate, dotted, signature_name};

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

/// Replaces a failure by another one of higher rank.
pub(super) fn keep_highest(known: &mut Option<Error>, other: Error) {
    if known.as_ref().is_none_or(|known| rank(&other) > rank(known)) {
        *known = Some(other);
    }
}

/// Checks the validity period at the instant `at` (Unix seconds).
pub(super) fn check_dates(certificate: &Link<'_>, at: i64) -> Result<(), Error> {
    let fault = |kind, why: &str| {
        Err(certificate
            .fault(kind, &format!("{why}; the time of the check is {}", utc_text(at)))
            .noting(key::NOT_BEFORE, millis(certificate.not_before))
            .noting(key::NOT_AFTER, millis(certificate.not_after))
            .noting(key::AT, millis(at)))
    };
    if at > certificate.not_after {
        let why = format!("expired on {}", utc_text(certificate.not_after));
        return fault(Kind::CertificateExpired, &why);
    }
    if at < certificate.not_before {
        let not_before = utc_text(certificate.not_before);
        let why = format!("becomes valid on {not_before}");
        return fault(Kind::CertificateNotYetValid, &why).map_err(|error| {
            error.caused(&cause::PEER_NOT_YET_VALID, &[("not_before", &not_before)])
        });
    }
    Ok(())
}

pub(super) fn key_weak(certificate: &Link<'_>, weakness: &str) -> Error {
    certificate.fault(Kind::KeyWeak, &format!("has {weakness}")).noting(key::WEAKNESS, weakness)
}

pub(super) fn too_costly(signatures: usize) -> Error {
    Error::new(
        Kind::ChainTooLong,
        format!("no path to a trusted CA was found within {signatures} signature checks"),
    )
    .noting(key::SIGNATURE_CHECKS, signatures)
}

pub(super) fn critical_extension(certificate: &Link<'_>) -> Error {
    let id = presented(&dotted(certificate.unknown_critical.unwrap_or_default()));
    certificate.invalid(&format!("has the critical extension {id}, which is not supported"))
}

/// The error for a signature whose algorithm is not accepted.
pub(super) fn algorithm_not_accepted(certificate: &Link<'_>) -> Error {
    let name = presented(&signature_name(certificate.signed.algorithm));
    certificate
        .invalid(&format!("is signed with {name}, which is not accepted"))
        .noting(key::WEAKNESS, name)
        .caused(
            &cause::SIGNATURE_NOT_ACCEPTED,
            &[("issuer", &certificate.issuer_text()), ("subject", &certificate.subject_text())],
        )
}

/// Follows issuer names from the leaf to find the link at which the path to an anchor breaks.
pub(super) fn first_broken_link(search: &Search<'_>, names: &Names) -> Error {
    let mut at = 0;
    let mut steps = 0;
    loop {
        let certificate = search.link(at);
        let mut anchors = search.anchors().iter().enumerate();
        let anchor = anchors
            .find(|(anchor, _)| names.is_issuer(search, at, Issuer::Anchor(*anchor)))
            .map(|(_, anchor)| anchor.certificate.parsed());
        if let Some(issuer) = anchor {
            let issuer = Link { parsed: &issuer, place: Place::Anchor };
            if let Err(error) = check_dates(&issuer, search.expected.at) {
                return error
                    .blamed(Blame::Ours)
                    .advising("Supply the CA's current certificate in the trust bundle.");
            }
            let verdict = search.check_signature(&certificate.signed, issuer.spki);
            return if verdict == SignatureVerdict::Valid {
                path_too_long(steps + 1)
            } else {
                anchor_rekeyed(&certificate, &issuer)
            };
        }
        // Skips a self-signed certificate, because it leads to no other issuer.
        let candidates = || {
            (1..=search.issuers.len())
                .filter(|issuer| names.is_issuer(search, at, Issuer::Candidate(*issuer)))
                .filter(|issuer| search.certificate(*issuer).spki != certificate.spki)
                .take(super::MAX_CHAIN)
        };
        // The issuer with the named key identifier is the likely signer. It comes first, because the
        // number of signature checks is limited.
        let names_key = |issuer: &usize| names_key_of(&certificate, search.certificate(*issuer));
        let likely = candidates().filter(names_key);
        let others = candidates().filter(|issuer| !names_key(issuer));
        let is_signer = |issuer: &usize| {
            let spki = search.certificate(*issuer).spki;
            search.check_signature(&certificate.signed, spki) == SignatureVerdict::Valid
        };
        let signer = likely.chain(others).find(is_signer);
        let Some(next) = signer.or_else(|| candidates().next()) else {
            return issuer_missing(search, at, steps);
        };
        let issuer = search.link(next);
        if let Err(error) = check_dates(&issuer, search.expected.at) {
            return error;
        }
        if let Some(weakness) = issuer.key.weakness() {
            return key_weak(&issuer, &weakness);
        }
        if signer.is_none() {
            return issuer_rekeyed(&certificate, &issuer);
        }
        at = next;
        steps += 1;
        if steps > super::MAX_CHAIN {
            return issuer_missing(search, at, steps);
        }
    }
}

/// The error if every signature up to an anchor is valid, but the path has too many certificates.
fn path_too_long(certificates: usize) -> Error {
    Error::new(
        Kind::ChainTooLong,
        format!(
            "the path to a trusted CA has {certificates} certificates; {} are the limit",
            super::MAX_CHAIN
        ),
    )
}

/// The error if the presented issuer has the right name, but its key did not sign the certificate.
fn issuer_rekeyed(certificate: &Link<'_>, issuer: &Link<'_>) -> Error {
    let (subject, name) = (certificate.subject_text(), issuer.subject_text());
    if names_key_of(certificate, issuer) {
        return forged(certificate, issuer);
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
fn anchor_rekeyed(certificate: &Link<'_>, anchor: &Link<'_>) -> Error {
    let subject = certificate.subject_text();
    if names_key_of(certificate, anchor) {
        return forged(certificate, anchor);
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

/// The error if a certificate names the key of an issuer that did not sign it.
fn forged(certificate: &Link<'_>, issuer: &Link<'_>) -> Error {
    certificate
        .invalid(&format!("has a signature that the key of {} did not make", issuer.described()))
        .noting(key::ISSUER, issuer.subject_text())
}

/// The error if neither an anchor nor a presented certificate has the issuer's name.
fn issuer_missing(search: &Search<'_>, at: usize, steps: usize) -> Error {
    let certificate = search.certificate(at);
    let issuer = certificate.issuer_text();
    let message = if certificate.issuer == certificate.subject {
        let what = if steps == 0 {
            "the peer's certificate is self-signed"
        } else {
            "the peer's chain ends in a root"
        };
        format!("{what} ({issuer}), which is not trusted")
    } else {
        let how = if search.expected.chain_is_whole {
            "which is neither trusted nor presented"
        } else {
            "which is not trusted; the rest of the peer's chain is not known"
        };
        format!("{} was issued by {issuer}, {how}", certificate.subject_text())
    };
    let message = format!("{message}; {}", trusted(search));
    let message = if has_lookalike(search, &issuer) {
        message + "; a CA whose name prints the same has other attributes or characters in it"
    } else {
        message
    };
    let error = Error::new(Kind::IssuerUnknown, message);
    let error = if steps == 0 && certificate.issuer == certificate.subject {
        error.advising(
            "The peer must present a certificate of a trusted CA. If it is a peer without a CA, trust \
             this one certificate: Trust.exact.",
        )
    } else if certificate.issuer == certificate.subject {
        error.caused(&cause::OTHER_ROOT, &[("root", &issuer)])
    } else if !search.expected.chain_is_whole {
        error.caused(&cause::CHAIN_WITHHELD, &[("issuer", &issuer)])
    } else {
        error.caused(&cause::ISSUER_NOT_SENT, &[])
    };
    error
        .noting(key::MISSING_ISSUER, issuer)
        .noting(key::SUBJECT, search.leaf.parsed().subject_text())
}

/// Names the CAs of the trust.
fn trusted(search: &Search<'_>) -> String {
    /// The most CAs in a message.
    const MAX_NAMES: usize = 3;
    let anchors = search.anchors();
    let names = anchors.iter().take(MAX_NAMES).map(|anchor| anchor.certificate.subject_text());
    let names = names.collect::<Vec<_>>().join(", ");
    match anchors.len() {
        0 => "no CA is trusted".to_owned(),
        count if count > MAX_NAMES => format!("{names} and {} more are trusted", count - MAX_NAMES),
        1 => format!("{names} is trusted"),
        _ => format!("{names} are trusted"),
    }
}

/// Returns whether a CA that is not the issuer has a name with the same text.
fn has_lookalike(search: &Search<'_>, issuer: &str) -> bool {
    let anchors = search.anchors().iter().map(|anchor| anchor.certificate.subject_text());
    let others =
        search.issuers.iter().filter(|other| other.parsed().issuer != other.parsed().subject);
    let mut others = others.map(|other| other.parsed().subject_text());
    anchors.into_iter().any(|name| name == issuer) || others.any(|name| name == issuer)
}
