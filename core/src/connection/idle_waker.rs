//! Reports an event on an idle connection to its pool. Mostly the consumer has closed it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::task::Wake;

use super::pool::PoolRef;
use crate::process::own;

/// An event has occurred that no reader has processed.
const WOKEN: u8 = 1;
/// The connection is in its pool.
const IDLE: u8 = 2;

/// The waker of an idle connection. A delivery that uses the connection has its own waker.
#[derive(Default)]
pub(super) struct IdleWaker {
    state: AtomicU8,
    pool: own::OnceLock<PoolRef>,
}

impl IdleWaker {
    /// Sets the pool to report to. Only the first call has an effect.
    pub(super) fn attach(&self, pool: impl FnOnce() -> PoolRef) {
        self.pool.get_or_init(pool);
    }

    /// Arms the waker. The caller must poll for earlier events.
    pub(super) fn listen(&self) {
        self.state.store(IDLE, SeqCst);
    }

    /// Disarms the waker. Returns whether an event has occurred that no reader has processed.
    pub(super) fn detach(&self) -> bool {
        self.state.swap(0, SeqCst) & WOKEN != 0
    }

    pub(super) fn pool(&self) -> Option<&PoolRef> {
        self.pool.get()
    }
}

impl Wake for IdleWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Report one event only. `listen` arms the waker again.
        if self.state.fetch_or(WOKEN, SeqCst) == IDLE {
            self.pool().into_iter().for_each(|pool| pool.check(self));
        }
    }
}
