//! Lists of expiry dates.

use std::ffi::c_char;
use std::ptr;
use std::time::UNIX_EPOCH;

use webhook_mtls::material::Expiry;

use crate::handle::Handle;
use crate::panic;
use crate::text::StringPool;

/// A list of certificates and CRLs with their expiry, the smallest fraction of lifetime left
/// first.
pub struct wmtls_expiries {
    list: Vec<Expiry>,
    strings: StringPool,
}

impl Handle for wmtls_expiries {}

impl wmtls_expiries {
    pub(crate) fn new(list: Vec<Expiry>) -> Self {
        Self { list, strings: StringPool::new() }
    }
}

/// Returns the number of entries.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_expiries_count(expiries: Option<&wmtls_expiries>) -> usize {
    panic::value(0, || expiries.map_or(0, |handle| handle.list.len()))
}

/// Returns the type of an entry: "identity", "anchor", "intermediate", "crl" or "consumer"; NULL
/// after the last.
///
/// `index`: the position in the list, from 0.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_expiries_what(
    expiries: Option<&wmtls_expiries>,
    index: usize,
) -> *const c_char {
    string(expiries, index, |expiry| expiry.what.name().to_owned())
}

/// Returns the subject of a certificate, the issuer of a CRL, or the consumer id; NULL after the
/// last entry.
///
/// `index`: the position in the list, from 0.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_expiries_name(
    expiries: Option<&wmtls_expiries>,
    index: usize,
) -> *const c_char {
    string(expiries, index, |expiry| expiry.name.clone())
}

/// Returns the last second of validity in Unix seconds; 0 after the last entry.
///
/// `index`: the position in the list, from 0.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_expiries_not_after(expiries: Option<&wmtls_expiries>, index: usize) -> i64 {
    let seconds = || {
        let since = get(expiries, index)?.not_after.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    };
    panic::value(0, || seconds().unwrap_or(0))
}

/// Returns the fraction of the lifetime that is left: 1 at its first instant, 0 once it has
/// expired, and 0 after the last entry.
///
/// `index`: the position in the list, from 0.
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

fn string(
    expiries: Option<&wmtls_expiries>,
    index: usize,
    text: impl FnOnce(&Expiry) -> String,
) -> *const c_char {
    panic::value(ptr::null(), || {
        let (Some(handle), Some(expiry)) = (expiries, get(expiries, index)) else {
            return ptr::null();
        };
        handle.strings.add(&text(expiry))
    })
}
