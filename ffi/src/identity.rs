//! Identities: our certificate chains and keys.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;

use webhook_mtls::Identity;
use webhook_mtls::bindings::limits::Limit;

use crate::error::{wmtls_error, wmtls_status};
use crate::handle::Handle;
use crate::text::StringPool;
use crate::{panic, text};

/// Our certificate chain with the private key of its leaf. Both were checked.
pub struct wmtls_identity(pub(crate) Identity, StringPool);

impl Handle for wmtls_identity {}

impl wmtls_identity {
    /// Makes a handle of an identity.
    pub fn new(identity: Identity) -> Self {
        Self(identity, StringPool::new())
    }
}

/// Reads our certificate chain (leaf first) and private key from PEM files. Free the result with
/// wmtls_identity_free. A dispatcher that uses the identity watches the files for changes.
///
/// `cert`, `key`: paths; both may name the same file.
/// `passphrase`: decrypts a PKCS#8 key; NULL if the key is not encrypted.
/// `out`: receives the identity.
///
/// Fails with WMTLS_PEM_INVALID (also if a file cannot be read within five seconds),
/// WMTLS_KEY_ENCRYPTED, WMTLS_KEY_MISMATCH, WMTLS_IDENTITY_UNUSABLE or WMTLS_CLOCK_IMPLAUSIBLE, or
/// with WMTLS_OVERLOADED if the process has no descriptor or thread left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_identity_from_files(
    cert: *const c_char,
    key: *const c_char,
    passphrase: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_identity>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let cert = unsafe { text::required(cert, "cert") }?;
        // SAFETY: as above.
        let key = unsafe { text::required(key, "key") }?;
        // SAFETY: as above.
        let passphrase = unsafe { text::optional(passphrase, "passphrase") }?;
        Identity::from_files(cert, key, passphrase.map(str::as_bytes)).map(wmtls_identity::new)
    })
}

/// Reads our certificate chain (leaf first) and private key from bytes, PEM or DER. Free the
/// result with wmtls_identity_free.
///
/// `cert`, `cert_len`, `key`, `key_len`: the bytes; both ranges may be the same.
/// `passphrase`: decrypts a PKCS#8 key; NULL if the key is not encrypted.
/// `out`: receives the identity.
///
/// Fails as wmtls_identity_from_files does, except with WMTLS_OVERLOADED.
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
        // SAFETY: the caller follows the header's conventions.
        let cert = unsafe { text::bytes(cert, cert_len, Limit::material("cert")) }?;
        // SAFETY: as above.
        let key = unsafe { text::bytes(key, key_len, Limit::material("key")) }?;
        // SAFETY: as above.
        let passphrase = unsafe { text::optional(passphrase, "passphrase") }?;
        Identity::from_pem(cert, key, passphrase.map(str::as_bytes)).map(wmtls_identity::new)
    })
}

/// Reads a PKCS#12 file (.p12, .pfx) with one private key, its certificate and the CAs above it,
/// in any order. Free the result with wmtls_identity_free.
///
/// `data`, `data_len`: the content of the file, DER, at most 1 MiB.
/// `passphrase`: decrypts the file; "" if it has no passphrase. NULL is a fault.
/// `out`: receives the identity.
///
/// Fails with WMTLS_KEY_ENCRYPTED (the passphrase is wrong, or decryption would cost too much),
/// WMTLS_PEM_INVALID (malformed, no key, several keys, no certificate), WMTLS_KEY_MISMATCH,
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
        // SAFETY: the caller follows the header's conventions.
        let data = unsafe { text::bytes(data, data_len, Limit::material("data")) }?;
        // SAFETY: as above.
        let passphrase = unsafe { text::required(passphrase, "passphrase") }?;
        Identity::from_pkcs12(data, passphrase.as_bytes()).map(wmtls_identity::new)
    })
}

/// Returns a remark for the operator about the file of a usable identity, such as a certificate that
/// is not an issuer of ours and not presented; NULL after the last. The string lives as long as the
/// identity.
///
/// `index`: the position in the list of remarks, from 0.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_identity_note(
    identity: Option<&wmtls_identity>,
    index: usize,
) -> *const c_char {
    panic::value(std::ptr::null(), || {
        identity.map_or(std::ptr::null(), |identity| {
            identity.1.add_optional(identity.0.notes().get(index).map(String::as_str))
        })
    })
}

/// Frees an identity.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_identity_free(identity: Option<Box<wmtls_identity>>) {
    panic::value((), || drop(identity));
}
