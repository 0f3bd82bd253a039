//! The producer's side.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::time::Duration;

use webhook_mtls::limits::Limit;
use webhook_mtls::process::Once;
use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, Error, Setting, deliver, runtime,
};

use crate::builder::{Builder, setting};
use crate::delivery::wmtls_delivery;
use crate::endpoint::{wmtls_endpoint, wmtls_endpoint_options};
use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, give, required};
use crate::identity::wmtls_identity;
use crate::outcome::Completions;
use crate::receipt::wmtls_receipt;
use crate::rotation::Heard;
use crate::text::Lent;
use crate::trust::wmtls_trust;
use crate::{panic, text};

/// What a dispatcher shall do unless an endpoint or a delivery says otherwise. A builder.
pub struct wmtls_options(Builder<Draft>);

impl Handle for wmtls_options {}

/// Options whose egress policy is still being said, piece by piece.
struct Draft {
    options: DispatcherOptions,
    egress: Option<Egress>,
    allow: Vec<String>,
    deny: Vec<String>,
    nat64: Vec<String>,
}

impl wmtls_options {
    /// A builder that starts from these options.
    pub fn new(options: DispatcherOptions) -> Self {
        let (allow, deny, nat64) = Default::default();
        let draft = Draft { options, egress: None, allow, deny, nat64 };
        Self(Builder::new(Ok(draft)))
    }

    fn finish(self) -> Result<DispatcherOptions, Error> {
        let Draft { options, egress, allow, deny, nat64 } = self.0.finish()?;
        if egress.is_none() && allow.is_empty() && deny.is_empty() && nat64.is_empty() {
            return Ok(options);
        }
        let egress = egress.unwrap_or_default().allow(allow)?.deny(deny)?.nat64(nat64)?;
        Ok(options.egress(egress))
    }
}

/// A builder with the defaults: no identity, no trust, egress "public", 30 seconds in all.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_options_new() -> Option<Box<wmtls_options>> {
    panic::value(None, || give(wmtls_options::new(DispatcherOptions::new())))
}

/// Who we are, for endpoints that bring no identity of their own.
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

/// Whom we believe, for endpoints that bring no trust of their own.
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

/// Which addresses may be connected to: "public", or "private", which adds private networks.
/// Loopback and link-local are denied by both.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_options_egress(
    options: Option<&mut wmtls_options>,
    preset: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the header's conventions.
        draft.egress = Some(Egress::preset(unsafe { text::required(preset, "egress") }?)?);
        Ok(draft)
    });
}

/// Allows one more network beyond the preset: CIDR ("10.1.0.0/16", "::1/128") or an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_options_egress_allow(
    options: Option<&mut wmtls_options>,
    network: *const c_char,
) {
    edit(options, |mut draft| {
        Limit::text("egress").check_list(draft.allow.len() + 1, 0)?;
        // SAFETY: the header's conventions.
        draft.allow.push(unsafe { text::required(network, "network") }?.to_owned());
        Ok(draft)
    });
}

/// Denies one more network, whatever else allows it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_options_egress_deny(
    options: Option<&mut wmtls_options>,
    network: *const c_char,
) {
    edit(options, |mut draft| {
        Limit::text("egress").check_list(draft.deny.len() + 1, 0)?;
        // SAFETY: the header's conventions.
        draft.deny.push(unsafe { text::required(network, "network") }?.to_owned());
        Ok(draft)
    });
}

/// Names one more prefix of this network's own NAT64 gateways: IPv6, of 32, 40, 48, 56, 64 or 96 bits
/// ("2001:db8:64::/96"). An address in one is judged by the IPv4 address that it holds (RFC 6052).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_options_egress_nat64(
    options: Option<&mut wmtls_options>,
    prefix: *const c_char,
) {
    edit(options, |mut draft| {
        Limit::text("egress").check_list(draft.nat64.len() + 1, 0)?;
        // SAFETY: the header's conventions.
        draft.nat64.push(unsafe { text::required(prefix, "prefix") }?.to_owned());
        Ok(draft)
    });
}

/// The time one delivery may take in all; above 0, at most a day.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_options_timeout_ms(options: Option<&mut wmtls_options>, timeout_ms: u64) {
    edit(options, |mut draft| {
        draft.options = draft.options.timeout(Duration::from_millis(timeout_ms))?;
        Ok(draft)
    });
}

/// How many connections may be open at once, idle ones included.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_options_max_connections(
    options: Option<&mut wmtls_options>,
    max_connections: u32,
) {
    edit(options, |mut draft| {
        let most = Setting::Number(f64::from(max_connections));
        draft.options.set("max_connections", most)?;
        Ok(draft)
    });
}

/// Sets an option of the dispatcher by its name in docs/options.md, such as "connect_timeout".
///
/// `value`: as text: a duration in milliseconds, a flag as "true" or "false", pairs as
/// "404=never, 5xx=later".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_options_set(
    options: Option<&mut wmtls_options>,
    name: *const c_char,
    value: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the header's conventions.
        let (name, value) =
            unsafe { (text::required(name, "name")?, text::required(value, "value")?) };
        draft.options.set(name, setting("dispatcher", name, value))?;
        Ok(draft)
    });
}

/// Frees a builder that nothing consumed.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_options_free(options: Option<Box<wmtls_options>>) {
    panic::value((), || drop(options));
}

fn edit(options: Option<&mut wmtls_options>, change: impl FnOnce(Draft) -> Result<Draft, Error>) {
    panic::value((), || {
        if let Some(options) = options {
            options.0.change(change);
        }
    });
}

/// Delivers webhooks. It keeps endpoints by consumer id, and connections by endpoint.
pub struct wmtls_dispatcher {
    pub(crate) dispatcher: Dispatcher,
    pub(crate) heard: Heard,
    pub(crate) lent: Lent,
    pub(crate) completions: Once<Completions>,
}

impl Handle for wmtls_dispatcher {}

impl wmtls_dispatcher {
    /// The handle of a dispatcher.
    pub fn new(dispatcher: Dispatcher) -> Self {
        let completions = Once::new();
        Self { dispatcher, heard: Heard::default(), lent: Lent::new(), completions }
    }
}

/// Makes a dispatcher. Threads start with the first delivery.
///
/// Fails with WMTLS_OPTION_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_dispatcher_new(
    consumed: Option<Box<wmtls_options>>,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_dispatcher>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        let options = required(consumed, "options")?.finish()?;
        Dispatcher::new(options).map(wmtls_dispatcher::new)
    })
}

/// Makes or changes the endpoint of a consumer. Equal values give the same endpoint and keep its
/// connections; changed values change this endpoint alone.
///
/// `consumer`: the consumer id, which errors and receipts name.
/// `url`: where it listens, https only.
/// `consumed`: its options; they must say the pins, or that there are none.
///
/// Fails with WMTLS_URL_INVALID, WMTLS_PIN_INVALID, WMTLS_OPTION_INVALID or WMTLS_HANDLE_CLOSED.
#[allow(clippy::similar_names, reason = "consumed and consumer are the header's words")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_dispatcher_endpoint(
    dispatcher: Option<&wmtls_dispatcher>,
    consumer: *const c_char,
    url: *const c_char,
    consumed: Option<Box<wmtls_endpoint_options>>,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_endpoint>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        let dispatcher = required(dispatcher, "dispatcher")?;
        // SAFETY: the header's conventions.
        let (consumer, url) =
            unsafe { (text::required(consumer, "consumer")?, text::required(url, "url")?) };
        let options = required(consumed, "options")?.finish()?;
        dispatcher.dispatcher.endpoint(consumer, url, options).map(wmtls_endpoint::new)
    })
}

/// Forgets the endpoint of a consumer and closes its idle connections. False if there is none.
///
/// No request to it starts once this has returned: deliveries whose bytes already leave finish, and
/// those that have not begun end as WMTLS_HANDLE_CLOSED, with nothing sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_dispatcher_remove(
    dispatcher: Option<&wmtls_dispatcher>,
    consumer: *const c_char,
) -> bool {
    panic::value(false, || {
        // SAFETY: the header's conventions.
        match (dispatcher, unsafe { text::required(consumer, "consumer") }) {
            (Some(dispatcher), Ok(consumer)) => dispatcher.dispatcher.remove(consumer),
            _ => false,
        }
    })
}

/// Delivers, and blocks until the consumer has answered or it is certain that it will not.
///
/// The delivery stays yours, and may be delivered again.
///
/// Succeeds only when the consumer answered with a 2xx status. Otherwise wmtls_error_sent says how
/// much the consumer may hold, and wmtls_retry_decide what to do.
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
        // Nothing interrupts it: C has no pending exception to look for, and cancels by token.
        let delivered = dispatcher.dispatcher.deliver_blocking(endpoint, body, options, None);
        delivered.unwrap_or_else(|| Err(Error::caught_panic())).map(wmtls_receipt::new)
    })
}

/// Delivers once, without a dispatcher of your own: the form for small programs. One connection is
/// made and closed; the consumer id is the URL's host and port.
///
/// Fails as wmtls_dispatcher_new, wmtls_dispatcher_endpoint and wmtls_deliver do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_deliver_once(
    url: *const c_char,
    body: *const c_void,
    body_len: usize,
    consumed: Option<Box<wmtls_options>>,
    consumed_endpoint: Option<Box<wmtls_endpoint_options>>,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_receipt>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the header's conventions.
        let (url, body) =
            unsafe { (text::required(url, "url")?, text::bytes(body, body_len, Limit::body())?) };
        let body = Limit::body().copied(body)?;
        let options = required(consumed, "options")?.finish()?;
        let endpoint = required(consumed_endpoint, "endpoint options")?.finish()?;
        wait(deliver(url, body, options, endpoint, DeliverOptions::new()))?.map(wmtls_receipt::new)
    })
}

/// Lets the deliveries under way finish for at most `drain_ms`, then cancels them, and returns when
/// none is left. From now on deliveries fail with WMTLS_HANDLE_CLOSED.
///
/// No function of this library is async-signal-safe: let a thread wait for signals (sigwait, signalfd)
/// and call this. Called in a handler that a signal runs inside wmtls_deliver, it does not wait for
/// that delivery: it returns at once, and closing goes on by itself. Deliveries and reloads fail there
/// with WMTLS_OVERLOADED instead of waiting for themselves.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_dispatcher_close(dispatcher: Option<&wmtls_dispatcher>, drain_ms: u64) {
    panic::value((), || {
        if let Some(dispatcher) = dispatcher {
            runtime::drive(dispatcher.dispatcher.close(Duration::from_millis(drain_ms)), || false);
        }
    });
}

/// Frees a dispatcher. What wmtls_submit has started is cut, and has no outcome; deliveries that other
/// threads wait for go on. Close it first to end them all in order.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_dispatcher_free(dispatcher: Option<Box<wmtls_dispatcher>>) {
    panic::value((), || drop(dispatcher));
}

/// Blocks until the future is done. Nothing interrupts it: C has no pending exception to look for,
/// and cancels by token.
pub(crate) fn wait<F: Future>(future: F) -> Result<F::Output, Error> {
    runtime::drive(future, || false).ok_or_else(runtime::undriven)
}
