//! Signatures of JSON Web Tokens (RFC 7515, RFC 7518, RFC 8037): keys, their JWK form and three
//! algorithms. The algorithm follows from the key, and never from a token. This room knows no claims.

mod jwk;
mod key_set;
mod public_key;
mod signer;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

pub(crate) use key_set::{KeySet, NamedKey};
pub(crate) use public_key::PublicKey;
pub(crate) use signer::Signer;

/// The signature algorithm of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// ECDSA on P-256 with SHA-256. The signature is `r` and `s`, 32 bytes each.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Algorithm {
    /// Returns the name that tokens of ours have.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// Returns whether a header with this `alg` means this algorithm. RFC 9864 gives EdDSA with
    /// Ed25519 the name Ed25519.
    pub(crate) fn is_named(self, name: &str) -> bool {
        self.name() == name || (self == Self::EdDsa && name == "Ed25519")
    }
}

/// Encodes bytes as base64url without padding (RFC 7515 section 2).
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes base64url. Returns `None` for padding, other characters and bits that are left over.
pub(crate) fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests;
