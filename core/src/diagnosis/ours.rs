//! The checks of our own material: the identity, and the trust.

use super::checks::{Check, Group};
use super::report::Results;
use super::verdict::check_of;
use crate::clock::{self, utc_text};
use crate::dispatcher::examination::Examination;
use crate::error::{Error, Kind};
use crate::material::identity::Identity;
use crate::material::trust::Trust;
use crate::x509::{Certificate, DIGITAL_SIGNATURE, Purpose, name_text};

/// A certificate with less than this part of its lifetime left should be renewed.
const RENEW_AT: f64 = 0.2;

/// Returns the check that a fault of a configuration belongs to.
///
/// * `group`: what was being read.
pub(super) fn check_of_setup(group: Group, error: &Error) -> Check {
    match (group, error.kind()) {
        (_, Kind::PublicRootInTrust) => Check::TrustPublicRoots,
        (_, Kind::UrlInvalid) => Check::WayAddresses,
        (_, Kind::PinInvalid) => Check::HandshakePins,
        (Group::Trust, Kind::CrlUnusable) => Check::TrustCrls,
        (Group::Trust, Kind::TrustInvalid) if error.message().contains("expired") => {
            Check::TrustAnchors
        }
        (Group::Trust, _) => Check::TrustReadable,
        (Group::Way, _) => Check::WayAddresses,
        _ => match check_of(error) {
            check if check.group() == Group::Identity => check,
            _ => Check::IdentityReadable,
        },
    }
}

/// Checks the identity. Returns the fault for which it must not be presented.
pub(super) fn identity(examination: &Examination, results: &mut Results) -> Option<Error> {
    let identity = examination.generation().identity();
    let (leaf, chain) = (identity.leaf().parsed(), identity.chain());
    let files = identity.origin().map(|origin| origin.source.shown().join(" and "));
    results.pass(
        Check::IdentityReadable,
        format!("{} from {}", leaf.subject_text(), files.as_deref().unwrap_or("memory")),
    );
    results.pass(
        Check::IdentityKey,
        match identity.elsewhere() {
            None => "the key belongs to the certificate",
            Some(_) => "a signer has the key; each handshake checks its signature",
        },
    );
    match identity.notes() {
        [] => results.pass(Check::IdentityOrder, "leaf first, no strays"),
        notes => results.warn(
            Check::IdentityOrder,
            notes.join("; "),
            "Remove the certificates that are not presented from the file.",
        ),
    }
    results.pass(Check::IdentityChain, sent(chain));
    results.pass(
        Check::IdentityPurpose,
        match leaf.client_purpose() {
            Purpose::Absent => "no extendedKeyUsage, which allows every purpose",
            _ => "clientAuth",
        },
    );
    results.pass(
        Check::IdentitySignature,
        match leaf.key_usage(DIGITAL_SIGNATURE) {
            Some(_) => "digitalSignature",
            None => "no keyUsage, which allows every use",
        },
    );
    let fault = clock::now().and_then(|now| {
        identity.check(now)?;
        dates(identity, now, results);
        Ok(())
    });
    let fault = fault.err()?;
    results.fail(Check::IdentityDates, fault.clone());
    Some(fault)
}

fn dates(identity: &Identity, now: i64, results: &mut Results) {
    let ends = identity.chain().iter().min_by_key(|certificate| certificate.not_after());
    let Some(first) = ends else { return };
    let text = format!("until {}", utc_text(first.not_after()));
    if lifetime_left(first, now) > RENEW_AT {
        return results.pass(Check::IdentityDates, text);
    }
    results.warn(
        Check::IdentityDates,
        format!("{} is valid {text}: less than a fifth is left", first.subject_text()),
        "Renew the certificate, and replace the file.",
    );
}

/// The fraction of a lifetime that is left.
#[allow(clippy::cast_precision_loss, reason = "seconds of a lifetime fit")]
pub(super) fn lifetime_left(certificate: &Certificate, now: i64) -> f64 {
    let (from, to) = (certificate.not_before(), certificate.not_after());
    to.saturating_sub(now) as f64 / to.saturating_sub(from).max(1) as f64
}

fn sent(chain: &[Certificate]) -> String {
    let issuer = chain.last().map(|last| last.parsed().issuer_text()).unwrap_or_default();
    match chain.len() {
        1 => format!("1 certificate, issued by {issuer}"),
        count => format!("{count} certificates, which lead to {issuer}"),
    }
}

/// Checks the trust.
pub(super) fn trust(examination: &Examination, results: &mut Results) {
    let trust = examination.generation().trust();
    let names: Vec<String> =
        trust.anchors().iter().take(3).map(|anchor| anchor.certificate.subject_text()).collect();
    let more = trust.anchors().len().saturating_sub(names.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    results.pass(Check::TrustReadable, format!("{}{more}", names.join(", ")));
    if trust.is_public() {
        results.warn(
            Check::TrustPublicRoots,
            "public roots are trusted: dangerous_public",
            "Ask the consumer for a certificate of a private CA. Until then, rely on the pins.",
        );
    } else {
        results.pass(Check::TrustPublicRoots, "none");
    }
    anchors(examination, results);
    let known = trust.intermediates().len();
    if known == 0 {
        results.skip(Check::TrustIntermediates, "none are configured");
    } else {
        results.pass(Check::TrustIntermediates, format!("{known} known"));
    }
    let notes: Vec<&str> =
        trust.notes().iter().filter(|note| note.contains("CRL")).map(String::as_str).collect();
    match (trust.crls().iter().len(), &notes[..]) {
        (0, []) => results.skip(Check::TrustCrls, "no CRL: revocation is not checked"),
        (_, []) => results.pass(Check::TrustCrls, covered(trust)),
        (_, notes) => results.warn(
            Check::TrustCrls,
            notes.join("; "),
            "Supply a current CRL of each CA of the bundle.",
        ),
    }
}

/// Names the CAs whose CRLs are in force, and the end of the first one.
fn covered(trust: &Trust) -> String {
    const MOST: usize = 3;
    let crls = trust.crls();
    let mut issuers: Vec<String> = crls.iter().map(|crl| name_text(&crl.issuer)).collect();
    issuers.sort_unstable();
    issuers.dedup();
    let more = issuers.len().saturating_sub(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shown = issuers.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    let until = crls.iter().map(|crl| crl.next_update).min().map(utc_text).unwrap_or_default();
    format!("in force until {until}, of {shown}{more}")
}

fn anchors(examination: &Examination, results: &mut Results) {
    let trust = examination.generation().trust();
    let now = match clock::now().and_then(|now| trust.check_current(now).map(|()| now)) {
        Ok(now) => now,
        Err(fault) => return results.fail(Check::TrustAnchors, fault),
    };
    let expired = trust.anchors().iter().filter(|anchor| anchor.not_after < now);
    let expired: Vec<String> = expired.map(|anchor| anchor.certificate.subject_text()).collect();
    let last = trust.anchors().iter().map(|anchor| anchor.not_after).max().unwrap_or(now);
    if expired.is_empty() {
        return results.pass(Check::TrustAnchors, format!("until {}", utc_text(last)));
    }
    results.warn(
        Check::TrustAnchors,
        format!("{} expired and is not used", expired.join(", ")),
        "Remove the expired CA from the bundle once no consumer uses it.",
    );
}
