//! Text and bytes. Input is copied or read before the call returns. Returned text stays alive as
//! long as its handle.

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::slice;

use webhook_mtls::Error;
use webhook_mtls::bindings::limits::{Limit, Tally};
use webhook_mtls::bindings::process::Lock;

use crate::handle::null_argument;

/// Returns the text. Fails with an error that names `argument` if the text is NULL, too long or not
/// UTF-8.
///
/// # Safety
///
/// `text` is NULL or NUL-terminated, and does not change while the result is used.
pub unsafe fn required<'a>(text: *const c_char, argument: &str) -> Result<&'a str, Error> {
    // SAFETY: the caller guarantees it.
    unsafe { optional(text, argument) }?.ok_or_else(|| null_argument(argument))
}

/// Returns the text, or `None` if it is NULL. Fails with an error that names `argument` if the text
/// is too long or not UTF-8.
///
/// # Safety
///
/// As for [`required`].
pub unsafe fn optional<'a>(text: *const c_char, argument: &str) -> Result<Option<&'a str>, Error> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: the text is not NULL, so it is NUL-terminated.
    let text = unsafe { CStr::from_ptr(text) };
    Limit::text(argument).check(text.count_bytes())?;
    match text.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Error::wrong_type(argument, "UTF-8", "other bytes")),
    }
}

/// Returns the bytes. Fails if they exceed `limit`, or if the pointer is NULL and the length is not
/// 0.
///
/// # Safety
///
/// `bytes` is NULL or points to `length` bytes that do not change while the result is used.
pub unsafe fn bytes<'a>(
    bytes: *const c_void,
    length: usize,
    limit: Limit<'_>,
) -> Result<&'a [u8], Error> {
    // SAFETY: the caller guarantees it.
    match unsafe { optional_bytes(bytes, length, limit) }? {
        Some(bytes) => Ok(bytes),
        None => Ok(&[]),
    }
}

/// Returns the bytes, or `None` if the pointer is NULL and the length is 0. Fails as [`bytes`]
/// does.
///
/// # Safety
///
/// As for [`bytes`].
pub unsafe fn optional_bytes<'a>(
    bytes: *const c_void,
    length: usize,
    limit: Limit<'_>,
) -> Result<Option<&'a [u8]>, Error> {
    if bytes.is_null() {
        return if length == 0 { Ok(None) } else { Err(null_argument(limit.argument())) };
    }
    // Every limit is below `isize::MAX`, the greatest length of a slice.
    limit.check(length)?;
    // SAFETY: the pointer is not NULL, and the caller guarantees the length.
    Ok(Some(unsafe { slice::from_raw_parts(bytes.cast(), length) }))
}

/// Copies the texts of an array. Fails if the array is NULL and `count` is not 0, or if a text is
/// unusable, or if the list exceeds its limit.
///
/// # Safety
///
/// `texts` is NULL or points to `count` pointers, each as for [`required`].
pub unsafe fn list(
    texts: *const *const c_char,
    count: usize,
    argument: &str,
) -> Result<Vec<String>, Error> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if texts.is_null() {
        return Err(null_argument(argument));
    }
    let limit = Limit::text(argument);
    limit.check_list(count, 0)?;
    let mut tally = Tally::new(limit);
    // SAFETY: the pointer is not NULL, and the caller guarantees the length.
    let texts = unsafe { slice::from_raw_parts(texts, count) };
    let owned = |text: &*const c_char| {
        // SAFETY: the caller guarantees it.
        let text = unsafe { required(*text, argument) }?;
        tally.add(text.len())?;
        Ok(text.to_owned())
    };
    texts.iter().map(owned).collect()
}

/// The texts that a handle has returned to C. Each lives as long as the pool, and so as long as the
/// handle.
#[derive(Default)]
pub struct StringPool(Lock<BTreeSet<Vec<u8>>>);

impl StringPool {
    /// Makes an empty pool.
    pub const fn new() -> Self {
        Self(Lock::new(BTreeSet::new()))
    }

    /// Returns a text for C. Equal texts share one pointer.
    pub fn add(&self, text: &str) -> *const c_char {
        // A NUL would truncate the text for C, which could then mistake one name for another.
        let mut bytes = text.replace('\0', "\u{fffd}").into_bytes();
        bytes.push(0);
        let mut pool = self.0.lock();
        if !pool.contains(&bytes) {
            pool.insert(bytes.clone());
        }
        // When the set moves the vector, its heap block stays at the same address.
        pool.get(&bytes).map_or(ptr::null(), |text| text.as_ptr().cast())
    }

    /// Returns a text for C, or NULL for `None`.
    pub fn add_optional(&self, text: Option<&str>) -> *const c_char {
        text.map_or(ptr::null(), |text| self.add(text))
    }
}

/// Returns a text that lives as long as the process. Use it only for a fixed set of texts.
pub fn static_text(name: &'static str) -> *const c_char {
    static NAMES: StringPool = StringPool::new();
    NAMES.add(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_a_pointer_and_outlive_later_texts() {
        let strings = StringPool::new();
        let first = strings.add("first");
        for number in 0..1000 {
            strings.add(&number.to_string());
        }
        assert_eq!(strings.add("first"), first);
        // SAFETY: `strings` is alive.
        assert_eq!(unsafe { CStr::from_ptr(first) }.to_bytes(), b"first");
    }

    #[test]
    fn a_nul_cannot_truncate_a_text() {
        let strings = StringPool::new();
        // SAFETY: `strings` is alive.
        let text = unsafe { CStr::from_ptr(strings.add("acme\0evil")) };
        assert_eq!(text.to_str(), Ok("acme\u{fffd}evil"));
    }
}
