//! The public web roots that a trust bundle must not contain. `cargo xtask public-roots` generates
//! `public_roots.txt` from Mozilla's list. It holds digests and names, but no certificates.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Kind, key};
use crate::process::Once;
use crate::x509::{ParsedCertificate, hex};

/// A line holds the SHA-256 of a root's SubjectPublicKeyInfo, the SHA-256 of its subject, and its name.
const ROOTS: &str = include_str!("public_roots.txt");

/// Fails with `public_root_in_trust` if the anchor is a public root or was issued by one.
///
/// Anyone who controls a domain name can get a certificate below such an anchor.
pub(crate) fn refuse(anchor: &ParsedCertificate<'_>) -> Result<(), Error> {
    let roots = roots();
    let root = roots
        .by_digest
        .get(hex(&anchor.spki_digest()).as_str())
        .map(|name| (*name, "is the public web root"))
        .or_else(|| {
            let issuer = hex(&Sha256::digest(anchor.issuer));
            roots
                .by_digest
                .get(issuer.as_str())
                .map(|name| (*name, "was issued by the public web root"))
        });
    match root {
        None => Ok(()),
        Some((name, relation)) => Err(Error::new(
            Kind::PublicRootInTrust,
            format!("the trust bundle's certificate {} {relation} {name}", anchor.subject_text()),
        )
        .noting(key::ROOT, name)
        .noting(key::SUBJECT, anchor.subject_text())),
    }
}

struct Roots {
    by_digest: HashMap<&'static str, &'static str>,
}

fn roots() -> &'static Roots {
    static ROOTS_BY_DIGEST: Once<Roots> = Once::new();
    ROOTS_BY_DIGEST.get_or_init(|| {
        let mut by_digest = HashMap::new();
        for line in ROOTS.lines().filter(|line| !line.starts_with('#')) {
            let mut fields = line.splitn(3, ' ');
            if let (Some(spki), Some(subject), Some(name)) =
                (fields.next(), fields.next(), fields.next())
            {
                by_digest.insert(spki, name);
                by_digest.insert(subject, name);
            }
        }
        Roots { by_digest }
    })
}
