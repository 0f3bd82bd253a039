//! What changes while a dispatcher or verifier is in use: its files, and what they say.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use webhook_mtls::process::Once;
use webhook_mtls::{Error, Event, EventQueue, RotationStatus, runtime};

use crate::dispatcher::wmtls_dispatcher;
use crate::error::{wmtls_error, wmtls_status};
use crate::event::wmtls_event;
use crate::expiry::wmtls_expiries;
use crate::handle::{Handle, give, required};
use crate::identity::wmtls_identity;
use crate::panic;
use crate::text::{self, Lent};
use crate::verifier::wmtls_verifier;

/// The events of a handle, from the first time that C asks for one.
#[derive(Default)]
pub(crate) struct Heard(Once<EventQueue>);

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
        let events = runtime::drive(reloading, || false).ok_or_else(runtime::undriven)??;
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

/// Which of our identities each consumer took last, as this process has seen it.
pub struct wmtls_rotation_status {
    status: RotationStatus,
    lent: Lent,
}

impl Handle for wmtls_rotation_status {}

/// Asks how far a rotation has come; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_dispatcher_rotation_status(
    dispatcher: Option<&wmtls_dispatcher>,
) -> Option<Box<wmtls_rotation_status>> {
    panic::value(None, || {
        let status = dispatcher?.dispatcher.rotation_status();
        give(wmtls_rotation_status { status, lent: Lent::new() })
    })
}

/// "current" if the consumer took the identity in use now last, "previous" if one before it,
/// "unknown" if nothing was seen; NULL if there is no such consumer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_rotation_status_of(
    status: Option<&wmtls_rotation_status>,
    consumer: *const c_char,
) -> *const c_char {
    panic::value(ptr::null(), || {
        // SAFETY: the header's conventions.
        let Ok(Some(consumer)) = (unsafe { text::optional(consumer, "consumer") }) else {
            return ptr::null();
        };
        let found = status.and_then(|handle| handle.status.consumers.get(consumer));
        found.map_or(ptr::null(), |rotation| text::lend_word(rotation.state))
    })
}

/// The whole status as JSON, in the form that every language shows. To merge those of several
/// processes, take each consumer from the one with the greatest accepted_at_ms.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_rotation_status_json(
    status: Option<&wmtls_rotation_status>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        status.map_or(ptr::null(), |handle| handle.lent.lend(&handle.status.to_json().to_string()))
    })
}

/// Frees a status.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_rotation_status_free(status: Option<Box<wmtls_rotation_status>>) {
    panic::value((), || drop(status));
}

/// Shows a previous identity to nobody any more, for instance before its certificate is revoked.
///
/// `identity`: one that was in use before; the one in use now cannot be retired.
/// `force`: also if consumers depend on it, those that took it last.
///
/// Fails with WMTLS_IDENTITY_IN_USE, whose context lists the "consumers", or WMTLS_HANDLE_CLOSED.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_retire(
    dispatcher: Option<&wmtls_dispatcher>,
    identity: Option<&wmtls_identity>,
    force: bool,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        let identity = &required(identity, "identity")?.0;
        required(dispatcher, "dispatcher")?.dispatcher.retire(identity, force).map(drop)
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
