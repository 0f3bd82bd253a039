//! Idle connections of one generation of one endpoint. They die with the generation.

use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::Connection;

/// How many connections to one endpoint are kept.
const MOST_IDLE: usize = 8;

/// Servers close idle connections after 60 seconds and more: to be earlier avoids the race.
const LONGEST_IDLE: Duration = Duration::from_secs(50);

/// The idle connections, the one used last on top.
pub(crate) struct Pool {
    process: AtomicU32,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(crate) fn new() -> Self {
        Self { process: AtomicU32::new(process::id()), idle: Mutex::default() }
    }

    /// A connection that is open, fresh enough, and valid at this instant (Unix seconds).
    pub(crate) fn take(&self, now: i64) -> Option<Connection> {
        self.with(|idle| {
            idle.retain(|connection| {
                connection.is_open()
                    && connection.is_valid_at(now)
                    && connection.idle_since().elapsed() < LONGEST_IDLE
            });
            idle.pop()
        })
        .flatten()
    }

    /// Keeps a connection for later, unless it is of no use or there are enough.
    pub(crate) fn put(&self, connection: Connection) {
        if connection.is_open() {
            self.with(|idle| {
                idle.push(connection);
                if idle.len() > MOST_IDLE { Some(idle.remove(0)) } else { None }
            });
        }
    }

    /// Closes what is idle.
    pub(crate) fn clear(&self) {
        self.with(std::mem::take);
    }

    /// Nothing where the process has just forked: what was inherited belongs to the parent, and its
    /// lock may be held by a thread that does not exist here.
    fn with<T>(&self, work: impl FnOnce(&mut Vec<Connection>) -> T) -> Option<T> {
        let process = process::id();
        if self.process.load(Ordering::Relaxed) != process {
            let mut inherited = self.idle.try_lock().ok()?;
            std::mem::forget(std::mem::take(&mut *inherited));
            self.process.store(process, Ordering::Relaxed);
        }
        self.idle.lock().ok().map(|mut idle| work(&mut idle))
    }
}
