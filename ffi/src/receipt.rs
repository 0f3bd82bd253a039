//! Receipts of successful deliveries.

use std::ffi::c_char;
use std::ptr;

use webhook_mtls::Receipt;
use webhook_mtls::bindings::process::Once;

use crate::handle::Handle;
use crate::peer::wmtls_peer;
use crate::text::StringPool;
use crate::{enums, panic};

/// A delivery that the consumer answered with a 2xx status.
pub struct wmtls_receipt {
    receipt: Receipt,
    /// Made by the first call of `wmtls_receipt_peer`.
    peer: Once<wmtls_peer>,
    strings: StringPool,
}

impl Handle for wmtls_receipt {}

impl wmtls_receipt {
    pub(crate) fn new(receipt: Receipt) -> Self {
        Self { receipt, peer: Once::new(), strings: StringPool::new() }
    }
}

/// Returns the HTTP status, 200 to 299; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_status(receipt: Option<&wmtls_receipt>) -> u16 {
    panic::value(0, || receipt.map_or(0, |handle| handle.receipt.status()))
}

/// Returns the consumer id of the endpoint.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_consumer(receipt: Option<&wmtls_receipt>) -> *const c_char {
    string(receipt, |receipt| Some(receipt.consumer().to_owned()))
}

/// Returns the event's id; NULL if the delivery has none.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_id(receipt: Option<&wmtls_receipt>) -> *const c_char {
    string(receipt, |receipt| receipt.id().map(str::to_owned))
}

/// Returns which pin matched, WMTLS_PIN_CURRENT or WMTLS_PIN_NEXT; 0 if the endpoint has no pins,
/// and for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_pin(receipt: Option<&wmtls_receipt>) -> i32 {
    panic::value(enums::NONE, || {
        receipt.and_then(|handle| handle.receipt.pin()).map_or(enums::NONE, |slot| slot as i32)
    })
}

/// Returns the number of attempts, including the successful one; 0 for NULL. Another one follows only if
/// the payload never left, or if the consumer refused our certificate before it responded.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_attempts(receipt: Option<&wmtls_receipt>) -> u32 {
    panic::value(0, || receipt.map_or(0, |handle| handle.receipt.attempts()))
}

/// Returns the duration of the whole delivery, in milliseconds; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_elapsed_ms(receipt: Option<&wmtls_receipt>) -> f64 {
    panic::value(0.0, || {
        receipt.map_or(0.0, |handle| handle.receipt.elapsed().as_secs_f64() * 1000.0)
    })
}

/// Returns the TLS version, "TLSv1.3" or "TLSv1.2".
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_tls_version(receipt: Option<&wmtls_receipt>) -> *const c_char {
    string(receipt, |receipt| Some(receipt.tls().version.to_owned()))
}

/// Returns 1 if the consumer answered the head with 100 Continue before the payload was sent, 0
/// if it did not, and -1 if the payload was not held. A payload is held by the option
/// "hold_payload", or for an identity that the consumer has not answered yet.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_hold_honored(receipt: Option<&wmtls_receipt>) -> i32 {
    panic::value(-1, || {
        receipt.and_then(|handle| handle.receipt.hold_honored()).map_or(-1, i32::from)
    })
}

/// Returns the peer, as its certificate describes it. It belongs to the receipt; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_peer(receipt: Option<&wmtls_receipt>) -> Option<&wmtls_peer> {
    panic::value(None, || {
        let peer = |receipt: &Receipt| wmtls_peer::new(receipt.peer().clone());
        receipt.map(|handle| handle.peer.get_or_init(|| peer(&handle.receipt)))
    })
}

/// Returns the receipt as a log record: a JSON object with level, message and fields, below 1 KiB.
/// docs/log.md lists the fields.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_log_json(receipt: Option<&wmtls_receipt>) -> *const c_char {
    string(receipt, |receipt| Some(receipt.log_record().to_json().to_string()))
}

/// Returns the whole receipt as JSON, in the same form in every language: the response, TLS facts
/// and timings.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_json(receipt: Option<&wmtls_receipt>) -> *const c_char {
    string(receipt, |receipt| Some(receipt.to_json().to_string()))
}

/// Frees a receipt. Do not free the receipt of wmtls_outcome_receipt.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_free(receipt: Option<Box<wmtls_receipt>>) {
    panic::value((), || drop(receipt));
}

fn string(
    receipt: Option<&wmtls_receipt>,
    get: impl FnOnce(&Receipt) -> Option<String>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        receipt.map_or(ptr::null(), |handle| {
            handle.strings.add_optional(get(&handle.receipt).as_deref())
        })
    })
}
