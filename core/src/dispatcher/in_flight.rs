//! Counts the deliveries under way, so that closing can wait for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::process::{self, PerProcess, own};

/// The deliveries of one dispatcher that have not ended.
#[derive(Clone, Default)]
pub(super) struct Flights {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    count: AtomicU64,
    /// Whether anybody ever waited for them to end: as a rule nobody, and nobody is told.
    awaited: AtomicBool,
    landed: PerProcess<own::Notify>,
}

/// One delivery; it ends when this is dropped.
pub(super) struct Flight {
    flights: Flights,
    process: u32,
}

impl Flights {
    pub(super) fn start(&self) -> Flight {
        let process = process::id();
        let more = |count| Some(tagged(process, flying(count, process) + 1));
        let _ = self.inner.count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        Flight { flights: self.clone(), process }
    }

    /// Returns once no more than `most` are under way.
    pub(super) async fn down_to(&self, most: u64) {
        let Inner { count, awaited, landed } = &*self.inner;
        // In this order: one that ends sees that somebody waits, or is seen to have ended.
        awaited.store(true, Ordering::SeqCst);
        let landed = landed.get();
        loop {
            let mut landed = std::pin::pin!(landed.value.notified());
            landed.as_mut().enable();
            if flying(count.load(Ordering::SeqCst), process::id()) <= most {
                return;
            }
            landed.await;
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Inner { count, awaited, landed } = &*self.flights.inner;
        // Where a child counts its own by now, there is none less.
        let less = |count| {
            let before = flying(count, self.process);
            (before > 0).then(|| tagged(self.process, before - 1))
        };
        let before = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        if before.is_ok() && awaited.load(Ordering::SeqCst) {
            landed.get().value.notify_waiters();
        }
    }
}

/// How many fly, and in which process: those of a parent never land in a child, which counts its own.
fn tagged(process: u32, flying: u64) -> u64 {
    u64::from(process) << 32 | flying
}

fn flying(count: u64, process: u32) -> u64 {
    if count >> 32 == u64::from(process) { count & u64::from(u32::MAX) } else { 0 }
}
