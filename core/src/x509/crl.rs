//! Certificate revocation lists (RFC 5280 section 5), parsed once.
//!
//! Parsing fails for delta CRLs and indirect CRLs. Read as complete CRLs of one issuer, they would make
//! a revoked certificate look good. Other limits of a CRL are its [`Scope`], which is matched with each
//! certificate.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::crl_entries::Entries;
use super::crl_fault::CrlFault;
use super::crl_scope::{Reasons, Scope};
use crate::error::{Error, Kind, key};
use crate::x509::algorithms;
use crate::x509::der::{self, Malformed, Reader};
use crate::x509::{ParsedCertificate, Signed, comparable_name};

const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
const DELTA_CRL_INDICATOR: &[u8] = &[0x55, 0x1d, 0x1b];
const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 0x1c];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];

/// The most issuer keys for which a CRL caches its signature check. A CA has few keys per name, and one
/// verification has fewer issuers, so that none of its checks is made twice.
const MAX_CACHED_KEYS: usize = 32;

/// A CRL. Its signature is checked later, because that takes the issuer's key.
pub(crate) struct Crl {
    der: Vec<u8>,
    /// The content of the issuer's Name.
    pub(crate) issuer: Vec<u8>,
    pub(crate) comparable_issuer: Vec<u8>,
    /// Big-endian without leading zeros. CAs that issue no delta CRLs may leave it out.
    number: Option<Vec<u8>>,
    pub(crate) this_update: i64,
    pub(crate) next_update: i64,
    scope: Scope,
    entries: Entries,
    tbs: std::ops::Range<usize>,
    signature_algorithm: std::ops::Range<usize>,
    signature: std::ops::Range<usize>,
    /// The latest SubjectPublicKeyInfos of issuers, and whether that key signed the list.
    signers: ArcSwap<Vec<(Box<[u8]>, bool)>>,
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
            number: None,
            this_update,
            next_update: der::time(next_update)?,
            scope: Scope::default(),
            entries: Entries::default(),
            tbs: within(tbs.whole),
            signature_algorithm: within(algorithm.content),
            signature: within(signature),
            der: Vec::new(),
            signers: ArcSwap::default(),
        };
        if let Some(entries) = reader.optional(der::SEQUENCE)? {
            crl.entries = Entries::read(entries.content, &der)?;
        }
        let extensions = reader.optional(der::context(0, true))?;
        reader.end()?;
        if let Some(extensions) = extensions {
            crl.read_extensions(extensions.content)?;
        }
        crl.der = der;
        Ok(crl)
    }

    fn read_extensions(&mut self, explicit: &[u8]) -> Result<(), CrlFault> {
        let mut scoped = false;
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
                    let digits = Reader::new(value).content(der::INTEGER)?;
                    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
                    self.number = Some(digits[zeros..].to_vec());
                }
                DELTA_CRL_INDICATOR => {
                    return Err(CrlFault::Unsupported {
                        why: "is a delta CRL (deltaCRLIndicator), which is not supported",
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
        Ok(())
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns whether the key of this CA signed it, if that was checked already.
    pub(crate) fn known_signer(&self, issuer: &ParsedCertificate<'_>) -> Option<bool> {
        let known = self.signers.load();
        known.iter().find(|(key, _)| **key == *issuer.spki).map(|(_, signed)| *signed)
    }

    /// Returns whether the key of this CA signed it. Checks the signature once per key: the result is
    /// cached for the latest [`MAX_CACHED_KEYS`] keys.
    pub(crate) fn is_signed_by(&self, issuer: &ParsedCertificate<'_>) -> bool {
        if let Some(signed) = self.known_signer(issuer) {
            return signed;
        }
        algorithms::count_check();
        let signed = self.signed().is_made_by(issuer.spki, algorithms::SIGNATURES.all);
        self.signers.rcu(|known| {
            let dropped = (known.len() + 1).saturating_sub(MAX_CACHED_KEYS);
            let kept = known.iter().skip(dropped).cloned();
            Arc::new(kept.chain([(issuer.spki.into(), signed)]).collect::<Vec<_>>())
        });
        signed
    }

    /// Returns the revocation date (Unix seconds) of the issuer's certificate with this serial
    /// number, or `None` if the CRL does not list it.
    pub(crate) fn revocation(&self, serial: &[u8]) -> Option<i64> {
        self.entries.date_of(serial, &self.der)
    }

    /// Returns how many serial numbers it lists.
    pub(crate) fn count(&self) -> usize {
        self.entries.count()
    }

    /// Returns the content of its AlgorithmIdentifier.
    pub(crate) fn signature_algorithm(&self) -> &[u8] {
        &self.der[self.signature_algorithm.clone()]
    }

    /// Returns its number, big-endian without leading zeros, if it has one.
    pub(crate) fn number(&self) -> Option<&[u8]> {
        self.number.as_deref()
    }

    /// Returns the reasons of revocation for which the certificate is good if the CRL does not list it.
    pub(crate) fn reasons_covered(&self, certificate: &ParsedCertificate<'_>) -> Reasons {
        self.scope.covers(certificate)
    }

    /// Returns whether it is about attribute certificates, which have serial numbers of their own.
    pub(crate) fn is_of_attributes(&self) -> bool {
        self.scope.is_of_attributes()
    }

    /// The sort key of the CRLs of one issuer: the greatest is the latest.
    pub(crate) fn recency(&self) -> (i64, usize, &[u8]) {
        let number = self.number.as_deref().unwrap_or_default();
        (self.this_update, number.len(), number)
    }

    /// Returns whether it replaces another CRL of the same issuer and key: the scope is the same, and
    /// neither the date nor the number is lower. If date and number contradict each other, neither
    /// CRL supersedes the other. Without two numbers, the later date decides.
    pub(crate) fn supersedes(&self, other: &Self) -> bool {
        if self.scope != other.scope {
            return false;
        }
        match (&self.number, &other.number) {
            (Some(own), Some(others)) => {
                self.this_update >= other.this_update && (own.len(), own) >= (others.len(), others)
            }
            _ => self.this_update > other.this_update,
        }
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
