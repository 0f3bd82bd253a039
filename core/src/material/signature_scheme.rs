//! The signature schemes of TLS by which our key may sign a handshake.

use rustls::SignatureScheme as TlsScheme;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::error::{Error, words};
use crate::x509::{Key, key_parts};

words! {
    /// A signature scheme of TLS, named as in the IANA registry. Its number is the code point.
    #[non_exhaustive]
    SignatureScheme {
        /// RSA with the padding of PKCS#1 v1.5, and SHA-256. In TLS 1.2 only.
        RsaPkcs1Sha256 = 0x0401 "rsa_pkcs1_sha256",
        /// ECDSA on P-256 with SHA-256.
        EcdsaSecp256r1Sha256 = 0x0403 "ecdsa_secp256r1_sha256",
        /// RSA with the padding of PKCS#1 v1.5, and SHA-384. In TLS 1.2 only.
        RsaPkcs1Sha384 = 0x0501 "rsa_pkcs1_sha384",
        /// ECDSA on P-384 with SHA-384.
        EcdsaSecp384r1Sha384 = 0x0503 "ecdsa_secp384r1_sha384",
        /// RSA with the padding of PKCS#1 v1.5, and SHA-512. In TLS 1.2 only.
        RsaPkcs1Sha512 = 0x0601 "rsa_pkcs1_sha512",
        /// ECDSA on P-521 with SHA-512.
        EcdsaSecp521r1Sha512 = 0x0603 "ecdsa_secp521r1_sha512",
        /// RSA-PSS with SHA-256, MGF1 with SHA-256, and a salt of 32 bytes.
        RsaPssRsaeSha256 = 0x0804 "rsa_pss_rsae_sha256",
        /// RSA-PSS with SHA-384, MGF1 with SHA-384, and a salt of 48 bytes.
        RsaPssRsaeSha384 = 0x0805 "rsa_pss_rsae_sha384",
        /// RSA-PSS with SHA-512, MGF1 with SHA-512, and a salt of 64 bytes.
        RsaPssRsaeSha512 = 0x0806 "rsa_pss_rsae_sha512",
        /// Ed25519, which signs the message itself.
        Ed25519 = 0x0807 "ed25519",
        /// ML-DSA-44, which signs the message itself. In TLS 1.3 only.
        MlDsa44 = 0x0904 "mldsa44",
        /// ML-DSA-65, which signs the message itself. In TLS 1.3 only.
        MlDsa65 = 0x0905 "mldsa65",
        /// ML-DSA-87, which signs the message itself. In TLS 1.3 only.
        MlDsa87 = 0x0906 "mldsa87",
    }
}

/// The schemes of RSA keys. Every service and token has SHA-256.
const RSA: &[SignatureScheme] = &[
    SignatureScheme::RsaPssRsaeSha256,
    SignatureScheme::RsaPssRsaeSha384,
    SignatureScheme::RsaPssRsaeSha512,
    SignatureScheme::RsaPkcs1Sha256,
    SignatureScheme::RsaPkcs1Sha384,
    SignatureScheme::RsaPkcs1Sha512,
];

impl SignatureScheme {
    /// Returns the schemes that the argument `schemes` of a binding names.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` and lists the names if there is no such scheme.
    #[doc(hidden)]
    pub fn of_arguments<N: AsRef<str>>(names: &[N]) -> Result<Vec<Self>, Error> {
        let of = |name: &N| Error::named_by("schemes", name.as_ref(), Self::ALL, Self::name);
        names.iter().map(of).collect()
    }

    /// Returns the schemes of a key, the preferred one first.
    ///
    /// * `spki`: the SubjectPublicKeyInfo of the key.
    pub(crate) fn of_key(key: Key, spki: &[u8]) -> &'static [Self] {
        match key {
            Key::Rsa { .. } => RSA,
            Key::P256 => &[Self::EcdsaSecp256r1Sha256],
            Key::P384 => &[Self::EcdsaSecp384r1Sha384],
            Key::P521 => &[Self::EcdsaSecp521r1Sha512],
            Key::Ed25519 => &[Self::Ed25519],
            // The sizes of RFC 9881.
            Key::MlDsa => match key_parts(spki).map_or(0, |(_, key)| key.len()) {
                1312 => &[Self::MlDsa44],
                1952 => &[Self::MlDsa65],
                2592 => &[Self::MlDsa87],
                _ => &[],
            },
            Key::OtherCurve(_) | Key::Other(_) => &[],
        }
    }

    /// Returns the scheme as rustls names it.
    pub(crate) fn in_tls(self) -> TlsScheme {
        TlsScheme::from(self as u16)
    }

    /// Returns the digest that the scheme signs, or `None` if it signs the message itself.
    pub(super) fn digest(self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::RsaPkcs1Sha256 | Self::RsaPssRsaeSha256 | Self::EcdsaSecp256r1Sha256 => {
                Some(Sha256::digest(message).to_vec())
            }
            Self::RsaPkcs1Sha384 | Self::RsaPssRsaeSha384 | Self::EcdsaSecp384r1Sha384 => {
                Some(Sha384::digest(message).to_vec())
            }
            Self::RsaPkcs1Sha512 | Self::RsaPssRsaeSha512 | Self::EcdsaSecp521r1Sha512 => {
                Some(Sha512::digest(message).to_vec())
            }
            Self::Ed25519 | Self::MlDsa44 | Self::MlDsa65 | Self::MlDsa87 => None,
        }
    }

    /// Returns the length of r and of s in the raw form of an ECDSA signature (IEEE P1363), or `None` for
    /// another algorithm.
    pub(super) fn raw_half(self) -> Option<usize> {
        match self {
            Self::EcdsaSecp256r1Sha256 => Some(32),
            Self::EcdsaSecp384r1Sha384 => Some(48),
            Self::EcdsaSecp521r1Sha512 => Some(66),
            _ => None,
        }
    }
}
