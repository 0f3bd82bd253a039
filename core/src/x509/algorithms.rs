//! The cryptographic algorithms: aws-lc through rustls and webpki. Only this file names them.

use std::sync::Arc;
#[cfg(feature = "test-hooks")]
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::sign::SigningKey;
use rustls::{CipherSuite, NamedGroup, SignatureScheme};
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use webpki::aws_lc_rs as algorithms;

use crate::process::{Once, Section};

/// Returns the provider of every handshake. It prefers the key exchange X25519MLKEM768, and the cipher
/// AES-128-GCM with SHA-256: a handshake hashes much and encrypts little, and processors have
/// instructions for SHA-256.
///
/// * `post_quantum`: whether to offer X25519MLKEM768, whose key share takes 1216 bytes.
pub(crate) fn provider(post_quantum: bool) -> &'static Arc<CryptoProvider> {
    static PROVIDER: Once<Arc<CryptoProvider>> = Once::new();
    static CLASSICAL: Once<Arc<CryptoProvider>> = Once::new();
    if !post_quantum {
        return CLASSICAL.get_or_init(|| {
            let mut provider = CryptoProvider::clone(provider(true));
            provider.kx_groups.retain(|group| group.name() != NamedGroup::X25519MLKEM768);
            Arc::new(provider)
        });
    }
    PROVIDER.get_or_init(|| {
        let mut provider = aws_lc_rs::default_provider();
        provider.signature_verification_algorithms = SIGNATURES;
        // The sort is stable: the order of the other suites stays.
        provider.cipher_suites.sort_by_key(|suite| {
            !matches!(
                suite.suite(),
                CipherSuite::TLS13_AES_128_GCM_SHA256
                    | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                    | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
            )
        });
        Arc::new(provider)
    })
}

/// Returns a key that can sign in a handshake, or `None` if its algorithm or form is not supported.
pub(crate) fn signing_key(key: &PrivateKeyDer<'_>) -> Option<Arc<dyn SigningKey>> {
    // aws-lc takes locks for one-time setup and for random numbers. A fork must find them free.
    let _section = Section::enter();
    aws_lc_rs::sign::any_supported_type(key).ok()
}

/// The number of signatures of certificates and CRLs that this process has checked.
#[cfg(feature = "test-hooks")]
static CHECKED: AtomicU64 = AtomicU64::new(0);

#[cfg(feature = "test-hooks")]
/// Returns the number of signatures of certificates and CRLs that this process has checked.
pub fn signatures_checked() -> u64 {
    CHECKED.load(Ordering::Relaxed)
}

/// Counts one check of a signature, for tests.
pub(crate) fn count_check() {
    #[cfg(feature = "test-hooks")]
    CHECKED.fetch_add(1, Ordering::Relaxed);
}

/// Builds the two forms of one list: webpki's algorithms, and rustls' mapping from TLS signature
/// schemes to algorithms.
macro_rules! signatures {
    ($($scheme:ident: $($algorithm:ident)+;)+) => {
        WebPkiSupportedAlgorithms {
            all: &[$($(algorithms::$algorithm,)+)+],
            mapping: &[$((SignatureScheme::$scheme, &[$(algorithms::$algorithm),+]),)+],
        }
    };
}

/// The accepted signature algorithms of handshakes, certificates and CRLs: no SHA-1, no RSA below
/// 2048 bits.
///
/// The ClientHello advertises exactly these schemes, in this order. A server with several certificates
/// chooses one by them. If a scheme were advertised but not accepted, a server could choose the
/// certificate that fails although it has one that works.
///
/// TLS 1.2 tries all algorithms of a scheme. TLS 1.3 tries only the first, which fixes the curve.
/// ML-DSA is for TLS 1.3 only ([`is_for_tls12`]). It stands last, so that a server that follows the
/// client's order presents its smaller certificate.
pub(crate) static SIGNATURES: WebPkiSupportedAlgorithms = signatures! {
    ECDSA_NISTP384_SHA384: ECDSA_P384_SHA384 ECDSA_P256_SHA384 ECDSA_P521_SHA384;
    ECDSA_NISTP256_SHA256: ECDSA_P256_SHA256 ECDSA_P384_SHA256 ECDSA_P521_SHA256;
    ECDSA_NISTP521_SHA512: ECDSA_P521_SHA512 ECDSA_P384_SHA512 ECDSA_P256_SHA512;
    ED25519: ED25519;
    RSA_PSS_SHA512: RSA_PSS_2048_8192_SHA512_LEGACY_KEY;
    RSA_PSS_SHA384: RSA_PSS_2048_8192_SHA384_LEGACY_KEY;
    RSA_PSS_SHA256: RSA_PSS_2048_8192_SHA256_LEGACY_KEY;
    RSA_PKCS1_SHA512: RSA_PKCS1_2048_8192_SHA512;
    RSA_PKCS1_SHA384: RSA_PKCS1_2048_8192_SHA384;
    RSA_PKCS1_SHA256: RSA_PKCS1_2048_8192_SHA256;
    ML_DSA_44: ML_DSA_44;
    ML_DSA_65: ML_DSA_65;
    ML_DSA_87: ML_DSA_87;
};

/// Returns whether a signature is one of the message by this key.
///
/// * `spki`: the SubjectPublicKeyInfo of the key.
pub(crate) fn is_signature(
    scheme: SignatureScheme,
    spki: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    let spki = SubjectPublicKeyInfoDer::from(spki);
    let Ok(key) = webpki::RawPublicKeyEntity::try_from(&spki) else { return false };
    let known = SIGNATURES.mapping.iter().find(|(known, _)| *known == scheme);
    let algorithms = known.map_or(&[][..], |(_, algorithms)| algorithms);
    algorithms.iter().any(|algorithm| key.verify_signature(*algorithm, message, signature).is_ok())
}

/// Returns whether TLS 1.2 defines the scheme. One ClientHello offers both versions, so a server of
/// TLS 1.2 could choose a scheme that only TLS 1.3 has.
pub(crate) fn is_for_tls12(scheme: SignatureScheme) -> bool {
    !matches!(
        scheme,
        SignatureScheme::ML_DSA_44 | SignatureScheme::ML_DSA_65 | SignatureScheme::ML_DSA_87
    )
}
