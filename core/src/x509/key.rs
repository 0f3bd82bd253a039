//! Public keys: their algorithm and size, and the rules for weak ones.

use super::der::{self, Malformed, Reader};

/// Algorithms and curves (RFC 3279, RFC 5480, RFC 8410).
mod oid {
    pub(crate) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    pub(crate) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    pub(crate) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
    pub(crate) const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    pub(crate) const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
    pub(crate) const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
}

/// A public key, reduced to the facts that determine its strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Rsa { bits: usize, exponent: u64 },
    P256,
    P384,
    P521,
    Ed25519,
    Other,
}

impl Key {
    /// Returns the reason to refuse the key as too weak, or `None` if it is strong enough.
    pub(crate) fn weakness(self) -> Option<String> {
        match self {
            Self::P256 | Self::P384 | Self::P521 | Self::Ed25519 => None,
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
            Self::Other => {
                Some("a key that is neither RSA, P-256, P-384, P-521 nor Ed25519".into())
            }
        }
    }

    /// Reads the content of a SubjectPublicKeyInfo.
    pub(super) fn read(spki: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(spki);
        let mut algorithm = reader.nested(der::SEQUENCE)?;
        let bits = reader.content(der::BIT_STRING)?;
        reader.end()?;
        Ok(match algorithm.content(der::OID)? {
            oid::RSA => {
                let [0, key @ ..] = bits else {
                    return Err(Malformed("has a malformed RSA key"));
                };
                let mut outer = Reader::new(key);
                let mut key = outer.nested(der::SEQUENCE)?;
                let modulus = key.content(der::INTEGER)?;
                let exponent = key.content(der::INTEGER)?;
                let digits = modulus.iter().skip_while(|digit| **digit == 0);
                let leading =
                    digits.clone().next().map_or(0, |digit| digit.leading_zeros() as usize);
                Self::Rsa {
                    bits: (digits.count() * 8).saturating_sub(leading),
                    // An exponent beyond 64 bits is unusual, but not weak.
                    exponent: der::unsigned(exponent).unwrap_or(u64::MAX),
                }
            }
            oid::EC => match algorithm.content(der::OID) {
                Ok(oid::P256) => Self::P256,
                Ok(oid::P384) => Self::P384,
                Ok(oid::P521) => Self::P521,
                _ => Self::Other,
            },
            oid::ED25519 => Self::Ed25519,
            _ => Self::Other,
        })
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
