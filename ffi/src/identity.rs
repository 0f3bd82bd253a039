//! Who we are.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;

use webhook_mtls::Identity;
use webhook_mtls::limits::Limit;

use crate::error::{wmtls_error, wmtls_status};
use crate::handle::Handle;
use crate::{panic, text};

/// Our certificate chain and the key that belongs to its leaf, checked.
pub struct wmtls_identity(pub(crate) Identity);

impl Handle for wmtls_identity {}

impl wmtls_identity {
    /// The handle of an identity.
    pub fn new(identity: Identity) -> Self {
        Self(identity)
    }
}

/// Reads our certificate chain (leaf first) and private key from PEM files.
///
/// `cert`, `key`: paths; they may be the same file.
/// `passphrase`: opens an encrypted PKCS#8 key; NULL if there is none.
///
/// Fails with WMTLS_PEM_INVALID, WMTLS_KEY_ENCRYPTED, WMTLS_KEY_MISMATCH,
/// WMTLS_IDENTITY_UNUSABLE or WMTLS_CLOCK_IMPLAUSIBLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_identity_from_files(
    cert: *const c_char,
    key: *const c_char,
    passphrase: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_identity>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the header's conventions.
        let (cert, key, passphrase) = unsafe {
            (
                text::required(cert, "cert")?,
                text::required(key, "key")?,
                text::optional(passphrase, "passphrase")?,
            )
        };
        Identity::from_files(cert, key, passphrase.map(str::as_bytes)).map(wmtls_identity)
    })
}

/// Like wmtls_identity_from_files, from bytes: PEM, or DER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_identity_from_pem(
    cert: *const c_void,
    cert_len: usize,
    key: *const c_void,
    key_len: usize,
    passphrase: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_identity>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the header's conventions.
        let (cert, key, passphrase) = unsafe {
            (
                text::bytes(cert, cert_len, Limit::material("cert"))?,
                text::bytes(key, key_len, Limit::material("key"))?,
                text::optional(passphrase, "passphrase")?,
            )
        };
        Identity::from_pem(cert, key, passphrase.map(str::as_bytes)).map(wmtls_identity)
    })
}

/// Reads a PKCS#12 file (.p12, .pfx): one private key, its certificate and the CAs above it, in any
/// order.
///
/// `data`: the bytes of the file, DER, at most 1 MiB.
/// `passphrase`: opens it; "" where it has none.
///
/// Fails with WMTLS_KEY_ENCRYPTED (the passphrase does not open it, or opening it would cost too
/// much), WMTLS_PEM_INVALID (malformed, no key, several keys, no certificate), WMTLS_KEY_MISMATCH,
/// WMTLS_IDENTITY_UNUSABLE or WMTLS_CLOCK_IMPLAUSIBLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_identity_from_pkcs12(
    data: *const c_void,
    data_len: usize,
    passphrase: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_identity>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the header's conventions.
        let (data, passphrase) = unsafe {
            (
                text::bytes(data, data_len, Limit::material("data"))?,
                text::required(passphrase, "passphrase")?,
            )
        };
        Identity::from_pkcs12(data, passphrase.as_bytes()).map(wmtls_identity)
    })
}

/// Frees an identity.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_identity_free(identity: Option<Box<wmtls_identity>>) {
    panic::value((), || drop(identity));
}
