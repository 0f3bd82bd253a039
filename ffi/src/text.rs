//! Plumbing: text and bytes on their way in, which are copied or read before the call returns, and
//! text on its way out, which its handle keeps alive.

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::slice;

use webhook_mtls::Error;
use webhook_mtls::limits::{Limit, Tally};
use webhook_mtls::process::Lock;

use crate::handle::absent;

/// The text, or an error that names the argument if it is NULL, too long or not UTF-8.
///
/// # Safety
///
/// `text` is NULL or NUL-terminated, and stays so while the result is used.
pub unsafe fn required<'a>(text: *const c_char, argument: &str) -> Result<&'a str, Error> {
    // SAFETY: as of this function.
    unsafe { optional(text, argument) }?.ok_or_else(|| absent(argument))
}

/// The text, or `None` if it is NULL, or an error that names the argument if it is too long or not UTF-8.
///
/// # Safety
///
/// As of [`required`].
pub unsafe fn optional<'a>(text: *const c_char, argument: &str) -> Result<Option<&'a str>, Error> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, hence NUL-terminated.
    let text = unsafe { CStr::from_ptr(text) };
    Limit::text(argument).check(text.count_bytes())?;
    match text.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Error::wrong_type(argument, "UTF-8", "other bytes")),
    }
}

/// The bytes, or an error if they are NULL but for the length 0, or more than there may be.
///
/// # Safety
///
/// `bytes` is NULL or points to `length` bytes that nobody changes while the result is used.
pub unsafe fn bytes<'a>(
    bytes: *const c_void,
    length: usize,
    limit: Limit<'_>,
) -> Result<&'a [u8], Error> {
    // SAFETY: as of this function.
    match unsafe { optional_bytes(bytes, length, limit) }? {
        Some(bytes) => Ok(bytes),
        None => Ok(&[]),
    }
}

/// The bytes, or `None` if they are NULL with the length 0, or an error if they are more than there may
/// be.
///
/// # Safety
///
/// As of [`bytes`].
pub unsafe fn optional_bytes<'a>(
    bytes: *const c_void,
    length: usize,
    limit: Limit<'_>,
) -> Result<Option<&'a [u8]>, Error> {
    if bytes.is_null() {
        return if length == 0 { Ok(None) } else { Err(absent(limit.argument())) };
    }
    // No limit is beyond what a slice may be.
    limit.check(length)?;
    // SAFETY: not NULL, and as long as it is said to be.
    Ok(Some(unsafe { slice::from_raw_parts(bytes.cast(), length) }))
}

/// The texts of an array.
///
/// # Safety
///
/// `texts` is NULL or points to `count` pointers, each as of [`required`].
pub unsafe fn list(
    texts: *const *const c_char,
    count: usize,
    argument: &str,
) -> Result<Vec<String>, Error> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if texts.is_null() {
        return Err(absent(argument));
    }
    let limit = Limit::text(argument);
    limit.check_list(count, 0)?;
    let mut tally = Tally::new(limit);
    // SAFETY: not NULL, and as long as it is said to be.
    let texts = unsafe { slice::from_raw_parts(texts, count) };
    let owned = |text: &*const c_char| {
        // SAFETY: as of this function.
        let text = unsafe { required(*text, argument) }?;
        tally.add(text.len())?;
        Ok(text.to_owned())
    };
    texts.iter().map(owned).collect()
}

/// Texts that C has borrowed. Each lives as long as this, that is, as long as its handle.
#[derive(Default)]
pub struct Lent(Lock<BTreeSet<Vec<u8>>>);

impl Lent {
    /// Nothing lent yet.
    pub const fn new() -> Self {
        Self(Lock::new(BTreeSet::new()))
    }

    /// Lends a text; the same one for the same words.
    pub fn lend(&self, text: &str) -> *const c_char {
        // C would see less of a text with a NUL, and could take one name for another.
        let mut words = text.replace('\0', "\u{fffd}").into_bytes();
        words.push(0);
        let mut lent = self.0.lock();
        if !lent.contains(&words) {
            lent.insert(words.clone());
        }
        // The heap block of a vector stays where it is when the set moves the vector.
        lent.get(&words).map_or(ptr::null(), |words| words.as_ptr().cast())
    }

    /// Lends a text, or NULL if there is none.
    pub fn lend_some(&self, text: Option<&str>) -> *const c_char {
        text.map_or(ptr::null(), |text| self.lend(text))
    }
}

/// Lends a text for ever; only for words of a fixed list.
pub fn lend_word(word: &'static str) -> *const c_char {
    static WORDS: Lent = Lent::new();
    WORDS.lend(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_lent_twice_is_the_same_and_outlives_later_ones() {
        let lent = Lent::new();
        let first = lent.lend("first");
        for number in 0..1000 {
            lent.lend(&number.to_string());
        }
        assert_eq!(lent.lend("first"), first);
        // SAFETY: `lent` is alive.
        assert_eq!(unsafe { CStr::from_ptr(first) }.to_bytes(), b"first");
    }

    #[test]
    fn a_nul_cannot_shorten_what_c_sees() {
        let lent = Lent::new();
        // SAFETY: `lent` is alive.
        let seen = unsafe { CStr::from_ptr(lent.lend("acme\0evil")) };
        assert_eq!(seen.to_str(), Ok("acme\u{fffd}evil"));
    }
}
