//! What a verifier believes now: its trust and pins, rotated with the files they were read from.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, mpsc};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use super::revocation::UnusedCrl;
use crate::clock;
use crate::error::Error;
use crate::event::{Event, Listeners};
use crate::material::expiry::{Expiry, Lifetime, Lifetimes, Warnings, expiries};
use crate::material::pin::Pins;
use crate::material::trust::Trust;
use crate::material::watch::{Because, Watch, Watched};
use crate::process::{Lock, PerProcess, own};
use crate::runtime;

/// How long a verification waits for files that nobody has looked at for too long.
const LONGEST_CATCHING_UP: Duration = Duration::from_secs(1);

pub(super) struct Rotation {
    believed: ArcSwap<Believed>,
    watch: Watch,
    _watched: Vec<Watched>,
    catching_up: PerProcess<own::Mutex<()>>,
    /// That of the watch when what is believed was asked for.
    epoch: AtomicU64,
    warnings: Lock<Warnings>,
    pub(super) listeners: Listeners,
}

/// Whole, or not at all.
#[derive(Clone)]
pub(super) struct Believed {
    pub(super) trust: Trust,
    pub(super) pins: Option<Pins>,
    /// Of each CRL of the trust, the reasons that were told why it was not used: a bit for each.
    told: Arc<[AtomicU8]>,
}

impl Believed {
    fn new(trust: Trust, pins: Option<Pins>) -> Self {
        let told = trust.crls().iter().map(|_| AtomicU8::new(0)).collect();
        Self { trust, pins, told }
    }

    /// Whether that is told for the first time since the trust is believed.
    fn is_news(&self, unused: &UnusedCrl) -> bool {
        let bit = 1 << unused.why as u8;
        let told = self.told.get(unused.position);
        told.is_some_and(|told| told.fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }
}

impl Rotation {
    pub(super) fn new(trust: &Trust, pins: Option<&Pins>, interval: Option<Duration>) -> Self {
        let watch = Watch::new(interval);
        let watched = [watch.watch_trust(trust), pins.and_then(|pins| watch.watch_pins(pins))];
        let believed = Believed::new(trust.clone(), pins.cloned());
        Self {
            _watched: watched.into_iter().flatten().collect(),
            catching_up: PerProcess::default(),
            believed: ArcSwap::from_pointee(believed),
            epoch: AtomicU64::new(watch.epoch()),
            watch,
            warnings: Lock::default(),
            listeners: Listeners::default(),
        }
    }

    /// What holds now. If it is time to, has the files looked at on a thread apart; only where nobody
    /// has looked for long, as in a child that was forked hours ago, waits for what they say.
    pub(super) fn believed(self: &Arc<Self>, first: f64) -> Guard<Arc<Believed>> {
        if self.watch.is_overdue() {
            self.catch_up(first);
        } else if self.watch.claims() {
            // Without a thread to spare, the next one to verify tries again when it is time.
            let _ = self.look_apart(Because::Polled, first);
        }
        self.believed.load()
    }

    fn catch_up(self: &Arc<Self>, first: f64) {
        let catching_up = self.catching_up.get();
        let _one = catching_up.value.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.watch.is_overdue() {
            return;
        }
        let looked = self.look_apart(Because::Overdue, first);
        // A file system that hangs must not hold up every verification.
        if looked.is_ok_and(|looked| looked.recv_timeout(LONGEST_CATCHING_UP).is_ok()) {
            return;
        }
        self.watch.excuse();
    }

    /// Looks on a thread of its own, and says when it has.
    fn look_apart(
        self: &Arc<Self>,
        because: Because,
        first: f64,
    ) -> Result<own::Receiver<()>, Error> {
        let (done, looked) = mpsc::channel();
        let rotation = self.clone();
        runtime::apart(move || {
            rotation.look(because, first);
            // Nobody may be waiting.
            let _ = done.send(());
        })?;
        Ok(looked)
    }

    pub(super) fn look(&self, because: Because, first: f64) -> Vec<Event> {
        let noticed = self.watch.check(because);
        self.keep_up();
        let Some(noticed) = noticed else { return Vec::new() };
        let mut events: Vec<Event> = noticed.into_iter().map(|(_, event)| event).collect();
        let lifetimes = self.lifetimes();
        let due = self.warnings.lock().due(&lifetimes, first, |it| self.watch.rotations(it));
        events.extend(due);
        for event in &events {
            self.listeners.emit(event);
        }
        events
    }

    /// Tells of the CRLs that were not used for a peer, of each once.
    pub(super) fn tell_unused(&self, believed: &Believed, crls: &[UnusedCrl]) {
        for crl in crls.iter().filter(|crl| believed.is_news(crl)) {
            self.listeners.emit(&crl.event());
        }
    }

    /// Believes what the files hold, whoever has read them.
    fn keep_up(&self) {
        let epoch = self.watch.epoch();
        if self.epoch.load(Ordering::Acquire) != epoch {
            let watch = &self.watch;
            self.believed.rcu(|now| {
                let pins = now.pins.as_ref().map(|pins| watch.pins(pins));
                let next = Believed::new(watch.trust(&now.trust), pins);
                let same = next.trust == now.trust;
                if same { Believed { told: now.told.clone(), ..next } } else { next }
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
