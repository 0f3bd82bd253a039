//! Submitted deliveries and operations, and their outcomes.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use webhook_mtls::diagnosis::Report;
use webhook_mtls::dispatcher::Completed;
use webhook_mtls::{Endpoint, Error, Fanout, Receipt};

use crate::delivery::{Tag, wmtls_delivery};
use crate::dispatcher::wmtls_dispatcher;
use crate::endpoint::wmtls_endpoint;
use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, give, required};
use crate::panic;
use crate::probe::{self, wmtls_probe};
use crate::receipt::wmtls_receipt;
use crate::report::{self, wmtls_report};
use crate::rotation;
use crate::signal::Signal;

/// The result of a submitted delivery: a receipt or an error. Or that of a submitted probe, diagnosis,
/// reload or close.
#[derive(Default)]
pub struct wmtls_outcome {
    tag: Tag,
    endpoint: Option<wmtls_endpoint>,
    receipt: Option<wmtls_receipt>,
    probe: Option<wmtls_probe>,
    report: Option<wmtls_report>,
    error: Option<wmtls_error>,
}

impl Handle for wmtls_outcome {}

impl wmtls_outcome {
    fn new(tag: Tag, endpoint: Option<Endpoint>, result: Result<Ended, Error>) -> Self {
        let outcome = Self { tag, endpoint: endpoint.map(wmtls_endpoint::new), ..Self::default() };
        let failed = |error| Some(wmtls_error::new(error));
        match result {
            Ok(Ended::Diagnosed(report)) => {
                Self { report: Some(wmtls_report::new(report)), ..outcome }
            }
            Ok(Ended::Completed(Completed::Delivered(receipt))) => {
                Self { receipt: Some(wmtls_receipt::new(receipt)), ..outcome }
            }
            Ok(Ended::Completed(Completed::Probed(probe))) => {
                Self { probe: Some(wmtls_probe::new(probe)), ..outcome }
            }
            Ok(Ended::Completed(Completed::Reloaded(events))) => {
                Self { error: rotation::first_error(&events).err().and_then(failed), ..outcome }
            }
            Ok(Ended::Completed(_)) => outcome,
            Err(error) => Self { error: failed(error), ..outcome },
        }
    }
}

/// What a submitted delivery or operation has returned.
pub enum Ended {
    /// A delivery, a probe, a reload or a close.
    Completed(Completed),
    /// A diagnosis.
    Diagnosed(Report),
}

impl From<Receipt> for Ended {
    fn from(receipt: Receipt) -> Self {
        Self::Completed(receipt.into())
    }
}

impl From<Completed> for Ended {
    fn from(completed: Completed) -> Self {
        Self::Completed(completed)
    }
}

impl From<Report> for Ended {
    fn from(report: Report) -> Self {
        Self::Diagnosed(report)
    }
}

/// The submitted deliveries and operations of one dispatcher, and the signal that an outcome waits.
pub struct Completions {
    fanout: Fanout<(Tag, Option<Endpoint>), Ended>,
    signal: Arc<Signal>,
}

impl wmtls_dispatcher {
    fn completions(&self) -> &Completions {
        self.completions.get_or_init(|| {
            let fanout = Fanout::with_operations_in_line(&self.dispatcher).waited_for();
            Completions { fanout, signal: Arc::default() }
        })
    }
}

/// Starts a delivery and returns at once. Every delivery that it accepts has exactly one outcome,
/// which wmtls_next_outcome returns, unless the dispatcher is freed first.
///
/// At most as many deliveries as the option "max_connections" allows run at once. The others wait
/// in line, and none fails because others wait before it. The time limit of a delivery starts when
/// its turn comes; a cancel token ends a delivery that still waits.
///
/// `delivery`: with its tag; the function takes it and frees it, on failure too. A failure has no
/// outcome.
///
/// Fails with WMTLS_OVERLOADED if 65536 deliveries wait, run, or have an outcome that was not
/// taken, or if the payloads of those that wait or run would exceed 256 MiB; a wmtls_body counts
/// once. Take outcomes with wmtls_next_outcome, then submit again. Fails with the first fault of a
/// setter of the delivery. Fails with WMTLS_FORKED_PROCESS if the process has forked since the
/// dispatcher's first submission: make a new dispatcher in the child. Every other failure is an
/// outcome.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_submit(
    dispatcher: Option<&wmtls_dispatcher>,
    delivery: Option<Box<wmtls_delivery>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        let dispatcher = required(dispatcher, "dispatcher")?;
        let (delivery, tag) = required(delivery, "delivery")?.finish()?;
        let endpoint = delivery.endpoint.clone();
        dispatcher.completions().fanout.try_submit(delivery, (tag, Some(endpoint)))
    })
}

/// Starts a probe, as wmtls_dispatcher_probe does, and returns at once. wmtls_next_outcome returns its
/// outcome, with a probe (wmtls_outcome_probe) or an error. A probe does not wait for the deliveries
/// in line. A thread of the library drives it.
///
/// `endpoint`: the consumer; it may be freed once the function has returned.
/// `timeout_ms`: the time limit in milliseconds, at most 86400000 (one day); 0 uses the
/// dispatcher's.
/// `tag`: a pointer that wmtls_outcome_tag returns with the outcome; may be NULL.
///
/// Fails with WMTLS_OVERLOADED and WMTLS_FORKED_PROCESS as wmtls_submit does; an operation counts as
/// a delivery without a payload. Fails with WMTLS_OPTION_INVALID if `timeout_ms` is too long. Every
/// other failure is an outcome.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_submit_probe(
    dispatcher: Option<&wmtls_dispatcher>,
    endpoint: Option<&wmtls_endpoint>,
    timeout_ms: u64,
    tag: *mut c_void,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        let dispatcher = required(dispatcher, "dispatcher")?;
        let endpoint = &required(endpoint, "endpoint")?.endpoint;
        let tag = (Tag(tag), Some(endpoint.clone()));
        let options = probe::options(timeout_ms)?;
        dispatcher.completions().fanout.submit_probe(endpoint, options, tag)
    })
}

/// Starts a diagnosis, as wmtls_dispatcher_diagnose does, and returns at once. wmtls_next_outcome
/// returns its outcome, with a report (wmtls_outcome_report) or an error. A fault of the endpoint is in
/// the report. A diagnosis does not wait for the deliveries in line. A thread of the library drives it.
///
/// `endpoint`: the consumer; it may be freed once the function has returned.
/// `timeout_ms`: the time limit of the whole in milliseconds, at most 86400000 (one day); 0 uses the
/// dispatcher's.
/// `request`: WMTLS_DIAGNOSIS_REQUEST_HEAD or WMTLS_DIAGNOSIS_REQUEST_OPTIONS makes a request
/// without a payload after the handshake; 0 makes none.
/// `tag`: a pointer that wmtls_outcome_tag returns with the outcome; may be NULL.
///
/// Fails with WMTLS_OVERLOADED and WMTLS_FORKED_PROCESS as wmtls_submit_probe does, and with
/// WMTLS_OPTION_INVALID if `timeout_ms` is too long or `request` is another number. Every other failure
/// is an outcome.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_submit_diagnosis(
    dispatcher: Option<&wmtls_dispatcher>,
    endpoint: Option<&wmtls_endpoint>,
    timeout_ms: u64,
    request: i32,
    tag: *mut c_void,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        let dispatcher = required(dispatcher, "dispatcher")?;
        let endpoint = &required(endpoint, "endpoint")?.endpoint;
        let tag = (Tag(tag), Some(endpoint.clone()));
        let options = report::options(timeout_ms, request)?;
        dispatcher.completions().fanout.submit_diagnosis(endpoint, options, tag)
    })
}

/// Checks all watched files, as wmtls_reload does, but returns at once. The outcome, which
/// wmtls_next_outcome returns, has an error if wmtls_reload would fail, and WMTLS_CANCELED if the
/// dispatcher is closed first. It has no receipt, no probe and no endpoint. A thread of the library
/// reads the files.
///
/// `tag`: a pointer that wmtls_outcome_tag returns with the outcome; may be NULL.
///
/// Fails with WMTLS_OVERLOADED and WMTLS_FORKED_PROCESS as wmtls_submit_probe does. Every other
/// failure is an outcome.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_submit_reload(
    dispatcher: Option<&wmtls_dispatcher>,
    tag: *mut c_void,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        let completions = required(dispatcher, "dispatcher")?.completions();
        completions.fanout.submit_reload((Tag(tag), None))
    })
}

/// Closes a dispatcher, as wmtls_dispatcher_close does, but returns at once: new deliveries fail with
/// WMTLS_HANDLE_CLOSED from now on. The outcome, which wmtls_next_outcome returns, comes once nothing
/// runs any more, and after the outcomes of everything that was submitted before. It has no receipt,
/// no probe, no endpoint and no error. A thread of the library drives the deliveries to their end only
/// after the first call of wmtls_completion_fd; without it, wait in wmtls_next_outcome.
///
/// `drain_ms`: how long running deliveries may continue, in milliseconds; 0 cancels them at once.
/// `tag`: a pointer that wmtls_outcome_tag returns with the outcome; may be NULL.
///
/// Fails with WMTLS_FORKED_PROCESS as wmtls_submit does. The dispatcher stays open then.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_submit_close(
    dispatcher: Option<&wmtls_dispatcher>,
    drain_ms: u64,
    tag: *mut c_void,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        let completions = required(dispatcher, "dispatcher")?.completions();
        completions.fanout.submit_close(Duration::from_millis(drain_ms), (Tag(tag), None))
    })
}

/// Returns a file descriptor that is readable while an outcome waits, for poll, epoll or an event
/// loop; -1 if it cannot be made. The descriptor belongs to the dispatcher: do not read from it,
/// and do not close it. Each call returns the same number.
///
/// From the first call on, a thread of the library drives the submitted deliveries: they make
/// progress while the program waits for the descriptor, or does something else. Call the function
/// before the first submission, because a delivery that was submitted earlier pauses for some
/// milliseconds until that thread takes over.
///
/// In a child that was forked since the dispatcher's first submission or the first call, the
/// outcomes belong to the parent. Call this function or wmtls_next_outcome there before the child
/// waits for the descriptor: it keeps its number and is never readable. An epoll instance that
/// was made before the fork is the parent's too: make a new one in the child.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_completion_fd(dispatcher: Option<&wmtls_dispatcher>) -> c_int {
    panic::value(-1, || {
        dispatcher.map_or(-1, |dispatcher| {
            let completions = dispatcher.completions();
            let descriptor = completions.signal.descriptor();
            if completions.fanout.check_process().is_err() {
                return descriptor;
            }
            // A thread of the library drives the deliveries from now on.
            completions.fanout.watch(Waker::from(completions.signal.clone()));
            // An outcome from before the descriptor existed has not been signaled.
            if completions.fanout.has_outcome() {
                completions.signal.set();
            }
            descriptor
        })
    })
}

/// Returns the next outcome, or NULL if none arrives in time. It returns NULL at once if nothing
/// that was submitted is running. Free the outcome with wmtls_outcome_free.
///
/// `timeout_ms`: how long to wait, in milliseconds; 0 does not wait, a negative number has no
/// limit.
///
/// The waiting thread drives the deliveries, which saves a switch to another thread. After the
/// first call of wmtls_completion_fd, a thread of the library drives them instead.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_next_outcome(
    dispatcher: Option<&wmtls_dispatcher>,
    timeout_ms: c_int,
) -> Option<Box<wmtls_outcome>> {
    panic::value(None, || {
        let Completions { fanout, signal } = dispatcher?.completions();
        let limit = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        if fanout.check_process().is_err() {
            // Silences a descriptor that this process shares with its parent.
            signal.clear_unless(|| false);
            return None;
        }
        let ((tag, endpoint), outcome) = fanout.next_within(limit).ok()??;
        signal.clear_unless(|| fanout.has_outcome());
        give(wmtls_outcome::new(tag, endpoint, outcome))
    })
}

/// Returns how many submitted deliveries and operations have no outcome yet.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_in_flight(dispatcher: Option<&wmtls_dispatcher>) -> usize {
    panic::value(0, || {
        dispatcher.map_or(0, |dispatcher| match dispatcher.completions() {
            Completions { fanout, .. } if fanout.check_process().is_ok() => fanout.unfinished(),
            Completions { .. } => 0,
        })
    })
}

/// Returns the tag of the delivery, as wmtls_delivery_tag set it, or the tag of the operation.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_outcome_tag(outcome: Option<&wmtls_outcome>) -> *mut c_void {
    panic::value(ptr::null_mut(), || outcome.map_or(ptr::null_mut(), |outcome| outcome.tag.0))
}

/// Returns the endpoint of the delivery, probe or diagnosis, or NULL for a reload or close. It belongs to the
/// outcome; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_outcome_endpoint(
    outcome: Option<&wmtls_outcome>,
) -> Option<&wmtls_endpoint> {
    panic::value(None, || outcome.and_then(|outcome| outcome.endpoint.as_ref()))
}

/// Returns the receipt of a delivery, or NULL if it failed, and for another operation. It belongs to
/// the outcome; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_outcome_receipt(outcome: Option<&wmtls_outcome>) -> Option<&wmtls_receipt> {
    panic::value(None, || outcome.and_then(|outcome| outcome.receipt.as_ref()))
}

/// Returns the result of a probe, or NULL if it failed, and for another operation. It belongs to the
/// outcome; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_outcome_probe(outcome: Option<&wmtls_outcome>) -> Option<&wmtls_probe> {
    panic::value(None, || outcome.and_then(|outcome| outcome.probe.as_ref()))
}

/// Returns the report of a diagnosis, or NULL if none could be made, and for another operation. It
/// belongs to the outcome; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_outcome_report(outcome: Option<&wmtls_outcome>) -> Option<&wmtls_report> {
    panic::value(None, || outcome.and_then(|outcome| outcome.report.as_ref()))
}

/// Returns the error, or NULL if the delivery or operation succeeded. It belongs to the outcome; do
/// not free it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_outcome_error(outcome: Option<&wmtls_outcome>) -> Option<&wmtls_error> {
    panic::value(None, || outcome.and_then(|outcome| outcome.error.as_ref()))
}

/// Frees an outcome, with its receipt, probe, report or error.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_outcome_free(outcome: Option<Box<wmtls_outcome>>) {
    panic::value((), || drop(outcome));
}
