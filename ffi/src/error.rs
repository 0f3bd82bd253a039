//! Why something failed.

use std::ffi::c_char;
use std::ptr;

use serde_json::Value;
use webhook_mtls::Error;

use crate::handle::Handle;
use crate::text::{self, Lent};
use crate::{panic, words};

/// 0 (WMTLS_OK), or the number of a kind.
pub type wmtls_status = i32;

/// Why a call failed: what, how far it had come, whose fault it is, how much was sent, and what to
/// do about it.
pub struct wmtls_error {
    error: Error,
    lent: Lent,
}

impl Handle for wmtls_error {}

impl wmtls_error {
    /// The handle of an error.
    pub fn new(error: Error) -> Self {
        Self { error, lent: Lent::new() }
    }

    /// The core's error.
    pub fn error(&self) -> &Error {
        &self.error
    }
}

/// The kind's number, equal to the status; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_kind(error: Option<&wmtls_error>) -> i32 {
    number(error, |error| i32::from(error.kind().number()))
}

/// How far it had come: WMTLS_STAGE_...; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_stage(error: Option<&wmtls_error>) -> i32 {
    number(error, |error| error.stage() as i32)
}

/// Whose fault it is, as far as it can be known from here: WMTLS_BLAME_...; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_blame(error: Option<&wmtls_error>) -> i32 {
    number(error, |error| error.blame() as i32)
}

/// What it stops: WMTLS_SCOPE_...; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_scope(error: Option<&wmtls_error>) -> i32 {
    number(error, |error| error.scope() as i32)
}

/// How much of the request left: WMTLS_SENT_...; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_sent(error: Option<&wmtls_error>) -> i32 {
    number(error, |error| error.sent() as i32)
}

/// Whether trying again helps: WMTLS_RETRY_...; 0 for NULL. See wmtls_retry_decide.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_retry(error: Option<&wmtls_error>) -> i32 {
    number(error, |error| error.retry() as i32)
}

/// How long to wait before trying again, in milliseconds; -1 if the consumer did not say.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_retry_after_ms(error: Option<&wmtls_error>) -> i64 {
    panic::value(-1, || {
        let wait = error.and_then(|error| error.error.retry_after());
        wait.map_or(-1, |wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
    })
}

/// The consumer id of the endpoint; NULL if the error is about none.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_consumer(error: Option<&wmtls_error>) -> *const c_char {
    lend(error, |error| error.consumer().map(str::to_owned))
}

/// What was seen and what was expected, in a sentence. For logs: it may name our own addresses.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_message(error: Option<&wmtls_error>) -> *const c_char {
    lend(error, |error| Some(error.message().to_owned()))
}

/// What to do, in a sentence.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_remedy(error: Option<&wmtls_error>) -> *const c_char {
    lend(error, |error| Some(error.remedy().to_owned()))
}

/// A named fact of the error's context, such as "observed_pin"; NULL if it has none of that name.
/// Text stands as it is, anything else as JSON.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_error_context(
    error: Option<&wmtls_error>,
    name: *const c_char,
) -> *const c_char {
    lend(error, |error| {
        // SAFETY: the header's conventions.
        let name = unsafe { text::optional(name, "name") }.ok()??;
        error.context().get(name).map(|fact| match fact {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    })
}

/// The whole error as JSON, in the form that every language shows.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_json(error: Option<&wmtls_error>) -> *const c_char {
    lend(error, |error| Some(error.to_json().to_string()))
}

/// What may be shown to the consumer, as JSON: no addresses, no internals.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_public_json(error: Option<&wmtls_error>) -> *const c_char {
    lend(error, |error| Some(error.public().to_string()))
}

/// Frees an error.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_free(error: Option<Box<wmtls_error>>) {
    panic::value((), || drop(error));
}

fn number(error: Option<&wmtls_error>, get: impl FnOnce(&Error) -> i32) -> i32 {
    panic::value(words::NONE, || error.map_or(words::NONE, |error| get(&error.error)))
}

fn lend(error: Option<&wmtls_error>, get: impl FnOnce(&Error) -> Option<String>) -> *const c_char {
    panic::value(ptr::null(), || {
        error.map_or(ptr::null(), |error| error.lent.lend_some(get(&error.error).as_deref()))
    })
}
