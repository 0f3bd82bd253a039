//! Tells the pool that something happened on an idle connection: mostly that its consumer closes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::task::Wake;

use super::pool::PoolRef;
use crate::process::own;

/// Something happened that nobody has looked at.
const RUNG: u8 = 1;
/// The connection lies in its pool.
const IDLE: u8 = 2;

/// The waker of an idle connection. A delivery that uses it has its own.
#[derive(Default)]
pub(super) struct IdleWaker {
    state: AtomicU8,
    pool: own::OnceLock<PoolRef>,
}

impl IdleWaker {
    /// Who has the connection looked at. The first one stays.
    pub(super) fn attach(&self, pool: impl FnOnce() -> PoolRef) {
        self.pool.get_or_init(pool);
    }

    /// What happens from now on, its home has looked at; what happened before, whoever calls this sees.
    pub(super) fn listen(&self) {
        self.state.store(IDLE, SeqCst);
    }

    /// It is taken into use. Whether something happened that nobody has looked at.
    pub(super) fn detach(&self) -> bool {
        self.state.swap(0, SeqCst) & RUNG != 0
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
        // Once is enough, until somebody has looked.
        if self.state.fetch_or(RUNG, SeqCst) == IDLE {
            self.pool().into_iter().for_each(|pool| pool.look(self));
        }
    }
}
