//! Password-based encryption: PBES2 (RFC 8018), and the schemes of PKCS#12 (RFC 7292 appendix C) that
//! Windows and older Java and OpenSSL still write.
//!
//! A file states its own work factor. If it is too high, decryption fails before the derivation
//! starts. Otherwise a few bytes could occupy a thread for hours or exhaust the memory.

use aws_lc_rs::digest;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt as _, InnerIvInit as _, KeyInit as _};
use des::{TdesEde2, TdesEde3};
use pkcs8::pkcs5::{EncryptionScheme, pbes2::Kdf};
use rc2::Rc2;

use crate::error::{Error, Kind};
use crate::x509::der::{self, Malformed, Reader};
use crate::x509::dotted;

/// The most rounds of key derivation for one input: eight times the recommended number for PBKDF2 with
/// SHA-256, which take two or three seconds. NSS derives six keys for one file, each with 600 000.
const MAX_ROUNDS: u64 = 5_000_000;

/// The most memory for scrypt (128 N r), in bytes: four times the amount that OpenSSL uses.
const MAX_SCRYPT_MEMORY: u64 = 64 * 1024 * 1024;

/// PBES2 and pkcs-12PbeIds (RFC 7292 appendix C).
mod oid {
    pub(crate) const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
    pub(crate) const TRIPLE_DES: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 3];
    pub(crate) const TWO_KEY_TRIPLE_DES: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 4];
    pub(crate) const RC2_128: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 5];
    pub(crate) const RC2_40: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 6];
}

/// Why decryption fails.
#[derive(Debug)]
pub(crate) enum DecryptError {
    Malformed(&'static str),
    /// The algorithm, in dotted form.
    Unsupported(String),
    TooCostly,
    WrongPassphrase,
}

impl From<Malformed> for DecryptError {
    fn from(fault: Malformed) -> Self {
        Self::Malformed(fault.0)
    }
}

impl DecryptError {
    /// Makes the error that the caller sees.
    ///
    /// * `what`: the encrypted input, as the start of the message.
    pub(crate) fn into_error(self, what: &str) -> Error {
        let (kind, why) = match self {
            Self::Malformed(why) => (Kind::PemInvalid, why.to_owned()),
            Self::Unsupported(algorithm) => {
                let why =
                    format!("encrypted with the algorithm {algorithm}, which is not supported");
                let advice = "Encrypt it again with AES, as OpenSSL 3 does by default.";
                return Error::new(Kind::KeyEncrypted, format!("{what}: {why}")).advising(advice);
            }
            Self::TooCostly => {
                let why =
                    format!("its key derivation exceeds the work limit ({MAX_ROUNDS} rounds)");
                let advice = "Encrypt it again with fewer rounds, as OpenSSL does by default.";
                return Error::new(Kind::KeyEncrypted, format!("{what}: {why}")).advising(advice);
            }
            Self::WrongPassphrase => {
                (Kind::KeyEncrypted, "the passphrase does not open it".to_owned())
            }
        };
        Error::new(kind, format!("{what}: {why}"))
    }
}

/// The work that is left for one input.
pub(crate) struct WorkLimit {
    rounds_left: u64,
}

impl WorkLimit {
    pub(crate) fn new() -> Self {
        Self { rounds_left: MAX_ROUNDS }
    }

    pub(crate) fn spend(&mut self, rounds: u64) -> Result<(), DecryptError> {
        self.rounds_left = self.rounds_left.checked_sub(rounds).ok_or(DecryptError::TooCostly)?;
        Ok(())
    }
}

/// Decrypts a private key. Returns its PrivateKeyInfo (RFC 5958).
///
/// The arguments are those of [`decrypt`].
pub(crate) fn decrypt_key(
    algorithm: &[u8],
    ciphertext: &[u8],
    passphrase: &[u8],
    work: &mut WorkLimit,
) -> Result<Vec<u8>, DecryptError> {
    let key = decrypt(algorithm, ciphertext, passphrase, work)?;
    // A mode without authentication lets one of 256 wrong passphrases leave a valid padding. What they
    // decrypt is noise instead of a key.
    starts_as_key(&key).map_err(|_| DecryptError::WrongPassphrase)?;
    Ok(key)
}

fn starts_as_key(der: &[u8]) -> Result<(), Malformed> {
    let mut info = Reader::new(der).nested(der::SEQUENCE)?;
    info.content(der::INTEGER)?;
    info.element(der::SEQUENCE)?;
    info.content(der::OCTET_STRING)?;
    Ok(())
}

/// Decrypts with the scheme of an AlgorithmIdentifier.
///
/// * `algorithm`: the AlgorithmIdentifier with its tag and length.
pub(crate) fn decrypt(
    algorithm: &[u8],
    ciphertext: &[u8],
    passphrase: &[u8],
    work: &mut WorkLimit,
) -> Result<Vec<u8>, DecryptError> {
    let mut outer = Reader::new(algorithm);
    let mut reader = outer.nested(der::SEQUENCE)?;
    let id = reader.content(der::OID)?;
    let legacy = match id {
        oid::PBES2 => return decrypt_pbes2(algorithm, ciphertext, passphrase, work),
        oid::TRIPLE_DES => Legacy::TripleDes,
        oid::TWO_KEY_TRIPLE_DES => Legacy::TwoKeyTripleDes,
        oid::RC2_128 => Legacy::Rc2 { octets: 16 },
        oid::RC2_40 => Legacy::Rc2 { octets: 5 },
        other => return Err(DecryptError::Unsupported(dotted(other))),
    };
    let mut parameters = reader.nested(der::SEQUENCE)?;
    let salt = parameters.content(der::OCTET_STRING)?;
    let rounds = der::unsigned(parameters.content(der::INTEGER)?)?;
    parameters.end()?;
    let derivation = Derivation { digest: &digest::SHA1_FOR_LEGACY_USE_ONLY, salt, rounds };
    let password = bmp_string(passphrase);
    let key = derivation.derive(&password, DerivedKey::Key, legacy.key_octets(), work)?;
    let iv = derivation.derive(&password, DerivedKey::Iv, 8, work)?;
    let padded = |_| DecryptError::Malformed("its encryption parameters do not fit each other");
    match legacy {
        Legacy::TripleDes => {
            decrypt_cbc(TdesEde3::new_from_slice(&key).map_err(padded)?, &iv, ciphertext)
        }
        Legacy::TwoKeyTripleDes => {
            decrypt_cbc(TdesEde2::new_from_slice(&key).map_err(padded)?, &iv, ciphertext)
        }
        Legacy::Rc2 { octets } => {
            decrypt_cbc(Rc2::new_with_eff_key_len(&key, octets * 8), &iv, ciphertext)
        }
    }
}

/// A scheme of PKCS#12 (RFC 7292 appendix C).
enum Legacy {
    TripleDes,
    TwoKeyTripleDes,
    Rc2 { octets: usize },
}

impl Legacy {
    fn key_octets(&self) -> usize {
        match self {
            Self::TripleDes => 24,
            Self::TwoKeyTripleDes => 16,
            Self::Rc2 { octets } => *octets,
        }
    }
}

fn decrypt_cbc<C>(cipher: C, iv: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, DecryptError>
where
    C: BlockCipherDecrypt,
{
    let iv =
        iv.try_into().map_err(|_| DecryptError::Malformed("its encryption has no usable IV"))?;
    // Wrong padding means, as a wrong MAC does, that another key encrypted it.
    cbc::Decryptor::<C>::inner_iv_init(cipher, iv)
        .decrypt_padded_vec::<Pkcs7>(ciphertext)
        .map_err(|_| DecryptError::WrongPassphrase)
}

fn decrypt_pbes2(
    algorithm: &[u8],
    ciphertext: &[u8],
    passphrase: &[u8],
    work: &mut WorkLimit,
) -> Result<Vec<u8>, DecryptError> {
    let unsupported = |_| DecryptError::Unsupported(unsupported_part(algorithm));
    let scheme = EncryptionScheme::try_from(algorithm).map_err(unsupported)?;
    let parameters = scheme.pbes2().ok_or(DecryptError::Malformed("is not PBES2"))?;
    match &parameters.kdf {
        Kdf::Pbkdf2(pbkdf2) => work.spend(u64::from(pbkdf2.iteration_count))?,
        Kdf::Scrypt(scrypt) => {
            let memory = u64::from(scrypt.block_size)
                .checked_mul(128)
                .and_then(|block| block.checked_mul(scrypt.cost_parameter));
            if memory.is_none_or(|memory| memory > MAX_SCRYPT_MEMORY) {
                return Err(DecryptError::TooCostly);
            }
            // Mixing one kilobyte takes about as long as four rounds of PBKDF2.
            let blocks = scrypt.cost_parameter.saturating_mul(u64::from(scrypt.block_size));
            work.spend(blocks.saturating_mul(u64::from(scrypt.parallelization)))?;
        }
        _ => return Err(DecryptError::Unsupported("of an unknown key derivation".into())),
    }
    scheme.decrypt(passphrase, ciphertext).map_err(|error| match error {
        pkcs8::pkcs5::Error::UnsupportedAlgorithm { oid } => {
            DecryptError::Unsupported(oid.to_string())
        }
        _ => DecryptError::WrongPassphrase,
    })
}

/// Names the part of PBES2 that is not supported: mostly the cipher, by its OID and, if it is known, its
/// name.
fn unsupported_part(algorithm: &[u8]) -> String {
    const CIPHERS: &[(&str, &str)] = &[
        ("1.2.392.200011.61.1.1.1.", "Camellia"),
        ("1.2.410.200046.1.1.", "ARIA"),
        ("1.2.410.200004.1.", "SEED"),
        ("1.2.156.10197.1.104.", "SM4"),
        ("1.3.14.3.2.7", "DES"),
        ("1.2.840.113549.3.2", "RC2"),
        ("2.16.840.1.101.3.4.1.", "AES in a mode"),
    ];
    let cipher = || {
        let mut scheme = Reader::new(algorithm).nested(der::SEQUENCE)?;
        scheme.content(der::OID)?;
        let mut parameters = scheme.nested(der::SEQUENCE)?;
        parameters.element(der::SEQUENCE)?;
        parameters.nested(der::SEQUENCE)?.content(der::OID)
    };
    let Ok(cipher) = cipher().map(dotted) else {
        return format!("PBES2 ({})", dotted(oid::PBES2));
    };
    match CIPHERS.iter().find(|(prefix, _)| cipher.starts_with(prefix)) {
        Some((_, name)) => format!("{name} ({cipher})"),
        None => cipher,
    }
}

/// The purpose of a derived key. The number is the diversifier of RFC 7292 appendix B.3.
#[derive(Clone, Copy)]
pub(crate) enum DerivedKey {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

/// The key derivation of PKCS#12 (RFC 7292 appendix B.2).
pub(crate) struct Derivation<'a> {
    pub(crate) digest: &'static digest::Algorithm,
    pub(crate) salt: &'a [u8],
    pub(crate) rounds: u64,
}

impl Derivation<'_> {
    /// Derives a key.
    ///
    /// * `password`: encoded with [`bmp_string`].
    /// * `octets`: the length of the key.
    pub(crate) fn derive(
        &self,
        password: &[u8],
        purpose: DerivedKey,
        octets: usize,
        work: &mut WorkLimit,
    ) -> Result<Vec<u8>, DecryptError> {
        if self.rounds == 0 {
            return Err(DecryptError::Malformed("its key derivation has no rounds"));
        }
        let (block, output) = (self.digest.block_len(), self.digest.output_len());
        work.spend(self.rounds.saturating_mul(octets.div_ceil(output) as u64))?;
        let filled = |text: &[u8]| {
            let length = text.len().div_ceil(block) * block;
            text.iter().copied().cycle().take(length).collect::<Vec<u8>>()
        };
        let mut input = filled(self.salt);
        input.extend(filled(password));
        let diversifier = vec![purpose as u8; block];
        let mut key = Vec::with_capacity(octets + output);
        while key.len() < octets {
            let mut context = digest::Context::new(self.digest);
            context.update(&diversifier);
            context.update(&input);
            let mut hash = context.finish();
            for _ in 1..self.rounds {
                hash = digest::digest(self.digest, hash.as_ref());
            }
            key.extend_from_slice(hash.as_ref());
            let addend: Vec<u8> = hash.as_ref().iter().copied().cycle().take(block).collect();
            input.chunks_mut(block).for_each(|chunk| add_one_and(&addend, chunk));
        }
        key.truncate(octets);
        Ok(key)
    }
}

/// Adds `addend + 1` to a big-endian number, modulo its length.
fn add_one_and(addend: &[u8], number: &mut [u8]) {
    let mut carry = 1u16;
    for (digit, more) in number.iter_mut().zip(addend).rev() {
        carry += u16::from(*digit) + u16::from(*more);
        [_, *digit] = carry.to_be_bytes();
        carry >>= 8;
    }
}

/// Encodes a passphrase for PKCS#12: big-endian UTF-16 with a terminating zero (RFC 7292 appendix
/// B.1). Bytes that are not UTF-8 count as Latin-1, as in OpenSSL.
pub(crate) fn bmp_string(passphrase: &[u8]) -> Vec<u8> {
    let units: Vec<u16> = match std::str::from_utf8(passphrase) {
        Ok(text) => text.encode_utf16().collect(),
        Err(_) => passphrase.iter().map(|byte| u16::from(*byte)).collect(),
    };
    units.into_iter().chain([0]).flat_map(u16::to_be_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addition_carries_over_every_digit() {
        let mut number = [0x00, 0xff, 0xff];
        add_one_and(&[0x00, 0x00, 0x00], &mut number);
        assert_eq!(number, [0x01, 0x00, 0x00]);
        let mut number = [0xff, 0xff];
        add_one_and(&[0xff, 0xff], &mut number);
        assert_eq!(number, [0xff, 0xff]);
    }

    #[test]
    fn too_much_work_is_refused_before_it_starts() {
        let derivation = Derivation {
            digest: &digest::SHA1_FOR_LEGACY_USE_ONLY,
            salt: b"salt",
            rounds: u64::MAX,
        };
        let outcome =
            derivation.derive(&bmp_string(b"x"), DerivedKey::Key, 24, &mut WorkLimit::new());
        assert!(matches!(outcome, Err(DecryptError::TooCostly)));
    }

    fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let mut whole = vec![tag, u8::try_from(content.len()).unwrap()];
        whole.extend(content);
        whole
    }

    /// PBES2 with AES-256-CBC and this key derivation.
    fn pbes2(derivation: &[u8], parameters: &[&[u8]]) -> Vec<u8> {
        const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 101, 3, 4, 1, 42];
        let parameters = tlv(der::SEQUENCE, parameters);
        let kdf = tlv(der::SEQUENCE, &[&tlv(der::OID, &[derivation]), &parameters]);
        let iv = tlv(der::OCTET_STRING, &[&[0; 16]]);
        let cipher = tlv(der::SEQUENCE, &[&tlv(der::OID, &[AES_256_CBC]), &iv]);
        let both = tlv(der::SEQUENCE, &[&kdf, &cipher]);
        tlv(der::SEQUENCE, &[&tlv(der::OID, &[oid::PBES2]), &both])
    }

    /// Without the limit, the first would take hours, and the others terabytes.
    #[test]
    fn a_key_cannot_demand_unlimited_time_or_memory() {
        const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
        const SCRYPT: &[u8] = &[0x2b, 6, 1, 4, 1, 0xda, 0x47, 4, 11];
        let salt = tlv(der::OCTET_STRING, &[b"saltsalt"]);
        let number = |digits: &[u8]| tlv(der::INTEGER, &[digits]);
        let scrypt = |cost: &[u8], block: &[u8], parallel: &[u8]| {
            pbes2(SCRYPT, &[&salt, &number(cost), &number(block), &number(parallel)])
        };
        let decrypt_with =
            |algorithm: &[u8]| decrypt(algorithm, &[0; 48], b"x", &mut WorkLimit::new());
        for costly in [
            pbes2(PBKDF2, &[&salt, &number(&[5, 0xf5, 0xe1, 0])]),
            scrypt(&[0x10, 0, 0, 0, 0], &[8], &[1]),
            scrypt(&[0x40, 0], &[0x40, 0], &[1]),
            scrypt(&[0x40, 0], &[8], &[0x7f, 0xff]),
        ] {
            let outcome = decrypt_with(&costly);
            assert!(matches!(outcome, Err(DecryptError::TooCostly)), "{outcome:?}");
        }
        // OpenSSL's parameters are within the limits: the key is derived, and then does not fit.
        let usual = decrypt_with(&scrypt(&[0x40, 0], &[8], &[1]));
        assert!(matches!(usual, Err(DecryptError::WrongPassphrase)), "{usual:?}");
    }

    #[test]
    fn a_passphrase_is_utf_16_with_a_terminating_zero() {
        assert_eq!(bmp_string(b"Be"), [0, 0x42, 0, 0x65, 0, 0]);
        assert_eq!(bmp_string("€".as_bytes()), [0x20, 0xac, 0, 0]);
        assert_eq!(bmp_string(&[0xe9]), [0, 0xe9, 0, 0]);
        assert_eq!(bmp_string(b""), [0, 0]);
    }
}
