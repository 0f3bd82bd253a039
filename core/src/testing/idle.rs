//! Tracks the idle connections of a receiver, and closes them.
//!
//! A change of certificate takes effect only in a handshake, so a receiver that changes closes its idle
//! connections. The change returns when they are closed on both sides: otherwise a client could write
//! its next request to a closed connection.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::lock;

/// How long a change waits for clients to close their side. Only a stuck client takes this long.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct IdleConnections {
    connections: Mutex<BTreeSet<u64>>,
    closed: Condvar,
    /// The number of times that all idle connections were closed.
    round: watch::Sender<u64>,
}

impl IdleConnections {
    pub(super) fn new() -> Self {
        Self { connections: Mutex::default(), closed: Condvar::new(), round: watch::Sender::new(0) }
    }

    /// Closes every idle connection and waits until it is closed. Must not be called on the lab's
    /// thread, which closes them.
    pub(super) fn close_all(&self) {
        self.round.send_modify(|round| *round += 1);
        let idle = lock(&self.connections);
        let closing = idle.clone();
        let _ = self
            .closed
            .wait_timeout_while(idle, CLOSE_TIMEOUT, |now| !now.is_disjoint(&closing))
            .unwrap_or_else(PoisonError::into_inner);
    }

    /// Returns a receiver of the current round, which changes when idle connections must close.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.round.subscribe()
    }

    /// Counts a connection as idle until the guard is dropped.
    pub(super) fn enter(&self, connection: u64) -> IdleGuard<'_> {
        lock(&self.connections).insert(connection);
        IdleGuard { all: self, connection }
    }
}

/// Counts one connection as idle until it is dropped.
pub(super) struct IdleGuard<'a> {
    all: &'a IdleConnections,
    connection: u64,
}

impl Drop for IdleGuard<'_> {
    fn drop(&mut self) {
        lock(&self.all.connections).remove(&self.connection);
        self.all.closed.notify_all();
    }
}
