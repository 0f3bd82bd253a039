//! Floor 2: a certificate as it was read, and the reading itself.
//!
//! Says what stands in a certificate and judges nothing: whether that is good enough is for the
//! floors above. Knows DER, PEM and RFC 5280; knows no role, no trust and no clock.

use std::net::IpAddr;
use std::sync::{Arc, Weak};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use sha2::{Digest as _, Sha256};

use super::der::{self, Malformed, Reader};
use super::name::text as name_text;
use crate::error::presented;
use crate::process::Lock;

/// The X.509 extensions that this crate understands (RFC 5280 section 4.2).
mod oid {
    pub(crate) const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
    pub(crate) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
    pub(crate) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
    pub(crate) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
    pub(crate) const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];
    pub(crate) const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];
    pub(crate) const POLICY_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x24];
    pub(crate) const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
    pub(crate) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
    pub(crate) const AUTHORITY_INFO_ACCESS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];

    pub(crate) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    pub(crate) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    pub(crate) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
    pub(crate) const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    pub(crate) const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
    pub(crate) const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];

    pub(crate) const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
    pub(crate) const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
    pub(crate) const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
}

/// A certificate of some use has about ten. Thousands of empty ones make each reading cost as much as
/// a signature.
const MAX_EXTENSIONS: usize = 64;

/// Of how many issuers there is one copy. More would only make looking for them longer.
const MOST_IN_COMMON: usize = 32;

/// keyUsage bits, numbered as RFC 5280 section 4.2.1.3 numbers them.
pub(crate) const DIGITAL_SIGNATURE: u8 = 0;
pub(crate) const KEY_CERT_SIGN: u8 = 5;

/// A certificate that was read whole.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Arc<[u8]>,
}

impl Certificate {
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, Malformed> {
        ParsedCertificate::read(der)?;
        Ok(Self::read_before(der))
    }

    /// Of bytes that a [`ParsedCertificate`] was read from already.
    pub(crate) fn read_before(der: &[u8]) -> Self {
        Self { der: der.into() }
    }

    /// The same, of an issuer. Many peers have it in common: of those in use there is one copy.
    pub(crate) fn issuer_read_before(der: &[u8]) -> Self {
        static IN_USE: Lock<Vec<Weak<[u8]>>> = Lock::new(Vec::new());
        let mut in_use = IN_USE.lock();
        if let Some(der) = in_use.iter().filter_map(Weak::upgrade).find(|known| **known == *der) {
            return Self { der };
        }
        let own = Self::read_before(der);
        in_use.retain(|known| known.strong_count() > 0);
        if in_use.len() < MOST_IN_COMMON {
            in_use.push(Arc::downgrade(&own.der));
        }
        own
    }

    /// The DER encoding.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn as_der(&self) -> CertificateDer<'_> {
        CertificateDer::from(&*self.der)
    }

    pub(crate) fn view(&self) -> ParsedCertificate<'_> {
        // Read once already when the value was made.
        ParsedCertificate::read(&self.der)
            .unwrap_or_else(|_| unreachable!("a certificate is read when made"))
    }

    /// The subject as RFC 4514 text.
    pub fn subject(&self) -> String {
        name_text(self.view().subject)
    }

    /// The subject as errors and events show it.
    pub(crate) fn subject_text(&self) -> String {
        self.view().subject_text()
    }

    /// The issuer as RFC 4514 text.
    pub fn issuer(&self) -> String {
        name_text(self.view().issuer)
    }

    /// The pin of the public key: `sha256/` and the base64 of the SHA-256 of the DER
    /// SubjectPublicKeyInfo (RFC 7469 section 2.4).
    pub fn spki_pin(&self) -> String {
        pin_text(&self.view().spki_digest())
    }

    /// The first instant of validity, in Unix seconds.
    pub fn not_before(&self) -> i64 {
        self.view().not_before
    }

    /// The last instant of validity, in Unix seconds.
    pub fn not_after(&self) -> i64 {
        self.view().not_after
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificate({})", self.subject_text())
    }
}

pub(crate) fn pin_text(digest: &[u8; 32]) -> String {
    format!("sha256/{}", BASE64_STANDARD.encode(digest))
}

/// A public key, as far as its strength must be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Rsa { bits: usize, exponent: u64 },
    P256,
    P384,
    P521,
    Ed25519,
    Other,
}

impl Key {
    /// Why the key is too weak to be believed, if it is.
    pub(crate) fn weakness(self) -> Option<String> {
        match self {
            Self::P256 | Self::P384 | Self::P521 | Self::Ed25519 => None,
            Self::Rsa { bits, .. } if bits < 2048 => Some(format!("RSA of {bits} bits")),
            Self::Rsa { bits, .. } if bits > 8192 => {
                Some(format!("RSA of {bits} bits, more than the 8192 that can be checked"))
            }
            Self::Rsa { bits, .. } if bits % 8 != 0 => {
                Some(format!("RSA of {bits} bits, which are no whole octets"))
            }
            // Small exponents have a history of forged signatures where padding is read leniently.
            Self::Rsa { exponent, .. } if exponent < 65_537 || exponent % 2 == 0 => {
                Some(format!("RSA with the public exponent {exponent}"))
            }
            Self::Rsa { .. } => None,
            Self::Other => {
                Some("a key that is neither RSA, P-256, P-384, P-521 nor Ed25519".into())
            }
        }
    }
}

/// What stands in a certificate, borrowed from its DER.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ParsedCertificate<'a> {
    pub(crate) version: u8,
    pub(crate) serial: &'a [u8],
    /// The content of the Name, without its own tag and length (as webpki has it).
    pub(crate) issuer: &'a [u8],
    pub(crate) subject: &'a [u8],
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    /// The whole SubjectPublicKeyInfo.
    pub(crate) spki: &'a [u8],
    pub(crate) key: Key,
    pub(crate) is_ca: bool,
    /// The content of the extension.
    pub(crate) name_constraints: Option<&'a [u8]>,
    key_usage: Option<&'a [u8]>,
    extended_key_usage: Option<&'a [u8]>,
    subject_alt_name: Option<&'a [u8]>,
    pub(crate) subject_key_id: Option<&'a [u8]>,
    pub(crate) authority_key_id: Option<&'a [u8]>,
    /// The value of the extension, not yet read.
    pub(crate) crl_distribution_points: Option<&'a [u8]>,
    pub(crate) unknown_critical: Option<&'a [u8]>,
    /// How the extensions break the profile of RFC 5280 section 4.2, if they do.
    pub(crate) profile_fault: Option<&'static str>,
    pub(crate) signed: Signed<'a>,
}

/// Signed bytes, the content of the algorithm identifier, and the signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) message: &'a [u8],
    pub(crate) algorithm: &'a [u8],
    pub(crate) signature: &'a [u8],
}

impl Signed<'_> {
    /// Whether the key of this SubjectPublicKeyInfo made the signature, by one of these algorithms.
    pub(crate) fn is_made_by(
        &self,
        spki: &[u8],
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> bool {
        let Some((key_algorithm, key)) = key_parts(spki) else {
            return false;
        };
        algorithms
            .iter()
            .filter(|known| known.signature_alg_id().as_ref() == self.algorithm)
            .filter(|known| known.public_key_alg_id().as_ref() == key_algorithm)
            .any(|known| known.verify_signature(key, self.message, self.signature).is_ok())
    }
}

/// A subjectAltName, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum San<'a> {
    Dns(&'a str),
    Ip(IpAddr),
    Uri(&'a str),
    Email(&'a str),
}

/// What extendedKeyUsage says about a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Absent,
    Allowed,
    /// Any purpose is listed, which is the opposite of issued for this one.
    Any,
    /// Others are listed.
    Refused,
}

impl<'a> ParsedCertificate<'a> {
    pub(crate) fn read(certificate: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::new(certificate);
        let mut sequence = outer.nested(der::SEQUENCE)?;
        outer.end()?;
        let signed = sequence.element(der::SEQUENCE)?;
        let mut tbs = Reader::new(signed.content);
        let outer_algorithm = sequence.element(der::SEQUENCE)?;
        let [0, signature @ ..] = sequence.content(der::BIT_STRING)? else {
            return Err(Malformed("has a malformed signature"));
        };
        sequence.end()?;

        let version = match tbs.optional(der::context(0, true))? {
            None => 1,
            Some(explicit) => {
                let mut inner = Reader::new(explicit.content);
                let number = der::unsigned(inner.content(der::INTEGER)?)?;
                inner.end()?;
                u8::try_from(number)
                    .ok()
                    .filter(|number| *number <= 2)
                    .map(|number| number + 1)
                    .ok_or(Malformed("has an unknown version"))?
            }
        };
        let serial = tbs.content(der::INTEGER)?;
        if tbs.element(der::SEQUENCE)?.whole != outer_algorithm.whole {
            return Err(Malformed("names two different signature algorithms"));
        }
        let issuer = tbs.content(der::SEQUENCE)?;
        let mut validity = tbs.nested(der::SEQUENCE)?;
        let not_before = der::time(validity.any()?)?;
        let not_after = der::time(validity.any()?)?;
        validity.end()?;
        let subject = tbs.content(der::SEQUENCE)?;
        let spki = tbs.element(der::SEQUENCE)?;
        tbs.optional(der::context(1, false))?;
        tbs.optional(der::context(2, false))?;
        let extensions = tbs.optional(der::context(3, true))?;
        tbs.end()?;

        let mut view = Self {
            version,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            spki: spki.whole,
            key: read_key(spki.content)?,
            is_ca: false,
            name_constraints: None,
            key_usage: None,
            extended_key_usage: None,
            subject_alt_name: None,
            subject_key_id: None,
            authority_key_id: None,
            crl_distribution_points: None,
            unknown_critical: None,
            profile_fault: None,
            signed: Signed { message: signed.whole, algorithm: outer_algorithm.content, signature },
        };
        if let Some(explicit) = extensions {
            view.read_extensions(explicit.content)?;
        }
        Ok(view)
    }

    fn read_extensions(&mut self, explicit: &'a [u8]) -> Result<(), Malformed> {
        let mut outer = Reader::new(explicit);
        let mut list = outer.nested(der::SEQUENCE)?;
        outer.end()?;
        let mut seen: [&[u8]; 10] = [&[]; 10];
        let mut known = 0;
        let mut count = 0;
        while !list.is_empty() {
            count += 1;
            if count > MAX_EXTENSIONS {
                return Err(Malformed("has more extensions than any certificate needs"));
            }
            let mut extension = list.nested(der::SEQUENCE)?;
            let id = extension.content(der::OID)?;
            let critical = extension.default_false()?;
            let value = extension.content(der::OCTET_STRING)?;
            extension.end()?;
            if self.read_extension(id, critical, value)? {
                if seen[..known].contains(&id) {
                    return Err(Malformed("has the same extension twice"));
                }
                seen[known] = id;
                known += 1;
                self.check_criticality(id, critical);
            } else if critical {
                self.unknown_critical = Some(id);
            }
        }
        Ok(())
    }

    /// A limit that may be skipped limits nothing; a hint that must be understood is no hint.
    fn check_criticality(&mut self, id: &[u8], critical: bool) {
        let fault = match (id, critical) {
            (oid::AUTHORITY_KEY_ID, true) => "marks its authorityKeyIdentifier as critical",
            (oid::SUBJECT_KEY_ID, true) => "marks its subjectKeyIdentifier as critical",
            (oid::POLICY_CONSTRAINTS, false) => "does not mark its policy constraints as critical",
            (oid::SUBJECT_ALT_NAME, false) if self.subject.is_empty() => {
                "has no subject and does not mark its subjectAltName as critical"
            }
            _ => return,
        };
        self.profile_fault = Some(fault);
    }

    /// Whether the extension is one of those understood; they are as many as `seen` above holds.
    fn read_extension(
        &mut self,
        id: &[u8],
        critical: bool,
        value: &'a [u8],
    ) -> Result<bool, Malformed> {
        let mut reader = Reader::new(value);
        match id {
            oid::BASIC_CONSTRAINTS => {
                let mut inner = reader.nested(der::SEQUENCE)?;
                self.is_ca = inner.default_false()?;
                if let Some(length) = inner.optional(der::INTEGER)? {
                    der::unsigned(length.content)?;
                }
                inner.end()?;
            }
            oid::KEY_USAGE => {
                let bits = reader.content(der::BIT_STRING)?;
                if bits.len() < 2 || bits[0] > 7 {
                    return Err(Malformed("has an empty keyUsage"));
                }
                self.key_usage = Some(bits);
            }
            oid::EXTENDED_KEY_USAGE => {
                let purposes = reader.content(der::SEQUENCE)?;
                let mut inner = Reader::new(purposes);
                inner.content(der::OID)?;
                while !inner.is_empty() {
                    inner.content(der::OID)?;
                }
                self.extended_key_usage = Some(purposes);
            }
            oid::SUBJECT_ALT_NAME => {
                let names = reader.content(der::SEQUENCE)?;
                let mut inner = Reader::new(names);
                while !inner.is_empty() {
                    read_san(inner.any()?)?;
                }
                self.subject_alt_name = Some(names);
            }
            oid::NAME_CONSTRAINTS => {
                self.name_constraints = Some(reader.content(der::SEQUENCE)?);
            }
            oid::SUBJECT_KEY_ID => self.subject_key_id = Some(reader.content(der::OCTET_STRING)?),
            oid::AUTHORITY_KEY_ID => {
                let mut inner = reader.nested(der::SEQUENCE)?;
                self.authority_key_id =
                    inner.optional(der::context(0, false))?.map(|id| id.content);
                if self.authority_key_id.is_none() {
                    self.profile_fault =
                        Some("has an authorityKeyIdentifier without a key identifier");
                }
            }
            // Read where a CRL is matched with it: what is wrong in it makes no certificate unusable.
            // Critical, it is not understood: no CRL is fetched from where it points.
            oid::CRL_DISTRIBUTION_POINTS => {
                self.crl_distribution_points = Some(value);
                return Ok(!critical);
            }
            // Its limits are judged by nobody here: critical, it is not understood.
            oid::POLICY_CONSTRAINTS if !critical => {
                reader.element(der::SEQUENCE)?;
            }
            oid::AUTHORITY_INFO_ACCESS => {
                let mut inner = reader.nested(der::SEQUENCE)?;
                loop {
                    let mut description = inner.nested(der::SEQUENCE)?;
                    description.content(der::OID)?;
                    description.any()?;
                    description.end()?;
                    if inner.is_empty() {
                        break;
                    }
                }
            }
            _ => return Ok(false),
        }
        reader.end()?;
        Ok(true)
    }

    pub(crate) fn spki_digest(&self) -> [u8; 32] {
        Sha256::digest(self.spki).into()
    }

    /// Whether keyUsage has this bit; `None` where the extension is absent.
    pub(crate) fn key_usage(&self, bit: u8) -> Option<bool> {
        let bits = self.key_usage?;
        let byte = bits.get(1 + usize::from(bit / 8)).copied().unwrap_or(0);
        Some(byte & (0x80 >> (bit % 8)) != 0)
    }

    pub(crate) fn server_purpose(&self) -> Purpose {
        self.purpose(oid::SERVER_AUTH)
    }

    pub(crate) fn client_purpose(&self) -> Purpose {
        self.purpose(oid::CLIENT_AUTH)
    }

    fn purpose(&self, wanted: &[u8]) -> Purpose {
        let Some(purposes) = self.extended_key_usage else {
            return Purpose::Absent;
        };
        let mut reader = Reader::new(purposes);
        let mut found = Purpose::Refused;
        while let Ok(purpose) = reader.content(der::OID) {
            if purpose == oid::ANY_PURPOSE {
                return Purpose::Any;
            }
            if purpose == wanted {
                found = Purpose::Allowed;
            }
        }
        found
    }

    pub(crate) fn has_purposes(&self) -> bool {
        self.extended_key_usage.is_some()
    }

    /// Positive and at most 20 octets (RFC 5280 section 4.1.2.2).
    pub(crate) fn has_sound_serial(&self) -> bool {
        let positive = self.serial.first().is_some_and(|first| first & 0x80 == 0);
        let zero = self.serial.iter().all(|digit| *digit == 0);
        let octets = self.serial.len() - usize::from(self.serial.first() == Some(&0));
        positive && !zero && octets <= 20
    }

    /// Why the name constraints say nothing that can be held to (RFC 5280 section 4.2.1.10).
    pub(crate) fn constraints_fault(&self) -> Option<&'static str> {
        let mut reader = Reader::new(self.name_constraints?);
        let mut constrained = false;
        while let Ok(trees) = reader.any() {
            let mut trees = Reader::new(trees.content);
            while let Ok(mut tree) = trees.nested(der::SEQUENCE) {
                let Ok(base) = tree.any() else { return Some("has a malformed name constraint") };
                constrained = true;
                if base.tag == der::context(2, false) && base.content.starts_with(b".") {
                    return Some("has a DNS name constraint that begins with a period");
                }
            }
        }
        (!constrained).then_some("has name constraints without any name")
    }

    /// The names that can identify a peer, in the order of the certificate.
    pub(crate) fn sans(&self) -> impl Iterator<Item = San<'a>> + use<'a> {
        let mut reader = Reader::new(self.subject_alt_name.unwrap_or_default());
        std::iter::from_fn(move || reader.any().ok())
            .filter_map(|element| read_san(element).ok()?)
    }

    pub(crate) fn san_uris(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.sans().filter_map(|san| if let San::Uri(uri) = san { Some(uri) } else { None })
    }

    /// The subject as errors and events show it; whole, it is [`Certificate::subject`].
    pub(crate) fn subject_text(&self) -> String {
        presented(&name_text(self.subject))
    }

    /// The issuer as errors and events show it.
    pub(crate) fn issuer_text(&self) -> String {
        presented(&name_text(self.issuer))
    }
}

/// Of a SubjectPublicKeyInfo: the content of the algorithm identifier, and the key itself.
pub(crate) fn key_parts(spki: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader::new(spki).nested(der::SEQUENCE).ok()?;
    let algorithm = reader.content(der::SEQUENCE).ok()?;
    let [0, key @ ..] = reader.content(der::BIT_STRING).ok()? else {
        return None;
    };
    Some((algorithm, key))
}

fn read_key(spki: &[u8]) -> Result<Key, Malformed> {
    let mut reader = Reader::new(spki);
    let mut algorithm = reader.nested(der::SEQUENCE)?;
    let bits = reader.content(der::BIT_STRING)?;
    reader.end()?;
    Ok(match algorithm.content(der::OID)? {
        oid::RSA => {
            let [0, key @ ..] = bits else {
                return Err(Malformed("has a malformed RSA key"));
            };
            let mut outer = Reader::new(key);
            let mut key = outer.nested(der::SEQUENCE)?;
            let modulus = key.content(der::INTEGER)?;
            let exponent = key.content(der::INTEGER)?;
            let digits = modulus.iter().skip_while(|digit| **digit == 0);
            let leading = digits.clone().next().map_or(0, |digit| digit.leading_zeros() as usize);
            Key::Rsa {
                bits: (digits.count() * 8).saturating_sub(leading),
                // An exponent beyond 64 bits is odd, but not weak.
                exponent: der::unsigned(exponent).unwrap_or(u64::MAX),
            }
        }
        oid::EC => match algorithm.content(der::OID) {
            Ok(oid::P256) => Key::P256,
            Ok(oid::P384) => Key::P384,
            Ok(oid::P521) => Key::P521,
            _ => Key::Other,
        },
        oid::ED25519 => Key::Ed25519,
        _ => Key::Other,
    })
}

/// A name, or `None` for the types that identify no peer of ours.
fn read_san(element: der::Element<'_>) -> Result<Option<San<'_>>, Malformed> {
    let text = || {
        let text = std::str::from_utf8(element.content).ok().filter(|text| text.is_ascii());
        text.ok_or(Malformed("has a subjectAltName that is not ASCII"))
    };
    Ok(Some(match element.tag {
        tag if tag == der::context(1, false) => San::Email(text()?),
        tag if tag == der::context(2, false) => San::Dns(text()?),
        tag if tag == der::context(6, false) => San::Uri(text()?),
        tag if tag == der::context(7, false) => {
            if let Ok(v4) = <[u8; 4]>::try_from(element.content) {
                San::Ip(v4.into())
            } else if let Ok(v6) = <[u8; 16]>::try_from(element.content) {
                San::Ip(v6.into())
            } else {
                return Err(Malformed("has an IP address of odd length"));
            }
        }
        tag if tag & 0xc0 == 0x80 => return Ok(None),
        _ => return Err(Malformed("has a subjectAltName of unknown type")),
    }))
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

/// The serial number as hex, without the zero byte that only keeps it positive.
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
    fn issuers_in_use_are_there_once() {
        let read = |text: &str| Certificate::issuer_read_before(text.as_bytes());
        let is_one = |one: &Certificate, other: &Certificate| Arc::ptr_eq(&one.der, &other.der);
        // Whoever finds the list locked, by another test, has a copy of its own.
        let shared = || {
            let (one, other) = (read("an issuer"), read("an issuer"));
            is_one(&one, &other).then_some(one)
        };
        let one = (0..10_000).find_map(|_| shared()).expect("it is shared");
        assert!(!is_one(&one, &read("another")));
        let many: Vec<_> =
            (0..2 * MOST_IN_COMMON).map(|number| read(&number.to_string())).collect();
        assert!(
            many.iter()
                .enumerate()
                .all(|(number, read)| read.der() == number.to_string().as_bytes())
        );
    }
}
