//! A CA of the lab, and what it issues.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use webhook_mtls::Error;
use webhook_mtls::testing::{Authority, Issued, Leaf};
use webhook_mtls_c::error::{wmtls_error, wmtls_status};
use webhook_mtls_c::handle::{Handle, required};
use webhook_mtls_c::panic;
use webhook_mtls_c::text::{self, Lent};
use webhook_mtls_c::words::{WMTLS_ROLE_CLIENT, WMTLS_ROLE_SERVER};

/// A throw-away private CA: a root, and an intermediate that signs.
pub struct wmtls_lab_authority {
    pub(crate) authority: Authority,
    lent: Lent,
}

impl Handle for wmtls_lab_authority {}

impl wmtls_lab_authority {
    pub(crate) fn new(authority: Authority) -> Self {
        Self { authority, lent: Lent::new() }
    }
}

/// Makes a CA of its own. `name` is a part of its subjects; no two share a name.
///
/// Fails with WMTLS_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_lab_authority_new(
    name: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_lab_authority>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the header's conventions.
        let name = unsafe { text::required(name, "name") }?;
        Authority::new(name).map(wmtls_lab_authority::new)
    })
}

/// The root as PEM.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_authority_root_pem(
    authority: Option<&wmtls_lab_authority>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        authority.map_or(ptr::null(), |handle| handle.lent.lend(handle.authority.root_pem()))
    })
}

/// Issues a certificate with a new key.
///
/// `tenant`: what its SAN URI names.
/// `role`: WMTLS_ROLE_CLIENT, or WMTLS_ROLE_SERVER for one that a consumer can show.
/// `not_before`, `not_after`: Unix seconds, or -1: from five minutes ago on, and for a day.
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
        // SAFETY: the header's conventions.
        let tenant = unsafe { text::required(tenant, "tenant") }?;
        let leaf = match role {
            WMTLS_ROLE_CLIENT => Leaf::client(tenant),
            WMTLS_ROLE_SERVER => Leaf::server(tenant),
            _ => {
                let expected = "WMTLS_ROLE_CLIENT or WMTLS_ROLE_SERVER";
                return Err(Error::wrong_type("role", expected, "another number"));
            }
        };
        let leaf = leaf.between(instant(not_before), instant(not_after));
        required(authority, "authority")?.authority.issue(leaf).map(wmtls_lab_issued::new)
    })
}

/// A CRL of its intermediate, valid for a day, as PEM, which belongs to the CA. A later one replaces
/// it.
///
/// `revoked`: the certificate that is revoked, or NULL for none.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_authority_crl(
    authority: Option<&wmtls_lab_authority>,
    revoked: Option<&wmtls_lab_issued>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        let revoked: Vec<&Issued> = revoked.iter().map(|handle| &handle.issued).collect();
        let crl = authority.and_then(|handle| handle.authority.crl(&revoked).ok());
        authority.map_or(ptr::null(), |handle| handle.lent.lend_some(crl.as_deref()))
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
    lent: Lent,
}

impl Handle for wmtls_lab_issued {}

impl wmtls_lab_issued {
    pub(crate) fn new(issued: Issued) -> Self {
        Self { issued, lent: Lent::new() }
    }
}

/// The chain, leaf first, as PEM.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_issued_cert_pem(issued: Option<&wmtls_lab_issued>) -> *const c_char {
    lend(issued, |issued| &issued.chain_pem)
}

/// The private key: unencrypted PKCS#8, as PEM.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_issued_key_pem(issued: Option<&wmtls_lab_issued>) -> *const c_char {
    lend(issued, |issued| &issued.key_pem)
}

/// The pin of its key.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_issued_pin(issued: Option<&wmtls_lab_issued>) -> *const c_char {
    lend(issued, |issued| &issued.pin)
}

/// Frees a certificate.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_issued_free(issued: Option<Box<wmtls_lab_issued>>) {
    panic::value((), || drop(issued));
}

fn lend(issued: Option<&wmtls_lab_issued>, get: impl FnOnce(&Issued) -> &String) -> *const c_char {
    panic::value(ptr::null(), || {
        issued.map_or(ptr::null(), |handle| handle.lent.lend(get(&handle.issued)))
    })
}

fn instant(seconds: i64) -> Option<SystemTime> {
    u64::try_from(seconds).ok().map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
}
