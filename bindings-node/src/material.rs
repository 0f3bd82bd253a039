//! Identity, trust, pins, signing and egress: values that are checked when they are made.

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use webhook_mtls::{Egress, Identity, Pins, StandardWebhooks, Trust};

use crate::border::{Handle, Outcome, guarded};

#[napi]
pub fn identity_from_files(
    cert: String,
    key: String,
    passphrase: Option<String>,
) -> Outcome<Handle<Identity>> {
    guarded(|| Identity::from_files(cert, key, bytes(passphrase.as_ref())).map(Handle))
}

#[napi]
pub fn identity_from_pem(
    cert: &[u8],
    key: &[u8],
    passphrase: Option<String>,
) -> Outcome<Handle<Identity>> {
    guarded(|| Identity::from_pem(cert, key, bytes(passphrase.as_ref())).map(Handle))
}

#[napi]
pub fn identity_from_pkcs12(data: &[u8], passphrase: String) -> Outcome<Handle<Identity>> {
    guarded(|| Identity::from_pkcs12(data, passphrase.as_bytes()).map(Handle))
}

fn bytes(passphrase: Option<&String>) -> Option<&[u8]> {
    passphrase.map(String::as_bytes)
}

#[napi]
pub fn trust_from_files(
    anchors: String,
    intermediates: Option<String>,
    crls: Option<String>,
    distrusted: Vec<String>,
) -> Outcome<Handle<Trust>> {
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
) -> Outcome<Handle<Trust>> {
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
) -> Outcome<Handle<Trust>> {
    guarded(|| {
        let crls: Vec<&[u8]> = crls.iter().map(AsRef::as_ref).collect();
        Trust::dangerous_public(anchors, intermediates.as_deref(), &crls)?
            .distrusting(distrusted)
            .map(Handle)
    })
}

#[napi]
pub fn trust_notes(trust: Handle<Trust>) -> Vec<String> {
    trust.0.notes().to_vec()
}

#[napi]
pub fn pins(current: Vec<String>, next: Vec<String>) -> Outcome<Handle<Pins>> {
    guarded(|| Pins::with_next(current, next).map(Handle))
}

#[napi]
pub fn pins_from_file(path: String) -> Outcome<Handle<Pins>> {
    guarded(|| Pins::from_file(path).map(Handle))
}

#[napi]
pub fn pin_of(certificate: &[u8]) -> Outcome<String> {
    guarded(|| webhook_mtls::pin_of(certificate))
}

#[napi]
pub fn standard_webhooks(secrets: Vec<String>) -> Outcome<Handle<StandardWebhooks>> {
    guarded(|| StandardWebhooks::new(secrets).map(Handle))
}

#[napi]
pub fn egress(
    preset: String,
    allow: Vec<String>,
    deny: Vec<String>,
    nat64: Vec<String>,
) -> Outcome<Handle<Egress>> {
    guarded(|| Egress::preset(&preset)?.allow(allow)?.deny(deny)?.nat64(nat64).map(Handle))
}
