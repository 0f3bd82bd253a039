//! Egress rules.

use napi_derive::napi;
use webhook_mtls::Egress;

use crate::convert::{CallResult, Handle, guarded};

#[napi]
pub fn egress(
    preset: String,
    allow: Vec<String>,
    deny: Vec<String>,
    nat64: Vec<String>,
) -> CallResult<Handle<Egress>> {
    guarded(|| Egress::preset(&preset)?.allow(allow)?.deny(deny)?.nat64(nat64).map(Handle))
}
