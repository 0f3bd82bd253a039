//! Certificate revocation lists (RFC 5280 section 5), read once, looked up in constant time.
//!
//! Only complete lists are taken: a delta, indirect or partitioned one, read as if it were complete,
//! would call a revoked certificate clean.

use std::collections::HashSet;

use crate::certificate::Signed;
use crate::certificate::der::{self, Malformed, Reader};
use crate::error::{Error, Kind};

const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
const DELTA_CRL_INDICATOR: &[u8] = &[0x55, 0x1d, 0x1b];
const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 0x1c];
const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1d, 0x1d];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];

/// A complete CRL. Its signature is not judged yet: that needs the issuer's key.
pub(crate) struct Crl {
    der: Vec<u8>,
    /// The content of the issuer's Name.
    pub(crate) issuer: Vec<u8>,
    /// Big-endian without leading zeros.
    pub(crate) number: Vec<u8>,
    pub(crate) this_update: i64,
    pub(crate) next_update: i64,
    revoked: HashSet<Vec<u8>>,
    tbs: std::ops::Range<usize>,
    signature_algorithm: std::ops::Range<usize>,
    signature: std::ops::Range<usize>,
}

enum Fault {
    Malformed(Malformed),
    Unsupported(&'static str),
}

impl From<Malformed> for Fault {
    fn from(fault: Malformed) -> Self {
        Self::Malformed(fault)
    }
}

impl Crl {
    pub(super) fn read(der: Vec<u8>, at: usize) -> Result<Self, Error> {
        Self::parse(der).map_err(|fault| {
            let (kind, why) = match fault {
                Fault::Malformed(fault) => (Kind::PemInvalid, fault.0),
                Fault::Unsupported(why) => (Kind::CrlUnusable, why),
            };
            Error::new(kind, format!("CRL {} {why}", at + 1))
                .at(crate::error::Stage::Config)
                .noting("position", at + 1)
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
        let next_update = next_update.ok_or(Fault::Unsupported("has no nextUpdate"))?;
        let mut crl = Self {
            issuer,
            number: Vec::new(),
            this_update,
            next_update: der::time(next_update)?,
            revoked: HashSet::new(),
            tbs: within(tbs.whole),
            signature_algorithm: within(algorithm.content),
            signature: within(signature),
            der: Vec::new(),
        };
        if let Some(entries) = reader.optional(der::SEQUENCE)? {
            crl.read_entries(entries.content)?;
        }
        let extensions = reader.optional(der::context(0, true))?;
        reader.end()?;
        // Without a number, nobody can tell which of two lists is the later one.
        let numbered = extensions.map_or(Ok(false), |list| crl.read_extensions(list.content))?;
        if !numbered {
            return Err(Fault::Unsupported("has no CRL number (RFC 5280 section 5.2.3)"));
        }
        crl.der = der;
        Ok(crl)
    }

    fn read_entries(&mut self, entries: &[u8]) -> Result<(), Fault> {
        let mut entries = Reader::new(entries);
        while !entries.is_empty() {
            let mut entry = entries.nested(der::SEQUENCE)?;
            let serial = entry.content(der::INTEGER)?.to_vec();
            der::time(entry.any()?)?;
            if let Some(extensions) = entry.optional(der::SEQUENCE)? {
                let mut extensions = Reader::new(extensions.content);
                while !extensions.is_empty() {
                    let mut extension = extensions.nested(der::SEQUENCE)?;
                    let id = extension.content(der::OID)?;
                    let critical = extension.default_false()?;
                    if id == CERTIFICATE_ISSUER {
                        return Err(Fault::Unsupported("is indirect, which is not supported"));
                    }
                    if critical {
                        return Err(Fault::Unsupported(
                            "has a critical entry extension that is not understood",
                        ));
                    }
                }
            }
            entry.end()?;
            self.revoked.insert(serial);
        }
        Ok(())
    }

    /// Whether there is a CRL number among them.
    fn read_extensions(&mut self, explicit: &[u8]) -> Result<bool, Fault> {
        let mut numbered = false;
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
                    return Err(Fault::Unsupported("marks its number as critical"));
                }
                CRL_NUMBER => {
                    numbered = true;
                    let digits = Reader::new(value).content(der::INTEGER)?;
                    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
                    self.number = digits[zeros..].to_vec();
                }
                DELTA_CRL_INDICATOR => {
                    return Err(Fault::Unsupported("is a delta CRL, which is not supported"));
                }
                ISSUING_DISTRIBUTION_POINT => check_distribution_point(value)?,
                AUTHORITY_KEY_ID => {}
                _ if critical => {
                    return Err(Fault::Unsupported(
                        "has a critical extension that is not understood",
                    ));
                }
                _ => {}
            }
        }
        Ok(numbered)
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn revokes(&self, serial: &[u8]) -> bool {
        self.revoked.contains(serial)
    }

    pub(crate) fn signed(&self) -> Signed<'_> {
        Signed {
            message: &self.der[self.tbs.clone()],
            algorithm: &self.der[self.signature_algorithm.clone()],
            signature: &self.der[self.signature.clone()],
        }
    }

    /// Orders CRLs of one issuer: the highest is the latest.
    pub(crate) fn recency(&self) -> (usize, &[u8], i64) {
        (self.number.len(), &self.number, self.this_update)
    }
}

/// A distribution point that only says where the list is published leaves it complete.
fn check_distribution_point(value: &[u8]) -> Result<(), Fault> {
    let mut outer = Reader::new(value);
    let mut reader = outer.nested(der::SEQUENCE)?;
    while !reader.is_empty() {
        let element = reader.any()?;
        if element.tag == der::context(4, false) && element.content != [0] {
            return Err(Fault::Unsupported("is indirect, which is not supported"));
        }
        if element.tag != der::context(0, true) && element.content != [0] {
            return Err(Fault::Unsupported(
                "covers only a part of the certificates, which is not supported",
            ));
        }
    }
    Ok(())
}
