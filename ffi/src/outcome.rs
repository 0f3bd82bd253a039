//! Deliveries that nobody waits for: they are submitted, and their outcomes are taken later.

use std::ffi::{c_int, c_void};
use std::io::{Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use webhook_mtls::process::Once;
use webhook_mtls::{Endpoint, Fanout};

use crate::delivery::{Tag, wmtls_delivery};
use crate::dispatcher::wmtls_dispatcher;
use crate::endpoint::wmtls_endpoint;
use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, give, required};
use crate::panic;
use crate::receipt::wmtls_receipt;

/// What became of a delivery that was submitted: a receipt or an error.
pub struct wmtls_outcome {
    tag: Tag,
    endpoint: wmtls_endpoint,
    receipt: Option<wmtls_receipt>,
    error: Option<wmtls_error>,
}

impl Handle for wmtls_outcome {}

/// The outcomes of one dispatcher on their way to C.
pub struct Completions {
    fanout: Fanout<(Tag, Endpoint)>,
    bell: Arc<Bell>,
}

/// Makes a descriptor readable, if one was ever asked for.
#[derive(Default)]
struct Bell {
    pair: Once<Option<(UnixStream, UnixStream)>>,
}

impl Bell {
    fn descriptor(&self) -> c_int {
        let make = || {
            let (read, write) = UnixStream::pair().ok()?;
            read.set_nonblocking(true).ok()?;
            write.set_nonblocking(true).ok()?;
            Some((read, write))
        };
        self.pair.get_or_init(make).as_ref().map_or(-1, |(read, _)| read.as_raw_fd())
    }

    fn ring(&self) {
        if let Some((_, write)) = self.pair.get().and_then(Option::as_ref) {
            let mut write = write;
            // It fails only where it would block, and then it is readable already.
            let _ = write.write(&[1]);
        }
    }

    fn silence(&self) {
        if let Some((read, _)) = self.pair.get().and_then(Option::as_ref) {
            let mut read = read;
            while matches!(read.read(&mut [0; 64]), Ok(64)) {}
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

impl wmtls_dispatcher {
    fn completions(&self) -> &Completions {
        self.completions.get_or_init(|| {
            let fanout = Fanout::unbounded(&self.dispatcher).waited_for();
            Completions { fanout, bell: Arc::default() }
        })
    }
}

/// Starts a delivery and returns at once. Its outcome is taken by wmtls_next_outcome, whatever
/// becomes of it.
///
/// `consumed`: the delivery, with its tag. It is freed on failure too, and then has no outcome.
///
/// Fails with WMTLS_OPTION_INVALID, and with WMTLS_FORKED_PROCESS in a process that has forked since
/// the first delivery was submitted: make a new dispatcher there.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_submit(
    dispatcher: Option<&wmtls_dispatcher>,
    consumed: Option<Box<wmtls_delivery>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        let dispatcher = required(dispatcher, "dispatcher")?;
        let (delivery, tag) = required(consumed, "delivery")?.finish()?;
        let endpoint = delivery.endpoint.clone();
        dispatcher.completions().fanout.try_submit(delivery, (tag, endpoint))
    })
}

/// A descriptor that is readable while an outcome waits, for poll, epoll or a loop of your own. It
/// belongs to the dispatcher: do not read from it or close it. -1 if there is none to be had.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_completion_fd(dispatcher: Option<&wmtls_dispatcher>) -> c_int {
    panic::value(-1, || {
        dispatcher.map_or(-1, |dispatcher| {
            let completions = dispatcher.completions();
            let descriptor = completions.bell.descriptor();
            // From now on nobody need wait in here for a delivery to go on.
            completions.fanout.watch(Waker::from(completions.bell.clone()));
            // What finished before there was a descriptor has rung for nobody.
            if completions.fanout.check_process().is_ok() && completions.fanout.has_outcome() {
                completions.bell.ring();
            }
            descriptor
        })
    })
}

/// The next outcome, which is yours to free. NULL if none came in time, and at once if nothing is
/// under way.
///
/// A thread that waits here drives the deliveries meanwhile, which costs less than to have them driven
/// by another; once there is a wmtls_completion_fd, that other does.
///
/// `timeout_ms`: how long to wait for one; 0 does not wait, a negative number waits for ever.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_next_outcome(
    dispatcher: Option<&wmtls_dispatcher>,
    timeout_ms: c_int,
) -> Option<Box<wmtls_outcome>> {
    panic::value(None, || {
        let Completions { fanout, bell } = dispatcher?.completions();
        let limit = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        let ((tag, endpoint), outcome) = fanout.next_within(limit).ok()??;
        if !fanout.has_outcome() {
            bell.silence();
            // One may have arrived in between.
            if fanout.has_outcome() {
                bell.ring();
            }
        }
        let (receipt, error) = match outcome {
            Ok(receipt) => (Some(wmtls_receipt::new(receipt)), None),
            Err(error) => (None, Some(wmtls_error::new(error))),
        };
        give(wmtls_outcome { tag, endpoint: wmtls_endpoint::new(endpoint), receipt, error })
    })
}

/// How many deliveries are submitted and have no outcome yet.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_in_flight(dispatcher: Option<&wmtls_dispatcher>) -> usize {
    panic::value(0, || {
        dispatcher.map_or(0, |dispatcher| match dispatcher.completions() {
            Completions { fanout, .. } if fanout.check_process().is_ok() => {
                fanout.progress().in_flight
            }
            Completions { .. } => 0,
        })
    })
}

/// The tag of the delivery.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_outcome_tag(outcome: Option<&wmtls_outcome>) -> *mut c_void {
    panic::value(ptr::null_mut(), || outcome.map_or(ptr::null_mut(), |outcome| outcome.tag.0))
}

/// The endpoint of the delivery. Belongs to the outcome; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_outcome_endpoint(
    outcome: Option<&wmtls_outcome>,
) -> Option<&wmtls_endpoint> {
    panic::value(None, || outcome.map(|outcome| &outcome.endpoint))
}

/// The receipt, or NULL if the delivery failed. Belongs to the outcome; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_outcome_receipt(outcome: Option<&wmtls_outcome>) -> Option<&wmtls_receipt> {
    panic::value(None, || outcome.and_then(|outcome| outcome.receipt.as_ref()))
}

/// The error, or NULL if the delivery succeeded. Belongs to the outcome; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_outcome_error(outcome: Option<&wmtls_outcome>) -> Option<&wmtls_error> {
    panic::value(None, || outcome.and_then(|outcome| outcome.error.as_ref()))
}

/// Frees an outcome, with its receipt or error.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_outcome_free(outcome: Option<Box<wmtls_outcome>>) {
    panic::value((), || drop(outcome));
}
