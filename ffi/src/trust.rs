//! Whom we believe.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::path::Path;

use webhook_mtls::Trust;
use webhook_mtls::limits::Limit;

use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, required};
use crate::text::Lent;
use crate::{panic, text};

/// The private CA that judges a peer: anchors, known intermediates and CRLs. Never the web's public
/// roots.
pub struct wmtls_trust(pub(crate) Trust, Lent);

impl Handle for wmtls_trust {}

impl wmtls_trust {
    /// The handle of a trust.
    pub fn new(trust: Trust) -> Self {
        Self(trust, Lent::new())
    }
}

/// Reads a trust from PEM files.
///
/// `anchors`: the CA certificates that are believed.
/// `intermediates`: CA certificates that peers fail to send; NULL if there are none.
/// `crls`: certificate revocation lists; NULL if there are none.
///
/// Fails with WMTLS_PEM_INVALID, WMTLS_TRUST_INVALID, WMTLS_PUBLIC_ROOT_IN_TRUST,
/// WMTLS_CRL_UNUSABLE or WMTLS_CLOCK_IMPLAUSIBLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_trust_from_files(
    anchors: *const c_char,
    intermediates: *const c_char,
    crls: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_trust>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the header's conventions.
        let (anchors, intermediates, crls) = unsafe {
            (
                text::required(anchors, "anchors")?,
                text::optional(intermediates, "intermediates")?,
                text::optional(crls, "crls")?,
            )
        };
        Trust::from_files(anchors, intermediates.map(Path::new), crls.map(Path::new))
            .map(wmtls_trust::new)
    })
}

/// Like wmtls_trust_from_files, from bytes: PEM with as many certificates or CRLs as need be, or
/// the DER of one.
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
        // SAFETY: the header's conventions.
        let (anchors, intermediates, crls) = unsafe {
            (
                text::bytes(anchors, anchors_len, Limit::material("anchors"))?,
                text::optional_bytes(
                    intermediates,
                    intermediates_len,
                    Limit::material("intermediates"),
                )?,
                text::optional_bytes(crls, crls_len, Limit::material("crls"))?,
            )
        };
        Trust::from_pem(anchors, intermediates, crls.as_slice()).map(wmtls_trust::new)
    })
}

/// Like wmtls_trust_from_pem, and takes public web roots, too: for a consumer whose server
/// certificate comes from a public CA. An endpoint takes this trust only together with pins;
/// wmtls_dispatcher_new and wmtls_verifier_new refuse it with WMTLS_OPTION_INVALID.
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
        // SAFETY: the header's conventions.
        let (anchors, intermediates, crls) = unsafe {
            (
                text::bytes(anchors, anchors_len, Limit::material("anchors"))?,
                text::optional_bytes(
                    intermediates,
                    intermediates_len,
                    Limit::material("intermediates"),
                )?,
                text::optional_bytes(crls, crls_len, Limit::material("crls"))?,
            )
        };
        Trust::dangerous_public(anchors, intermediates, crls.as_slice()).map(wmtls_trust::new)
    })
}

/// Makes a trust that is the same, but for CAs whose key is one of these: no path leads over them
/// any more, as anchor or below one. For a compromised intermediate that no CRL covers.
///
/// `issuers`: the pins of their keys, "sha256/..."; added to those that `trust` distrusts already.
///
/// Fails with WMTLS_PIN_INVALID, or WMTLS_TRUST_INVALID if no anchor is left.
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
        // SAFETY: the header's conventions.
        let issuers = unsafe { text::list(issuers, count, "distrusted") }?;
        trust.distrusting(issuers).map(wmtls_trust::new)
    })
}

/// What an operator should know of the bundle although it is sound, one sentence an index, such as
/// an anchor that has expired and is not used; NULL beyond the last.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_trust_note(trust: Option<&wmtls_trust>, index: usize) -> *const c_char {
    panic::value(std::ptr::null(), || {
        trust.map_or(std::ptr::null(), |trust| {
            trust.1.lend_some(trust.0.notes().get(index).map(String::as_str))
        })
    })
}

/// Frees a trust.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_trust_free(trust: Option<Box<wmtls_trust>>) {
    panic::value((), || drop(trust));
}
