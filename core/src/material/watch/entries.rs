//! The watched files of one dispatcher or verifier. An entry exists as long as its material is used.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::Material;
use crate::material::source::Source;
use crate::process::{Lock, Locked};

/// The watched sources, with the last usable content of their files.
#[derive(Default)]
pub(super) struct Entries {
    table: Lock<HashMap<Arc<Source>, Entry>>,
    /// The number of entries, readable without the lock.
    count: AtomicUsize,
}

/// The last usable content of one source, and the state of its checks.
pub(super) struct Entry {
    pub(super) current: Material,
    pub(super) rotations: u64,
    /// The digest of new content, and the time at which it was first seen.
    pub(super) candidate: Option<([u8; 32], Instant)>,
    pub(super) failure: Option<PendingFailure>,
    pub(super) key_was_open: bool,
    users: usize,
}

/// Unusable content or unreadable files, reported once per cause.
pub(super) struct PendingFailure {
    /// Equal for equal failures.
    pub(super) cause: Vec<u8>,
    pub(super) since: Instant,
    pub(super) reported: bool,
}

/// Watches the files of a source until it is dropped. The entry with paths, passphrase and material is
/// removed with the last guard of the source.
pub(crate) struct Watched {
    entries: Arc<Entries>,
    source: Arc<Source>,
}

impl Watched {
    /// * `initial`: the material as read from the files. Not used if the source is watched already,
    ///   because that entry may be newer.
    pub(super) fn new(entries: &Arc<Entries>, source: Arc<Source>, initial: Material) -> Self {
        let mut table = entries.lock();
        let entry = table.entry(source.clone()).or_insert_with(|| Entry {
            current: initial,
            rotations: 0,
            candidate: None,
            failure: None,
            key_was_open: false,
            users: 0,
        });
        entry.users += 1;
        entries.count.store(table.len(), Ordering::Relaxed);
        drop(table);
        Self { entries: entries.clone(), source }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut table = self.entries.lock();
        let Some(entry) = table.get_mut(&self.source) else { return };
        entry.users -= 1;
        let unused = if entry.users == 0 { table.remove(&self.source) } else { None };
        self.entries.count.store(table.len(), Ordering::Relaxed);
        // Frees the material outside the lock, because it may hold megabytes of CRLs.
        drop(table);
        drop(unused);
    }
}

impl Entries {
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Returns whether the current material was read from files with this digest.
    pub(super) fn holds(&self, source: &Arc<Source>, digest: &[u8; 32]) -> bool {
        let table = self.lock();
        let origin = table.get(source).and_then(|entry| entry.current.origin());
        origin.is_some_and(|origin| origin.digest == *digest)
    }

    pub(super) fn lock(&self) -> Locked<'_, HashMap<Arc<Source>, Entry>> {
        self.table.lock()
    }
}
