//! Certificate revocation lists (RFC 5280 section 5), parsed once, with lookup in constant time.
//!
//! Parsing fails for delta CRLs, indirect CRLs and CRLs for some revocation reasons only. Read as
//! complete CRLs, they would make a revoked certificate look good. Other limits of a CRL are its
//! [`Scope`], which is matched with each certificate.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::crl_fault::CrlFault;
use super::crl_scope::Scope;
use crate::error::{Error, Kind, key};
use crate::x509::algorithms;
use crate::x509::der::{self, Malformed, Reader};
use crate::x509::{ParsedCertificate, Signed, comparable_name};

const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
const DELTA_CRL_INDICATOR: &[u8] = &[0x55, 0x1d, 0x1b];
const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 0x1c];
const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1d, 0x1d];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];

/// The most issuer keys for which a CRL caches its signature check. A CA has few keys per name.
const MAX_CACHED_KEYS: usize = 8;

/// A CRL. Its signature is checked later, because that takes the issuer's key.
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

impl Crl {
    pub(crate) fn read(der: Vec<u8>, at: usize) -> Result<Self, Error> {
        Self::parse(der).map_err(|fault| {
            let (kind, why, remedy) = match fault {
                CrlFault::Malformed(fault) => (Kind::PemInvalid, fault.0, None),
                CrlFault::Unsupported { why, remedy } => (Kind::CrlUnusable, why, Some(remedy)),
            };
            let error = Error::new(kind, format!("CRL {} {why}", at + 1))
                .at(crate::error::Stage::Config)
                .noting(key::POSITION, at + 1);
            remedy.into_iter().fold(error, Error::advising)
        })
    }

    fn parse(der: Vec<u8>) -> Result<Self, CrlFault> {
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
        let next_update = next_update.ok_or(CrlFault::Unsupported {
            why: "has no nextUpdate",
            remedy: "Have the CA issue CRLs with a nextUpdate: without it, a missing update goes \
                     unnoticed.",
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
        // The number tells which of two CRLs is the later one.
        let numbered = extensions.map_or(Ok(false), |list| crl.read_extensions(list.content))?;
        if !numbered {
            return Err(CrlFault::Unsupported {
                why: "has no CRL number (RFC 5280 section 5.2.3)",
                remedy: "Have the CA number its CRLs.",
            });
        }
        crl.der = der;
        Ok(crl)
    }

    fn read_entries(&mut self, entries: &[u8]) -> Result<(), CrlFault> {
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
                        return Err(CrlFault::Unsupported {
                            why: "names the issuer of an entry, as an indirect CRL does, which is not \
                                  supported",
                            remedy: "Supply the CRL that each issuer signs itself.",
                        });
                    }
                    if critical {
                        return Err(CrlFault::Unsupported {
                            why: "has a critical entry extension that is not understood",
                            remedy: "Have the CA issue CRLs by the profile of RFC 5280.",
                        });
                    }
                }
            }
            entry.end()?;
            // If a serial number occurs several times, the earliest date counts.
            let date = self.revoked.entry(serial.into()).or_insert(revoked_at);
            *date = revoked_at.min(*date);
        }
        Ok(())
    }

    /// Reads the extensions. Returns whether they include a CRL number.
    fn read_extensions(&mut self, explicit: &[u8]) -> Result<bool, CrlFault> {
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
                    return Err(CrlFault::Unsupported {
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
                    return Err(CrlFault::Unsupported {
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
                    return Err(CrlFault::Unsupported {
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

    /// Returns whether its issuer has this name (RFC 5280 section 7.1).
    ///
    /// * `name`: the content of a Name.
    /// * `comparable`: the same name in comparable form.
    pub(crate) fn is_of(&self, name: &[u8], comparable: &[u8]) -> bool {
        self.issuer == name || self.comparable_issuer == comparable
    }

    /// Returns whether the key of this CA signed it. Caches the result for the first
    /// [`MAX_CACHED_KEYS`] keys.
    pub(crate) fn is_signed_by(&self, issuer: &ParsedCertificate<'_>) -> bool {
        let digest = issuer.spki_digest();
        let known = self.signers.load();
        if let Some((_, signed)) = known.iter().find(|(key, _)| *key == digest) {
            return *signed;
        }
        algorithms::count_check();
        let signed = self.signed().is_made_by(issuer.spki, algorithms::SIGNATURES.all);
        if known.len() < MAX_CACHED_KEYS {
            let added = known.iter().copied().chain([(digest, signed)]).collect();
            // If another thread has stored a result meanwhile, that one stays, and this key is
            // checked again next time.
            self.signers.compare_and_swap(&known, Arc::new(added));
        }
        signed
    }

    /// Returns the revocation date (Unix seconds) of the issuer's certificate with this serial
    /// number, or `None` if the CRL does not list it.
    pub(crate) fn revocation(&self, serial: &[u8]) -> Option<i64> {
        self.revoked.get(serial).copied()
    }

    /// Returns whether the certificate is in its scope, so that it is good if the CRL does not list it.
    pub(crate) fn covers(&self, certificate: &ParsedCertificate<'_>) -> bool {
        self.scope.covers(certificate)
    }

    /// The sort key of the CRLs of one issuer: the greatest is the latest.
    pub(crate) fn recency(&self) -> (i64, usize, &[u8]) {
        (self.this_update, self.number.len(), &self.number)
    }

    /// Returns whether it replaces another CRL of the same issuer and key: the scope is the same, and
    /// neither the date nor the number is lower. If date and number contradict each other, neither
    /// CRL supersedes the other.
    pub(crate) fn supersedes(&self, other: &Self) -> bool {
        self.scope == other.scope
            && self.this_update >= other.this_update
            && (self.number.len(), &self.number) >= (other.number.len(), &other.number)
    }

    fn signed(&self) -> Signed<&[u8]> {
        Signed {
            message: &self.der[self.tbs.clone()],
            algorithm: &self.der[self.signature_algorithm.clone()],
            signature: &self.der[self.signature.clone()],
        }
    }

    /// The number of keys for which the signature check is cached.
    #[cfg(all(test, feature = "testing"))]
    pub(crate) fn keys_tried(&self) -> usize {
        self.signers.load().len()
    }
}
