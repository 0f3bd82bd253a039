//! A payload and where it goes.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::time::Duration;

use bytes::Bytes;
use webhook_mtls::limits::Limit;
use webhook_mtls::{DeliverOptions, Delivery, Endpoint, Error};

use crate::builder::{Builder, setting};
use crate::cancel::wmtls_cancel_token;
use crate::endpoint::wmtls_endpoint;
use crate::handle::{Handle, give, required};
use crate::{panic, text};

/// A payload, where it goes, and what goes with it. A builder that wmtls_deliver does not consume
/// and wmtls_submit does.
pub struct wmtls_delivery(Builder<Draft>);

impl Handle for wmtls_delivery {}

struct Draft {
    endpoint: Endpoint,
    body: Bytes,
    options: DeliverOptions,
    headers: Vec<(String, String)>,
    tag: Tag,
}

/// A pointer of C's that comes back with the outcome. It is never looked into.
#[derive(Clone, Copy)]
pub struct Tag(pub *mut c_void);

// SAFETY: it is carried, not used; whether what it points to may change threads is C's to know.
unsafe impl Send for Tag {}
// SAFETY: as above.
unsafe impl Sync for Tag {}

impl wmtls_delivery {
    pub(crate) fn parts(&self) -> Result<(&Endpoint, Bytes, DeliverOptions), Error> {
        let draft = self.0.built()?;
        let options = draft.options.clone().headers(draft.headers.clone());
        Ok((&draft.endpoint, draft.body.clone(), options))
    }

    pub(crate) fn finish(self) -> Result<(Delivery, Tag), Error> {
        let Draft { endpoint, body, options, headers, tag } = self.0.finish()?;
        Ok((Delivery::new(&endpoint, body, options.headers(headers)), tag))
    }
}

/// A delivery of a payload, which is copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_delivery_new(
    endpoint: Option<&wmtls_endpoint>,
    body: *const c_void,
    body_len: usize,
) -> Option<Box<wmtls_delivery>> {
    panic::value(None, || {
        let draft = || {
            let endpoint = required(endpoint, "endpoint")?.endpoint.clone();
            // SAFETY: the header's conventions.
            let body = unsafe { text::bytes(body, body_len, Limit::body()) }?;
            let body = Bytes::from(Limit::body().copied(body)?);
            let (options, headers) = (DeliverOptions::new(), Vec::new());
            Ok(Draft { endpoint, body, options, headers, tag: Tag(ptr::null_mut()) })
        };
        give(wmtls_delivery(Builder::new(draft())))
    })
}

/// The event's id, sent as webhook-id. Give every attempt at the same event the same one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_delivery_id(
    delivery: Option<&mut wmtls_delivery>,
    id: *const c_char,
) {
    edit(delivery, |mut draft| {
        // SAFETY: the header's conventions.
        draft.options = draft.options.id(unsafe { text::required(id, "id") }?);
        Ok(draft)
    });
}

/// The type of the payload; "application/json" unless said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_delivery_content_type(
    delivery: Option<&mut wmtls_delivery>,
    content_type: *const c_char,
) {
    edit(delivery, |mut draft| {
        // SAFETY: the header's conventions.
        let content_type = unsafe { text::required(content_type, "content_type") }?;
        draft.options = draft.options.content_type(content_type);
        Ok(draft)
    });
}

/// Adds a request header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_delivery_header(
    delivery: Option<&mut wmtls_delivery>,
    name: *const c_char,
    value: *const c_char,
) {
    edit(delivery, |mut draft| {
        // SAFETY: the header's conventions.
        let (name, value) =
            unsafe { (text::required(name, "name")?, text::required(value, "value")?) };
        Limit::text("headers").check_list(draft.headers.len() + 1, 0)?;
        draft.headers.push((name.to_owned(), value.to_owned()));
        Ok(draft)
    });
}

/// The time this delivery may take in all, instead of the dispatcher's; above 0, at most a day.
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

/// A pointer of yours that comes back with the outcome of wmtls_submit; NULL unless said.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_delivery_tag(delivery: Option<&mut wmtls_delivery>, tag: *mut c_void) {
    let tag = Tag(tag);
    edit(delivery, |mut draft| {
        draft.tag = tag;
        Ok(draft)
    });
}

/// Lets a token cancel the delivery.
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

/// Sets an option of the delivery by its name in docs/options.md; the value as for
/// wmtls_options_set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_delivery_set(
    delivery: Option<&mut wmtls_delivery>,
    name: *const c_char,
    value: *const c_char,
) {
    edit(delivery, |mut draft| {
        // SAFETY: the header's conventions.
        let (name, value) =
            unsafe { (text::required(name, "name")?, text::required(value, "value")?) };
        draft.options.set(name, setting("deliver", name, value))?;
        Ok(draft)
    });
}

/// Frees a delivery.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_delivery_free(delivery: Option<Box<wmtls_delivery>>) {
    panic::value((), || drop(delivery));
}

fn edit(delivery: Option<&mut wmtls_delivery>, change: impl FnOnce(Draft) -> Result<Draft, Error>) {
    panic::value((), || {
        if let Some(delivery) = delivery {
            delivery.0.change(change);
        }
    });
}
