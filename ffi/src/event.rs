//! Events for the operator.

use std::ffi::c_char;
use std::ptr;

use serde_json::Value;
use webhook_mtls::Event;

use crate::handle::Handle;
use crate::text::StringPool;
use crate::{panic, text};

/// A change or warning for the operator. docs/events.md lists all events.
pub struct wmtls_event {
    event: Event,
    strings: StringPool,
}

impl Handle for wmtls_event {}

impl wmtls_event {
    pub(crate) fn new(event: Event) -> Self {
        Self { event, strings: StringPool::new() }
    }
}

/// Returns the name of the event, such as "rotated".
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_event_name(event: Option<&wmtls_event>) -> *const c_char {
    string(event, |event| Some(event.name().name().to_owned()))
}

/// Returns the consumer id; NULL if the event does not concern a single consumer.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_event_consumer(event: Option<&wmtls_event>) -> *const c_char {
    string(event, |event| event.consumer().map(str::to_owned))
}

/// Returns a fact of the event; NULL if the event does not have it. A text is returned as it is,
/// any other value as JSON.
///
/// `name`: the name of the fact in docs/events.md.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_event_field(
    event: Option<&wmtls_event>,
    name: *const c_char,
) -> *const c_char {
    string(event, |event| {
        // SAFETY: the caller follows the header's conventions.
        let name = unsafe { text::optional(name, "name") }.ok()??;
        event.fields().get(name).map(|fact| match fact {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    })
}

/// Returns the whole event as JSON, in the same form in every language.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_event_json(event: Option<&wmtls_event>) -> *const c_char {
    string(event, |event| Some(event.to_json().to_string()))
}

/// Frees an event.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_event_free(event: Option<Box<wmtls_event>>) {
    panic::value((), || drop(event));
}

fn string(
    event: Option<&wmtls_event>,
    get: impl FnOnce(&Event) -> Option<String>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        event.map_or(ptr::null(), |handle| {
            handle.strings.add_optional(get(&handle.event).as_deref())
        })
    })
}
