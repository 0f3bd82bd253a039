//! Running a future on the calling thread, which blocks.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::lane::{self, Caller, INTERRUPT_INTERVAL, Lane};
use super::time::before;
use crate::error::{Error, Kind};
use crate::process::{self, OfThisProcess};

/// Runs a future of a lane on the calling thread, which blocks and drives the lane.
///
/// * `interrupt`: called every 50 ms, outside of the lane. If it returns true, the future is dropped
///   and `None` returned. `None` runs the future to its end.
///
/// Returns `None` as well in a child that `interrupt` has forked.
pub(crate) fn drive_in<F: Future>(
    lane: &Arc<Lane>,
    future: F,
    interrupt: Option<&mut dyn FnMut() -> bool>,
) -> Option<F::Output> {
    let mut future = pin!(OfThisProcess::new(future));
    let Some(interrupt) = interrupt else {
        let _caller = Caller::enter(lane);
        return Some(lane.runtime.block_on(future));
    };
    loop {
        let caller = Caller::enter(lane);
        let by = Instant::now() + INTERRUPT_INTERVAL;
        let output = lane.runtime.block_on(before(by, future.as_mut()));
        drop(caller);
        // If the interrupt has forked, this process is the child, and the lane is its parent's.
        if output.is_some() || interrupt() || lane.process != process::id() {
            return output;
        }
    }
}

/// Runs a future of a lane on the calling thread for at most `limit`, without an interrupt. `None`
/// sets no limit.
///
/// Returns `None` if the future did not complete in time.
pub(crate) fn drive_in_for<F: Future>(
    lane: &Arc<Lane>,
    future: F,
    limit: Option<Duration>,
) -> Option<F::Output> {
    match limit.and_then(|limit| Instant::now().checked_add(limit)) {
        None => drive_in(lane, future, None),
        Some(by) => drive_in(lane, before(by, pin!(future)), None)?,
    }
}

/// Returns whether this thread is inside a tokio runtime, ours or the caller's, and so may not drive
/// another.
pub(crate) fn is_inside() -> bool {
    Handle::try_current().is_ok()
}

/// Returns whether this thread runs a lane at this moment. Nothing in that lane makes progress while
/// the thread waits: it is in a callback for a delivery's outcome, or in a signal handler of C.
pub(crate) fn is_in_lane() -> bool {
    lane::current().is_some() && is_inside()
}

/// The error for a [`drive`] that returned `None` although its interrupt never returned true.
pub fn undriven() -> Error {
    if is_in_lane() {
        let why = "the calling thread runs the deliveries that it would wait for";
        return Error::new(Kind::Overloaded, why).advising(
            "Wait on a thread that is not in a callback or signal handler of this library.",
        );
    }
    Error::of_parent("the thread waited for work of the process that forked")
}

/// Runs a future to its end on the calling thread, which blocks.
///
/// * `interrupt`: called every 50 ms. If it returns true, the future is dropped and `None` returned.
///
/// Returns `None` as well if waiting would never end: on a thread that runs a lane at this moment,
/// and in a child that `interrupt` has forked. [`undriven`] gives the reason.
pub fn drive<F: Future>(future: F, mut interrupt: impl FnMut() -> bool) -> Option<F::Output> {
    let process = process::id();
    let mut future = pin!(OfThisProcess::new(future));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut asked = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        if is_in_lane() {
            return None;
        }
        thread::park_timeout(INTERRUPT_INTERVAL);
        // Most wake-ups bring the output, and an interrupt may have to take an interpreter's lock.
        if asked.elapsed() >= INTERRUPT_INTERVAL {
            asked = Instant::now();
            if interrupt() || process != process::id() {
                return None;
            }
        }
    }
}

/// Runs a future on the calling thread, which blocks for at most `limit`. `None` sets no limit.
///
/// Drops the future and returns `None` if it did not complete in time.
pub(crate) fn drive_for<F: Future>(future: F, limit: Option<Duration>) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let started = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        match limit {
            None => thread::park(),
            Some(limit) => match limit.checked_sub(started.elapsed()) {
                Some(left) if !left.is_zero() => thread::park_timeout(left),
                _ => return None,
            },
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
