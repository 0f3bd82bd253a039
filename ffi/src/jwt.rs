//! Tokens: the key that signs them, and the keys that verify them.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use webhook_mtls::bindings::SetByName as _;
use webhook_mtls::bindings::limits::Limit;
use webhook_mtls::webhook::JwtKeys;
use webhook_mtls::{Error, JwtBearer};

use crate::builder::{Builder, setting};
use crate::error::{wmtls_error, wmtls_status};
use crate::handle::Handle;
use crate::text::StringPool;
use crate::{panic, text};

/// The private key that signs a token (JWT) for each attempt, and what the token says. A builder.
pub struct wmtls_jwt_bearer {
    builder: Builder<JwtBearer>,
    strings: StringPool,
}

impl Handle for wmtls_jwt_bearer {}

impl wmtls_jwt_bearer {
    fn new(token: JwtBearer) -> Self {
        Self { builder: Builder::new(Ok(token)), strings: StringPool::new() }
    }

    /// Returns the token. Fails with the first fault of a setter.
    pub(crate) fn built(&self) -> Result<&JwtBearer, Error> {
        self.builder.built()
    }
}

/// Reads the private key that signs tokens. P-256 signs ES256, Ed25519 signs EdDSA, and RSA of 2048
/// to 8192 bits signs RS256. Free the result with wmtls_jwt_bearer_free.
///
/// `key`, `key_len`: PEM or DER (PKCS#8, PKCS#1 or SEC1), not encrypted, at most 1 MiB.
/// `out`: receives the builder.
///
/// Fails with WMTLS_PEM_INVALID, also for a key of another type or size, or WMTLS_KEY_ENCRYPTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_jwt_bearer_from_pem(
    key: *const c_void,
    key_len: usize,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_jwt_bearer>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let key = unsafe { text::bytes(key, key_len, Limit::material("key")) }?;
        JwtBearer::from_pem(key).map(wmtls_jwt_bearer::new)
    })
}

/// Reads the private key that signs tokens from a file, which a dispatcher that uses it watches for
/// changes. Free the result with wmtls_jwt_bearer_free.
///
/// `path`: a regular file of at most 1 MiB.
/// `out`: receives the builder.
///
/// Fails as wmtls_jwt_bearer_from_pem does, with WMTLS_PEM_INVALID if the file cannot be read, or
/// with WMTLS_OVERLOADED if the process has no descriptor or thread left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_jwt_bearer_from_file(
    path: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_jwt_bearer>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let path = unsafe { text::required(path, "path") }?;
        JwtBearer::from_file(path).map(wmtls_jwt_bearer::new)
    })
}

/// Sets an option of the tokens by its name in docs/options.md, such as "audience". "claims" is a JSON
/// object. The value has the form that wmtls_options_set describes. The function that takes the
/// endpoint's options fails with the first fault.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_jwt_bearer_set(
    jwt: Option<&mut wmtls_jwt_bearer>,
    name: *const c_char,
    value: *const c_char,
) {
    panic::value((), || {
        let Some(jwt) = jwt else { return };
        jwt.builder.change(|token| {
            // SAFETY: the caller follows the header's conventions.
            let name = unsafe { text::required(name, "name") }?;
            // SAFETY: as above.
            let value = unsafe { text::required(value, "value") }?;
            token.set(name, setting("jwt_bearer", name, value))
        });
    });
}

/// Returns the public key for consumers as a JWK (RFC 7517); NULL after a fault of a setter.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_jwt_bearer_public_jwk(jwt: Option<&wmtls_jwt_bearer>) -> *const c_char {
    panic::value(ptr::null(), || {
        let Some(jwt) = jwt else { return ptr::null() };
        let jwk = jwt.built().ok().map(|token| token.public_jwk().to_string());
        jwt.strings.add_optional(jwk.as_deref())
    })
}

/// Frees the key.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_jwt_bearer_free(jwt: Option<Box<wmtls_jwt_bearer>>) {
    panic::value((), || drop(jwt));
}

/// The public keys that verify the tokens of a sender, each with its key id. Never empty.
pub struct wmtls_jwt_keys(pub(crate) JwtKeys);

impl Handle for wmtls_jwt_keys {}

/// Reads the public keys of a sender. The type of a key fixes the algorithm. Free the result with
/// wmtls_jwt_keys_free.
///
/// `keys`, `keys_len`: PEM ("PUBLIC KEY" or "CERTIFICATE"), DER, a JWK or a JWK set (RFC 7517), with
/// at most 16 keys and 1 MiB.
/// `key_id`: the key id of the only key; NULL keeps its own. A key without one gets its thumbprint.
/// `out`: receives the keys.
///
/// Fails with WMTLS_PEM_INVALID, also if a private key is among them, or WMTLS_OPTION_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_jwt_keys_new(
    keys: *const c_void,
    keys_len: usize,
    key_id: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_jwt_keys>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let keys = unsafe { text::bytes(keys, keys_len, Limit::material("keys")) }?;
        // SAFETY: as above.
        let key_id = unsafe { text::optional(key_id, "key_id") }?;
        JwtKeys::new(keys, key_id).map(wmtls_jwt_keys)
    })
}

/// Reads the public keys of a sender from a file, which a verifier that uses them watches for
/// changes. Free the result with wmtls_jwt_keys_free.
///
/// `path`: a regular file of at most 1 MiB.
/// `key_id`: as for wmtls_jwt_keys_new.
/// `out`: receives the keys.
///
/// Fails as wmtls_jwt_keys_new does, with WMTLS_PEM_INVALID if the file cannot be read, or with
/// WMTLS_OVERLOADED if the process has no descriptor or thread left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_jwt_keys_from_file(
    path: *const c_char,
    key_id: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_jwt_keys>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let path = unsafe { text::required(path, "path") }?;
        // SAFETY: as above.
        let key_id = unsafe { text::optional(key_id, "key_id") }?;
        JwtKeys::from_file(path, key_id).map(wmtls_jwt_keys)
    })
}

/// Frees the keys.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_jwt_keys_free(keys: Option<Box<wmtls_jwt_keys>>) {
    panic::value((), || drop(keys));
}
