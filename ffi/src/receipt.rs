//! What a success returns.

use std::ffi::c_char;
use std::ptr;

use webhook_mtls::Receipt;
use webhook_mtls::process::Once;

use crate::handle::Handle;
use crate::peer::wmtls_peer;
use crate::text::Lent;
use crate::{panic, words};

/// A delivery that the consumer answered with a 2xx status.
pub struct wmtls_receipt {
    receipt: Receipt,
    /// Made when somebody asks.
    peer: Once<wmtls_peer>,
    lent: Lent,
}

impl Handle for wmtls_receipt {}

impl wmtls_receipt {
    pub(crate) fn new(receipt: Receipt) -> Self {
        Self { receipt, peer: Once::new(), lent: Lent::new() }
    }
}

/// The HTTP status, 200 to 299; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_status(receipt: Option<&wmtls_receipt>) -> u16 {
    panic::value(0, || receipt.map_or(0, |handle| handle.receipt.status()))
}

/// The consumer id of the endpoint.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_consumer(receipt: Option<&wmtls_receipt>) -> *const c_char {
    lend(receipt, |receipt| Some(receipt.consumer().to_owned()))
}

/// The event's id; NULL if the delivery has none.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_id(receipt: Option<&wmtls_receipt>) -> *const c_char {
    lend(receipt, |receipt| receipt.id().map(str::to_owned))
}

/// Which pin matched: WMTLS_PIN_CURRENT or WMTLS_PIN_NEXT; 0 if the endpoint has none.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_pin(receipt: Option<&wmtls_receipt>) -> i32 {
    panic::value(words::NONE, || {
        receipt.and_then(|handle| handle.receipt.pin()).map_or(words::NONE, |slot| slot as i32)
    })
}

/// How many attempts it took. Only one of which nothing was sent is followed by another.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_attempts(receipt: Option<&wmtls_receipt>) -> u32 {
    panic::value(0, || receipt.map_or(0, |handle| handle.receipt.attempts()))
}

/// How long the delivery took in all, in milliseconds.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_elapsed_ms(receipt: Option<&wmtls_receipt>) -> f64 {
    panic::value(0.0, || {
        receipt.map_or(0.0, |handle| handle.receipt.elapsed().as_secs_f64() * 1000.0)
    })
}

/// The TLS version, "TLSv1.3" or "TLSv1.2".
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_tls_version(receipt: Option<&wmtls_receipt>) -> *const c_char {
    lend(receipt, |receipt| Some(receipt.tls().version.to_owned()))
}

/// Whether the consumer answered the head with 100 Continue before the payload left: 1 if it did, 0
/// if it let the payload come by itself, -1 unless the payload was held: by "hold_payload", or for an
/// identity that the consumer has not answered to yet.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_hold_honored(receipt: Option<&wmtls_receipt>) -> i32 {
    panic::value(-1, || {
        receipt.and_then(|handle| handle.receipt.hold_honored()).map_or(-1, i32::from)
    })
}

/// The peer as its certificate shows it. Belongs to the receipt; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_peer(receipt: Option<&wmtls_receipt>) -> Option<&wmtls_peer> {
    panic::value(None, || {
        let peer = |receipt: &Receipt| wmtls_peer::new(receipt.peer().clone());
        receipt.map(|handle| handle.peer.get_or_init(|| peer(&handle.receipt)))
    })
}

/// The whole receipt as JSON, in the form that every language shows: the answer, TLS facts and
/// timings.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_json(receipt: Option<&wmtls_receipt>) -> *const c_char {
    lend(receipt, |receipt| Some(receipt.to_json().to_string()))
}

/// Frees a receipt.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_receipt_free(receipt: Option<Box<wmtls_receipt>>) {
    panic::value((), || drop(receipt));
}

fn lend(
    receipt: Option<&wmtls_receipt>,
    get: impl FnOnce(&Receipt) -> Option<String>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        receipt.map_or(ptr::null(), |handle| handle.lent.lend_some(get(&handle.receipt).as_deref()))
    })
}
