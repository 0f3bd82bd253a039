//! What changes while a dispatcher or verifier is in use: its files, and what they say.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use webhook_mtls::{Error, Event, EventQueue, runtime};

use crate::dispatcher::wmtls_dispatcher;
use crate::error::{wmtls_error, wmtls_status};
use crate::event::wmtls_event;
use crate::expiry::wmtls_expiries;
use crate::handle::{give, required};
use crate::panic;
use crate::verifier::wmtls_verifier;

/// The events of a handle, from the first time that C asks for one.
#[derive(Default)]
pub(crate) struct Heard(OnceLock<EventQueue>);

impl Heard {
    fn next(
        &self,
        listen: impl FnOnce() -> EventQueue,
        timeout_ms: u64,
    ) -> Option<Box<wmtls_event>> {
        let event = self.0.get_or_init(listen).next(Duration::from_millis(timeout_ms))?;
        give(wmtls_event::new(event))
    }
}

/// Looks at all watched files now, and puts into use what they hold anew. wmtls_next_event tells
/// what there is to tell.
///
/// Fails with WMTLS_HANDLE_CLOSED, and with the fault of the first file that cannot be used; what
/// was in use before stays, and other files are taken all the same.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_reload(
    dispatcher: Option<&wmtls_dispatcher>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        let reloading = required(dispatcher, "dispatcher")?.dispatcher.reload();
        let events = runtime::drive(reloading, || false).ok_or_else(Error::caught_panic)??;
        first_fault(&events)
    })
}

/// The oldest event that was not taken yet, waiting for one for at most `timeout_ms`; NULL if there
/// is none. The first call for a handle begins to listen, so call it once before you rely on it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_next_event(
    dispatcher: Option<&wmtls_dispatcher>,
    timeout_ms: u64,
) -> Option<Box<wmtls_event>> {
    panic::value(None, || {
        let handle = dispatcher?;
        handle.heard.next(|| handle.dispatcher.events(), timeout_ms)
    })
}

/// Lists what expires: our chains, anchors, intermediates, CRLs, and each consumer's certificate as
/// last seen.
///
/// Fails with WMTLS_CLOCK_IMPLAUSIBLE: without the time nothing can be said.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_dispatcher_expiries(
    dispatcher: Option<&wmtls_dispatcher>,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_expiries>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        required(dispatcher, "dispatcher")?.dispatcher.expiries().map(wmtls_expiries::new)
    })
}

/// The least fraction of a lifetime that is left of anything that expires: 1 if there is nothing, 0
/// if something has expired, NaN if the clock cannot be right.
///
/// `what`: receives what it is of, such as "identity CN=acme", which belongs to the dispatcher; NULL
/// if there is nothing. It may be NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_least_lifetime_left(
    dispatcher: Option<&wmtls_dispatcher>,
    what: Option<&mut MaybeUninit<*const c_char>>,
) -> f64 {
    panic::value(f64::NAN, || {
        let expiries = dispatcher.map(|handle| handle.dispatcher.expiries());
        let (left, of) = match expiries {
            None => (f64::NAN, None),
            Some(Err(error)) => (f64::NAN, Some(error.kind().name().to_owned())),
            Some(Ok(expiries)) => expiries.first().map_or((1.0, None), |least| {
                (least.fraction_left, Some(format!("{} {}", least.what.name(), least.name)))
            }),
        };
        if let Some(what) = what {
            let said = dispatcher.map(|handle| handle.lent.lend_some(of.as_deref()));
            what.write(said.unwrap_or(ptr::null()));
        }
        left
    })
}

/// Looks at the watched files of trust and pins now, and believes what they hold.
///
/// Fails with the fault of the first file that cannot be used; what was believed before stays.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_reload(
    verifier: Option<&wmtls_verifier>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || first_fault(&required(verifier, "verifier")?.verifier.reload()))
}

/// As wmtls_next_event, for a verifier.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_next_event(
    verifier: Option<&wmtls_verifier>,
    timeout_ms: u64,
) -> Option<Box<wmtls_event>> {
    panic::value(None, || {
        let handle = verifier?;
        handle.heard.next(|| handle.verifier.events(), timeout_ms)
    })
}

/// Lists what expires: anchors, intermediates and CRLs.
///
/// Fails with WMTLS_CLOCK_IMPLAUSIBLE.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_expiries(
    verifier: Option<&wmtls_verifier>,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_expiries>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        required(verifier, "verifier")?.verifier.expiries().map(wmtls_expiries::new)
    })
}

fn first_fault(events: &[Event]) -> Result<(), Error> {
    events.iter().find_map(Event::error).cloned().map_or(Ok(()), Err)
}
