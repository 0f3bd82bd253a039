//! The anchors of a trust bundle. They are checked when they are loaded, so that a fault shows before the
//! first peer. Path validation checks them again, as it checks an intermediate.

use super::public_roots;
use crate::clock::utc_text;
use crate::error::{Error, Kind, key, presented};
use crate::keystore::pem;
use crate::x509::{Certificate, KEY_CERT_SIGN, ParsedCertificate, dotted};

const BUNDLE: &str = "trust bundle";

pub(crate) struct Anchor {
    pub(crate) certificate: Certificate,
    pub(crate) not_after: i64,
    /// Whether it has an extension that is not supported, so that path validation refuses it.
    pub(crate) is_unsupported: bool,
}

/// The rules for loading a bundle.
pub(super) struct LoadPolicy {
    /// Unix seconds.
    pub(super) now: i64,
    /// Whether public roots are refused. A bundle with public roots may contain some that this crate cannot
    /// use; these are skipped.
    pub(super) refuse_public: bool,
}

impl LoadPolicy {
    /// Reads the anchors without duplicates, in the order of the bundle. Fails with `trust_invalid` if none
    /// can be used.
    ///
    /// An anchor with an unsupported extension stays, with a note: the paths of the other anchors do not
    /// depend on it, and an error about a path to it names the extension.
    pub(super) fn anchors(
        &self,
        bundle: &[u8],
        notes: &mut Vec<String>,
    ) -> Result<Vec<Anchor>, Error> {
        if bundle.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::new(Kind::TrustInvalid, "the trust bundle is empty"));
        }
        let mut anchors: Vec<Anchor> = Vec::new();
        let mut first_fault = None;
        for (at, der) in pem::certificate_ders(bundle, BUNDLE)?.iter().enumerate() {
            let what = format!("{BUNDLE}: certificate {}", at + 1);
            let anchor = match self.anchor(der, &what, at) {
                Ok(anchor) => anchor,
                Err(Unfit::Unusable(fault)) if !self.refuse_public => {
                    notes.push(format!("{}; it is skipped", fault.message()));
                    first_fault.get_or_insert(fault);
                    continue;
                }
                Err(Unfit::Unusable(fault) | Unfit::Refused(fault)) => return Err(fault),
            };
            let parsed = anchor.certificate.parsed();
            if anchors.iter().any(|known| known.certificate == anchor.certificate) {
                notes.push(format!("{what} ({}) is in the bundle twice", parsed.subject_text()));
                continue;
            }
            if let Some(fault) = unsupported(&parsed, &what, at) {
                notes.push(format!("{}; no path may contain it", fault.message()));
                first_fault.get_or_insert(fault);
            }
            self.note(&parsed, &what, notes);
            anchors.push(anchor);
        }
        match first_fault {
            Some(fault) if anchors.iter().all(|anchor| anchor.is_unsupported) => Err(fault),
            _ => Ok(anchors),
        }
    }

    fn anchor(&self, der: &[u8], what: &str, at: usize) -> Result<Anchor, Unfit> {
        let certificate = pem::certificate(der, BUNDLE, at).map_err(Unfit::Unusable)?;
        let parsed = certificate.parsed();
        if self.refuse_public {
            public_roots::refuse(&parsed).map_err(Unfit::Refused)?;
        }
        check_ca(&parsed, what, at)?;
        let (not_after, is_unsupported) =
            (parsed.not_after, unsupported(&parsed, what, at).is_some());
        Ok(Anchor { certificate, not_after, is_unsupported })
    }

    /// Adds notes about an anchor that is usable, but outside its dates or an intermediate.
    fn note(&self, parsed: &ParsedCertificate<'_>, what: &str, notes: &mut Vec<String>) {
        let subject = parsed.subject_text();
        note_dates(parsed, what, self.now, notes);
        if !parsed.is_self_issued() {
            notes.push(format!(
                "{what} ({subject}) is an intermediate, issued by {}: OpenSSL does not \
                 accept an intermediate as an anchor, so peers that use it need the root",
                parsed.issuer_text()
            ));
        }
    }
}

/// Reads the certificate of an exact trust.
///
/// * `now`: Unix seconds.
///
/// Fails with `pem_invalid` or `trust_invalid`.
pub(super) fn exact(text: &[u8], now: i64, notes: &mut Vec<String>) -> Result<Anchor, Error> {
    const WHAT: &str = "exact trust";
    let ders = pem::certificate_ders(text, WHAT)?;
    let [der] = &ders[..] else {
        let why = format!("{WHAT}: {} certificates found where one is expected", ders.len());
        return Err(Error::new(Kind::TrustInvalid, why)
            .advising("Pass the peer's own certificate, without its issuers."));
    };
    let certificate = pem::certificate(der, WHAT, 0)?;
    let parsed = certificate.parsed();
    let refuse = |why: &str| fault(WHAT, &parsed, 0, why);
    if parsed.version != 3 {
        return Err(refuse("is not of version 3"));
    }
    if let Some(refusal) = parsed.key.refusal() {
        return Err(refuse(&refusal));
    }
    note_dates(&parsed, WHAT, now, notes);
    let not_after = parsed.not_after;
    Ok(Anchor { certificate, not_after, is_unsupported: false })
}

/// Adds a note if an anchor is outside its dates.
fn note_dates(parsed: &ParsedCertificate<'_>, what: &str, now: i64, notes: &mut Vec<String>) {
    let subject = parsed.subject_text();
    if parsed.not_after < now {
        let end = utc_text(parsed.not_after);
        notes.push(format!("{what} ({subject}) expired on {end} and is not used"));
    }
    if now < parsed.not_before {
        let start = utc_text(parsed.not_before);
        notes.push(format!("{what} ({subject}) is not used before {start}, its notBefore"));
    }
}

/// The reason why a certificate cannot be an anchor or an intermediate.
pub(super) enum Unfit {
    /// It may be a CA, but not one that this crate can use: a weak key, an unusual encoding.
    Unusable(Error),
    /// It is no CA, or a public root.
    Refused(Error),
}

impl From<Unfit> for Error {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Unusable(fault) | Unfit::Refused(fault) => fault,
        }
    }
}

/// Reads the known intermediates of a trust. One with an unsupported extension stays, with a note.
pub(super) fn intermediates(
    bundle: &[u8],
    notes: &mut Vec<String>,
) -> Result<Vec<Certificate>, Error> {
    let intermediates = pem::certificates(bundle, "intermediates")?;
    for (at, certificate) in intermediates.iter().enumerate() {
        let (parsed, what) =
            (certificate.parsed(), format!("intermediates: certificate {}", at + 1));
        check_ca(&parsed, &what, at)?;
        if let Some(fault) = unsupported(&parsed, &what, at) {
            notes.push(format!("{}; no path may contain it", fault.message()));
        }
    }
    Ok(intermediates)
}

/// Checks the rules for a CA (RFC 5280 sections 4.2.1.3 and 4.2.1.9), and the strength of its key.
fn check_ca(parsed: &ParsedCertificate<'_>, what: &str, at: usize) -> Result<(), Unfit> {
    let refuse = |why: &str| Err(Unfit::Refused(fault(what, parsed, at, why)));
    let unusable = |why: &str| Err(Unfit::Unusable(fault(what, parsed, at, why)));
    if parsed.version != 3 {
        return unusable("is not of version 3, so it cannot be a CA");
    }
    if !parsed.is_ca {
        let why = "is not a CA certificate (basicConstraints without CA:TRUE)";
        return Err(Unfit::Refused(fault(what, parsed, at, why).advising(
            "Supply only the certificates of the private CA. To trust this one certificate and no CA, \
             use Trust.exact.",
        )));
    }
    if parsed.key_usage(KEY_CERT_SIGN) == Some(false) {
        return refuse("may not sign certificates (keyUsage without keyCertSign)");
    }
    if let Some(refusal) = parsed.key.refusal() {
        return unusable(&refusal);
    }
    if parsed.subject.is_empty() {
        return unusable("has no subject, so no certificate can name it as issuer");
    }
    Ok(())
}

/// Returns the fault of a CA with an extension that path validation cannot follow.
fn unsupported(parsed: &ParsedCertificate<'_>, what: &str, at: usize) -> Option<Error> {
    if let Some(why) = parsed.profile_fault.or_else(|| parsed.constraints_fault()) {
        return Some(fault(what, parsed, at, why));
    }
    let id = presented(&dotted(parsed.unknown_critical?));
    let why = format!("has the critical extension {id}, which is not supported");
    Some(fault(what, parsed, at, &why))
}

pub(super) fn fault(what: &str, parsed: &ParsedCertificate<'_>, at: usize, why: &str) -> Error {
    let subject = parsed.subject_text();
    Error::new(Kind::TrustInvalid, format!("{what} ({subject}) {why}"))
        .noting(key::POSITION, at + 1)
        .noting(key::SUBJECT, subject)
}
