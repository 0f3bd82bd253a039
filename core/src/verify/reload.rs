//! The current trust and pins of a verifier, reloaded when their files change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use super::revocation::UnusedCrl;
use crate::clock;
use crate::error::Error;
use crate::event::{Event, Listeners};
use crate::log::LogSinks;
use crate::material::expiry::{Expiry, Lifetime, Lifetimes, Warnings, expiries};
use crate::material::pin::Pins;
use crate::material::trust::Trust;
use crate::material::watch::{CheckReason, ChecksOnUse, Watch, Watched};
use crate::metrics::{Metrics, VerifierCells, add_expiries, row};
use crate::process::{Lock, PerProcess};

/// Holds the material of a verifier and reloads it.
pub(super) struct MaterialReloader {
    current: ArcSwap<VerifierMaterial>,
    watch: Watch,
    _watched: Vec<Watched>,
    checks: ChecksOnUse,
    /// The epoch of the watch when `current` was read from it.
    epoch: AtomicU64,
    warnings: Lock<Warnings>,
    pub(super) listeners: Listeners,
    pub(super) metrics: PerProcess<VerifierCells>,
    log: LogSinks,
}

/// Trust and pins, which are replaced together.
#[derive(Clone)]
pub(super) struct VerifierMaterial {
    pub(super) trust: Trust,
    pub(super) pins: Option<Pins>,
    /// For each CRL of the trust, the reasons for which an event was emitted: one bit per reason.
    reported: Arc<[AtomicU8]>,
}

impl VerifierMaterial {
    fn new(trust: Trust, pins: Option<Pins>) -> Self {
        let reported = trust.crls().iter().map(|_| AtomicU8::new(0)).collect();
        Self { trust, pins, reported }
    }

    /// Marks the reason as reported. Returns whether it was not before.
    fn mark_reported(&self, unused: &UnusedCrl) -> bool {
        let bit = 1 << unused.why as u8;
        let reported = self.reported.get(unused.position);
        reported.is_some_and(|bits| bits.fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }
}

impl MaterialReloader {
    pub(super) fn new(
        trust: &Trust,
        pins: Option<&Pins>,
        interval: Option<Duration>,
        log: LogSinks,
    ) -> Self {
        let watch = Watch::new(interval);
        let watched = [watch.watch_trust(trust), pins.and_then(|pins| watch.watch_pins(pins))];
        let current = VerifierMaterial::new(trust.clone(), pins.cloned());
        Self {
            _watched: watched.into_iter().flatten().collect(),
            checks: ChecksOnUse::default(),
            current: ArcSwap::from_pointee(current),
            epoch: AtomicU64::new(watch.epoch()),
            watch,
            warnings: Lock::default(),
            listeners: Listeners::default(),
            metrics: PerProcess::default(),
            log,
        }
    }

    /// Returns the current material. If a check of the files is due, starts it on a separate thread.
    ///
    /// * `first`: the fraction of a lifetime at which the first expiry warning is due.
    pub(super) fn current(self: &Arc<Self>, first: f64) -> Guard<Arc<VerifierMaterial>> {
        self.checks.before_use(&self.watch, || {
            let reloader = self.clone();
            move |reason| drop(reloader.check(reason, first))
        });
        self.current.load()
    }

    /// Checks the files, and emits the events of the check. Blocks.
    pub(super) fn check(&self, reason: CheckReason, first: f64) -> Vec<Event> {
        let found = self.watch.check(reason);
        self.update();
        let Some(found) = found else { return Vec::new() };
        let mut events: Vec<Event> = found.into_iter().map(|(_, event)| event).collect();
        let lifetimes = self.lifetimes();
        let due = self.warnings.lock().due(&lifetimes, first, |it| self.watch.rotations(it));
        events.extend(due);
        for event in &events {
            self.emit(event);
        }
        events
    }

    /// Emits an event for each CRL that was not used for a peer, once per CRL and reason.
    pub(super) fn report_unused(&self, material: &VerifierMaterial, crls: &[UnusedCrl]) {
        for crl in crls.iter().filter(|crl| material.mark_reported(crl)) {
            self.emit(&crl.event());
        }
    }

    /// Counts and logs an event, and emits it to the listeners.
    fn emit(&self, event: &Event) {
        self.metrics.get().value.events.count(event);
        self.log.write(|| event.log_record());
        self.listeners.emit(event);
    }

    /// Adds what the verifier has counted, and what expires.
    pub(super) fn show(&self, metrics: &mut Metrics) {
        self.metrics.get().value.show(metrics);
        metrics.count(row::EVENTS_LOST, &[], self.listeners.lost());
        // Without a plausible clock, nothing can be said about a remaining lifetime.
        let all = self.expiries().unwrap_or_default().into_iter();
        add_expiries(metrics, all.map(Expiry::into_gauge));
    }

    /// Takes over the material of the watch if it has changed.
    fn update(&self) {
        let epoch = self.watch.epoch();
        if self.epoch.load(Ordering::Acquire) != epoch {
            let watch = &self.watch;
            self.current.rcu(|now| {
                let pins = now.pins.as_ref().map(|pins| watch.pins(pins));
                let next = VerifierMaterial::new(watch.trust(&now.trust), pins);
                let same = next.trust == now.trust;
                if same {
                    VerifierMaterial { reported: now.reported.clone(), ..next }
                } else {
                    next
                }
            });
            self.epoch.store(epoch, Ordering::Release);
        }
    }

    pub(super) fn expiries(&self) -> Result<Vec<Expiry>, Error> {
        let now = clock::now()?;
        Ok(expiries(self.lifetimes(), now))
    }

    fn lifetimes(&self) -> Lifetimes {
        Lifetime::of_trust(&self.current.load().trust).collect()
    }
}

impl std::fmt::Debug for MaterialReloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MaterialReloader")
    }
}
