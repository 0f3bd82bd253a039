//! PBMAC1 (RFC 8018, RFC 9579): the MAC of PKCS#12 files that follow FIPS rules, as OpenSSL 3.4 writes it.

use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, hmac, pbkdf2};

use super::pbe::{DecryptError, WorkLimit};
use crate::x509::der::{self, Reader};
use crate::x509::dotted;

/// PBMAC1, PBKDF2 (RFC 8018) and HMAC (RFC 8018 appendix B.1.2).
mod oid {
    pub(crate) const PBMAC1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 14];
    pub(crate) const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
    pub(crate) const HMAC_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 7];
    pub(crate) const HMAC_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 9];
    pub(crate) const HMAC_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 10];
    pub(crate) const HMAC_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 11];
}

pub(super) const PBMAC1: &[u8] = oid::PBMAC1;

/// The lengths of the MAC's key. A shorter key is weaker than the passphrase should be (RFC 9579 section
/// 5), a longer one is more than HMAC uses.
const KEY_OCTETS: std::ops::RangeInclusive<u64> = 20..=128;

/// Checks a MAC.
///
/// * `parameters`: the rest of the AlgorithmIdentifier after the OID.
/// * `passphrase`: as UTF-8, unlike in the other MAC of PKCS#12.
pub(super) fn check(
    mut parameters: Reader<'_>,
    content: &[u8],
    expected: &[u8],
    passphrase: &[u8],
    work: &mut WorkLimit,
) -> Result<(), DecryptError> {
    let mut both = parameters.nested(der::SEQUENCE)?;
    parameters.end()?;
    let mut derivation = both.nested(der::SEQUENCE)?;
    let mut scheme = both.nested(der::SEQUENCE)?;
    both.end()?;
    match derivation.content(der::OID)? {
        oid::PBKDF2 => {}
        other => return Err(DecryptError::Unsupported(dotted(other))),
    }
    let key = derive(derivation.nested(der::SEQUENCE)?, passphrase, work)?;
    let with = match scheme.content(der::OID)? {
        oid::HMAC_SHA256 => hmac::HMAC_SHA256,
        oid::HMAC_SHA384 => hmac::HMAC_SHA384,
        oid::HMAC_SHA512 => hmac::HMAC_SHA512,
        oid::HMAC_SHA1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        other => return Err(DecryptError::Unsupported(dotted(other))),
    };
    let computed = hmac::sign(&hmac::Key::new(with, &key), content);
    constant_time::verify_slices_are_equal(computed.as_ref(), expected)
        .map_err(|_| DecryptError::WrongPassphrase)
}

/// Derives the key of the MAC with PBKDF2.
fn derive(
    mut parameters: Reader<'_>,
    passphrase: &[u8],
    work: &mut WorkLimit,
) -> Result<Vec<u8>, DecryptError> {
    let salt = parameters.content(der::OCTET_STRING)?;
    let rounds = der::unsigned(parameters.content(der::INTEGER)?)?;
    let octets = match parameters.optional(der::INTEGER)? {
        Some(octets) => der::unsigned(octets.content)?,
        None => return Err(DecryptError::Malformed("has a MAC without the length of its key")),
    };
    if !KEY_OCTETS.contains(&octets) {
        return Err(DecryptError::Malformed("has a MAC with a key of unusual length"));
    }
    let (with, block) = match parameters.optional(der::SEQUENCE)? {
        None => (pbkdf2::PBKDF2_HMAC_SHA1, 20),
        Some(prf) => match Reader::new(prf.content).content(der::OID)? {
            oid::HMAC_SHA256 => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
            oid::HMAC_SHA384 => (pbkdf2::PBKDF2_HMAC_SHA384, 48),
            oid::HMAC_SHA512 => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
            oid::HMAC_SHA1 => (pbkdf2::PBKDF2_HMAC_SHA1, 20),
            other => return Err(DecryptError::Unsupported(dotted(other))),
        },
    };
    parameters.end()?;
    work.spend(rounds.saturating_mul(octets.div_ceil(block)))?;
    let rounds = u32::try_from(rounds)
        .ok()
        .and_then(NonZeroU32::new)
        .ok_or(DecryptError::Malformed("its key derivation has no rounds"))?;
    let mut key = vec![0; usize::try_from(octets).unwrap_or(0)];
    pbkdf2::derive(with, rounds, salt, passphrase, &mut key);
    Ok(key)
}
