//! What a verifier believes now: its trust and pins, rotated with the files they were read from.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use crate::clock;
use crate::error::Error;
use crate::event::{Event, Listeners};
use crate::expiry::{Expiry, Lifetime, Lifetimes, Warnings, expiries};
use crate::pin::Pins;
use crate::source::Source;
use crate::trust::Trust;
use crate::watch::{Because, Watch};

pub(super) struct Rotation {
    believed: ArcSwap<Believed>,
    watch: Watch,
    /// That of the watch when what is believed was asked for.
    epoch: AtomicU64,
    warnings: Mutex<Warnings>,
    pub(super) listeners: Listeners,
}

/// Whole, or not at all.
#[derive(Clone)]
pub(super) struct Believed {
    pub(super) trust: Trust,
    pub(super) pins: Option<Pins>,
}

impl Rotation {
    pub(super) fn new(trust: &Trust, pins: Option<&Pins>, interval: Option<Duration>) -> Self {
        let watch = Watch::new(interval);
        let believed = Believed { trust: watch.trust(trust), pins: pins.map(|it| watch.pins(it)) };
        Self {
            believed: ArcSwap::from_pointee(believed),
            epoch: AtomicU64::new(watch.epoch()),
            watch,
            warnings: Mutex::default(),
            listeners: Listeners::default(),
        }
    }

    /// What holds now; looks at the files if it is time to.
    pub(super) fn believed(&self, first: f64) -> Guard<Arc<Believed>> {
        if self.watch.is_overdue() {
            self.look(Because::Overdue, first);
        } else if self.watch.is_due() {
            self.look(Because::Polled, first);
        }
        self.believed.load()
    }

    pub(super) fn look(&self, because: Because, first: f64) -> Vec<Event> {
        let used: HashSet<Arc<Source>> = {
            let believed = self.believed.load();
            let pins = believed.pins.as_ref().and_then(Pins::origin);
            let origins = [believed.trust.origin(), pins];
            origins.into_iter().flatten().map(|origin| origin.source.clone()).collect()
        };
        let noticed = self.watch.check(because, &used);
        self.keep_up();
        let Some(noticed) = noticed else { return Vec::new() };
        let mut events: Vec<Event> = noticed.into_iter().map(|(_, event)| event).collect();
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        events
            .extend(warnings.due(&self.lifetimes(), first, |source| self.watch.rotations(source)));
        for event in &events {
            self.listeners.emit(event);
        }
        events
    }

    /// Believes what the files hold, whoever has read them.
    fn keep_up(&self) {
        let epoch = self.watch.epoch();
        if self.epoch.load(Ordering::Acquire) != epoch {
            let watch = &self.watch;
            self.believed.rcu(|now| Believed {
                trust: watch.trust(&now.trust),
                pins: now.pins.as_ref().map(|pins| watch.pins(pins)),
            });
            self.epoch.store(epoch, Ordering::Release);
        }
    }

    pub(super) fn expiries(&self) -> Result<Vec<Expiry>, Error> {
        let now = clock::now()?;
        Ok(expiries(self.lifetimes(), now))
    }

    fn lifetimes(&self) -> Lifetimes {
        Lifetime::of_trust(&self.believed.load().trust).collect()
    }
}

impl std::fmt::Debug for Rotation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rotation")
    }
}
