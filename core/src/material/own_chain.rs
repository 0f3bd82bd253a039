//! The order of our own chain, and the certificates of a file that are not part of it.

use rustls::sign::SigningKey;

use crate::error::{Error, Kind};
use crate::x509::{Certificate, ParsedCertificate, comparable_name};

/// Our chain, leaf first, and notes about certificates of the file that are not presented.
pub(super) struct OwnChain {
    pub(super) certificates: Vec<Certificate>,
    pub(super) notes: Vec<String>,
}

/// Whether the order of a file has a meaning.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FileOrder {
    /// The leaf is the first, and each is followed by its issuer.
    LeafFirst,
    /// The leaf is the certificate of the key.
    Any,
}

/// Splits the certificates of a file: the leaf, then the issuer of each, and the others. If no
/// certificate belongs to the key, the first counts as the leaf: the check of the key fails.
///
/// Fails with `identity_unusable` if the order has a meaning and an issuer stands before the certificate
/// that it has issued: some servers accept no other order (RFC 5246 section 7.4.2).
pub(super) fn of_file(
    file: Vec<Certificate>,
    key: &dyn SigningKey,
    order: FileOrder,
) -> Result<OwnChain, Error> {
    let mut notes = Vec::new();
    let mut rest = without_duplicates(file, &mut notes);
    let own = match order {
        FileOrder::LeafFirst => 0,
        FileOrder::Any => position_of_key(&rest, key).unwrap_or(0),
    };
    if own >= rest.len() {
        return Ok(OwnChain { certificates: vec![], notes });
    }
    let mut last = rest.remove(own);
    let mut certificates = vec![last.1.clone()];
    while let Some(next) = issuer_among(&rest, &last.1.parsed()) {
        let issuer = rest.remove(next);
        if order == FileOrder::LeafFirst && issuer.0 < last.0 {
            return Err(misplaced(&last, &issuer));
        }
        certificates.push(issuer.1.clone());
        last = issuer;
    }
    notes.extend(rest.iter().map(|(at, stray)| {
        format!(
            "certificate {at} of the file ({}) is not an issuer of ours ({}, issued by {}): it is not \
             presented",
            stray.subject_text(),
            certificates[0].subject_text(),
            certificates[0].parsed().issuer_text()
        )
    }));
    Ok(OwnChain { certificates, notes })
}

/// A certificate and its position in the file, from 1.
type Placed = (usize, Certificate);

fn without_duplicates(file: Vec<Certificate>, notes: &mut Vec<String>) -> Vec<Placed> {
    let mut kept: Vec<Placed> = Vec::with_capacity(file.len());
    for (at, certificate) in (1..).zip(file) {
        if kept.iter().any(|(_, known)| *known == certificate) {
            let subject = certificate.subject_text();
            notes.push(format!(
                "certificate {at} of the file ({subject}) is there twice: it is presented once at most"
            ));
        } else {
            kept.push((at, certificate));
        }
    }
    kept
}

fn position_of_key(certificates: &[Placed], key: &dyn SigningKey) -> Option<usize> {
    let public = key.public_key()?;
    certificates.iter().position(|(_, certificate)| certificate.parsed().spki == public.as_ref())
}

/// Finds the issuer of `subject`. If several CA certificates have its name, takes the one with the key
/// identifier that `subject` names. A root has no issuer: another certificate of its name is one only if
/// the key identifiers say so.
fn issuer_among(certificates: &[Placed], subject: &ParsedCertificate<'_>) -> Option<usize> {
    let name = comparable_name(subject.issuer);
    let position = |fits: &dyn Fn(&ParsedCertificate<'_>) -> bool| {
        certificates.iter().position(|(_, other)| {
            let other = other.parsed();
            comparable_name(other.subject) == name && fits(&other)
        })
    };
    let by_key_id = position(&|issuer| {
        issuer.subject_key_id.is_some()
            && issuer.subject_key_id == subject.authority_key_id
            && issuer.subject_key_id != subject.subject_key_id
    });
    let is_root = comparable_name(subject.subject) == name;
    by_key_id.or_else(|| if is_root { None } else { position(&|_| true) })
}

fn misplaced((at, certificate): &Placed, issuer: &Placed) -> Error {
    let (certificate, issuer_name) = (certificate.subject_text(), issuer.1.subject_text());
    Error::new(
        Kind::IdentityUnusable,
        format!(
            "certificate {at} of our chain ({certificate}) stands after its issuer, certificate {} \
             ({issuer_name})",
            issuer.0
        ),
    )
    .advising("Put the leaf first, then its issuer, and so on.")
}
