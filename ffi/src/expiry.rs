//! What expires.

use std::ffi::c_char;
use std::ptr;
use std::time::UNIX_EPOCH;

use webhook_mtls::Expiry;

use crate::handle::Handle;
use crate::panic;
use crate::text::Lent;

/// What expires, the least of its lifetime left first.
pub struct wmtls_expiries {
    list: Vec<Expiry>,
    lent: Lent,
}

impl Handle for wmtls_expiries {}

impl wmtls_expiries {
    pub(crate) fn new(list: Vec<Expiry>) -> Self {
        Self { list, lent: Lent::new() }
    }
}

/// How many there are.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_expiries_count(expiries: Option<&wmtls_expiries>) -> usize {
    panic::value(0, || expiries.map_or(0, |handle| handle.list.len()))
}

/// What the one at an index is: "identity", "anchor", "intermediate", "crl" or "consumer"; NULL if
/// there are not so many.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_expiries_what(
    expiries: Option<&wmtls_expiries>,
    index: usize,
) -> *const c_char {
    lend(expiries, index, |expiry| expiry.what.name().to_owned())
}

/// Its subject, the issuer of a CRL, or the consumer id.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_expiries_name(
    expiries: Option<&wmtls_expiries>,
    index: usize,
) -> *const c_char {
    lend(expiries, index, |expiry| expiry.name.clone())
}

/// The last second of its validity, since 1970; 0 if there are not so many.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_expiries_not_after(expiries: Option<&wmtls_expiries>, index: usize) -> i64 {
    let seconds = || {
        let since = get(expiries, index)?.not_after.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    };
    panic::value(0, || seconds().unwrap_or(0))
}

/// How much of its lifetime is left: 1 at its first instant, 0 once it has expired.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_expiries_fraction_left(
    expiries: Option<&wmtls_expiries>,
    index: usize,
) -> f64 {
    panic::value(0.0, || get(expiries, index).map_or(0.0, |expiry| expiry.fraction_left))
}

/// Frees a list.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_expiries_free(expiries: Option<Box<wmtls_expiries>>) {
    panic::value((), || drop(expiries));
}

fn get(expiries: Option<&wmtls_expiries>, index: usize) -> Option<&Expiry> {
    expiries?.list.get(index)
}

fn lend(
    expiries: Option<&wmtls_expiries>,
    index: usize,
    text: impl FnOnce(&Expiry) -> String,
) -> *const c_char {
    panic::value(ptr::null(), || {
        let (Some(handle), Some(expiry)) = (expiries, get(expiries, index)) else {
            return ptr::null();
        };
        handle.lent.lend(&text(expiry))
    })
}
