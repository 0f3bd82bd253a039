//! Counts the deliveries in flight, so that `close` can wait for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::process::{self, PerProcess, own};

/// The number of deliveries of one dispatcher that have not ended.
#[derive(Clone, Default)]
pub(crate) struct InFlight {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The count, tagged with its process.
    count: AtomicU64,
    /// Whether `close` has ever waited. Until then, the end of a delivery notifies no task.
    awaited: AtomicBool,
    ended: PerProcess<own::Notify>,
}

/// Counts one delivery as in flight until it is dropped.
pub(crate) struct InFlightGuard {
    in_flight: InFlight,
    process: u32,
}

impl InFlight {
    /// Counts one more delivery.
    pub(super) fn start(&self) -> InFlightGuard {
        let process = process::id();
        let more = |count| Some(tagged(process, count_in(count, process) + 1));
        let _ = self.inner.count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        InFlightGuard { in_flight: self.clone(), process }
    }

    /// Returns how many deliveries of this process have not ended.
    pub(crate) fn count(&self) -> u64 {
        count_in(self.inner.count.load(Ordering::SeqCst), process::id())
    }

    /// Returns once at most `most` deliveries are in flight.
    pub(crate) async fn wait_until_at_most(&self, most: u64) {
        let Inner { count, awaited, ended } = &*self.inner;
        // In this order: a delivery that ends either sees `awaited`, or the count below excludes it.
        awaited.store(true, Ordering::SeqCst);
        let ended = ended.get();
        loop {
            let mut ended = std::pin::pin!(ended.value.notified());
            ended.as_mut().enable();
            if count_in(count.load(Ordering::SeqCst), process::id()) <= most {
                return;
            }
            ended.await;
        }
    }
}

impl InFlightGuard {
    /// The process that makes the delivery.
    pub(super) fn process(&self) -> u32 {
        self.process
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let Inner { count, awaited, ended } = &*self.in_flight.inner;
        // In a forked child, the count is tagged with the child: a delivery of the parent does not
        // decrement it.
        let less = |count| {
            let before = count_in(count, self.process);
            (before > 0).then(|| tagged(self.process, before - 1))
        };
        let before = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        if before.is_ok() && awaited.load(Ordering::SeqCst) {
            ended.get().value.notify_waiters();
        }
    }
}

/// Tags a count with its process. A child counts its own deliveries: those of its parent never end in
/// the child.
fn tagged(process: u32, count: u64) -> u64 {
    u64::from(process) << 32 | count
}

/// Returns the count if it belongs to this process, otherwise 0.
fn count_in(tagged: u64, process: u32) -> u64 {
    if tagged >> 32 == u64::from(process) { tagged & u64::from(u32::MAX) } else { 0 }
}
