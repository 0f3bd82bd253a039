//! A certificate as read from its DER, borrowed from the bytes (RFC 5280 section 4).
//!
//! This file reads and does not judge: roles, trust and time are the concern of `verify`.

use sha2::{Digest as _, Sha256};

use super::der::{self, Malformed, Reader};
use super::fields::{Fields, Signed};
use super::general_name::{GeneralName, San};
use super::key::Key;
use super::name::{equal as names_equal, has_nul, text as name_text};
use super::name_constraints;
use super::signature_name::purpose_name;
use crate::error::presented;

/// The X.509 extensions that this crate understands (RFC 5280 section 4.2).
mod oid {
    pub(crate) const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
    pub(crate) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
    pub(crate) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
    pub(crate) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
    pub(crate) const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];
    pub(crate) const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];
    pub(crate) const CERTIFICATE_POLICIES: &[u8] = &[0x55, 0x1d, 0x20];
    pub(crate) const POLICY_MAPPINGS: &[u8] = &[0x55, 0x1d, 0x21];
    pub(crate) const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
    pub(crate) const POLICY_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x24];
    pub(crate) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
    pub(crate) const INHIBIT_ANY_POLICY: &[u8] = &[0x55, 0x1d, 0x36];
    pub(crate) const AUTHORITY_INFO_ACCESS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];

    pub(crate) const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
    pub(crate) const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
    pub(crate) const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
}

/// The most extensions that a certificate may have. Real certificates have about ten. Parsing
/// thousands of empty ones would cost as much as a signature check.
const MAX_EXTENSIONS: usize = 64;

/// keyUsage bits, with the numbers of RFC 5280 section 4.2.1.3.
pub(crate) const DIGITAL_SIGNATURE: u8 = 0;
pub(crate) const KEY_CERT_SIGN: u8 = 5;

/// The names of the keyUsage bits, in their order.
const KEY_USAGES: [&str; 9] = [
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
];

/// The largest certificate. A TLS message carries no larger one (RFC 8446 section 4.4.2).
const MAX_LENGTH: usize = (1 << 24) - 1;

/// The fields of a certificate, borrowed from its DER.
pub(crate) type ParsedCertificate<'a> = Fields<&'a [u8]>;

/// The verdict of extendedKeyUsage on a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Absent,
    Allowed,
    /// Listed is anyExtendedKeyUsage, but not the purpose: the certificate was not issued for it.
    Any,
    /// Only other purposes are listed.
    Refused,
}

impl<'a> ParsedCertificate<'a> {
    pub(crate) fn read(certificate: &'a [u8]) -> Result<Self, Malformed> {
        if certificate.len() > MAX_LENGTH {
            return Err(Malformed("is longer than 16 MiB"));
        }
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
            Some(explicit) => read_version(explicit.content)?,
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
        // A program in C would read such a name only up to the NUL.
        if has_nul(issuer) || has_nul(subject) {
            return Err(Malformed("has a NUL in its subject or issuer"));
        }
        let spki = tbs.element(der::SEQUENCE)?;
        tbs.optional(der::context(1, false))?;
        tbs.optional(der::context(2, false))?;
        let extensions = tbs.optional(der::context(3, true))?;
        tbs.end()?;

        let mut parsed = Self {
            version,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            spki: spki.whole,
            key: Key::read(spki.content)?,
            is_ca: false,
            path_length: None,
            name_constraints: None,
            certificate_policies: None,
            policy_mappings: None,
            policy_constraints: None,
            inhibit_any_policy: None,
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
            parsed.read_extensions(explicit.content)?;
        }
        Ok(parsed)
    }

    fn read_extensions(&mut self, explicit: &'a [u8]) -> Result<(), Malformed> {
        let mut outer = Reader::new(explicit);
        let mut list = outer.nested(der::SEQUENCE)?;
        outer.end()?;
        let mut seen: [&[u8]; 13] = [&[]; 13];
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

    /// Checks the critical flags that RFC 5280 prescribes. A reader may ignore an extension that is not
    /// critical, so a constraint must be critical, and a hint must not be.
    fn check_criticality(&mut self, id: &[u8], critical: bool) {
        let fault = match (id, critical) {
            (oid::AUTHORITY_KEY_ID, true) => "marks its authorityKeyIdentifier as critical",
            (oid::SUBJECT_KEY_ID, true) => "marks its subjectKeyIdentifier as critical",
            (oid::AUTHORITY_INFO_ACCESS, true) => "marks its authorityInfoAccess as critical",
            (oid::POLICY_CONSTRAINTS, false) => "does not mark its policy constraints as critical",
            (oid::SUBJECT_ALT_NAME, false) if self.subject.is_empty() => {
                "has no subject and does not mark its subjectAltName as critical"
            }
            _ => return,
        };
        self.profile_fault = Some(fault);
    }

    /// Reads one extension. Returns whether this crate understands it.
    ///
    /// The number of extensions that it understands is the length of `seen` above.
    fn read_extension(
        &mut self,
        id: &[u8],
        critical: bool,
        value: &'a [u8],
    ) -> Result<bool, Malformed> {
        let mut reader = Reader::new(value);
        match id {
            oid::BASIC_CONSTRAINTS => {
                (self.is_ca, self.path_length) =
                    read_basic_constraints(reader.nested(der::SEQUENCE)?)?;
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
                check_purposes(Reader::new(purposes))?;
                self.extended_key_usage = Some(purposes);
            }
            oid::SUBJECT_ALT_NAME => {
                let names = reader.content(der::SEQUENCE)?;
                check_sans(Reader::new(names))?;
                self.subject_alt_name = Some(names);
            }
            oid::NAME_CONSTRAINTS => {
                self.name_constraints = Some(reader.content(der::SEQUENCE)?);
            }
            oid::SUBJECT_KEY_ID => self.subject_key_id = Some(reader.content(der::OCTET_STRING)?),
            oid::AUTHORITY_KEY_ID => {
                let mut inner = reader.nested(der::SEQUENCE)?;
                // The form with issuer and serial number alone gives no hint here.
                self.authority_key_id =
                    inner.optional(der::context(0, false))?.map(|id| id.content);
            }
            // Parsed when a CRL is matched with it: a malformed value does not make the certificate
            // unusable. Not understood if critical, because this crate fetches no CRL.
            oid::CRL_DISTRIBUTION_POINTS => {
                self.crl_distribution_points = Some(value);
                return Ok(!critical);
            }
            oid::CERTIFICATE_POLICIES => {
                self.certificate_policies = Some(reader.content(der::SEQUENCE)?);
            }
            oid::POLICY_MAPPINGS => self.policy_mappings = Some(reader.content(der::SEQUENCE)?),
            oid::POLICY_CONSTRAINTS => {
                self.policy_constraints = Some(reader.content(der::SEQUENCE)?);
            }
            oid::INHIBIT_ANY_POLICY => {
                self.inhibit_any_policy = Some(reader.content(der::INTEGER)?);
            }
            oid::AUTHORITY_INFO_ACCESS => {
                check_access_descriptions(reader.nested(der::SEQUENCE)?)?;
            }
            _ => return Ok(false),
        }
        reader.end()?;
        Ok(true)
    }

    pub(crate) fn spki_digest(&self) -> [u8; 32] {
        Sha256::digest(self.spki).into()
    }

    /// Returns whether keyUsage has this bit, or `None` if the extension is absent.
    pub(crate) fn key_usage(&self, bit: u8) -> Option<bool> {
        let bits = self.key_usage?;
        let byte = bits.get(1 + usize::from(bit / 8)).copied().unwrap_or(0);
        Some(byte & (0x80 >> (bit % 8)) != 0)
    }

    /// Returns the names of the keyUsage bits that are set, or `None` if the extension is absent.
    pub(crate) fn key_usages(&self) -> Option<Vec<&'static str>> {
        self.key_usage?;
        let is_set =
            |(bit, name): (u8, &'static str)| (self.key_usage(bit) == Some(true)).then_some(name);
        Some((0..).zip(KEY_USAGES).filter_map(is_set).collect())
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
            if purpose == wanted {
                return Purpose::Allowed;
            }
            if purpose == oid::ANY_PURPOSE {
                found = Purpose::Any;
            }
        }
        found
    }

    /// Returns the object identifiers of the purposes, in the order of the certificate.
    pub(crate) fn purposes(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut reader = Reader::new(self.extended_key_usage.unwrap_or_default());
        std::iter::from_fn(move || reader.content(der::OID).ok())
    }

    /// Returns the first purposes, for a message.
    pub(crate) fn listed_purposes(&self) -> String {
        const MAX_SHOWN: usize = 5;
        let some: Vec<String> =
            self.purposes().take(MAX_SHOWN).map(|id| presented(&purpose_name(id))).collect();
        let more = self.purposes().skip(MAX_SHOWN).count();
        let list = some.join(", ");
        if more > 0 { format!("{list} and {more} more") } else { list }
    }

    pub(crate) fn has_negative_serial(&self) -> bool {
        self.serial.first().is_none_or(|first| first & 0x80 != 0)
    }

    /// Returns whether the serial number is positive and at most 20 octets long (RFC 5280 section
    /// 4.1.2.2).
    pub(crate) fn has_sound_serial(&self) -> bool {
        let zero = self.serial.iter().all(|digit| *digit == 0);
        let octets = self.serial.len() - usize::from(self.serial.first() == Some(&0));
        !self.has_negative_serial() && !zero && octets <= 20
    }

    /// Returns why the name constraints cannot be enforced (RFC 5280 section 4.2.1.10), or `None` if
    /// they can.
    pub(crate) fn constraints_fault(&self) -> Option<&'static str> {
        name_constraints::fault(self.name_constraints?)
    }

    /// Returns whether subject and issuer are the same name (RFC 5280 section 6.1).
    pub(crate) fn is_self_issued(&self) -> bool {
        names_equal(self.issuer, self.subject)
    }

    /// Returns the names that can identify a peer, in the order of the certificate.
    pub(crate) fn sans(&self) -> impl Iterator<Item = San<'a>> + use<'a> {
        self.general_names().filter_map(GeneralName::as_san)
    }

    /// Returns all names of the subjectAltName, in the order of the certificate.
    pub(crate) fn general_names(&self) -> impl Iterator<Item = GeneralName<'a>> + use<'a> {
        let mut reader = Reader::new(self.subject_alt_name.unwrap_or_default());
        std::iter::from_fn(move || reader.any().ok())
            .filter_map(|element| GeneralName::read_san(element).ok())
    }

    pub(crate) fn san_uris(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.sans().filter_map(|san| if let San::Uri(uri) = san { Some(uri) } else { None })
    }

    /// Returns the subject in the bounded form for errors and events. `Certificate::subject` returns
    /// all of it.
    pub(crate) fn subject_text(&self) -> String {
        presented(&name_text(self.subject))
    }

    /// Returns the issuer in the bounded form for errors and events.
    pub(crate) fn issuer_text(&self) -> String {
        presented(&name_text(self.issuer))
    }
}

/// Reads basicConstraints: whether the certificate is a CA, and pathLenConstraint.
fn read_basic_constraints(mut constraints: Reader<'_>) -> Result<(bool, Option<u64>), Malformed> {
    let is_ca = constraints.default_false()?;
    let length = constraints.optional(der::INTEGER)?;
    let length = length.map(|length| der::unsigned(length.content)).transpose()?;
    constraints.end()?;
    Ok((is_ca, length))
}

/// Reads the version, which is encoded as the number of the version minus one.
fn read_version(explicit: &[u8]) -> Result<u8, Malformed> {
    let mut inner = Reader::new(explicit);
    let number = der::unsigned(inner.content(der::INTEGER)?)?;
    inner.end()?;
    u8::try_from(number)
        .ok()
        .filter(|number| *number <= 2)
        .map(|number| number + 1)
        .ok_or(Malformed("has an unknown version"))
}

/// Checks that extendedKeyUsage lists at least one OID, and only OIDs.
fn check_purposes(mut purposes: Reader<'_>) -> Result<(), Malformed> {
    purposes.content(der::OID)?;
    while !purposes.is_empty() {
        purposes.content(der::OID)?;
    }
    Ok(())
}

/// Checks that authorityInfoAccess lists at least one well-formed AccessDescription.
fn check_access_descriptions(mut list: Reader<'_>) -> Result<(), Malformed> {
    loop {
        let mut description = list.nested(der::SEQUENCE)?;
        description.content(der::OID)?;
        description.any()?;
        description.end()?;
        if list.is_empty() {
            return Ok(());
        }
    }
}

/// Checks every name of a subjectAltName.
fn check_sans(mut names: Reader<'_>) -> Result<(), Malformed> {
    while !names.is_empty() {
        GeneralName::read_san(names.any()?)?;
    }
    Ok(())
}
