//! Pins.

use napi_derive::napi;
use webhook_mtls::Pins;

use crate::convert::{CallResult, Handle, guarded};

#[napi]
pub fn pins(current: Vec<String>, next: Vec<String>) -> CallResult<Handle<Pins>> {
    guarded(|| Pins::with_next(current, next).map(Handle))
}

#[napi]
pub fn pins_from_file(path: String) -> CallResult<Handle<Pins>> {
    guarded(|| Pins::from_file(path).map(Handle))
}

#[napi]
pub fn pin_of(certificate: &[u8]) -> CallResult<String> {
    guarded(|| webhook_mtls::material::pin_of(certificate))
}
