//! The dispatcher and its options.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::time::Duration;

use webhook_mtls::bindings::SetByName as _;
use webhook_mtls::bindings::limits::Limit;
use webhook_mtls::bindings::process::Once;
use webhook_mtls::bindings::runtime;
use webhook_mtls::{DeliverOptions, Dispatcher, DispatcherOptions, Egress, Error, deliver};

use crate::builder::{Builder, setting};
use crate::delivery::wmtls_delivery;
use crate::endpoint::{wmtls_endpoint, wmtls_endpoint_options};
use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, give, required};
use crate::identity::wmtls_identity;
use crate::log::{self, wmtls_log_function};
use crate::outcome::Completions;
use crate::receipt::wmtls_receipt;
use crate::rotation::EventSubscription;
use crate::text::StringPool;
use crate::trust::wmtls_trust;
use crate::{panic, text};

/// The defaults for every endpoint and delivery of a dispatcher. A builder.
pub struct wmtls_options(Builder<OptionsDraft>);

impl Handle for wmtls_options {}

/// Options with the parts of an egress policy, which `finish` assembles.
struct OptionsDraft {
    options: DispatcherOptions,
    egress: Option<Egress>,
    allow: Vec<String>,
    deny: Vec<String>,
    nat64: Vec<String>,
}

impl wmtls_options {
    /// Makes a builder that starts from these options.
    pub fn new(options: DispatcherOptions) -> Self {
        let (allow, deny, nat64) = Default::default();
        let draft = OptionsDraft { options, egress: None, allow, deny, nat64 };
        Self(Builder::new(Ok(draft)))
    }

    fn finish(self) -> Result<DispatcherOptions, Error> {
        let OptionsDraft { options, egress, allow, deny, nat64 } = self.0.finish()?;
        if egress.is_none() && allow.is_empty() && deny.is_empty() && nat64.is_empty() {
            return Ok(options);
        }
        let egress = egress.unwrap_or_default().allow(allow)?.deny(deny)?.nat64(nat64)?;
        Ok(options.egress(egress))
    }
}

/// Makes a builder with the defaults: no identity, no trust, egress "public", a time limit of 30
/// seconds for each delivery. Free it with wmtls_options_free unless a function takes it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_options_new() -> Option<Box<wmtls_options>> {
    panic::value(None, || give(wmtls_options::new(DispatcherOptions::new())))
}

// generated: begin setter dispatcher.identity
/// Sets the identity to present to consumers, unless the endpoint sets its own.
// generated: end
///
/// The identity may be freed once the function has returned.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_options_identity(
    options: Option<&mut wmtls_options>,
    identity: Option<&wmtls_identity>,
) {
    edit(options, |mut draft| {
        draft.options = draft.options.identity(required(identity, "identity")?.0.clone());
        Ok(draft)
    });
}

// generated: begin setter dispatcher.trust
/// Sets the default trust, used if the endpoint sets none.
// generated: end
///
/// The trust may be freed once the function has returned.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_options_trust(
    options: Option<&mut wmtls_options>,
    trust: Option<&wmtls_trust>,
) {
    edit(options, |mut draft| {
        draft.options = draft.options.trust(required(trust, "trust")?.0.clone());
        Ok(draft)
    });
}

// generated: begin setter dispatcher.egress
/// Sets the addresses that the dispatcher may connect to: a preset, or a policy. By default
/// "public".
// generated: end
///
/// `preset`: "public", or "private", which adds private networks. Both deny loopback and
/// link-local addresses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_options_egress(
    options: Option<&mut wmtls_options>,
    preset: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        draft.egress = Some(Egress::preset(unsafe { text::required(preset, "preset") }?)?);
        Ok(draft)
    });
}

/// Allows one more network in addition to the preset.
///
/// `network`: a CIDR block ("10.1.0.0/16", "::1/128") or an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_options_egress_allow(
    options: Option<&mut wmtls_options>,
    network: *const c_char,
) {
    edit(options, |mut draft| {
        Limit::text("network").check_list(draft.allow.len() + 1, 0)?;
        // SAFETY: the caller follows the header's conventions.
        draft.allow.push(unsafe { text::required(network, "network") }?.to_owned());
        Ok(draft)
    });
}

/// Denies one more network. A denial takes precedence over every allowance.
///
/// `network`: a CIDR block or an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_options_egress_deny(
    options: Option<&mut wmtls_options>,
    network: *const c_char,
) {
    edit(options, |mut draft| {
        Limit::text("network").check_list(draft.deny.len() + 1, 0)?;
        // SAFETY: the caller follows the header's conventions.
        draft.deny.push(unsafe { text::required(network, "network") }?.to_owned());
        Ok(draft)
    });
}

/// Adds a prefix of the NAT64 gateways of the local network. An address below it is checked as
/// the IPv4 address that it embeds (RFC 6052).
///
/// `prefix`: an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits, such as "2001:db8:64::/96".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_options_egress_nat64(
    options: Option<&mut wmtls_options>,
    prefix: *const c_char,
) {
    edit(options, |mut draft| {
        Limit::text("prefix").check_list(draft.nat64.len() + 1, 0)?;
        // SAFETY: the caller follows the header's conventions.
        draft.nat64.push(unsafe { text::required(prefix, "prefix") }?.to_owned());
        Ok(draft)
    });
}

// generated: begin setter dispatcher.timeout
/// Sets the time limit of a whole delivery. It bounds the other four timeouts. By default 30000
/// milliseconds.
// generated: end
///
/// `timeout_ms`: milliseconds, from 1 to 86400000 (one day). 0 is a fault, not "no limit".
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_options_timeout_ms(options: Option<&mut wmtls_options>, timeout_ms: u64) {
    edit(options, |mut draft| {
        draft.options = draft.options.timeout(Duration::from_millis(timeout_ms))?;
        Ok(draft)
    });
}

// generated: begin setter dispatcher.max_connections
/// Sets the most open connections, including idle ones. By default 256.
// generated: end
///
/// `max_connections`: from 1 to 1000000.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_options_max_connections(
    options: Option<&mut wmtls_options>,
    max_connections: u32,
) {
    edit(options, |mut draft| {
        let limit = usize::try_from(max_connections).unwrap_or(usize::MAX);
        draft.options = draft.options.max_connections(limit)?;
        Ok(draft)
    });
}

/// Sets an option of the dispatcher by its name in docs/options.md, such as "connect_timeout".
///
/// `value`: the value as text: a duration in milliseconds ("2500"), a number ("3"), a flag as
/// "true" or "false", pairs as "404=never, 5xx=later".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_options_set(
    options: Option<&mut wmtls_options>,
    name: *const c_char,
    value: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        let name = unsafe { text::required(name, "name") }?;
        // SAFETY: as above.
        let value = unsafe { text::required(value, "value") }?;
        draft.options = draft.options.set(name, setting("dispatcher", name, value))?;
        Ok(draft)
    });
}

/// Frees a builder that no function has taken.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_options_free(options: Option<Box<wmtls_options>>) {
    panic::value((), || drop(options));
}

/// Adds a function that writes the log of the dispatcher. Each call adds one.
///
/// `context`: passed to each call. It must stay valid until the dispatcher is freed and its deliveries
/// have ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_options_log(
    options: Option<&mut wmtls_options>,
    log: wmtls_log_function,
    context: *mut c_void,
) {
    edit(options, |mut draft| {
        if let Some(sink) = log::sink(log, context) {
            draft.options = draft.options.log_to(sink);
        }
        Ok(draft)
    });
}

fn edit(
    options: Option<&mut wmtls_options>,
    change: impl FnOnce(OptionsDraft) -> Result<OptionsDraft, Error>,
) {
    panic::value((), || {
        if let Some(options) = options {
            options.0.change(change);
        }
    });
}

/// Delivers webhooks. It keeps one endpoint for each consumer id, and connections for each
/// endpoint.
pub struct wmtls_dispatcher {
    pub(crate) dispatcher: Dispatcher,
    pub(crate) events: EventSubscription,
    pub(crate) strings: StringPool,
    pub(crate) completions: Once<Completions>,
}

impl Handle for wmtls_dispatcher {}

impl wmtls_dispatcher {
    /// Makes a handle of a dispatcher.
    pub fn new(dispatcher: Dispatcher) -> Self {
        let completions = Once::new();
        Self {
            dispatcher,
            events: EventSubscription::default(),
            strings: StringPool::new(),
            completions,
        }
    }
}

/// Makes a dispatcher. Its threads start with the first delivery. Free it with
/// wmtls_dispatcher_free.
///
/// `options`: the builder; the function takes it and frees it, on failure too.
///
/// Fails with WMTLS_OPTION_INVALID, with WMTLS_TRUST_INVALID if every anchor of the trust has
/// expired, or with the first fault of a setter.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_dispatcher_new(
    options: Option<Box<wmtls_options>>,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_dispatcher>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        let options = required(options, "options")?.finish()?;
        Dispatcher::new(options).map(wmtls_dispatcher::new)
    })
}

/// Makes or changes the endpoint of a consumer. Equal values return the same endpoint and keep
/// its connections. Changed values affect only this endpoint.
///
/// `consumer`: the consumer id, which errors and receipts show.
/// `url`: the consumer's URL; the scheme must be https.
/// `options`: the builder; the function takes it and frees it, on failure too. It must set the
/// pins, or state that there are none (wmtls_endpoint_options_no_pins).
///
/// Fails with WMTLS_URL_INVALID, WMTLS_PIN_INVALID, WMTLS_OPTION_INVALID or WMTLS_HANDLE_CLOSED,
/// with WMTLS_TRUST_INVALID if every anchor of its trust has expired, or with the first fault of a
/// setter, such as WMTLS_PEM_INVALID for a file of pins.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_dispatcher_endpoint(
    dispatcher: Option<&wmtls_dispatcher>,
    consumer: *const c_char,
    url: *const c_char,
    options: Option<Box<wmtls_endpoint_options>>,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_endpoint>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        let dispatcher = required(dispatcher, "dispatcher")?;
        // SAFETY: the caller follows the header's conventions.
        let consumer = unsafe { text::required(consumer, "consumer") }?;
        // SAFETY: as above.
        let url = unsafe { text::required(url, "url") }?;
        let options = required(options, "options")?.finish()?;
        dispatcher.dispatcher.endpoint(consumer, url, options).map(wmtls_endpoint::new)
    })
}

/// Removes the endpoint of a consumer and closes its idle connections. Returns false if the
/// consumer has no endpoint.
///
/// No request to the endpoint starts after the function has returned. Deliveries that have
/// started to write a request finish. All others end with WMTLS_HANDLE_CLOSED and have sent
/// nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_dispatcher_remove(
    dispatcher: Option<&wmtls_dispatcher>,
    consumer: *const c_char,
) -> bool {
    panic::value(false, || {
        // SAFETY: the caller follows the header's conventions.
        match (dispatcher, unsafe { text::required(consumer, "consumer") }) {
            (Some(dispatcher), Ok(consumer)) => dispatcher.dispatcher.remove(consumer),
            _ => false,
        }
    })
}

/// Delivers, and blocks until the consumer has answered or the delivery has failed. The calling
/// thread waits at most for the time limit of the delivery.
///
/// `delivery`: remains the caller's, and may be delivered again.
/// `out`: receives the receipt.
///
/// Succeeds only if the consumer answers with a 2xx status. Otherwise wmtls_error_sent returns
/// how much of the request may have reached the consumer, and wmtls_retry_decide returns what to
/// do. Fails with any kind of docs/errors.md, or with the first fault of a setter of the
/// delivery.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_deliver(
    dispatcher: Option<&wmtls_dispatcher>,
    delivery: Option<&wmtls_delivery>,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_receipt>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        let dispatcher = required(dispatcher, "dispatcher")?;
        let (endpoint, body, options) = required(delivery, "delivery")?.parts()?;
        // No interrupt check: C has no pending exceptions, and cancels by token.
        let delivered = dispatcher.dispatcher.deliver_blocking(endpoint, body, options, None);
        delivered.unwrap_or_else(|| Err(Error::caught_panic())).map(wmtls_receipt::new)
    })
}

/// Delivers once without a dispatcher of the caller's. Use it in small programs: it opens one
/// connection and closes it. The consumer id is the host and port of the URL.
///
/// `url`: the consumer's URL; the scheme must be https.
/// `body`, `body_len`: the payload and its length in bytes, at most 32 MiB.
/// `options`, `endpoint_options`: the builders; the function takes both and frees them, on
/// failure too.
/// `out`: receives the receipt.
///
/// Fails as wmtls_dispatcher_new, wmtls_dispatcher_endpoint and wmtls_deliver do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_deliver_once(
    url: *const c_char,
    body: *const c_void,
    body_len: usize,
    options: Option<Box<wmtls_options>>,
    endpoint_options: Option<Box<wmtls_endpoint_options>>,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_receipt>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let url = unsafe { text::required(url, "url") }?;
        // SAFETY: as above.
        let body = unsafe { text::bytes(body, body_len, Limit::body()) }?;
        let body = Limit::body().copied(body)?;
        let options = required(options, "options")?.finish()?;
        let endpoint = required(endpoint_options, "endpoint_options")?.finish()?;
        wait(deliver(url, body, options, endpoint, DeliverOptions::new()))?.map(wmtls_receipt::new)
    })
}

/// Closes a dispatcher: new deliveries fail with WMTLS_HANDLE_CLOSED. The function blocks until
/// the running deliveries have finished, at most for `drain_ms`. It then cancels the rest, and
/// returns once none is running.
///
/// `drain_ms`: milliseconds; 0 cancels the running deliveries at once.
///
/// No function of this library is async-signal-safe. To close on a signal, wait for the signal in
/// a thread (sigwait, signalfd) and call this function there. In a signal handler that interrupts
/// wmtls_deliver, the function does not wait for that delivery: it returns at once, and the close
/// continues in the background. Deliveries and reloads that start in such a handler fail with
/// WMTLS_OVERLOADED, because they would wait for the interrupted thread.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_dispatcher_close(dispatcher: Option<&wmtls_dispatcher>, drain_ms: u64) {
    panic::value((), || {
        if let Some(dispatcher) = dispatcher {
            runtime::drive(dispatcher.dispatcher.close(Duration::from_millis(drain_ms)), || false);
        }
    });
}

/// Frees a dispatcher. Deliveries of wmtls_submit are canceled and have no outcome. A
/// wmtls_deliver that blocks in another thread continues. Call wmtls_dispatcher_close first to
/// end all deliveries in order.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_dispatcher_free(dispatcher: Option<Box<wmtls_dispatcher>>) {
    panic::value((), || drop(dispatcher));
}

/// Blocks until the future is done. It needs no interrupt check: C has no pending exceptions, and
/// cancels by token.
pub(crate) fn wait<F: Future>(future: F) -> Result<F::Output, Error> {
    runtime::drive(future, || false).ok_or_else(runtime::undriven)
}
