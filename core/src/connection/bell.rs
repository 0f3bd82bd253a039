//! Tells the pool that something happened on an idle connection: mostly that its consumer closes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::task::Wake;

use super::pool::Home;
use crate::process::own;

/// Something happened that nobody has looked at.
const RUNG: u8 = 1;
/// The connection lies in its pool.
const IDLE: u8 = 2;

/// The waker of an idle connection. A delivery that uses it has its own.
#[derive(Default)]
pub(super) struct Bell {
    state: AtomicU8,
    home: own::OnceLock<Home>,
}

impl Bell {
    /// Who has the connection looked at. The first one stays.
    pub(super) fn attach(&self, home: impl FnOnce() -> Home) {
        self.home.get_or_init(home);
    }

    /// What happens from now on, its home has looked at; what happened before, whoever calls this sees.
    pub(super) fn listen(&self) {
        self.state.store(IDLE, SeqCst);
    }

    /// It is taken into use. Whether something happened that nobody has looked at.
    pub(super) fn detach(&self) -> bool {
        self.state.swap(0, SeqCst) & RUNG != 0
    }

    pub(super) fn home(&self) -> Option<&Home> {
        self.home.get()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Once is enough, until somebody has looked.
        if self.state.fetch_or(RUNG, SeqCst) == IDLE {
            self.home().into_iter().for_each(|home| home.look(self));
        }
    }
}
