//! A consumer that can be delivered to.

use std::ffi::c_char;
use std::ptr;

use webhook_mtls::{Endpoint, EndpointOptions, Error, StandardWebhooks};

use crate::builder::{Builder, setting};
use crate::handle::{Handle, give, required};
use crate::identity::wmtls_identity;
use crate::panic;
use crate::pin::Said;
use crate::text::{self, Lent};
use crate::trust::wmtls_trust;

/// How an endpoint differs from its dispatcher. A builder.
pub struct wmtls_endpoint_options(Builder<Draft>);

impl Handle for wmtls_endpoint_options {}

/// Options whose pins are still being said, one by one.
#[derive(Default)]
struct Draft {
    options: EndpointOptions,
    pins: Said,
}

impl wmtls_endpoint_options {
    pub(crate) fn finish(self) -> Result<EndpointOptions, Error> {
        let Draft { options, pins } = self.0.finish()?;
        Ok(match pins {
            Said::None => options.no_pins(),
            said => match said.pins()? {
                Some(pins) => options.pins(pins),
                None => options,
            },
        })
    }
}

/// A builder that says nothing yet. The pins must be said, if only that there are none.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_options_new() -> Option<Box<wmtls_endpoint_options>> {
    panic::value(None, || give(wmtls_endpoint_options(Builder::new(Ok(Draft::default())))))
}

/// Adds a key that the consumer may have.
///
/// `pin`: "sha256/..." of its public key, or "cert-sha256/..." of its whole certificate.
/// `slot`: WMTLS_PIN_CURRENT, or WMTLS_PIN_NEXT for a key that was announced.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_endpoint_options_pin(
    options: Option<&mut wmtls_endpoint_options>,
    pin: *const c_char,
    slot: i32,
) {
    edit(options, |mut draft| {
        // SAFETY: the header's conventions.
        unsafe { draft.pins.add(pin, slot) }?;
        Ok(draft)
    });
}

/// Says all pins of a slot at once, instead of those said before. Without a current pin, the
/// endpoint is refused with WMTLS_PIN_INVALID: an empty list is a mistake, not a decision.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_endpoint_options_pins(
    options: Option<&mut wmtls_endpoint_options>,
    pins: *const *const c_char,
    count: usize,
    slot: i32,
) {
    edit(options, |mut draft| {
        // SAFETY: the header's conventions.
        unsafe { draft.pins.set(pins, count, slot) }?;
        Ok(draft)
    });
}

/// Reads the pins from a file, instead of those said before: one pin a line, "next" before one that
/// was announced, "#" before a comment. The file is watched.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_endpoint_options_pins_file(
    options: Option<&mut wmtls_endpoint_options>,
    path: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the header's conventions.
        draft.pins = unsafe { Said::read(path) }?;
        Ok(draft)
    });
}

/// Any key that the consumer's CA certifies: the decision to have no pins. Forgets those said
/// before.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_options_no_pins(options: Option<&mut wmtls_endpoint_options>) {
    edit(options, |mut draft| {
        draft.pins = Said::None;
        Ok(draft)
    });
}

/// Whom to believe about this consumer, instead of the dispatcher's trust.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_options_trust(
    options: Option<&mut wmtls_endpoint_options>,
    trust: Option<&wmtls_trust>,
) {
    edit(options, |mut draft| {
        draft.options = draft.options.trust(required(trust, "trust")?.0.clone());
        Ok(draft)
    });
}

/// Who to be to this consumer, instead of the dispatcher's identity.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_options_identity(
    options: Option<&mut wmtls_endpoint_options>,
    identity: Option<&wmtls_identity>,
) {
    edit(options, |mut draft| {
        draft.options = draft.options.identity(required(identity, "identity")?.0.clone());
        Ok(draft)
    });
}

/// The secrets that sign each delivery by Standard Webhooks, instead of those said before. Each
/// signs, so a new and an old one serve while a secret is being changed. Deliveries must then have
/// an id, which wmtls_deliver_once does not take.
///
/// `secrets`: one to eight, each "whsec_" and the base64 of 24 to 64 bytes (HMAC-SHA256), or "whsk_"
/// and the base64 of an Ed25519 private key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_endpoint_options_signing(
    options: Option<&mut wmtls_endpoint_options>,
    secrets: *const *const c_char,
    count: usize,
) {
    edit(options, |mut draft| {
        // SAFETY: the header's conventions.
        let secrets = unsafe { text::list(secrets, count, "secrets") }?;
        draft.options = draft.options.signing(StandardWebhooks::new(secrets)?);
        Ok(draft)
    });
}

/// Sets an option of the endpoint by its name in docs/options.md, such as "min_tls"; the value as
/// for wmtls_options_set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_endpoint_options_set(
    options: Option<&mut wmtls_endpoint_options>,
    name: *const c_char,
    value: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the header's conventions.
        let (name, value) =
            unsafe { (text::required(name, "name")?, text::required(value, "value")?) };
        draft.options.set(name, setting("endpoint", name, value))?;
        Ok(draft)
    });
}

/// Frees a builder that nothing consumed.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_options_free(options: Option<Box<wmtls_endpoint_options>>) {
    panic::value((), || drop(options));
}

fn edit(
    options: Option<&mut wmtls_endpoint_options>,
    change: impl FnOnce(Draft) -> Result<Draft, Error>,
) {
    panic::value((), || {
        if let Some(options) = options {
            options.0.change(change);
        }
    });
}

/// A consumer that can be delivered to, of one dispatcher.
pub struct wmtls_endpoint {
    pub(crate) endpoint: Endpoint,
    lent: Lent,
}

impl Handle for wmtls_endpoint {}

impl wmtls_endpoint {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, lent: Lent::new() }
    }
}

/// The consumer id.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_consumer(endpoint: Option<&wmtls_endpoint>) -> *const c_char {
    panic::value(ptr::null(), || {
        endpoint.map_or(ptr::null(), |handle| handle.lent.lend(handle.endpoint.consumer()))
    })
}

/// The URL in its canonical spelling, as it is now.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_url(endpoint: Option<&wmtls_endpoint>) -> *const c_char {
    panic::value(ptr::null(), || {
        endpoint.map_or(ptr::null(), |handle| handle.lent.lend(&handle.endpoint.url()))
    })
}

/// Frees a handle of an endpoint. The dispatcher keeps the endpoint until it is removed.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_free(endpoint: Option<Box<wmtls_endpoint>>) {
    panic::value((), || drop(endpoint));
}
