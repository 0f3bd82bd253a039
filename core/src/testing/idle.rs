//! The connections that wait for a request, and how to make them leave.
//!
//! A change of certificate shows only in a handshake, so a receiver that changes closes the
//! connections it kept alive. The change returns when they are closed *on both sides*: a client
//! that had not noticed yet would write its next request into a connection that is gone.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::lock;

/// How long a change waits for clients to close their side. Only one that is stuck takes this long.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct IdleConnections {
    waiting: Mutex<BTreeSet<u64>>,
    left: Condvar,
    /// Counts the times that the idle had to leave.
    round: watch::Sender<u64>,
}

impl IdleConnections {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::default(), left: Condvar::new(), round: watch::Sender::new(0) }
    }

    /// Makes every idle connection leave and waits until it has. Never called on the lab's thread.
    pub(super) fn dismiss(&self) {
        self.round.send_modify(|round| *round += 1);
        let waiting = lock(&self.waiting);
        let dismissed = waiting.clone();
        let _ = self
            .left
            .wait_timeout_while(waiting, PATIENCE, |now| !now.is_disjoint(&dismissed))
            .unwrap_or_else(PoisonError::into_inner);
    }

    /// Tells the current round, and completes `changed` when the next one begins.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.round.subscribe()
    }

    /// Counts a connection as idle until the guard is dropped.
    pub(super) fn enter(&self, connection: u64) -> Idle<'_> {
        lock(&self.waiting).insert(connection);
        Idle { all: self, connection }
    }
}

pub(super) struct Idle<'a> {
    all: &'a IdleConnections,
    connection: u64,
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        lock(&self.all.waiting).remove(&self.connection);
        self.all.left.notify_all();
    }
}
