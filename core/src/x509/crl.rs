//! Certificate revocation lists (RFC 5280 section 5), read once, looked up in constant time.
//!
//! A list whose absence of a certificate would not mean that it is good is refused here: a delta or
//! indirect one, or one for some reasons alone, read as if it were complete, would call a revoked
//! certificate clean. What else limits a list is its [`Scope`], which is matched with each certificate.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::crl_scope::Scope;
use crate::error::{Error, Kind};
use crate::x509::algorithms;
use crate::x509::der::{self, Malformed, Reader};
use crate::x509::{ParsedCertificate, Signed, comparable_name};

const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
const DELTA_CRL_INDICATOR: &[u8] = &[0x55, 0x1d, 0x1b];
const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 0x1c];
const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1d, 0x1d];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];

/// Of how many issuer keys a list remembers whether they signed it. A CA of one name has few.
const MOST_KEYS: usize = 8;

/// A CRL. Its signature is not judged yet: that needs the issuer's key.
pub(crate) struct Crl {
    der: Vec<u8>,
    /// The content of the issuer's Name.
    pub(crate) issuer: Vec<u8>,
    comparable_issuer: Vec<u8>,
    /// Big-endian without leading zeros.
    number: Vec<u8>,
    pub(crate) this_update: i64,
    pub(crate) next_update: i64,
    scope: Scope,
    /// Serial numbers with the dates of revocation.
    revoked: HashMap<Box<[u8]>, i64>,
    tbs: std::ops::Range<usize>,
    signature_algorithm: std::ops::Range<usize>,
    signature: std::ops::Range<usize>,
    /// Digests of issuers' SubjectPublicKeyInfos, and whether that key signed the list.
    signers: ArcSwap<Vec<([u8; 32], bool)>>,
}

pub(crate) enum Fault {
    Malformed(Malformed),
    Unsupported { why: &'static str, remedy: &'static str },
}

impl From<Malformed> for Fault {
    fn from(fault: Malformed) -> Self {
        Self::Malformed(fault)
    }
}

impl Crl {
    pub(crate) fn read(der: Vec<u8>, at: usize) -> Result<Self, Error> {
        Self::parse(der).map_err(|fault| {
            let (kind, why, remedy) = match fault {
                Fault::Malformed(fault) => (Kind::PemInvalid, fault.0, None),
                Fault::Unsupported { why, remedy } => (Kind::CrlUnusable, why, Some(remedy)),
            };
            let error = Error::new(kind, format!("CRL {} {why}", at + 1))
                .at(crate::error::Stage::Config)
                .noting("position", at + 1);
            remedy.into_iter().fold(error, Error::advising)
        })
    }

    fn parse(der: Vec<u8>) -> Result<Self, Fault> {
        let within = |part: &[u8]| {
            let start = part.as_ptr() as usize - der.as_ptr() as usize;
            start..start + part.len()
        };
        let mut outer = Reader::new(&der);
        let mut list = outer.nested(der::SEQUENCE)?;
        outer.end()?;
        let tbs = list.element(der::SEQUENCE)?;
        let algorithm = list.element(der::SEQUENCE)?;
        let [0, signature @ ..] = list.content(der::BIT_STRING)? else {
            return Err(Malformed("has a malformed signature").into());
        };
        list.end()?;

        let mut reader = Reader::new(tbs.content);
        reader.optional(der::INTEGER)?;
        if reader.element(der::SEQUENCE)?.whole != algorithm.whole {
            return Err(Malformed("names two different signature algorithms").into());
        }
        let issuer = reader.content(der::SEQUENCE)?.to_vec();
        let this_update = der::time(reader.any()?)?;
        let next_update = match reader.optional(der::UTC_TIME)? {
            Some(time) => Some(time),
            None => reader.optional(der::GENERALIZED_TIME)?,
        };
        let next_update = next_update.ok_or(Fault::Unsupported {
            why: "has no nextUpdate",
            remedy: "Have the CA issue CRLs with a nextUpdate: without one, nobody sees that the \
                     next list is missing.",
        })?;
        let mut crl = Self {
            comparable_issuer: comparable_name(&issuer),
            issuer,
            number: Vec::new(),
            this_update,
            next_update: der::time(next_update)?,
            scope: Scope::default(),
            revoked: HashMap::new(),
            tbs: within(tbs.whole),
            signature_algorithm: within(algorithm.content),
            signature: within(signature),
            der: Vec::new(),
            signers: ArcSwap::default(),
        };
        if let Some(entries) = reader.optional(der::SEQUENCE)? {
            crl.read_entries(entries.content)?;
        }
        let extensions = reader.optional(der::context(0, true))?;
        reader.end()?;
        // Without a number, nobody can tell which of two lists is the later one.
        let numbered = extensions.map_or(Ok(false), |list| crl.read_extensions(list.content))?;
        if !numbered {
            return Err(Fault::Unsupported {
                why: "has no CRL number (RFC 5280 section 5.2.3)",
                remedy: "Have the CA number its CRLs.",
            });
        }
        crl.der = der;
        Ok(crl)
    }

    fn read_entries(&mut self, entries: &[u8]) -> Result<(), Fault> {
        let mut entries = Reader::new(entries);
        while !entries.is_empty() {
            let mut entry = entries.nested(der::SEQUENCE)?;
            let serial = entry.content(der::INTEGER)?;
            let revoked_at = der::time(entry.any()?)?;
            if let Some(extensions) = entry.optional(der::SEQUENCE)? {
                let mut extensions = Reader::new(extensions.content);
                while !extensions.is_empty() {
                    let mut extension = extensions.nested(der::SEQUENCE)?;
                    let id = extension.content(der::OID)?;
                    let critical = extension.default_false()?;
                    if id == CERTIFICATE_ISSUER {
                        return Err(Fault::Unsupported {
                            why: "names the issuer of an entry, as an indirect CRL does, which is not \
                                  supported",
                            remedy: "Supply the CRL that each issuer signs itself.",
                        });
                    }
                    if critical {
                        return Err(Fault::Unsupported {
                            why: "has a critical entry extension that is not understood",
                            remedy: "Have the CA issue CRLs by the profile of RFC 5280.",
                        });
                    }
                }
            }
            entry.end()?;
            // Of several entries, the earliest date counts.
            let date = self.revoked.entry(serial.into()).or_insert(revoked_at);
            *date = revoked_at.min(*date);
        }
        Ok(())
    }

    /// Whether there is a CRL number among them.
    fn read_extensions(&mut self, explicit: &[u8]) -> Result<bool, Fault> {
        let (mut numbered, mut scoped) = (false, false);
        let mut outer = Reader::new(explicit);
        let mut extensions = outer.nested(der::SEQUENCE)?;
        outer.end()?;
        while !extensions.is_empty() {
            let mut extension = extensions.nested(der::SEQUENCE)?;
            let id = extension.content(der::OID)?;
            let critical = extension.default_false()?;
            let value = extension.content(der::OCTET_STRING)?;
            match id {
                CRL_NUMBER if critical => {
                    return Err(Fault::Unsupported {
                        why: "marks its number as critical",
                        remedy: "Have the CA issue CRLs by the profile of RFC 5280.",
                    });
                }
                CRL_NUMBER => {
                    numbered = true;
                    let digits = Reader::new(value).content(der::INTEGER)?;
                    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
                    self.number = digits[zeros..].to_vec();
                }
                DELTA_CRL_INDICATOR => {
                    return Err(Fault::Unsupported {
                        why: "is a delta CRL, which is not supported",
                        remedy: "Supply the complete CRL.",
                    });
                }
                ISSUING_DISTRIBUTION_POINT if scoped => {
                    return Err(Malformed("has two issuing distribution points").into());
                }
                ISSUING_DISTRIBUTION_POINT => {
                    self.scope = Scope::read(value, &self.issuer)?;
                    scoped = true;
                }
                AUTHORITY_KEY_ID => {}
                _ if critical => {
                    return Err(Fault::Unsupported {
                        why: "has a critical extension that is not understood",
                        remedy: "Have the CA issue CRLs by the profile of RFC 5280.",
                    });
                }
                _ => {}
            }
        }
        Ok(numbered)
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether the name of its issuer is this one (RFC 5280 section 7.1).
    ///
    /// * `name`: the content of a Name.
    /// * `comparable`: the same in comparable form.
    pub(crate) fn is_of(&self, name: &[u8], comparable: &[u8]) -> bool {
        self.issuer == name || self.comparable_issuer == comparable
    }

    /// Whether the key of this CA signed it. Remembered for the CAs that were asked about first.
    pub(crate) fn is_signed_by(&self, issuer: &ParsedCertificate<'_>) -> bool {
        let digest = issuer.spki_digest();
        let known = self.signers.load();
        if let Some((_, signed)) = known.iter().find(|(key, _)| *key == digest) {
            return *signed;
        }
        algorithms::count_check();
        let signed = self.signed().is_made_by(issuer.spki, algorithms::SIGNATURES.all);
        if known.len() < MOST_KEYS {
            let added = known.iter().copied().chain([(digest, signed)]).collect();
            // Whoever is faster is not overwritten: the loser checks once more next time.
            self.signers.compare_and_swap(&known, Arc::new(added));
        }
        signed
    }

    /// When it says that the certificate of its issuer with this serial number was revoked, in Unix
    /// seconds.
    pub(crate) fn revocation(&self, serial: &[u8]) -> Option<i64> {
        self.revoked.get(serial).copied()
    }

    /// Whether a certificate of its issuer that is not on it is good.
    pub(crate) fn covers(&self, certificate: &ParsedCertificate<'_>) -> bool {
        self.scope.covers(certificate)
    }

    /// Orders the lists of one issuer: the greatest is the latest.
    pub(crate) fn recency(&self) -> (i64, usize, &[u8]) {
        (self.this_update, self.number.len(), &self.number)
    }

    /// Whether it is no earlier list than another one of the same issuer and key, for the same
    /// certificates. Lists whose numbers and dates contradict each other supersede neither.
    pub(crate) fn supersedes(&self, other: &Self) -> bool {
        self.scope == other.scope
            && self.this_update >= other.this_update
            && (self.number.len(), &self.number) >= (other.number.len(), &other.number)
    }

    fn signed(&self) -> Signed<'_> {
        Signed {
            message: &self.der[self.tbs.clone()],
            algorithm: &self.der[self.signature_algorithm.clone()],
            signature: &self.der[self.signature.clone()],
        }
    }

    /// Of how many keys it is known whether they signed it.
    #[cfg(all(test, feature = "testing"))]
    pub(crate) fn keys_tried(&self) -> usize {
        self.signers.load().len()
    }
}
