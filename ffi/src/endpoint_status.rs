//! The status of an endpoint: what deliveries and probes observed of its consumer.

use std::ffi::c_char;
use std::ptr;

use webhook_mtls::endpoint::EndpointStatus;

use crate::endpoint::wmtls_endpoint;
use crate::enums::NONE;
use crate::handle::{Handle, give};
use crate::panic;
use crate::peer::unix_seconds;
use crate::text::StringPool;

/// What this process has observed of a consumer, at one instant.
pub struct wmtls_endpoint_status {
    status: EndpointStatus,
    strings: StringPool,
}

impl Handle for wmtls_endpoint_status {}

/// Returns a snapshot of what the deliveries and probes of this process have observed, or NULL
/// for NULL. Free it with wmtls_endpoint_status_free.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_status_new(
    endpoint: Option<&wmtls_endpoint>,
) -> Option<Box<wmtls_endpoint_status>> {
    panic::value(None, || {
        give(wmtls_endpoint_status {
            status: endpoint?.endpoint.status(),
            strings: StringPool::new(),
        })
    })
}

/// Returns the pin of the key that the consumer presented last; NULL before the first handshake.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_status_pin_seen(
    status: Option<&wmtls_endpoint_status>,
) -> *const c_char {
    string(status, |status| status.pin_seen.as_deref())
}

/// Returns a configured pin that no connection has matched yet; NULL after the last.
///
/// `index`: the position in the list, from 0.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_status_pin_never_seen(
    status: Option<&wmtls_endpoint_status>,
    index: usize,
) -> *const c_char {
    string(status, |status| status.pins_never_seen.get(index).map(String::as_str))
}

/// Returns when the certificate that the consumer presented last expires, in Unix seconds; 0
/// before the first handshake and for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_status_peer_not_after(
    status: Option<&wmtls_endpoint_status>,
) -> i64 {
    panic::value(0, || {
        status.and_then(|handle| handle.status.peer_not_after).map_or(0, unix_seconds)
    })
}

/// Returns the certificate pin, "cert-sha256/...", of our identity that the consumer accepted
/// last; NULL before its first answer.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_status_identity_accepted(
    status: Option<&wmtls_endpoint_status>,
) -> *const c_char {
    string(status, |status| status.identity_accepted.as_deref())
}

/// Returns whether deliveries are admitted, WMTLS_CIRCUIT_STATE_...; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_status_circuit(status: Option<&wmtls_endpoint_status>) -> i32 {
    panic::value(0, || status.map_or(NONE, |handle| handle.status.circuit as i32))
}

/// Returns until when the circuit is open, in Unix seconds; 0 if it is not open and for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_status_circuit_open_until(
    status: Option<&wmtls_endpoint_status>,
) -> i64 {
    panic::value(0, || {
        status.and_then(|handle| handle.status.circuit_open_until).map_or(0, unix_seconds)
    })
}

/// Returns the whole status as JSON, in the same form in every language.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_status_json(
    status: Option<&wmtls_endpoint_status>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        status
            .map_or(ptr::null(), |handle| handle.strings.add(&handle.status.to_json().to_string()))
    })
}

/// Frees a status.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_status_free(status: Option<Box<wmtls_endpoint_status>>) {
    panic::value((), || drop(status));
}

fn string(
    status: Option<&wmtls_endpoint_status>,
    get: impl FnOnce(&EndpointStatus) -> Option<&str>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        status.map_or(ptr::null(), |handle| handle.strings.add_optional(get(&handle.status)))
    })
}
