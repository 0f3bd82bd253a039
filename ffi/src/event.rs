//! What an operator should hear about.

use std::ffi::c_char;
use std::ptr;

use serde_json::Value;
use webhook_mtls::Event;

use crate::handle::Handle;
use crate::text::Lent;
use crate::{panic, text};

/// Something that an operator should hear about. docs/events.md lists what there is.
pub struct wmtls_event {
    event: Event,
    lent: Lent,
}

impl Handle for wmtls_event {}

impl wmtls_event {
    pub(crate) fn new(event: Event) -> Self {
        Self { event, lent: Lent::new() }
    }
}

/// What happened, such as "rotated".
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_event_name(event: Option<&wmtls_event>) -> *const c_char {
    lend(event, |event| Some(event.name().name().to_owned()))
}

/// The consumer it concerns; NULL if it concerns no single one.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_event_consumer(event: Option<&wmtls_event>) -> *const c_char {
    lend(event, |event| event.consumer().map(str::to_owned))
}

/// A fact by its name in docs/events.md; NULL if it has none of that name. Text stands as it is,
/// anything else as JSON.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_event_field(
    event: Option<&wmtls_event>,
    name: *const c_char,
) -> *const c_char {
    lend(event, |event| {
        // SAFETY: the header's conventions.
        let name = unsafe { text::optional(name, "name") }.ok()??;
        event.fields().get(name).map(|fact| match fact {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    })
}

/// The whole event as JSON, in the form that every language shows.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_event_json(event: Option<&wmtls_event>) -> *const c_char {
    lend(event, |event| Some(event.to_json().to_string()))
}

/// Frees an event.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_event_free(event: Option<Box<wmtls_event>>) {
    panic::value((), || drop(event));
}

fn lend(event: Option<&wmtls_event>, get: impl FnOnce(&Event) -> Option<String>) -> *const c_char {
    panic::value(ptr::null(), || {
        event.map_or(ptr::null(), |handle| handle.lent.lend_some(get(&handle.event).as_deref()))
    })
}
