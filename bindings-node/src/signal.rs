//! Cancellation: the native side of an `AbortSignal`.

use napi_derive::napi;
use webhook_mtls::CancelToken;

use crate::convert::Handle;

#[napi]
pub fn cancel_token() -> Handle<CancelToken> {
    Handle(CancelToken::new())
}

#[napi]
pub fn cancel(token: Handle<CancelToken>) {
    token.0.cancel();
}
