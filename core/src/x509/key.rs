//! Public keys: their algorithm and size, and the rules for weak and unsupported ones.

use super::der::{self, Malformed, Reader};
use super::named_algorithm::ObjectId;

/// Algorithms and curves that are accepted (RFC 3279, RFC 5480, RFC 8410, RFC 9881).
mod oid {
    pub(crate) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    pub(crate) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    pub(crate) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
    pub(crate) const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    pub(crate) const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
    pub(crate) const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
    pub(crate) const ML_DSA_44: &[u8] = &[0x60, 0x86, 0x48, 1, 101, 3, 4, 3, 17];
    pub(crate) const ML_DSA_65: &[u8] = &[0x60, 0x86, 0x48, 1, 101, 3, 4, 3, 18];
    pub(crate) const ML_DSA_87: &[u8] = &[0x60, 0x86, 0x48, 1, 101, 3, 4, 3, 19];
}

/// A public key, reduced to the facts that determine its strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Rsa {
        bits: usize,
        exponent: u64,
    },
    P256,
    P384,
    P521,
    Ed25519,
    /// ML-DSA-44, ML-DSA-65 or ML-DSA-87.
    MlDsa,
    /// An elliptic curve that is not accepted. `None` for parameters that are not an OID.
    OtherCurve(Option<ObjectId>),
    /// An algorithm that is not accepted.
    Other(ObjectId),
}

impl Key {
    /// Returns the name of its algorithm with its size or curve, such as `RSA 3072` or `EC P-256`.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Rsa { bits, .. } => format!("RSA {bits}"),
            Self::P256 => "EC P-256".into(),
            Self::P384 => "EC P-384".into(),
            Self::P521 => "EC P-521".into(),
            Self::Ed25519 => "Ed25519".into(),
            Self::MlDsa => "ML-DSA".into(),
            Self::OtherCurve(Some(curve)) => format!("EC {}", curve.curve_name()),
            Self::OtherCurve(None) => "EC with explicit parameters".into(),
            Self::Other(algorithm) => algorithm.algorithm_name(),
        }
    }

    /// Returns why the key is refused, as a noun phrase ("RSA of 1024 bits", "a secp256k1 key, …"), or
    /// `None` if it is accepted.
    pub(crate) fn weakness(self) -> Option<String> {
        match self {
            Self::P256 | Self::P384 | Self::P521 | Self::Ed25519 | Self::MlDsa => None,
            Self::Rsa { bits, .. } if bits < 2048 => Some(format!("RSA of {bits} bits")),
            Self::Rsa { bits, .. } if bits > 8192 => {
                Some(format!("RSA of {bits} bits, more than the 8192 that can be checked"))
            }
            Self::Rsa { bits, .. } if bits % 8 != 0 => {
                Some(format!("RSA of {bits} bits, which is not a multiple of 8"))
            }
            // Small exponents allow forged signatures where an implementation parses padding leniently.
            Self::Rsa { exponent, .. } if exponent < 65_537 || exponent % 2 == 0 => {
                Some(format!("RSA with the public exponent {exponent}"))
            }
            Self::Rsa { .. } => None,
            Self::OtherCurve(Some(curve)) => Some(curve.refused_curve()),
            Self::OtherCurve(None) => {
                Some("an EC key with explicit parameters in place of a named curve".into())
            }
            Self::Other(algorithm) => Some(algorithm.refused_algorithm()),
        }
    }

    /// Returns why the key is refused, as the predicate of a sentence whose subject is the certificate.
    pub(crate) fn refusal(self) -> Option<String> {
        let weakness = self.weakness()?;
        let is_unsupported = matches!(self, Self::OtherCurve(_) | Self::Other(_));
        Some(format!("has {}{weakness}", if is_unsupported { "" } else { "a weak key: " }))
    }

    /// Returns the kind of the key of a SubjectPublicKeyInfo.
    pub(crate) fn of_spki(spki: &[u8]) -> Result<Self, Malformed> {
        Self::read(Reader::new(spki).content(der::SEQUENCE)?)
    }

    /// Reads the content of a SubjectPublicKeyInfo.
    pub(super) fn read(spki: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(spki);
        let algorithm = reader.content(der::SEQUENCE)?;
        let bits = reader.content(der::BIT_STRING)?;
        reader.end()?;
        Self::of(algorithm, || {
            let [0, key @ ..] = bits else {
                return Err(Malformed("has a malformed RSA key"));
            };
            let mut outer = Reader::new(key);
            let mut key = outer.nested(der::SEQUENCE)?;
            let modulus = key.content(der::INTEGER)?;
            Ok((modulus, key.content(der::INTEGER)?))
        })
    }

    /// Returns the kind of a key.
    ///
    /// * `algorithm`: the content of its AlgorithmIdentifier.
    /// * `rsa`: reads the modulus and the public exponent.
    pub(crate) fn of<'a>(
        algorithm: &[u8],
        rsa: impl FnOnce() -> Result<(&'a [u8], &'a [u8]), Malformed>,
    ) -> Result<Self, Malformed> {
        let mut algorithm = Reader::new(algorithm);
        Ok(match algorithm.content(der::OID)? {
            oid::RSA => {
                let (modulus, exponent) = rsa()?;
                Self::of_rsa(modulus, exponent)
            }
            oid::EC => Self::of_curve(algorithm.content(der::OID).ok()),
            oid::ED25519 => Self::Ed25519,
            oid::ML_DSA_44 | oid::ML_DSA_65 | oid::ML_DSA_87 => Self::MlDsa,
            other => Self::Other(ObjectId::of(other)),
        })
    }

    /// Returns the kind of an RSA key by the contents of its INTEGERs.
    pub(crate) fn of_rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        let digits = modulus.iter().skip_while(|digit| **digit == 0);
        let leading = digits.clone().next().map_or(0, |digit| digit.leading_zeros() as usize);
        Self::Rsa {
            bits: (digits.count() * 8).saturating_sub(leading),
            // An exponent beyond 64 bits is unusual, but not weak.
            exponent: der::unsigned(exponent).unwrap_or(u64::MAX),
        }
    }

    /// Returns the kind of an EC key by the OID of its curve.
    pub(crate) fn of_curve(curve: Option<&[u8]>) -> Self {
        match curve {
            Some(oid::P256) => Self::P256,
            Some(oid::P384) => Self::P384,
            Some(oid::P521) => Self::P521,
            other => Self::OtherCurve(other.map(ObjectId::of)),
        }
    }
}

/// Splits a SubjectPublicKeyInfo into the content of its algorithm identifier and the key bytes.
pub(crate) fn key_parts(spki: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader::new(spki).nested(der::SEQUENCE).ok()?;
    let algorithm = reader.content(der::SEQUENCE).ok()?;
    let [0, key @ ..] = reader.content(der::BIT_STRING).ok()? else {
        return None;
    };
    Some((algorithm, key))
}
