//! A delivery: the payload, the endpoint and the options.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::time::Duration;

use bytes::Bytes;
use webhook_mtls::bindings::SetByName as _;
use webhook_mtls::bindings::limits::Limit;
use webhook_mtls::{DeliverOptions, Delivery, Endpoint, Error};

use crate::builder::{Builder, setting};
use crate::cancel::wmtls_cancel_token;
use crate::endpoint::wmtls_endpoint;
use crate::handle::{Handle, give, required};
use crate::{panic, text};

/// A payload, the endpoint it goes to, and its options. A builder. wmtls_deliver borrows it;
/// wmtls_submit takes and frees it.
pub struct wmtls_delivery(Builder<DeliveryDraft>);

impl Handle for wmtls_delivery {}

struct DeliveryDraft {
    endpoint: Endpoint,
    body: Bytes,
    options: DeliverOptions,
    headers: Vec<(String, String)>,
    tag: Tag,
}

/// A pointer of the C program that is returned with the outcome. It is never dereferenced.
#[derive(Clone, Copy)]
pub struct Tag(pub *mut c_void);

// SAFETY: the pointer is never dereferenced here. The C program decides whether its target may be
// used on another thread.
unsafe impl Send for Tag {}
// SAFETY: as for `Send`.
unsafe impl Sync for Tag {}

impl Default for Tag {
    fn default() -> Self {
        Self(ptr::null_mut())
    }
}

impl wmtls_delivery {
    /// Starts a delivery, or keeps the first fault of its arguments.
    fn draft(endpoint: Option<&wmtls_endpoint>, body: Result<Bytes, Error>) -> Self {
        let draft = || {
            let endpoint = required(endpoint, "endpoint")?.endpoint.clone();
            let (body, options, headers) = (body?, DeliverOptions::new(), Vec::new());
            Ok(DeliveryDraft { endpoint, body, options, headers, tag: Tag::default() })
        };
        Self(Builder::new(draft()))
    }

    pub(crate) fn parts(&self) -> Result<(&Endpoint, Bytes, DeliverOptions), Error> {
        let draft = self.0.built()?;
        let options = draft.options.clone().headers(draft.headers.clone());
        Ok((&draft.endpoint, draft.body.clone(), options))
    }

    pub(crate) fn finish(self) -> Result<(Delivery, Tag), Error> {
        let DeliveryDraft { endpoint, body, options, headers, tag } = self.0.finish()?;
        Ok((Delivery::new(&endpoint, body, options.headers(headers)), tag))
    }
}

/// Copies a payload. Fails with `body_too_large`.
///
/// # Safety
///
/// As for [`text::bytes`].
unsafe fn copied(body: *const c_void, body_len: usize) -> Result<Bytes, Error> {
    // SAFETY: the caller guarantees it.
    let body = unsafe { text::bytes(body, body_len, Limit::body()) }?;
    Limit::body().copied(body).map(Bytes::from)
}

/// Makes a delivery. The payload is copied; wmtls_delivery_of_body shares one among deliveries. Free
/// it with wmtls_delivery_free unless wmtls_submit takes it.
///
/// `endpoint`: the destination; it may be freed once the function has returned.
/// `body`, `body_len`: the payload and its length in bytes, at most 32 MiB; a longer one makes
/// wmtls_deliver or wmtls_submit fail with WMTLS_BODY_TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_delivery_new(
    endpoint: Option<&wmtls_endpoint>,
    body: *const c_void,
    body_len: usize,
) -> Option<Box<wmtls_delivery>> {
    panic::value(None, || {
        // SAFETY: the caller follows the header's conventions.
        give(wmtls_delivery::draft(endpoint, unsafe { copied(body, body_len) }))
    })
}

/// A payload that many deliveries share. It never changes.
pub struct wmtls_body(Result<Bytes, Error>);

impl Handle for wmtls_body {}

/// Copies a payload once, for any number of deliveries. Free it with wmtls_body_free; deliveries
/// that were made from it keep the payload.
///
/// `body`, `body_len`: the payload and its length in bytes, at most 32 MiB; a longer one makes
/// wmtls_deliver or wmtls_submit fail with WMTLS_BODY_TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_body_new(
    body: *const c_void,
    body_len: usize,
) -> Option<Box<wmtls_body>> {
    panic::value(None, || {
        // SAFETY: the caller follows the header's conventions.
        give(wmtls_body(unsafe { copied(body, body_len) }))
    })
}

/// Frees a payload.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_body_free(body: Option<Box<wmtls_body>>) {
    panic::value((), || drop(body));
}

/// Makes a delivery of a shared payload, which is not copied. Otherwise it does what
/// wmtls_delivery_new does.
///
/// `endpoint`, `body`: the destination and the payload; both may be freed once the function has
/// returned.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_delivery_of_body(
    endpoint: Option<&wmtls_endpoint>,
    body: Option<&wmtls_body>,
) -> Option<Box<wmtls_delivery>> {
    panic::value(None, || {
        let body = required(body, "body").and_then(|body| body.0.clone());
        give(wmtls_delivery::draft(endpoint, body))
    })
}

// generated: begin setter deliver.id
/// Sets the event's id, sent as webhook-id. Use the same id for every attempt.
// generated: end
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_delivery_id(
    delivery: Option<&mut wmtls_delivery>,
    id: *const c_char,
) {
    edit(delivery, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        draft.options = draft.options.id(unsafe { text::required(id, "id") }?);
        Ok(draft)
    });
}

// generated: begin setter deliver.content_type
/// Sets the content type of the payload. By default "application/json".
// generated: end
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_delivery_content_type(
    delivery: Option<&mut wmtls_delivery>,
    content_type: *const c_char,
) {
    edit(delivery, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        let content_type = unsafe { text::required(content_type, "content_type") }?;
        draft.options = draft.options.content_type(content_type);
        Ok(draft)
    });
}

/// Adds a request header. An earlier one of the same name stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_delivery_header(
    delivery: Option<&mut wmtls_delivery>,
    name: *const c_char,
    value: *const c_char,
) {
    edit(delivery, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        let name = unsafe { text::required(name, "name") }?;
        // SAFETY: as above.
        let value = unsafe { text::required(value, "value") }?;
        Limit::text("headers").check_list(draft.headers.len() + 1, 0)?;
        draft.headers.push((name.to_owned(), value.to_owned()));
        Ok(draft)
    });
}

// generated: begin setter deliver.timeout
/// Sets the time limit of this whole delivery. By default the dispatcher's.
// generated: end
///
/// `timeout_ms`: milliseconds, from 1 to 86400000 (one day). 0 is a fault, not "no limit".
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_delivery_timeout_ms(
    delivery: Option<&mut wmtls_delivery>,
    timeout_ms: u64,
) {
    edit(delivery, |mut draft| {
        draft.options = draft.options.timeout(Duration::from_millis(timeout_ms))?;
        Ok(draft)
    });
}

/// Attaches a pointer that wmtls_outcome_tag returns with the outcome of wmtls_submit. The
/// library does not read through it, and does not free it. The default is NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_delivery_tag(delivery: Option<&mut wmtls_delivery>, tag: *mut c_void) {
    let tag = Tag(tag);
    edit(delivery, |mut draft| {
        draft.tag = tag;
        Ok(draft)
    });
}

/// Attaches a token that can cancel the delivery. The token may be freed once the function has
/// returned.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_delivery_cancel_token(
    delivery: Option<&mut wmtls_delivery>,
    token: Option<&wmtls_cancel_token>,
) {
    edit(delivery, |mut draft| {
        draft.options = draft.options.cancel(required(token, "token")?.0.clone());
        Ok(draft)
    });
}

/// Sets an option of the delivery by its name in docs/options.md. The value has the form that
/// wmtls_options_set describes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_delivery_set(
    delivery: Option<&mut wmtls_delivery>,
    name: *const c_char,
    value: *const c_char,
) {
    edit(delivery, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        let name = unsafe { text::required(name, "name") }?;
        // SAFETY: as above.
        let value = unsafe { text::required(value, "value") }?;
        draft.options = draft.options.set(name, setting("deliver", name, value))?;
        Ok(draft)
    });
}

/// Frees a delivery.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_delivery_free(delivery: Option<Box<wmtls_delivery>>) {
    panic::value((), || drop(delivery));
}

fn edit(
    delivery: Option<&mut wmtls_delivery>,
    change: impl FnOnce(DeliveryDraft) -> Result<DeliveryDraft, Error>,
) {
    panic::value((), || {
        if let Some(delivery) = delivery {
            delivery.0.change(change);
        }
    });
}
