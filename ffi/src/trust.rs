//! Trusts: the CAs that verify peers.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::path::Path;

use webhook_mtls::Trust;
use webhook_mtls::bindings::limits::Limit;

use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, required};
use crate::text::StringPool;
use crate::{panic, text};

/// The private CA that verifies a peer: anchors, known intermediates and CRLs. Or exactly one
/// certificate of a peer. It contains no public web roots, unless wmtls_trust_dangerous_public made it.
pub struct wmtls_trust(pub(crate) Trust, StringPool);

impl Handle for wmtls_trust {}

impl wmtls_trust {
    /// Makes a handle of a trust.
    pub fn new(trust: Trust) -> Self {
        Self(trust, StringPool::new())
    }
}

/// Reads a trust from PEM files. Free the result with wmtls_trust_free. A dispatcher or verifier
/// that uses the trust watches the files for changes.
///
/// `anchors`: path of the trusted CA certificates.
/// `intermediates`: path of CA certificates that peers fail to send; NULL if there are none.
/// `crls`: path of certificate revocation lists, at most 64 MiB; NULL if there are none.
/// `out`: receives the trust.
///
/// Fails with WMTLS_PEM_INVALID (also if a file cannot be read within five seconds),
/// WMTLS_TRUST_INVALID, WMTLS_PUBLIC_ROOT_IN_TRUST, WMTLS_CRL_UNUSABLE or WMTLS_CLOCK_IMPLAUSIBLE,
/// or with WMTLS_OVERLOADED if the process has no descriptor or thread left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_trust_from_files(
    anchors: *const c_char,
    intermediates: *const c_char,
    crls: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_trust>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let anchors = unsafe { text::required(anchors, "anchors") }?;
        // SAFETY: as above.
        let intermediates = unsafe { text::optional(intermediates, "intermediates") }?;
        // SAFETY: as above.
        let crls = unsafe { text::optional(crls, "crls") }?;
        Trust::from_files(anchors, intermediates.map(Path::new), crls.map(Path::new))
            .map(wmtls_trust::new)
    })
}

/// Reads a trust from bytes: PEM with any number of certificates or CRLs, or the DER of one. Free
/// the result with wmtls_trust_free.
///
/// `anchors`, `anchors_len`: the trusted CA certificates.
/// `intermediates`, `intermediates_len`: CA certificates that peers fail to send; NULL and 0 if
/// there are none.
/// `crls`, `crls_len`: certificate revocation lists, at most 64 MiB; NULL and 0 if there are none.
/// `out`: receives the trust.
///
/// Fails as wmtls_trust_from_files does, except with WMTLS_OVERLOADED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_trust_from_pem(
    anchors: *const c_void,
    anchors_len: usize,
    intermediates: *const c_void,
    intermediates_len: usize,
    crls: *const c_void,
    crls_len: usize,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_trust>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let anchors = unsafe { text::bytes(anchors, anchors_len, Limit::material("anchors")) }?;
        // SAFETY: as above.
        let intermediates = unsafe {
            text::optional_bytes(intermediates, intermediates_len, Limit::material("intermediates"))
        }?;
        // SAFETY: as above.
        let crls = unsafe { text::optional_bytes(crls, crls_len, Limit::crls()) }?;
        Trust::from_pem(anchors, intermediates, crls.as_slice()).map(wmtls_trust::new)
    })
}

/// Reads a trust as wmtls_trust_from_pem does, but also accepts public web roots: for a consumer
/// whose server certificate comes from a public CA. An endpoint accepts this trust only together
/// with pins; wmtls_dispatcher_new and wmtls_verifier_new reject it with WMTLS_OPTION_INVALID.
///
/// Fails with WMTLS_PEM_INVALID, WMTLS_TRUST_INVALID, WMTLS_CRL_UNUSABLE or
/// WMTLS_CLOCK_IMPLAUSIBLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_trust_dangerous_public(
    anchors: *const c_void,
    anchors_len: usize,
    intermediates: *const c_void,
    intermediates_len: usize,
    crls: *const c_void,
    crls_len: usize,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_trust>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let anchors = unsafe { text::bytes(anchors, anchors_len, Limit::material("anchors")) }?;
        // SAFETY: as above.
        let intermediates = unsafe {
            text::optional_bytes(intermediates, intermediates_len, Limit::material("intermediates"))
        }?;
        // SAFETY: as above.
        let crls = unsafe { text::optional_bytes(crls, crls_len, Limit::crls()) }?;
        Trust::dangerous_public(anchors, intermediates, crls.as_slice()).map(wmtls_trust::new)
    })
}

/// Trusts one certificate and no CA: for a peer with a self-signed certificate, or for one
/// certificate of a CA that is not trusted. Its dates, names, purpose and pins are checked as for
/// any other peer. A certificate that it has issued is refused. Free the result with
/// wmtls_trust_free.
///
/// `certificate`, `certificate_len`: the peer's certificate: PEM or DER with exactly one.
/// `out`: receives the trust.
///
/// Fails with WMTLS_PEM_INVALID, WMTLS_TRUST_INVALID (several certificates, weak key) or
/// WMTLS_CLOCK_IMPLAUSIBLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_trust_exact(
    certificate: *const c_void,
    certificate_len: usize,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_trust>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        let limit = Limit::material("certificate");
        // SAFETY: the caller follows the header's conventions.
        let certificate = unsafe { text::bytes(certificate, certificate_len, limit) }?;
        Trust::exact(certificate).map(wmtls_trust::new)
    })
}

/// Reads the certificate of wmtls_trust_exact from a file. A dispatcher or verifier that uses the
/// trust watches the file for changes.
///
/// `path`: the path of the file.
/// `out`: receives the trust; free it with wmtls_trust_free.
///
/// Fails as wmtls_trust_exact does, and with WMTLS_OVERLOADED if the process has no descriptor or
/// thread left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_trust_exact_from_file(
    path: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_trust>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let path = unsafe { text::required(path, "path") }?;
        Trust::exact_from_file(path).map(wmtls_trust::new)
    })
}

/// Makes a copy of a trust that excludes some CA keys: no path may contain such a CA, as anchor
/// or below one. Use it for a compromised intermediate that no CRL covers.
///
/// `trust`: remains the caller's.
/// `issuers`, `count`: the pins of the CA keys, "sha256/..."; added to the keys that `trust`
/// already excludes.
/// `out`: receives the new trust; free it with wmtls_trust_free.
///
/// Fails with WMTLS_PIN_INVALID, or with WMTLS_TRUST_INVALID if no anchor is left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_trust_distrusting(
    trust: Option<&wmtls_trust>,
    issuers: *const *const c_char,
    count: usize,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_trust>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        let trust = required(trust, "trust")?.0.clone();
        // SAFETY: the caller follows the header's conventions.
        let issuers = unsafe { text::list(issuers, count, "issuers") }?;
        trust.distrusting(issuers).map(wmtls_trust::new)
    })
}

/// Returns a remark for the operator about a usable trust, such as an expired anchor that is not
/// used; NULL after the last.
///
/// `index`: the position in the list of remarks, from 0.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_trust_note(trust: Option<&wmtls_trust>, index: usize) -> *const c_char {
    panic::value(std::ptr::null(), || {
        trust.map_or(std::ptr::null(), |trust| {
            trust.1.add_optional(trust.0.notes().get(index).map(String::as_str))
        })
    })
}

/// Frees a trust.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_trust_free(trust: Option<Box<wmtls_trust>>) {
    panic::value((), || drop(trust));
}
