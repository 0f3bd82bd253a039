//! An endpoint and its options.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use webhook_mtls::bindings::SetByName as _;
use webhook_mtls::{Endpoint, EndpointOptions, Error, StandardWebhooks};

use crate::builder::{Builder, setting};
use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, give, required};
use crate::identity::wmtls_identity;
use crate::jwt::wmtls_jwt_bearer;
use crate::panic;
use crate::pin::PinSetting;
use crate::text::{self, StringPool};
use crate::trust::wmtls_trust;

/// The settings of an endpoint that differ from those of its dispatcher. A builder.
pub struct wmtls_endpoint_options(Builder<EndpointDraft>);

impl Handle for wmtls_endpoint_options {}

/// Options with the pins set so far, which `finish` adds.
#[derive(Default)]
struct EndpointDraft {
    options: EndpointOptions,
    pins: PinSetting,
}

impl wmtls_endpoint_options {
    pub(crate) fn finish(self) -> Result<EndpointOptions, Error> {
        let EndpointDraft { options, pins } = self.0.finish()?;
        Ok(match pins {
            PinSetting::NoPins => options.no_pins(),
            set => match set.pins()? {
                Some(pins) => options.pins(pins),
                None => options,
            },
        })
    }
}

/// Makes an empty builder. Set the pins before you use it, or call
/// wmtls_endpoint_options_no_pins: an endpoint has no default for them. Free it with
/// wmtls_endpoint_options_free unless a function takes it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_options_new() -> Option<Box<wmtls_endpoint_options>> {
    panic::value(None, || give(wmtls_endpoint_options(Builder::new(Ok(EndpointDraft::default())))))
}

/// Adds a key that the consumer may have.
///
/// `pin`: "sha256/..." of the public key, or "cert-sha256/..." of the whole certificate.
/// `slot`: WMTLS_PIN_CURRENT, or WMTLS_PIN_NEXT for an announced key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_endpoint_options_pin(
    options: Option<&mut wmtls_endpoint_options>,
    pin: *const c_char,
    slot: i32,
) {
    edit(options, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        unsafe { draft.pins.add(pin, slot) }?;
        Ok(draft)
    });
}

/// Replaces all pins of one slot. An endpoint without a current pin fails with WMTLS_PIN_INVALID:
/// an empty list does not mean "no pins".
///
/// `pins`, `count`: the list, in the form of wmtls_endpoint_options_pin.
/// `slot`: WMTLS_PIN_CURRENT or WMTLS_PIN_NEXT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_endpoint_options_pins(
    options: Option<&mut wmtls_endpoint_options>,
    pins: *const *const c_char,
    count: usize,
    slot: i32,
) {
    edit(options, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        unsafe { draft.pins.set(pins, count, slot) }?;
        Ok(draft)
    });
}

/// Reads the pins from a file, and replaces all pins set before. The dispatcher watches the file
/// for changes. The function that takes the builder fails with WMTLS_PEM_INVALID if the file cannot
/// be read.
///
/// `path`: a file with one pin on each line; "next" precedes an announced pin, "#" precedes a
/// comment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_endpoint_options_pins_file(
    options: Option<&mut wmtls_endpoint_options>,
    path: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        draft.pins = unsafe { PinSetting::read(path) }?;
        Ok(draft)
    });
}

/// Accepts any key that the consumer's CA certifies, and removes all pins set before.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_options_no_pins(options: Option<&mut wmtls_endpoint_options>) {
    edit(options, |mut draft| {
        draft.pins = PinSetting::NoPins;
        Ok(draft)
    });
}

// generated: begin setter endpoint.trust
/// Sets the trust for this consumer's certificate. By default the dispatcher's.
// generated: end
///
/// The trust may be freed once the function has returned.
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

// generated: begin setter endpoint.identity
/// Sets the identity to present to this consumer. By default the dispatcher's.
// generated: end
///
/// The identity may be freed once the function has returned.
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

/// Sets the secrets that sign each delivery with Standard Webhooks, and replaces all secrets set
/// before. Every secret makes a signature, so the consumer can change from an old secret to a new
/// one. A signed delivery requires an id; wmtls_deliver_once cannot set one.
///
/// `secrets`, `count`: one to eight secrets, each "whsec_" and the base64 of 24 to 64 bytes
/// (HMAC-SHA256), or "whsk_" and the base64 of an Ed25519 private key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_endpoint_options_signing(
    options: Option<&mut wmtls_endpoint_options>,
    secrets: *const *const c_char,
    count: usize,
) {
    edit(options, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        let secrets = unsafe { text::list(secrets, count, "secrets") }?;
        draft.options = draft.options.signing(StandardWebhooks::new(secrets)?);
        Ok(draft)
    });
}

/// Signs each delivery with a token that is bound to our certificate, also beside the secrets of
/// wmtls_endpoint_options_signing. It replaces a token set before. A delivery with a header
/// "authorization" is then refused.
///
/// `jwt`: may be freed once the function has returned. Its first fault becomes one of these options.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_options_jwt_bearer(
    options: Option<&mut wmtls_endpoint_options>,
    jwt: Option<&wmtls_jwt_bearer>,
) {
    edit(options, |mut draft| {
        let token = required(jwt, "jwt")?.built()?.clone();
        draft.options = draft.options.signing(token);
        Ok(draft)
    });
}

/// Sets an option of the endpoint by its name in docs/options.md, such as "min_tls". The value
/// has the form that wmtls_options_set describes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_endpoint_options_set(
    options: Option<&mut wmtls_endpoint_options>,
    name: *const c_char,
    value: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        let name = unsafe { text::required(name, "name") }?;
        // SAFETY: as above.
        let value = unsafe { text::required(value, "value") }?;
        draft.options = draft.options.set(name, setting("endpoint", name, value))?;
        Ok(draft)
    });
}

/// Frees a builder that no function has taken.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_options_free(options: Option<Box<wmtls_endpoint_options>>) {
    panic::value((), || drop(options));
}

fn edit(
    options: Option<&mut wmtls_endpoint_options>,
    change: impl FnOnce(EndpointDraft) -> Result<EndpointDraft, Error>,
) {
    panic::value((), || {
        if let Some(options) = options {
            options.0.change(change);
        }
    });
}

/// A consumer to deliver to, as one dispatcher knows it.
pub struct wmtls_endpoint {
    pub(crate) endpoint: Endpoint,
    strings: StringPool,
}

impl Handle for wmtls_endpoint {}

impl wmtls_endpoint {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, strings: StringPool::new() }
    }
}

/// Returns the consumer id.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_consumer(endpoint: Option<&wmtls_endpoint>) -> *const c_char {
    panic::value(ptr::null(), || {
        endpoint.map_or(ptr::null(), |handle| handle.strings.add(handle.endpoint.consumer()))
    })
}

/// Returns the current URL in its canonical form.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_url(endpoint: Option<&wmtls_endpoint>) -> *const c_char {
    panic::value(ptr::null(), || {
        endpoint.map_or(ptr::null(), |handle| handle.strings.add(&handle.endpoint.url()))
    })
}

/// Lets the next delivery try an endpoint whose circuit is open, at once, because something was
/// repaired. A changed option and wmtls_reload do the same.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_reset_circuit(endpoint: Option<&wmtls_endpoint>) {
    panic::value((), || {
        if let Some(handle) = endpoint {
            handle.endpoint.reset_circuit();
        }
    });
}

/// Opens the circuit, because another process has found that the consumer fails. Afterwards one
/// delivery tries it. A circuit that is open for longer stays so. No event is emitted.
///
/// `duration_ms`: for how long, in milliseconds, from 1 to 86400000 (one day); 0 is a fault.
///
/// Fails with WMTLS_OPTION_INVALID if the duration is out of range.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_open_circuit(
    endpoint: Option<&wmtls_endpoint>,
    duration_ms: u64,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        let endpoint = &required(endpoint, "endpoint")?.endpoint;
        endpoint.open_circuit(Duration::from_millis(duration_ms))
    })
}

/// Frees a handle of an endpoint. The dispatcher keeps the endpoint until
/// wmtls_dispatcher_remove.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_endpoint_free(endpoint: Option<Box<wmtls_endpoint>>) {
    panic::value((), || drop(endpoint));
}
