//! Errors.

use std::ffi::c_char;
use std::ptr;

use serde_json::Value;
use webhook_mtls::Error;

use crate::handle::Handle;
use crate::text::{self, StringPool};
use crate::{enums, panic};

/// WMTLS_OK (0), or the number of an error kind.
pub type wmtls_status = i32;

/// The reason for a failure: the kind, the stage reached, whose fault it is, how much of the
/// request was sent, and what to do.
pub struct wmtls_error {
    error: Error,
    strings: StringPool,
}

impl Handle for wmtls_error {}

impl wmtls_error {
    /// Makes a handle of an error.
    pub fn new(error: Error) -> Self {
        Self { error, strings: StringPool::new() }
    }

    /// Returns the core's error.
    pub fn error(&self) -> &Error {
        &self.error
    }
}

/// Returns the number of the kind, which equals the status; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_kind(error: Option<&wmtls_error>) -> i32 {
    number(error, |error| i32::from(error.kind().number()))
}

/// Returns the stage that failed, WMTLS_STAGE_...; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_stage(error: Option<&wmtls_error>) -> i32 {
    number(error, |error| error.stage() as i32)
}

/// Returns whose fault it is, WMTLS_BLAME_..., as far as this side can tell; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_blame(error: Option<&wmtls_error>) -> i32 {
    number(error, |error| error.blame() as i32)
}

/// Returns what the failure affects, WMTLS_SCOPE_...; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_scope(error: Option<&wmtls_error>) -> i32 {
    number(error, |error| error.scope() as i32)
}

/// Returns how much of the request was sent, WMTLS_SENT_...; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_sent(error: Option<&wmtls_error>) -> i32 {
    number(error, |error| error.sent() as i32)
}

/// Returns whether a new attempt can help, WMTLS_RETRY_...; 0 for NULL. See wmtls_retry_decide.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_retry(error: Option<&wmtls_error>) -> i32 {
    number(error, |error| error.retry() as i32)
}

/// Returns the delay that the consumer asked for, in milliseconds; -1 if it named none, and for
/// NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_retry_after_ms(error: Option<&wmtls_error>) -> i64 {
    panic::value(-1, || {
        let wait = error.and_then(|error| error.error.retry_after());
        wait.map_or(-1, |wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
    })
}

/// Returns the consumer id of the endpoint; NULL if the error concerns no endpoint.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_consumer(error: Option<&wmtls_error>) -> *const c_char {
    string(error, |error| error.consumer().map(str::to_owned))
}

/// Returns the event's id; NULL if the error ended no delivery, or one without an id.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_id(error: Option<&wmtls_error>) -> *const c_char {
    string(error, |error| error.id().map(str::to_owned))
}

/// Returns how many attempts began; -1 if the error ended no delivery and no probe, and for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_attempts(error: Option<&wmtls_error>) -> i64 {
    panic::value(-1, || error.and_then(|error| error.error.attempts()).map_or(-1, i64::from))
}

/// Returns the total duration in milliseconds; -1 if the error ended no delivery and no probe, and
/// for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_elapsed_ms(error: Option<&wmtls_error>) -> f64 {
    panic::value(-1.0, || {
        let elapsed = error.and_then(|error| error.error.elapsed());
        elapsed.map_or(-1.0, |elapsed| elapsed.as_secs_f64() * 1000.0)
    })
}

/// Returns a sentence that compares the observed with the expected. Use it only in your own logs: it
/// may name internal addresses.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_message(error: Option<&wmtls_error>) -> *const c_char {
    string(error, |error| Some(error.message().to_owned()))
}

/// Returns a sentence with what to do.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_remedy(error: Option<&wmtls_error>) -> *const c_char {
    string(error, |error| Some(error.remedy().to_owned()))
}

/// Returns the address of the page about the error's kind: the causes, and the cure of each.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_help(error: Option<&wmtls_error>) -> *const c_char {
    string(error, |error| Some(error.help().to_owned()))
}

/// Returns a fact of the error's context; NULL if the error does not have it. A text is returned
/// as it is, any other value as JSON.
///
/// `name`: the name of the fact, such as "observed_pin".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_error_context(
    error: Option<&wmtls_error>,
    name: *const c_char,
) -> *const c_char {
    string(error, |error| {
        // SAFETY: the caller follows the header's conventions.
        let name = unsafe { text::optional(name, "name") }.ok()??;
        error.context().get(name).map(|fact| match fact {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    })
}

/// Returns the failure as a log record: a JSON object with level, message and fields, below 1 KiB.
/// docs/log.md lists the fields.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_log_json(error: Option<&wmtls_error>) -> *const c_char {
    string(error, |error| Some(error.log_record().to_json().to_string()))
}

/// Returns the whole error as JSON, in the same form in every language.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_json(error: Option<&wmtls_error>) -> *const c_char {
    string(error, |error| Some(error.to_json().to_string()))
}

/// Returns the part that may be shown to the consumer as JSON: no addresses, no internals.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_public_json(error: Option<&wmtls_error>) -> *const c_char {
    string(error, |error| Some(error.public().to_string()))
}

/// Frees an error. Do not free the error of wmtls_outcome_error.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_error_free(error: Option<Box<wmtls_error>>) {
    panic::value((), || drop(error));
}

fn number(error: Option<&wmtls_error>, get: impl FnOnce(&Error) -> i32) -> i32 {
    panic::value(enums::NONE, || error.map_or(enums::NONE, |error| get(&error.error)))
}

fn string(
    error: Option<&wmtls_error>,
    get: impl FnOnce(&Error) -> Option<String>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        error.map_or(ptr::null(), |error| error.strings.add_optional(get(&error.error).as_deref()))
    })
}
