//! The watched files of one dispatcher or verifier, each as long as somebody uses its material.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::Material;
use crate::material::source::Source;
use crate::process::{Lock, Locked};

#[derive(Default)]
pub(super) struct Entries {
    table: Lock<HashMap<Arc<Source>, Entry>>,
    /// Of the table, for who must not wait.
    count: AtomicUsize,
}

/// What the files of one source last held that could be used.
pub(super) struct Entry {
    pub(super) current: Material,
    pub(super) rotations: u64,
    /// New content, and when it was first seen.
    pub(super) candidate: Option<([u8; 32], Instant)>,
    pub(super) trouble: Option<Trouble>,
    pub(super) key_was_open: bool,
    users: usize,
}

/// Content that cannot be used, or files that cannot be read.
pub(super) struct Trouble {
    pub(super) what: Vec<u8>,
    pub(super) since: Instant,
    pub(super) told: bool,
}

/// Files are watched until this is dropped. Paths, passphrase and material are forgotten with the
/// last one of a source.
pub(crate) struct Watched {
    entries: Arc<Entries>,
    source: Arc<Source>,
}

impl Watched {
    /// * `given`: what the files held when they were read; whoever watches them already knows more.
    pub(super) fn new(entries: &Arc<Entries>, source: Arc<Source>, given: Material) -> Self {
        let mut table = entries.lock();
        let entry = table.entry(source.clone()).or_insert_with(|| Entry {
            current: given,
            rotations: 0,
            candidate: None,
            trouble: None,
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
        // Megabytes of CRLs are not freed under the lock.
        drop(table);
        drop(unused);
    }
}

impl Entries {
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Whether the material in use was read from files with this digest.
    pub(super) fn holds(&self, source: &Arc<Source>, digest: &[u8; 32]) -> bool {
        let table = self.lock();
        let origin = table.get(source).and_then(|entry| entry.current.origin());
        origin.is_some_and(|origin| origin.digest == *digest)
    }

    pub(super) fn lock(&self) -> Locked<'_, HashMap<Arc<Source>, Entry>> {
        self.table.lock()
    }
}
