//! A public key that verifies signatures with its one algorithm.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};

use super::Algorithm;
use crate::process::Section;
use crate::x509::der::{self, Malformed, Reader};
use crate::x509::der_writer::{element, unsigned};
use crate::x509::{Key, key_parts};

/// A key of an accepted type and size.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PublicKey {
    algorithm: Algorithm,
    /// An uncompressed point, the 32 bytes of Ed25519, or an RSAPublicKey (RFC 8017 appendix A.1.1).
    bytes: Vec<u8>,
}

impl PublicKey {
    /// Takes the key of a key pair, whose form the algorithm fixes. The error continues a sentence
    /// whose subject is the key.
    pub(super) fn new(algorithm: Algorithm, bytes: Vec<u8>) -> Result<Self, String> {
        match (algorithm, &bytes[..]) {
            (Algorithm::Es256, [4, point @ ..]) if point.len() == 64 => {}
            (Algorithm::Es256, _) => {
                return Err("is not an uncompressed point of P-256".to_owned());
            }
            (Algorithm::EdDsa, key) if key.len() == 32 => {}
            (Algorithm::EdDsa, _) => return Err("does not have the 32 bytes of Ed25519".to_owned()),
            (Algorithm::Rs256, key) => {
                let (modulus, exponent) = numbers(key).map_err(|fault| fault.0.to_owned())?;
                if let Some(refusal) = Key::of_rsa(modulus, exponent).refusal() {
                    return Err(refusal);
                }
            }
        }
        Ok(Self { algorithm, bytes })
    }

    /// Makes an RSA key of its numbers, big-endian.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, String> {
        let content = [unsigned(modulus), unsigned(exponent)].concat();
        Self::new(Algorithm::Rs256, element(der::SEQUENCE, &content))
    }

    /// Reads a SubjectPublicKeyInfo.
    pub(super) fn of_spki(spki: &[u8]) -> Result<Self, String> {
        let (algorithm, bytes) = key_parts(spki).ok_or("is not a SubjectPublicKeyInfo")?;
        let kind = Key::of(algorithm, || numbers(bytes)).map_err(|fault| fault.0.to_owned())?;
        let algorithm = match kind {
            Key::P256 => Algorithm::Es256,
            Key::Ed25519 => Algorithm::EdDsa,
            Key::Rsa { .. } => Algorithm::Rs256,
            other => {
                return Err(other.refusal().unwrap_or_else(|| UNSUPPORTED.to_owned()));
            }
        };
        Self::new(algorithm, bytes.to_vec())
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the modulus and the exponent of an RSA key, without leading zeros.
    pub(super) fn rsa_numbers(&self) -> (&[u8], &[u8]) {
        let bare = |digits: &[u8]| digits.iter().take_while(|digit| **digit == 0).count();
        // `new` has read the same bytes.
        let (modulus, exponent) = numbers(&self.bytes).unwrap_or_default();
        (&modulus[bare(modulus)..], &exponent[bare(exponent)..])
    }

    /// Returns whether the signature of the message was made with this key.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &dyn VerificationAlgorithm = match self.algorithm {
            Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::EdDsa => &ED25519,
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        };
        let _section = Section::enter();
        UnparsedPublicKey::new(algorithm, &self.bytes).verify(message, signature).is_ok()
    }
}

/// What a key of another type is, as the predicate of a sentence.
pub(super) const UNSUPPORTED: &str =
    "is of a type that signs no token: use P-256, Ed25519 or RSA of at least 2048 bits";

/// Reads the modulus and the public exponent of an RSAPublicKey.
fn numbers(key: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut outer = Reader::new(key);
    let mut key = outer.nested(der::SEQUENCE)?;
    outer.end()?;
    let numbers = (key.content(der::INTEGER)?, key.content(der::INTEGER)?);
    key.end()?;
    Ok(numbers)
}
