//! The web's public roots, known only to be refused. `public_roots.txt` is generated from Mozilla's
//! list by `cargo xtask public-roots`; it holds digests and names, no certificate.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Kind};
use crate::process::Once;
use crate::x509::{ParsedCertificate, hex};

/// A line holds the SHA-256 of a root's SubjectPublicKeyInfo, that of its subject, and its name.
const ROOTS: &str = include_str!("public_roots.txt");

/// Refuses an anchor that is a public root, or that one has issued.
///
/// Either is proof enough: whoever controls a name on the web gets a certificate below it.
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
        .noting("root", name)
        .noting("subject", anchor.subject_text())),
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
