//! Reads PKCS#12 (RFC 7292): one private key and the certificates around it, in one file.
//!
//! The MAC is checked before the content is used. BER, which some tools write, is converted to DER at
//! each layer; the MAC covers the octets of the content, whose form does not change.

use aws_lc_rs::{constant_time, digest, hmac};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::pbe::{self, DecryptError, Derivation, DerivedKey, WorkLimit, bmp_string};
use super::pem::{self, check_size};
use super::{ber, pbmac1};
use crate::error::{Error, Kind, cause, key};
use crate::x509::der::{self, Reader};
use crate::x509::{Certificate, dotted};

const WHAT: &str = "PKCS#12";

/// The deepest nesting of SafeContents bags.
const MAX_DEPTH: u8 = 4;

mod oid {
    const fn bag<const N: u8>() -> [u8; 11] {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, N]
    }

    pub(crate) const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
    pub(crate) const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
    pub(crate) const ENVELOPED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 3];
    pub(crate) const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 6];
    pub(crate) const X509_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 22, 1];
    pub(crate) const KEY_BAG: &[u8] = &bag::<1>();
    pub(crate) const SHROUDED_KEY_BAG: &[u8] = &bag::<2>();
    pub(crate) const CERTIFICATE_BAG: &[u8] = &bag::<3>();
    pub(crate) const CRL_BAG: &[u8] = &bag::<4>();
    pub(crate) const SECRET_BAG: &[u8] = &bag::<5>();
    pub(crate) const NESTED_BAGS: &[u8] = &bag::<6>();

    pub(crate) const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 26];
    pub(crate) const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 1];
    pub(crate) const SHA384: &[u8] = &[0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 2];
    pub(crate) const SHA512: &[u8] = &[0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 3];
    pub(crate) const SHA224: &[u8] = &[0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 4];
}

/// The key and the certificates of a file, in its order.
pub(crate) struct Contents {
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) certificates: Vec<Certificate>,
}

/// Reads the only private key and every certificate.
///
/// Fails with `pem_invalid` or `key_encrypted`.
pub(crate) fn read(file: &[u8], passphrase: &[u8]) -> Result<Contents, Error> {
    let (mut keys, certificates) = open(file, passphrase)?;
    let fault = |why: String| Error::new(Kind::PemInvalid, format!("{WHAT}: {why}"));
    if keys.len() > 1 {
        return Err(fault(format!("{} private keys found where one is expected", keys.len())));
    }
    let key = keys.pop().ok_or_else(|| {
        fault("no private key found".into()).caused(&cause::PKCS12_WITHOUT_KEY, &[])
    })?;
    if certificates.is_empty() {
        return Err(fault("no certificate found".into()));
    }
    let certificates = certificates
        .iter()
        .enumerate()
        .map(|(at, der)| {
            Certificate::from_der(der).map_err(|malformed| {
                fault(format!("certificate {} {}", at + 1, malformed.0))
                    .noting(key::POSITION, at + 1)
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(Contents { key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)), certificates })
}

/// Several structures, each in DER.
type Ders = Vec<Vec<u8>>;

/// Returns the private keys (each a PKCS#8 PrivateKeyInfo) and the certificates (DER) of a file.
///
/// Fails with `pem_invalid` or `key_encrypted`.
pub(super) fn open(file: &[u8], passphrase: &[u8]) -> Result<(Ders, Ders), Error> {
    check_size(file, WHAT)?;
    let file = &*pem::file_of_pkcs12(file, WHAT)?;
    let mut reader =
        Pkcs12Reader { passphrase, work: WorkLimit::new(), keys: vec![], certificates: vec![] };
    reader.file(file).map_err(|error| match error {
        DecryptError::Malformed(why) => Error::new(
            Kind::PemInvalid,
            format!("{WHAT}: the file {why}"),
        )
        .advising(
            "Supply the complete file; openssl pkcs12 -in … | openssl pkcs12 -export makes a new one.",
        ),
        other => other.into_error(WHAT),
    })?;
    Ok((reader.keys, reader.certificates))
}

/// The parts of a file that were decrypted so far.
struct Pkcs12Reader<'a> {
    passphrase: &'a [u8],
    work: WorkLimit,
    /// Each a PKCS#8 PrivateKeyInfo.
    keys: Vec<Vec<u8>>,
    certificates: Vec<Vec<u8>>,
}

impl Pkcs12Reader<'_> {
    fn file(&mut self, file: &[u8]) -> Result<(), DecryptError> {
        let file = ber::to_der(file)?;
        let mut outer = Reader::new(&file);
        let mut pfx = outer.nested(der::SEQUENCE)?;
        outer.end()?;
        if der::unsigned(pfx.content(der::INTEGER)?)? != 3 {
            return Err(DecryptError::Malformed("is not of version 3"));
        }
        let mut safe = pfx.nested(der::SEQUENCE)?;
        match safe.content(der::OID)? {
            oid::DATA => {}
            oid::SIGNED_DATA => {
                return Err(DecryptError::Malformed(
                    "is protected by a signature instead of a passphrase",
                ));
            }
            _ => return Err(DecryptError::Malformed("is not PKCS#12")),
        }
        let mut content = safe.nested(der::context(0, true))?;
        let authenticated = content.content(der::OCTET_STRING)?;
        content.end()?;
        safe.end()?;
        let mac = pfx
            .optional(der::SEQUENCE)?
            .ok_or(DecryptError::Malformed("has no MAC, so a change to it would go unnoticed"))?;
        pfx.end()?;
        self.check_mac(authenticated, mac.content)?;

        let authenticated = ber::to_der(authenticated)?;
        let mut outer = Reader::new(&authenticated);
        let mut safes = outer.nested(der::SEQUENCE)?;
        outer.end()?;
        while !safes.is_empty() {
            self.safe(safes.nested(der::SEQUENCE)?)?;
        }
        Ok(())
    }

    fn check_mac(&mut self, authenticated: &[u8], mac: &[u8]) -> Result<(), DecryptError> {
        let mut reader = Reader::new(mac);
        let mut info = reader.nested(der::SEQUENCE)?;
        let mut algorithm = info.nested(der::SEQUENCE)?;
        let (digest, with) = match algorithm.content(der::OID)? {
            pbmac1::PBMAC1 => {
                let (expected, work) = (info.content(der::OCTET_STRING)?, &mut self.work);
                // Salt and rounds beside it are not used (RFC 9579 section 4).
                return pbmac1::check(algorithm, authenticated, expected, self.passphrase, work);
            }
            oid::SHA1 => (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            oid::SHA224 => (&digest::SHA224, hmac::HMAC_SHA224),
            oid::SHA256 => (&digest::SHA256, hmac::HMAC_SHA256),
            oid::SHA384 => (&digest::SHA384, hmac::HMAC_SHA384),
            oid::SHA512 => (&digest::SHA512, hmac::HMAC_SHA512),
            other => return Err(DecryptError::Unsupported(dotted(other))),
        };
        algorithm.optional(der::NULL)?;
        algorithm.end()?;
        let expected = info.content(der::OCTET_STRING)?;
        info.end()?;
        let salt = reader.content(der::OCTET_STRING)?;
        let rounds = match reader.optional(der::INTEGER)? {
            Some(rounds) => der::unsigned(rounds.content)?,
            None => 1,
        };
        reader.end()?;
        let derivation = Derivation { digest, salt, rounds };
        // Tools encode an absent passphrase in two ways: as an empty one with its terminator, or as
        // no bytes.
        let absent: &[u8] = &[];
        let terminated = bmp_string(self.passphrase);
        let encodings = [Some(&*terminated), self.passphrase.is_empty().then_some(absent)];
        for password in encodings.into_iter().flatten() {
            let key = derivation.derive(
                password,
                DerivedKey::Mac,
                digest.output_len(),
                &mut self.work,
            )?;
            let computed = hmac::sign(&hmac::Key::new(with, &key), authenticated);
            if constant_time::verify_slices_are_equal(computed.as_ref(), expected).is_ok() {
                return Ok(());
            }
        }
        Err(DecryptError::WrongPassphrase)
    }

    /// Reads a ContentInfo: SafeContents in clear or encrypted.
    fn safe(&mut self, mut info: Reader<'_>) -> Result<(), DecryptError> {
        let kind = info.content(der::OID)?;
        let mut content = info.nested(der::context(0, true))?;
        info.end()?;
        match kind {
            oid::DATA => self.bags(content.content(der::OCTET_STRING)?, 0),
            oid::ENCRYPTED_DATA => {
                let mut data = content.nested(der::SEQUENCE)?;
                data.content(der::INTEGER)?;
                let mut encrypted = data.nested(der::SEQUENCE)?;
                if encrypted.content(der::OID)? != oid::DATA {
                    return Err(DecryptError::Malformed(
                        "encrypts content that is not of type data",
                    ));
                }
                let algorithm = encrypted.element(der::SEQUENCE)?.whole;
                let ciphertext = octets_of_implicit(encrypted)?;
                let bags = pbe::decrypt(algorithm, &ciphertext, self.passphrase, &mut self.work)?;
                self.bags(&bags, 0)
            }
            oid::ENVELOPED_DATA => Err(DecryptError::Malformed(
                "is encrypted for a public key instead of a passphrase",
            )),
            _ => Err(DecryptError::Malformed("holds content of an unknown type")),
        }
    }

    fn bags(&mut self, bags: &[u8], depth: u8) -> Result<(), DecryptError> {
        if depth > MAX_DEPTH {
            return Err(DecryptError::Malformed("nests its bags too deeply"));
        }
        let bags = ber::to_der(bags)?;
        let mut outer = Reader::new(&bags);
        let mut bags = outer.nested(der::SEQUENCE)?;
        outer.end()?;
        while !bags.is_empty() {
            let mut bag = bags.nested(der::SEQUENCE)?;
            let kind = bag.content(der::OID)?;
            let value = bag.content(der::context(0, true))?;
            // The attributes (friendlyName, localKeyId) are not used: the key itself identifies its
            // leaf.
            bag.optional(der::SET)?;
            bag.end()?;
            self.bag(kind, value, depth)?;
        }
        Ok(())
    }

    fn bag(&mut self, kind: &[u8], value: &[u8], depth: u8) -> Result<(), DecryptError> {
        match kind {
            oid::KEY_BAG => self.keys.push(value.to_vec()),
            oid::SHROUDED_KEY_BAG => {
                let mut outer = Reader::new(value);
                let mut shrouded = outer.nested(der::SEQUENCE)?;
                let algorithm = shrouded.element(der::SEQUENCE)?.whole;
                let ciphertext = shrouded.content(der::OCTET_STRING)?;
                let key = pbe::decrypt_key(algorithm, ciphertext, self.passphrase, &mut self.work)?;
                self.keys.push(key);
            }
            oid::CERTIFICATE_BAG => {
                let mut outer = Reader::new(value);
                let mut certificate = outer.nested(der::SEQUENCE)?;
                if certificate.content(der::OID)? != oid::X509_CERTIFICATE {
                    return Err(DecryptError::Malformed("holds a certificate that is not X.509"));
                }
                let mut inner = certificate.nested(der::context(0, true))?;
                self.certificates.push(inner.content(der::OCTET_STRING)?.to_vec());
            }
            // Not part of an identity.
            oid::CRL_BAG | oid::SECRET_BAG => {}
            oid::NESTED_BAGS => self.bags(value, depth + 1)?,
            _ => return Err(DecryptError::Malformed("holds a bag of an unknown type")),
        }
        Ok(())
    }
}

/// Reads `[0] IMPLICIT OCTET STRING`. In BER it may have several parts, each an OCTET STRING.
fn octets_of_implicit(mut encrypted: Reader<'_>) -> Result<Vec<u8>, DecryptError> {
    if let Some(whole) = encrypted.optional(der::context(0, false))? {
        return Ok(whole.content.to_vec());
    }
    let mut parts = encrypted.nested(der::context(0, true))?;
    let mut octets = Vec::new();
    while !parts.is_empty() {
        octets.extend_from_slice(parts.content(der::OCTET_STRING)?);
    }
    Ok(octets)
}
