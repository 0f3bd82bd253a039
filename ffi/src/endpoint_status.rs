//! What deliveries have shown of a consumer.

use std::ffi::c_char;
use std::ptr;

use webhook_mtls::EndpointStatus;

use crate::endpoint::wmtls_endpoint;
use crate::handle::{Handle, give};
use crate::panic;
use crate::peer::unix_seconds;
use crate::text::Lent;

/// What is known of an endpoint at the moment it was asked.
pub struct wmtls_endpoint_status {
    status: EndpointStatus,
    lent: Lent,
}

impl Handle for wmtls_endpoint_status {}

/// Asks what deliveries and probes of this process have shown; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_status_new(
    endpoint: Option<&wmtls_endpoint>,
) -> Option<Box<wmtls_endpoint_status>> {
    panic::value(None, || {
        give(wmtls_endpoint_status { status: endpoint?.endpoint.status(), lent: Lent::new() })
    })
}

/// The pin of the key that the consumer showed last; NULL before the first handshake.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_status_pin_seen(
    status: Option<&wmtls_endpoint_status>,
) -> *const c_char {
    lend(status, |status| status.pin_seen.as_deref())
}

/// The configured pins that no delivery has matched so far, one an index; NULL beyond the last.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_status_pin_never_seen(
    status: Option<&wmtls_endpoint_status>,
    index: usize,
) -> *const c_char {
    lend(status, |status| status.pins_never_seen.get(index).map(String::as_str))
}

/// When the consumer's certificate, as last seen, expires, in Unix seconds; 0 before the first
/// handshake and for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_status_peer_not_after(
    status: Option<&wmtls_endpoint_status>,
) -> i64 {
    panic::value(0, || {
        status.and_then(|handle| handle.status.peer_not_after).map_or(0, unix_seconds)
    })
}

/// Which of our identities the consumer took last: the pin of its certificate, "cert-sha256/...";
/// NULL before the first answer.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_status_identity_accepted(
    status: Option<&wmtls_endpoint_status>,
) -> *const c_char {
    lend(status, |status| status.identity_accepted.as_deref())
}

/// The whole status as JSON, in the form that every language shows.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_status_json(
    status: Option<&wmtls_endpoint_status>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        status.map_or(ptr::null(), |handle| handle.lent.lend(&handle.status.to_json().to_string()))
    })
}

/// Frees a status.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_status_free(status: Option<Box<wmtls_endpoint_status>>) {
    panic::value((), || drop(status));
}

fn lend(
    status: Option<&wmtls_endpoint_status>,
    get: impl FnOnce(&EndpointStatus) -> Option<&str>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        status.map_or(ptr::null(), |handle| handle.lent.lend_some(get(&handle.status)))
    })
}
