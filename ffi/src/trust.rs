//! Whom we believe.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::path::Path;

use webhook_mtls::Trust;

use crate::error::{wmtls_error, wmtls_status};
use crate::handle::Handle;
use crate::{panic, text};

/// The private CA that judges a peer: anchors, known intermediates and CRLs. Never the web's public
/// roots.
pub struct wmtls_trust(pub(crate) Trust);

impl Handle for wmtls_trust {}

impl wmtls_trust {
    /// The handle of a trust.
    pub fn new(trust: Trust) -> Self {
        Self(trust)
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
            .map(wmtls_trust)
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
                text::bytes(anchors, anchors_len, "anchors")?,
                text::optional_bytes(intermediates, intermediates_len, "intermediates")?,
                text::optional_bytes(crls, crls_len, "crls")?,
            )
        };
        Trust::from_pem(anchors, intermediates, crls.as_slice()).map(wmtls_trust)
    })
}

/// Frees a trust.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_trust_free(trust: Option<Box<wmtls_trust>>) {
    panic::value((), || drop(trust));
}
