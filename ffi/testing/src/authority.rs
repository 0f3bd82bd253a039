//! A CA of the lab, and its certificates.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use webhook_mtls::bindings::process::Lock;
use webhook_mtls::testing::{Authority, Issued, KeyType, Leaf};
use webhook_mtls::{Error, Role};
use webhook_mtls_c::enums;
use webhook_mtls_c::error::{wmtls_error, wmtls_status};
use webhook_mtls_c::handle::{Handle, required};
use webhook_mtls_c::panic;
use webhook_mtls_c::text::{self, StringPool};

/// A temporary private CA for tests: a root, and an intermediate that issues certificates.
pub struct wmtls_lab_authority {
    pub(crate) authority: Authority,
    strings: StringPool,
}

impl Handle for wmtls_lab_authority {}

impl wmtls_lab_authority {
    pub(crate) fn new(authority: Authority) -> Self {
        Self { authority, strings: StringPool::new() }
    }
}

/// Makes a CA. Free it with wmtls_lab_authority_free.
///
/// `name`: part of the subjects of its certificates; use a different name for each CA.
/// `out`: receives the CA.
///
/// Fails with WMTLS_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_lab_authority_new(
    name: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_lab_authority>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let name = unsafe { text::required(name, "name") }?;
        Authority::new(name).map(wmtls_lab_authority::new)
    })
}

/// Makes a CA like wmtls_lab_authority_new, with keys of another type. Its certificates have keys of
/// this type, too.
///
/// `key_type`: "p256", "ml_dsa_44", "ml_dsa_65" or "ml_dsa_87".
/// `out`: receives the CA.
///
/// Fails with WMTLS_OPTION_INVALID or WMTLS_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_lab_authority_new_with_key_type(
    name: *const c_char,
    key_type: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_lab_authority>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let name = unsafe { text::required(name, "name") }?;
        // SAFETY: as above.
        let key_type = KeyType::from_name(unsafe { text::required(key_type, "key_type") }?)
            .ok_or_else(|| Error::wrong_type("key_type", "a type of key", "another text"))?;
        Authority::with_key_type(name, key_type).map(wmtls_lab_authority::new)
    })
}

/// Returns the root certificate as PEM.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_authority_root_pem(
    authority: Option<&wmtls_lab_authority>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        authority.map_or(ptr::null(), |handle| handle.strings.add(handle.authority.root_pem()))
    })
}

/// Issues a certificate with a new key.
///
/// `tenant`: the tenant in its SAN URI.
/// `role`: WMTLS_ROLE_CLIENT, or WMTLS_ROLE_SERVER for a certificate that a consumer presents.
/// `not_before`, `not_after`: Unix seconds; -1 uses five minutes ago and one day from now.
/// `out`: receives the certificate; free it with wmtls_lab_issued_free.
///
/// Fails with WMTLS_OPTION_INVALID or WMTLS_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_lab_authority_issue(
    authority: Option<&wmtls_lab_authority>,
    tenant: *const c_char,
    role: i32,
    not_before: i64,
    not_after: i64,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_lab_issued>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let tenant = unsafe { text::required(tenant, "tenant") }?;
        let leaf = match enums::role(role) {
            Some(Role::Client) => Leaf::client(tenant),
            Some(Role::Server) => Leaf::server(tenant),
            None => {
                let expected = "WMTLS_ROLE_CLIENT or WMTLS_ROLE_SERVER";
                return Err(Error::wrong_type("role", expected, "another number"));
            }
        };
        let leaf = leaf.between(instant(not_before), instant(not_after));
        required(authority, "authority")?.authority.issue(leaf).map(wmtls_lab_issued::new)
    })
}

/// Returns a new CRL of the intermediate as PEM, valid for one day. The text belongs to the CA. A
/// later CRL replaces it.
///
/// `revoked`: the revoked certificate; NULL makes an empty CRL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_authority_crl(
    authority: Option<&wmtls_lab_authority>,
    revoked: Option<&wmtls_lab_issued>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        let revoked: Vec<&Issued> = revoked.iter().map(|handle| &handle.issued).collect();
        let crl = authority.and_then(|handle| handle.authority.crl(&revoked).ok());
        authority.map_or(ptr::null(), |handle| handle.strings.add_optional(crl.as_deref()))
    })
}

/// Frees a handle of a CA.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_authority_free(authority: Option<Box<wmtls_lab_authority>>) {
    panic::value((), || drop(authority));
}

/// A certificate with its chain and private key.
pub struct wmtls_lab_issued {
    pub(crate) issued: Issued,
    strings: StringPool,
    arrays: Lock<Vec<Pairs>>,
}

/// Pointers to texts of the pool. They stay valid as long as the handle.
struct Pairs {
    _texts: Box<[*const c_char]>,
}

// SAFETY: no code writes to the texts.
unsafe impl Send for Pairs {}

impl Handle for wmtls_lab_issued {}

impl wmtls_lab_issued {
    pub(crate) fn new(issued: Issued) -> Self {
        Self { issued, strings: StringPool::new(), arrays: Lock::new(Vec::new()) }
    }
}

/// Returns the header lines that a proxy forwards after this client's handshake, to test a receiver
/// without a proxy: pairs of name and value, for wmtls_verify_forwarded. They belong to the
/// certificate. Returns NULL if a word is unknown, or if the dialect has no verdict.
///
/// `dialect`: how the proxy writes them.
/// `forgery`: NULL, or how to forge them, so that a receiver must refuse them also if they come from
/// the hop. "repeated", "capitals", "underscore": a client's own line stands before that of the proxy;
/// "underscore_alone": the only line has _ for -; "not_verified": the verdict is negative; "absent",
/// "malformed", "too_large".
/// `count`: receives the number of pairs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_lab_issued_forwarded(
    issued: Option<&wmtls_lab_issued>,
    dialect: *const c_char,
    forgery: *const c_char,
    count: Option<&mut usize>,
) -> *const *const c_char {
    panic::value(ptr::null(), || {
        let (Some(handle), Some(count)) = (issued, count) else { return ptr::null() };
        *count = 0;
        let lines = || {
            // SAFETY: the caller follows the header's conventions.
            let dialect = unsafe { text::required(dialect, "dialect") }.ok()?;
            // SAFETY: as above.
            let forgery = unsafe { text::optional(forgery, "forgery") }.ok()?;
            handle.issued.forwarded_by_name(dialect, forgery).ok()
        };
        let Some(lines) = lines() else { return ptr::null() };
        *count = lines.len();
        let texts = lines.iter().flat_map(|(name, value)| [name, value]);
        let pairs: Box<[*const c_char]> = texts.map(|text| handle.strings.add(text)).collect();
        let first = pairs.as_ptr();
        handle.arrays.lock().push(Pairs { _texts: pairs });
        first
    })
}

/// Returns the chain as PEM, leaf first.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_issued_cert_pem(issued: Option<&wmtls_lab_issued>) -> *const c_char {
    string(issued, |issued| &issued.chain_pem)
}

/// Returns the private key as PEM, unencrypted PKCS#8.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_issued_key_pem(issued: Option<&wmtls_lab_issued>) -> *const c_char {
    string(issued, |issued| &issued.key_pem)
}

/// Returns the pin of the certificate's key.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_issued_pin(issued: Option<&wmtls_lab_issued>) -> *const c_char {
    string(issued, |issued| &issued.pin)
}

/// Frees a certificate.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_issued_free(issued: Option<Box<wmtls_lab_issued>>) {
    panic::value((), || drop(issued));
}

fn string(
    issued: Option<&wmtls_lab_issued>,
    get: impl FnOnce(&Issued) -> &String,
) -> *const c_char {
    panic::value(ptr::null(), || {
        issued.map_or(ptr::null(), |handle| handle.strings.add(get(&handle.issued)))
    })
}

fn instant(seconds: i64) -> Option<SystemTime> {
    u64::try_from(seconds).ok().map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
}
