//! Checks of watched files for an owner without a thread of its own: each use starts those that are due.

use std::sync::{PoisonError, mpsc};
use std::time::Duration;

use super::{CheckReason, Watch};
use crate::error::Error;
use crate::process::{PerProcess, own};
use crate::runtime;

/// The longest time that a use waits for an overdue check of the files.
const MAX_CATCH_UP: Duration = Duration::from_secs(1);

/// The checks of one owner.
#[derive(Default)]
pub(crate) struct ChecksOnUse {
    catching_up: PerProcess<own::Mutex<()>>,
}

impl ChecksOnUse {
    /// Starts a check of the files on a separate thread if one is due.
    ///
    /// Waits for the check only if it is long overdue, as in a child that was forked hours after its
    /// parent read the files.
    ///
    /// * `make`: makes the function that checks.
    pub(crate) fn before_use<C>(&self, watch: &Watch, make: impl Fn() -> C)
    where
        C: FnOnce(CheckReason) + Send + 'static,
    {
        if watch.is_overdue() {
            self.catch_up(watch, make());
        } else if watch.claim_due_check() {
            // If no thread can be started, a later use tries again when the next check is due.
            let _ = spawn(CheckReason::Polled, make());
        }
    }

    fn catch_up<C>(&self, watch: &Watch, check: C)
    where
        C: FnOnce(CheckReason) + Send + 'static,
    {
        let catching_up = self.catching_up.get();
        let _one = catching_up.value.lock().unwrap_or_else(PoisonError::into_inner);
        if !watch.is_overdue() {
            return;
        }
        let finished = spawn(CheckReason::Overdue, check);
        // A file system that hangs must not delay every use.
        if finished.is_ok_and(|finished| finished.recv_timeout(MAX_CATCH_UP).is_ok()) {
            return;
        }
        watch.mark_checked();
    }
}

/// Checks the files on a separate thread. The receiver gets a message at the end.
fn spawn<C>(reason: CheckReason, check: C) -> Result<own::Receiver<()>, Error>
where
    C: FnOnce(CheckReason) + Send + 'static,
{
    let (done, finished) = mpsc::channel();
    runtime::apart(move || {
        check(reason);
        // The receiver may be gone.
        let _ = done.send(());
    })?;
    Ok(finished)
}
