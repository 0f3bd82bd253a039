//! Rotation while a dispatcher or verifier is in use: reload, events, expiry and retirement.

use std::ffi::{c_char, c_int};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use webhook_mtls::bindings::process::Once;
use webhook_mtls::bindings::runtime;
use webhook_mtls::endpoint::RotationStatus;
use webhook_mtls::{Error, Event, EventQueue};

use crate::dispatcher::wmtls_dispatcher;
use crate::error::{wmtls_error, wmtls_status};
use crate::event::wmtls_event;
use crate::expiry::wmtls_expiries;
use crate::handle::{Handle, give, required};
use crate::identity::wmtls_identity;
use crate::panic;
use crate::signal::Signal;
use crate::text::{self, StringPool};
use crate::verifier::wmtls_verifier;
use crate::webhook::wmtls_webhook_verifier;

/// The event queue of a handle. The first call of `next` or `descriptor` subscribes it.
#[derive(Default)]
pub(crate) struct EventSubscription {
    queue: Once<EventQueue>,
    signal: Arc<Signal>,
}

impl EventSubscription {
    fn next(
        &self,
        subscribe: impl FnOnce() -> EventQueue,
        timeout_ms: u64,
    ) -> Option<Box<wmtls_event>> {
        let queue = self.queue.get_or_init(subscribe);
        let event = queue.next(Duration::from_millis(timeout_ms));
        self.signal.clear_unless(|| queue.has_event());
        give(wmtls_event::new(event?))
    }

    fn descriptor(&self, subscribe: impl FnOnce() -> EventQueue) -> c_int {
        let queue = self.queue.get_or_init(subscribe);
        let descriptor = self.signal.descriptor();
        queue.watch(Waker::from(self.signal.clone()));
        // An event from before the descriptor existed has not been signaled.
        if queue.has_event() {
            self.signal.set();
        }
        descriptor
    }
}

/// Checks all watched files now and uses their new content. wmtls_next_event reports each change.
///
/// Fails with WMTLS_HANDLE_CLOSED, with WMTLS_OVERLOADED in a signal handler that interrupts a
/// delivery, or with the error of the first file that cannot be used, such as WMTLS_PEM_INVALID or
/// WMTLS_KEY_MISMATCH. The previous content of that file remains in use, and all other files are still
/// reloaded. Each call fails as long as the file cannot be used.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_reload(
    dispatcher: Option<&wmtls_dispatcher>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        let reloading = required(dispatcher, "dispatcher")?.dispatcher.reload();
        let events = runtime::drive(reloading, || false).ok_or_else(runtime::undriven)??;
        first_error(&events)
    })
}

/// Returns the oldest event, or NULL if none arrives in time. Free it with wmtls_event_free. The
/// first call for a dispatcher starts the recording: events before it are lost.
///
/// `timeout_ms`: how long to wait, in milliseconds; 0 does not wait.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_next_event(
    dispatcher: Option<&wmtls_dispatcher>,
    timeout_ms: u64,
) -> Option<Box<wmtls_event>> {
    panic::value(None, || {
        let handle = dispatcher?;
        handle.events.next(|| handle.dispatcher.events(), timeout_ms)
    })
}

/// Returns a file descriptor that is readable while an event waits, for poll, epoll or an event
/// loop; -1 if it cannot be made. Take the events with wmtls_next_event and a time-out of 0. The
/// descriptor belongs to the dispatcher: do not read from it, and do not close it. Each call
/// returns the same number.
///
/// The first call starts the recording, as the first call of wmtls_next_event does. In a forked
/// child, the descriptor is that of the parent until the child has called this function or
/// wmtls_next_event: from then on it signals the events of the child.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_event_fd(dispatcher: Option<&wmtls_dispatcher>) -> c_int {
    panic::value(-1, || {
        dispatcher.map_or(-1, |handle| handle.events.descriptor(|| handle.dispatcher.events()))
    })
}

/// Lists when our chains, anchors, intermediates, CRLs and the last certificate of each consumer
/// expire.
///
/// `out`: receives the list; free it with wmtls_expiries_free.
///
/// Fails with WMTLS_CLOCK_IMPLAUSIBLE, because no lifetime can be computed without the date.
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

/// Returns the smallest fraction of a lifetime that is left: 1 if nothing expires, 0 if something
/// has expired, NaN if the clock is implausible and for NULL.
///
/// `what`: receives the name of the entry, such as "identity CN=acme", or NULL if nothing
/// expires. If the clock is implausible, it receives "clock_implausible". The text belongs to the
/// dispatcher. Pass NULL if you do not need it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_least_lifetime_left(
    dispatcher: Option<&wmtls_dispatcher>,
    what: Option<&mut MaybeUninit<*const c_char>>,
) -> f64 {
    panic::value(f64::NAN, || {
        let expiries = dispatcher.map(|handle| handle.dispatcher.expiries());
        let (left, entry) = match expiries {
            None => (f64::NAN, None),
            Some(Err(error)) => (f64::NAN, Some(error.kind().name().to_owned())),
            Some(Ok(expiries)) => expiries.first().map_or((1.0, None), |least| {
                (least.fraction_left, Some(format!("{} {}", least.what.name(), least.name)))
            }),
        };
        if let Some(what) = what {
            let text = dispatcher.map(|handle| handle.strings.add_optional(entry.as_deref()));
            what.write(text.unwrap_or(ptr::null()));
        }
        left
    })
}

/// Which of our identities each consumer accepted last, as this process has observed it.
pub struct wmtls_rotation_status {
    status: RotationStatus,
    strings: StringPool,
}

impl Handle for wmtls_rotation_status {}

/// Returns the progress of an identity rotation, or NULL for NULL. Free it with
/// wmtls_rotation_status_free.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_dispatcher_rotation_status(
    dispatcher: Option<&wmtls_dispatcher>,
) -> Option<Box<wmtls_rotation_status>> {
    panic::value(None, || {
        let status = dispatcher?.dispatcher.rotation_status();
        give(wmtls_rotation_status { status, strings: StringPool::new() })
    })
}

/// Returns "current" if the consumer accepted the identity in use last, "previous" if it accepted
/// an earlier one last, "unknown" if nothing was observed; NULL if there is no such consumer. The
/// text lives as long as the process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_rotation_status_of(
    status: Option<&wmtls_rotation_status>,
    consumer: *const c_char,
) -> *const c_char {
    panic::value(ptr::null(), || {
        // SAFETY: the caller follows the header's conventions.
        let Ok(Some(consumer)) = (unsafe { text::optional(consumer, "consumer") }) else {
            return ptr::null();
        };
        let found = status.and_then(|handle| handle.status.consumers.get(consumer));
        found.map_or(ptr::null(), |rotation| text::static_text(rotation.state))
    })
}

/// Returns the whole status as JSON, in the same form in every language.
/// wmtls_dispatcher_process_status and wmtls_merge make one status of those of several processes.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_rotation_status_json(
    status: Option<&wmtls_rotation_status>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        status
            .map_or(ptr::null(), |handle| handle.strings.add(&handle.status.to_json().to_string()))
    })
}

/// Frees a status.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_rotation_status_free(status: Option<Box<wmtls_rotation_status>>) {
    panic::value((), || drop(status));
}

/// Stops presenting a previous identity, for instance before its certificate is revoked. No
/// request starts under it after the function has returned.
///
/// `identity`: a previous identity. The current identity cannot be retired.
/// `force`: retires it even if it is the one that some consumers accepted last.
///
/// This process alone is asked: wmtls_retire_in_fleet asks all.
///
/// Fails with WMTLS_IDENTITY_IN_USE, whose context lists the "consumers", or with
/// WMTLS_HANDLE_CLOSED.
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

/// Stops presenting a previous identity, as wmtls_retire does, if no process of the fleet needs it. Each
/// process that may present the identity makes this call; it takes effect in its own process.
///
/// `identity`: a previous identity. The identity in use cannot be retired, neither in this process nor in
/// one of the fleet.
/// `fleet`: wmtls_fleet_status_json of wmtls_merge for the statuses of all processes. The status of each
/// may be at most five minutes old, and at most a minute ahead of our clock.
/// `force`: retires it even if it is the one that some consumers accepted last. Statuses that are old or
/// malformed are refused all the same.
///
/// Fails with WMTLS_IDENTITY_IN_USE, whose context lists the "consumers" and the "processes", with
/// WMTLS_OPTION_INVALID if `fleet` is no merged status or a status in it is too old or ahead of our clock,
/// with WMTLS_HANDLE_CLOSED, or with WMTLS_CLOCK_IMPLAUSIBLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_retire_in_fleet(
    dispatcher: Option<&wmtls_dispatcher>,
    identity: Option<&wmtls_identity>,
    fleet: *const c_char,
    force: bool,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        let identity = &required(identity, "identity")?.0;
        // SAFETY: the caller follows the header's conventions.
        let fleet = unsafe { text::required(fleet, "fleet") }?;
        required(dispatcher, "dispatcher")?
            .dispatcher
            .retire_in_fleet(identity, fleet, force)
            .map(drop)
    })
}

/// Checks the watched files of the trust and the pins now, and uses their new content.
///
/// Fails with the error of the first file that cannot be used, such as WMTLS_PEM_INVALID,
/// WMTLS_TRUST_INVALID or WMTLS_PIN_INVALID. The previous content of that file remains in use.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_reload(
    verifier: Option<&wmtls_verifier>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || first_error(&required(verifier, "verifier")?.verifier.reload()))
}

/// Returns the oldest event of a verifier, as wmtls_next_event does for a dispatcher. Free it
/// with wmtls_event_free.
///
/// `timeout_ms`: how long to wait, in milliseconds; 0 does not wait.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_next_event(
    verifier: Option<&wmtls_verifier>,
    timeout_ms: u64,
) -> Option<Box<wmtls_event>> {
    panic::value(None, || {
        let handle = verifier?;
        handle.events.next(|| handle.verifier.events(), timeout_ms)
    })
}

/// Returns a file descriptor that is readable while an event of a verifier waits, as
/// wmtls_event_fd does for a dispatcher; -1 if it cannot be made.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_event_fd(verifier: Option<&wmtls_verifier>) -> c_int {
    panic::value(-1, || {
        verifier.map_or(-1, |handle| handle.events.descriptor(|| handle.verifier.events()))
    })
}

/// Checks the watched files of keys now and uses their new content, as wmtls_verifier_reload does for
/// a verifier of peers.
///
/// Fails with the error of the first file that cannot be used.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_webhook_verifier_reload(
    verifier: Option<&wmtls_webhook_verifier>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || first_error(&required(verifier, "verifier")?.verifier.reload()))
}

/// Returns the oldest event of a verifier of webhooks, as wmtls_next_event does for a dispatcher. Free
/// it with wmtls_event_free.
///
/// `timeout_ms`: how long to wait, in milliseconds; 0 does not wait.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_webhook_verifier_next_event(
    verifier: Option<&wmtls_webhook_verifier>,
    timeout_ms: u64,
) -> Option<Box<wmtls_event>> {
    panic::value(None, || {
        let handle = verifier?;
        handle.events.next(|| handle.verifier.events(), timeout_ms)
    })
}

/// Lists when the anchors, intermediates and CRLs of a verifier expire.
///
/// `out`: receives the list; free it with wmtls_expiries_free.
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

pub(crate) fn first_error(events: &[Event]) -> Result<(), Error> {
    events.iter().find_map(Event::error).cloned().map_or(Ok(()), Err)
}
