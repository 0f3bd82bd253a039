//! Ends deliveries from another thread.

use webhook_mtls::CancelToken;

use crate::handle::{Handle, give};
use crate::panic;

/// Cancels the deliveries that were given it. Once canceled, always canceled.
pub struct wmtls_cancel_token(pub(crate) CancelToken);

impl Handle for wmtls_cancel_token {}

/// A token that nobody has canceled.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_cancel_token_new() -> Option<Box<wmtls_cancel_token>> {
    panic::value(None, || give(wmtls_cancel_token(CancelToken::new())))
}

/// Cancels. Deliveries that wait in other threads return WMTLS_CANCELED at once.
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
