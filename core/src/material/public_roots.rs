//! The public web roots that a trust bundle must not contain: every root that certifi, Node, the JDK,
//! Debian or webpki-root-certs has shipped. `cargo xtask public-roots` generates `public_roots.txt`. It
//! holds digests, and no certificates.

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Kind, key};
use crate::metrics;
use crate::x509::{ParsedCertificate, comparable_name, hex};

/// A header, an empty line, and the first 64 bits of each digest in hex, sorted, one in a line.
///
/// That length makes an accidental match improbable: four look-ups among about a thousand digests match
/// by chance for one certificate in 10^15. An attacker gains nothing from a match, because it only
/// refuses the bundle.
const ROOTS: &str = include_str!("public_roots.txt");

/// The hexadecimal digits of a digest in the list.
const DIGITS: usize = 16;

/// The digests by which the list knows a root.
pub(crate) struct RootDigests {
    /// Of the SubjectPublicKeyInfo.
    pub(crate) key: [u8; 32],
    /// Of the subject, in the form of RFC 5280 section 7.1.
    pub(crate) name: [u8; 32],
    /// Of the subject with the subjectKeyIdentifier, if the root has one.
    pub(crate) name_and_key_id: Option<[u8; 32]>,
}

impl RootDigests {
    pub(crate) fn of(root: &ParsedCertificate<'_>) -> Self {
        Self {
            key: root.spki_digest(),
            name: name_digest(root.subject, &[]),
            name_and_key_id: root.subject_key_id.map(|id| name_digest(root.subject, id)),
        }
    }
}

/// Fails with `public_root_in_trust` if the anchor is a public root or was issued by one.
///
/// Anyone who controls a domain name can get a certificate below such an anchor.
pub(crate) fn refuse(anchor: &ParsedCertificate<'_>) -> Result<(), Error> {
    let (root, relation) = if is_root(anchor) {
        (anchor.subject_text(), "is a public web root".to_owned())
    } else if is_issued_by_root(anchor) {
        let issuer = anchor.issuer_text();
        (issuer.clone(), format!("was issued by the public web root {issuer}"))
    } else {
        return Ok(());
    };
    metrics::count_public_root();
    let subject = anchor.subject_text();
    let message = format!("the trust bundle's certificate {subject} {relation}");
    Err(Error::new(Kind::PublicRootInTrust, message)
        .noting(key::ROOT, root)
        .noting(key::SUBJECT, subject))
}

/// Returns whether this is a public root, or another certificate of its key.
///
/// A private CA may have the name of a public root, but not its key identifier as well.
fn is_root(anchor: &ParsedCertificate<'_>) -> bool {
    let own = RootDigests::of(anchor);
    is_listed(&own.key)
        || match own.name_and_key_id {
            Some(both) => is_listed(&both),
            None => is_listed(&own.name) && anchor.issuer == anchor.subject,
        }
}

/// Returns whether a certificate that is not itself a public root names one as its issuer. If it was
/// issued under its own name, the key identifier decides.
fn is_issued_by_root(anchor: &ParsedCertificate<'_>) -> bool {
    if anchor.issuer != anchor.subject {
        return is_listed(&name_digest(anchor.issuer, &[]));
    }
    anchor.authority_key_id.is_some_and(|id| is_listed(&name_digest(anchor.issuer, id)))
}

/// * `key_id`: the key identifier, or nothing for the name alone.
fn name_digest(name: &[u8], key_id: &[u8]) -> [u8; 32] {
    // Each part of a comparable name has its length, so the key identifier cannot pass for a part.
    Sha256::new().chain_update(comparable_name(name)).chain_update(key_id).finalize().into()
}

fn is_listed(digest: &[u8; 32]) -> bool {
    let wanted = hex(&digest[..DIGITS / 2]);
    lines().binary_search_by(|line| line[..DIGITS].cmp(wanted.as_bytes())).is_ok()
}

/// The digests of the list, each with its line feed.
fn lines() -> &'static [[u8; DIGITS + 1]] {
    let (_, list) = ROOTS.split_once("\n\n").unwrap_or_default();
    list.as_bytes().as_chunks().0
}

/// Returns the digest of a root's key, its lines in the list, and its subject, for the program that
/// generates the list. Fails with the reason if the certificate cannot be read.
#[cfg(feature = "testing")]
#[doc(hidden)]
pub fn entry(root: &[u8]) -> Result<(String, Vec<String>, String), &'static str> {
    let root = ParsedCertificate::read(root).map_err(|fault| fault.0)?;
    let RootDigests { key, name, name_and_key_id } = RootDigests::of(&root);
    let lines = [Some(key), Some(name), name_and_key_id].into_iter().flatten();
    let lines = lines.map(|digest| hex(&digest[..DIGITS / 2])).collect();
    Ok((hex(&key), lines, crate::x509::name_text(root.subject)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names, keys and sources of the roots. `cargo xtask public-roots` writes it with the list.
    const NAMES: &str = include_str!("../../tests/public_roots.tsv");

    #[test]
    fn the_list_is_small_sorted_and_complete_lines() {
        assert!(ROOTS.len() <= 40 * 1024, "{} bytes", ROOTS.len());
        let (_, list) = ROOTS.split_once("\n\n").expect("a header");
        assert_eq!(list.len(), lines().len() * (DIGITS + 1));
        assert!(lines().is_sorted_by(|one, next| one < next));
        let is_line = |line: &[u8; DIGITS + 1]| {
            let (digits, end) = line.split_at(DIGITS);
            end == b"\n" && digits.iter().all(|digit| b"0123456789abcdef".contains(digit))
        };
        assert!(lines().iter().all(is_line));
    }

    #[test]
    fn the_key_of_each_named_root_is_listed() {
        let rows: Vec<Vec<&str>> = NAMES
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split('\t').collect())
            .collect();
        assert!(rows.len() >= 340, "{} roots", rows.len());
        for row in &rows {
            let [_, key, sources, name] = row[..] else { panic!("{row:?}") };
            let key: Vec<u8> = (0..64)
                .step_by(2)
                .map(|at| u8::from_str_radix(&key[at..at + 2], 16).expect("hex"))
                .collect();
            assert!(is_listed(&key.try_into().expect("32 bytes")), "{name} of {sources}");
        }
        for source in ["certifi", "debian", "jdk", "node", "webpki-root-certs"] {
            assert!(rows.iter().any(|row| row[2].contains(source)), "{source}");
        }
        assert!(!is_listed(&[0; 32]) && !is_listed(&[0xff; 32]));
    }
}
