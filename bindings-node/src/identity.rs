//! Identities. Core validates an identity when it is made.

use napi_derive::napi;
use webhook_mtls::Identity;

use crate::convert::{CallResult, Handle, guarded};

#[napi]
pub fn identity_from_files(
    cert: String,
    key: String,
    passphrase: Option<String>,
) -> CallResult<Handle<Identity>> {
    guarded(|| Identity::from_files(cert, key, bytes(passphrase.as_ref())).map(Handle))
}

#[napi]
pub fn identity_from_pem(
    cert: &[u8],
    key: &[u8],
    passphrase: Option<String>,
) -> CallResult<Handle<Identity>> {
    guarded(|| Identity::from_pem(cert, key, bytes(passphrase.as_ref())).map(Handle))
}

#[napi]
pub fn identity_from_pkcs12(data: &[u8], passphrase: String) -> CallResult<Handle<Identity>> {
    guarded(|| Identity::from_pkcs12(data, passphrase.as_bytes()).map(Handle))
}

#[napi]
pub fn identity_notes(identity: Handle<Identity>) -> Vec<String> {
    identity.0.notes().to_vec()
}

fn bytes(passphrase: Option<&String>) -> Option<&[u8]> {
    passphrase.map(String::as_bytes)
}
