//! Trust bundles. Core validates a bundle when it is made.

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use webhook_mtls::Trust;

use crate::convert::{CallResult, Handle, guarded};

#[napi]
pub fn trust_from_files(
    anchors: String,
    intermediates: Option<String>,
    crls: Option<String>,
    distrusted: Vec<String>,
) -> CallResult<Handle<Trust>> {
    guarded(|| {
        let intermediates = intermediates.as_ref().map(AsRef::as_ref);
        Trust::from_files(anchors, intermediates, crls.as_ref().map(AsRef::as_ref))?
            .distrusting(distrusted)
            .map(Handle)
    })
}

#[napi]
pub fn trust_from_pem(
    anchors: &[u8],
    intermediates: Option<Uint8Array>,
    crls: Vec<Uint8Array>,
    distrusted: Vec<String>,
) -> CallResult<Handle<Trust>> {
    guarded(|| {
        let crls: Vec<&[u8]> = crls.iter().map(AsRef::as_ref).collect();
        Trust::from_pem(anchors, intermediates.as_deref(), &crls)?
            .distrusting(distrusted)
            .map(Handle)
    })
}

#[napi]
pub fn trust_dangerous_public(
    anchors: &[u8],
    intermediates: Option<Uint8Array>,
    crls: Vec<Uint8Array>,
    distrusted: Vec<String>,
) -> CallResult<Handle<Trust>> {
    guarded(|| {
        let crls: Vec<&[u8]> = crls.iter().map(AsRef::as_ref).collect();
        Trust::dangerous_public(anchors, intermediates.as_deref(), &crls)?
            .distrusting(distrusted)
            .map(Handle)
    })
}

#[napi]
pub fn trust_exact(certificate: &[u8]) -> CallResult<Handle<Trust>> {
    guarded(|| Trust::exact(certificate).map(Handle))
}

#[napi]
pub fn trust_exact_from_file(path: String) -> CallResult<Handle<Trust>> {
    guarded(|| Trust::exact_from_file(path).map(Handle))
}

#[napi]
pub fn trust_notes(trust: Handle<Trust>) -> Vec<String> {
    trust.0.notes().to_vec()
}
