//! Cancel tokens: they end deliveries from another thread.

use webhook_mtls::CancelToken;

use crate::handle::{Handle, give};
use crate::panic;

/// Cancels every delivery that it is attached to. A canceled token stays canceled.
pub struct wmtls_cancel_token(pub(crate) CancelToken);

impl Handle for wmtls_cancel_token {}

/// Makes a token that is not canceled. Attach it with wmtls_delivery_cancel_token, and free it
/// with wmtls_cancel_token_free.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_cancel_token_new() -> Option<Box<wmtls_cancel_token>> {
    panic::value(None, || give(wmtls_cancel_token(CancelToken::new())))
}

/// Cancels the deliveries that the token is attached to. A wmtls_deliver that blocks in another
/// thread returns WMTLS_CANCELED at once.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_cancel_token_cancel(token: Option<&wmtls_cancel_token>) {
    panic::value((), || {
        if let Some(token) = token {
            token.0.cancel();
        }
    });
}

/// Frees a token without canceling it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_cancel_token_free(token: Option<Box<wmtls_cancel_token>>) {
    panic::value((), || drop(token));
}
