//! An owned certificate, parsed once when it is made.

use std::sync::{Arc, Weak};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rustls_pki_types::CertificateDer;

use super::der::Malformed;
use super::fields::{Fields, Span};
use super::name::text as name_text;
use super::parsed::ParsedCertificate;
use super::presented::Presented;
use crate::process::Lock;

/// The most issuers that certificates share. A longer list would only make the search slower.
const MAX_SHARED_ISSUERS: usize = 32;

/// A certificate that was parsed without an error.
#[derive(Clone)]
pub struct Certificate(Arc<Parsed>);

/// The DER, and the places of the fields in it.
struct Parsed {
    der: Box<[u8]>,
    fields: Fields<Span>,
}

impl Certificate {
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, Malformed> {
        Ok(Self::of(&Presented::read(der)?))
    }

    /// Copies a presented certificate.
    pub(crate) fn of(presented: &Presented<'_>) -> Self {
        let der = presented.der();
        Self(Arc::new(Parsed { der: der.into(), fields: presented.parsed().spans(der) }))
    }

    /// Returns a copy of an issuer. Peers of one CA share one copy.
    pub(crate) fn shared_issuer(presented: &Presented<'_>) -> Self {
        static IN_USE: SharedIssuers = SharedIssuers(Lock::new(Vec::new()));
        IN_USE.find_or_add(presented)
    }

    /// The DER encoding.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    pub(crate) fn as_der(&self) -> CertificateDer<'_> {
        CertificateDer::from(self.der())
    }

    pub(crate) fn parsed(&self) -> ParsedCertificate<'_> {
        self.0.fields.within(&self.0.der)
    }

    /// The content of the subject, without the cost of all fields.
    pub(crate) fn subject_der(&self) -> &[u8] {
        self.0.fields.subject.within(&self.0.der)
    }

    /// The subjectKeyIdentifier, without the cost of all fields.
    pub(crate) fn subject_key_id(&self) -> Option<&[u8]> {
        Some(self.0.fields.subject_key_id?.within(&self.0.der))
    }

    /// The certificate in the form of one that a peer presented.
    pub(crate) fn presented(&self) -> Presented<'_> {
        Presented { der: self.der(), parsed: self.parsed() }
    }

    /// The subject as RFC 4514 text.
    pub fn subject(&self) -> String {
        name_text(self.parsed().subject)
    }

    /// The subject in the bounded form for errors and events.
    pub(crate) fn subject_text(&self) -> String {
        self.parsed().subject_text()
    }

    /// The issuer as RFC 4514 text.
    pub fn issuer(&self) -> String {
        name_text(self.parsed().issuer)
    }

    /// The pin of the public key: `sha256/` and the base64 of the SHA-256 of the DER
    /// SubjectPublicKeyInfo (RFC 7469 section 2.4).
    pub fn spki_pin(&self) -> String {
        pin_text(&self.parsed().spki_digest())
    }

    /// The first instant of validity, in Unix seconds.
    pub fn not_before(&self) -> i64 {
        self.0.fields.not_before
    }

    /// The last instant of validity, in Unix seconds.
    pub fn not_after(&self) -> i64 {
        self.0.fields.not_after
    }
}

/// Equal DER is an equal certificate.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.der() == other.der()
    }
}

impl Eq for Certificate {}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificate({})", self.subject_text())
    }
}

/// The issuers that are in use, each once.
struct SharedIssuers(Lock<Vec<Weak<Parsed>>>);

impl SharedIssuers {
    /// Returns the shared copy, or a new one, which is shared if there is room.
    fn find_or_add(&self, presented: &Presented<'_>) -> Certificate {
        let mut in_use = self.0.lock();
        let mut known = in_use.iter().filter_map(Weak::upgrade);
        if let Some(known) = known.find(|known| *known.der == *presented.der()) {
            return Certificate(known);
        }
        let own = Certificate::of(presented);
        in_use.retain(|known| known.strong_count() > 0);
        if in_use.len() < MAX_SHARED_ISSUERS {
            in_use.push(Arc::downgrade(&own.0));
        }
        own
    }
}

/// Returns the text form of a pin: `sha256/` and the base64 of the digest.
pub(crate) fn pin_text(digest: &[u8; 32]) -> String {
    format!("sha256/{}", BASE64_STANDARD.encode(digest))
}

/// Lower-case hex without separators.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
    text
}

/// The serial number as hex, without the leading zero byte that marks it as positive.
pub(crate) fn serial_hex(serial: &[u8]) -> String {
    hex(serial.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(serial))
}

/// The SHA-256 of a whole certificate as base64url without padding (RFC 8705 section 3.1).
pub(crate) fn x5t_s256(digest: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_share_one_copy_of_an_issuer_while_it_is_in_use() {
        let made = |name: usize| {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new([format!("{name}.test")]).unwrap();
            params.self_signed(&key).unwrap().der().to_vec()
        };
        let ders: Vec<_> = (0..=2 * MAX_SHARED_ISSUERS).map(made).collect();
        let shared = SharedIssuers(Lock::new(Vec::new()));
        let read = |number: usize| shared.find_or_add(&Presented::read(&ders[number]).unwrap());
        let is_one = |one: &Certificate, other: &Certificate| Arc::ptr_eq(&one.0, &other.0);
        let many: Vec<_> = (0..2 * MAX_SHARED_ISSUERS).map(read).collect();
        for (number, certificate) in many.iter().enumerate() {
            assert_eq!(certificate.der(), ders[number]);
            assert_eq!(is_one(&read(number), certificate), number < MAX_SHARED_ISSUERS);
        }
        drop(many);
        // The entries of the unused issuers make room.
        let late = read(2 * MAX_SHARED_ISSUERS);
        assert!(is_one(&read(2 * MAX_SHARED_ISSUERS), &late));
        assert_eq!(shared.0.lock().len(), 1);
    }

    #[test]
    fn an_owned_certificate_gives_the_fields_that_were_parsed() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["a.test".to_owned()]).unwrap();
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let owned = Certificate::from_der(&der).unwrap();
        let presented = Presented::read(&der).unwrap();
        assert_eq!(format!("{:?}", owned.parsed()), format!("{:?}", presented.parsed()));
        assert_eq!(format!("{:?}", owned.presented()), format!("{presented:?}"));
    }
}
