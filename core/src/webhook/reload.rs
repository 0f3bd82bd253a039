//! The current keys of a verifier of webhooks, reloaded when their files change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use super::options::ByTenant;
use crate::event::{Event, Listeners};
use crate::material::JwtKeys;
use crate::material::watch::{CheckReason, ChecksOnUse, Watch, Watched};

/// Holds the keys of a verifier and reloads them.
pub(super) struct KeyReloader {
    current: ArcSwap<ByTenant<JwtKeys>>,
    watch: Watch,
    _watched: Vec<Watched>,
    checks: ChecksOnUse,
    /// The epoch of the watch when `current` was read from it.
    epoch: AtomicU64,
    pub(super) listeners: Listeners,
}

impl KeyReloader {
    pub(super) fn new(keys: &ByTenant<JwtKeys>, interval: Option<Duration>) -> Self {
        let watch = Watch::new(interval);
        let watched = keys.values().filter_map(|keys| watch.watch_jwt_keys(keys)).collect();
        Self {
            current: ArcSwap::from_pointee(keys.clone()),
            _watched: watched,
            checks: ChecksOnUse::default(),
            epoch: AtomicU64::new(watch.epoch()),
            watch,
            listeners: Listeners::default(),
        }
    }

    /// Returns the current keys. If a check of the files is due, starts it on a separate thread.
    pub(super) fn current(self: &Arc<Self>) -> Guard<Arc<ByTenant<JwtKeys>>> {
        self.checks.before_use(&self.watch, || {
            let reloader = self.clone();
            move |reason| drop(reloader.check(reason))
        });
        self.current.load()
    }

    /// Checks the files, and emits the events of the check. Blocks.
    pub(super) fn check(&self, reason: CheckReason) -> Vec<Event> {
        let found = self.watch.check(reason);
        let epoch = self.watch.epoch();
        if self.epoch.load(Ordering::Acquire) != epoch {
            self.current.rcu(|now| now.map(|keys| self.watch.jwt_keys(keys)));
            self.epoch.store(epoch, Ordering::Release);
        }
        let events: Vec<Event> = found.into_iter().flatten().map(|(_, event)| event).collect();
        for event in &events {
            self.listeners.emit(event);
        }
        events
    }
}

impl std::fmt::Debug for KeyReloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyReloader")
    }
}
