//! Floor 2: the algorithms. aws-lc through rustls and webpki, named here once.

use std::sync::Arc;
#[cfg(feature = "testing")]
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::sign::SigningKey;
use rustls::{CipherSuite, SignatureScheme};
use rustls_pki_types::PrivateKeyDer;
use webpki::aws_lc_rs as algorithms;

use crate::process::{Once, Section};

/// The provider of every handshake. X25519MLKEM768 comes first among its key exchanges, and
/// AES-128-GCM with SHA-256 among its ciphers: a handshake hashes much and enciphers little, and
/// SHA-256 has instructions of its own in the processor.
pub(crate) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: Once<Arc<CryptoProvider>> = Once::new();
    PROVIDER.get_or_init(|| {
        let mut provider = aws_lc_rs::default_provider();
        provider.signature_verification_algorithms = SIGNATURES;
        // In TLS 1.3 and in 1.2 alike, and without changing the order of the others.
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

/// A key that can sign in a handshake, or `None` if its algorithm or form is not supported.
pub(crate) fn signing_key(key: &PrivateKeyDer<'_>) -> Option<Arc<dyn SigningKey>> {
    // What the library makes once, and its random numbers, have locks that a fork must find free.
    let _section = Section::enter();
    aws_lc_rs::sign::any_supported_type(key).ok()
}

/// How many signatures of certificates and CRLs this process has checked.
#[cfg(feature = "testing")]
static CHECKED: AtomicU64 = AtomicU64::new(0);

#[cfg(feature = "testing")]
pub(crate) fn signatures_checked() -> u64 {
    CHECKED.load(Ordering::Relaxed)
}

/// Counts one check of a signature, for tests.
pub(crate) fn count_check() {
    #[cfg(feature = "testing")]
    CHECKED.fetch_add(1, Ordering::Relaxed);
}

/// Builds rustls' and webpki's views of one list: which algorithms verify, and which TLS signature
/// schemes say so.
macro_rules! signatures {
    ($($scheme:ident: $($algorithm:ident)+;)+) => {
        WebPkiSupportedAlgorithms {
            all: &[$($(algorithms::$algorithm,)+)+],
            mapping: &[$((SignatureScheme::$scheme, &[$(algorithms::$algorithm),+]),)+],
        }
    };
}

/// The signatures that are verified, on handshakes, certificates and CRLs alike: no SHA-1, no RSA
/// below 2048 bits, no ML-DSA.
///
/// The ClientHello advertises exactly these schemes, in this order. A server that has several
/// certificates chooses one by them, so a scheme that is advertised and not verified refuses a
/// server that could have been accepted.
///
/// TLS 1.2 tries all algorithms of a scheme, TLS 1.3 only the first, which fixes the curve.
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
};
