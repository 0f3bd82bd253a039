//! Counts the deliveries under way, so that closing can wait for them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::process;

/// The deliveries of one dispatcher that have not ended.
#[derive(Clone, Default)]
pub(super) struct Flights {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    count: Mutex<Count>,
    landed: Notify,
}

/// Those of a parent process never land in a child: each process counts its own.
#[derive(Default)]
struct Count {
    process: u32,
    flying: usize,
}

/// One delivery; it ends when this is dropped.
pub(super) struct Flight {
    flights: Flights,
    process: u32,
}

impl Flights {
    pub(super) fn start(&self) -> Flight {
        let mut count = self.count();
        count.flying += 1;
        Flight { flights: self.clone(), process: count.process }
    }

    /// Returns once none is under way.
    pub(super) async fn landed(&self) {
        loop {
            let mut landed = std::pin::pin!(self.inner.landed.notified());
            landed.as_mut().enable();
            if self.count().flying == 0 {
                return;
            }
            landed.await;
        }
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        let mut count = self.inner.count.lock().unwrap_or_else(PoisonError::into_inner);
        let process = process::id();
        if count.process != process {
            *count = Count { process, flying: 0 };
        }
        count
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut count = self.flights.count();
        if count.process == self.process {
            count.flying -= 1;
            if count.flying == 0 {
                self.flights.inner.landed.notify_waiters();
            }
        }
    }
}
