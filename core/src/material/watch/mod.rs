//! Floor 3: watching the files that material was read from. One mechanism serves dispatchers and
//! verifiers.
//!
//! Files are compared by content, never by time stamp. New content is taken only when it was the same
//! at two readings, so that a file that is being written is left alone, and only as a whole: what
//! cannot be used leaves the former material in use. Nothing here knows who uses the material.

mod entries;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock;
use crate::error::{Error, Kind};
use crate::event::{Event, EventName};
use crate::material::identity::Identity;
use crate::material::pin::Pins;
use crate::material::source::{Patience, Snapshot, Source, read_each};
use crate::material::trust::Trust;
use crate::process::{self, Once, PerProcess, own};
pub(crate) use entries::Watched;
use entries::{Entries, Trouble};

/// How long a fault of polled files must last before it is told: while they are being replaced, files
/// do not fit together for a moment.
const PATIENCE: Duration = Duration::from_secs(4);

/// The bounds of the time that new content must stay the same before it is taken.
const SHORTEST_SETTLING: Duration = Duration::from_millis(10);
const LONGEST_SETTLING: Duration = Duration::from_secs(1);

/// How long new content must stay the same at most for a caller who waits.
const SETTLING_ON_DEMAND: Duration = Duration::from_millis(100);

/// How often content that keeps changing is looked at again within one check.
const MOST_SETTLINGS: usize = 10;

/// What files may hold.
#[derive(Clone)]
pub(crate) enum Material {
    Identity(Identity),
    Trust(Trust),
    Pins(Pins),
}

/// Why files are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckReason {
    /// It was time.
    Polled,
    /// Nobody has looked for long, and somebody waits to use the material.
    Overdue,
    /// Somebody asked, and wants to know at once what is wrong.
    OnDemand,
}

/// The files of one dispatcher or verifier, with what they last held that could be used.
pub(crate) struct Watch {
    /// `None`: only on demand.
    interval: Option<Duration>,
    entries: Arc<Entries>,
    /// Changes whenever an entry does.
    epoch: AtomicU64,
    /// Held while files are read. A child must not wait for a thread of its parent.
    checking: PerProcess<own::Mutex<()>>,
    /// When files were last looked at, in milliseconds of [`monotonic`].
    checked: AtomicU64,
    /// Whether new content was seen once and is to be looked at again soon.
    unsettled: AtomicBool,
    /// The process that polls.
    polling: AtomicU32,
}

impl Watch {
    pub(crate) fn new(interval: Option<Duration>) -> Self {
        Self {
            interval,
            entries: Arc::default(),
            epoch: AtomicU64::new(0),
            checking: PerProcess::default(),
            checked: AtomicU64::new(monotonic()),
            unsettled: AtomicBool::new(false),
            polling: AtomicU32::new(0),
        }
    }

    /// How long to wait before the next look; `None` if nobody is to look unasked.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.interval.map(|interval| {
            let unsettled = self.unsettled.load(Ordering::Relaxed);
            if unsettled { settling(interval) } else { interval }
        })
    }

    /// Whether there are no files to watch.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of sources that are watched.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// A number that changes with every change of the material.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// True once in each process: for whoever is to begin to poll there.
    pub(crate) fn claim_polling(&self) -> bool {
        let process = process::id();
        self.polling.load(Ordering::Relaxed) != process
            && self.polling.swap(process, Ordering::AcqRel) != process
    }

    /// Whether nobody has looked for so long that what is known may be old, as in a child that was
    /// forked hours after its parent read the files.
    pub(crate) fn is_overdue(&self) -> bool {
        self.not_checked_for(|watch| watch.interval.map(|interval| interval * 2 + LONGEST_SETTLING))
    }

    /// Whether it is time to look again.
    pub(crate) fn is_due(&self) -> bool {
        self.not_checked_for(Self::pause)
    }

    /// Whether it is time to look again: true for one caller, who is to look.
    pub(crate) fn claim_due_check(&self) -> bool {
        let before = self.checked.load(Ordering::Relaxed);
        let claim = |before| {
            self.checked.compare_exchange(before, monotonic(), Ordering::AcqRel, Ordering::Relaxed)
        };
        self.is_due() && claim(before).is_ok()
    }

    /// Does as if the files had been looked at, for when that takes too long.
    pub(crate) fn mark_checked(&self) {
        self.checked.store(monotonic(), Ordering::Relaxed);
    }

    fn not_checked_for(&self, time: impl FnOnce(&Self) -> Option<Duration>) -> bool {
        !self.is_empty()
            && time(self).is_some_and(|time| {
                let since = monotonic().saturating_sub(self.checked.load(Ordering::Relaxed));
                Duration::from_millis(since) >= time
            })
    }

    /// The identity as its files say now, if they are watched.
    pub(crate) fn identity(&self, given: &Identity) -> Identity {
        match self.current(Material::Identity(given.clone())) {
            Material::Identity(current) => current,
            _ => given.clone(),
        }
    }

    /// The trust as its files say now, if they are watched.
    pub(crate) fn trust(&self, given: &Trust) -> Trust {
        match self.current(Material::Trust(given.clone())) {
            Material::Trust(current) => current,
            _ => given.clone(),
        }
    }

    /// The pins as their file says now, if it is watched.
    pub(crate) fn pins(&self, given: &Pins) -> Pins {
        match self.current(Material::Pins(given.clone())) {
            Material::Pins(current) => current,
            _ => given.clone(),
        }
    }

    /// Watches the files that the identity was read from, until what is returned is dropped.
    pub(crate) fn watch_identity(&self, identity: &Identity) -> Option<Watched> {
        self.watch(Material::Identity(identity.clone()))
    }

    /// Watches the files that the trust was read from, until what is returned is dropped.
    pub(crate) fn watch_trust(&self, trust: &Trust) -> Option<Watched> {
        self.watch(Material::Trust(trust.clone()))
    }

    /// Watches the file that the pins were read from, until what is returned is dropped.
    pub(crate) fn watch_pins(&self, pins: &Pins) -> Option<Watched> {
        self.watch(Material::Pins(pins.clone()))
    }

    fn watch(&self, given: Material) -> Option<Watched> {
        let source = given.origin()?.source.clone();
        Some(Watched::new(&self.entries, source, given))
    }

    fn current(&self, given: Material) -> Material {
        let Some(origin) = given.origin() else { return given };
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(&origin.source) else { return given };
        // Who has just read the files knows better than whoever polls them.
        if entry.current.origin().is_none_or(|known| known.order < origin.order) {
            let changed = !entry.current.equals(&given);
            entry.current = given;
            if changed {
                entry.rotations += 1;
                self.epoch.fetch_add(1, Ordering::AcqRel);
            }
        }
        entry.current.clone()
    }

    /// How often the files have changed since they are watched.
    pub(crate) fn rotations(&self, source: &Arc<Source>) -> u64 {
        self.entries.lock().get(source).map_or(0, |entry| entry.rotations)
    }

    /// Looks at all watched files. Blocks, for some seconds at most: waits for files to be read, and
    /// unless it was polled, for new content to settle.
    ///
    /// Returns `None` if there was nothing to do because somebody else looks, or just has.
    pub(crate) fn check(&self, because: CheckReason) -> Option<Vec<(Arc<Source>, Event)>> {
        let checking = self.checking.get();
        let _checking = match because {
            CheckReason::Polled => checking.value.try_lock().ok()?,
            _ => checking.value.lock().unwrap_or_else(PoisonError::into_inner),
        };
        if because == CheckReason::Overdue && !self.is_overdue() {
            return None;
        }
        let known: Vec<Arc<Source>> = self.entries.lock().keys().cloned().collect();
        let mut events = Vec::new();
        let mut changed = Vec::new();
        self.read_each(&known, because, &mut events, |source, snapshot| {
            if self.entries.holds(source, &snapshot.digest) {
                self.is_well(source);
            } else {
                changed.push((source.clone(), snapshot));
            }
        });
        match self.interval {
            Some(interval) if because == CheckReason::Polled => {
                self.take_settled(changed, settling(interval), &mut events);
            }
            _ => self.wait_and_take(changed, because, &mut events),
        }
        self.mark_checked();
        Some(events)
    }

    /// Reads files, and tells of those that cannot be read.
    fn read_each(
        &self,
        sources: &[Arc<Source>],
        because: CheckReason,
        events: &mut Vec<(Arc<Source>, Event)>,
        mut with: impl FnMut(&Arc<Source>, Snapshot),
    ) {
        read_each(sources, Patience::AGAIN, |source, read| {
            let trouble = match read {
                Ok(snapshot) => {
                    let open = self.look_at_key(source, &snapshot);
                    with(source, snapshot);
                    open
                }
                Err(error) => self.is_in_trouble(source, &[], error, because),
            };
            events.extend(trouble.map(|event| (source.clone(), event)));
        });
    }

    /// Takes what was the same at an earlier look; the rest is looked at again soon.
    fn take_settled(
        &self,
        changed: Vec<(Arc<Source>, Snapshot)>,
        settling: Duration,
        events: &mut Vec<(Arc<Source>, Event)>,
    ) {
        let mut unsettled = false;
        for (source, snapshot) in changed {
            let settled = {
                let mut entries = self.entries.lock();
                let Some(entry) = entries.get_mut(&source) else { continue };
                match entry.candidate {
                    Some((digest, since)) if digest == snapshot.digest => {
                        since.elapsed() >= settling
                    }
                    _ => {
                        entry.candidate = Some((snapshot.digest, Instant::now()));
                        false
                    }
                }
            };
            unsettled |= !settled;
            if settled {
                let event = self.take(&source, &snapshot, CheckReason::Polled);
                events.extend(event.map(|event| (source, event)));
            }
        }
        self.unsettled.store(unsettled, Ordering::Relaxed);
    }

    /// Takes what is the same at two readings in a row.
    fn wait_and_take(
        &self,
        mut changed: Vec<(Arc<Source>, Snapshot)>,
        because: CheckReason,
        events: &mut Vec<(Arc<Source>, Event)>,
    ) {
        let pause = self.interval.map_or(SETTLING_ON_DEMAND, settling).min(SETTLING_ON_DEMAND);
        for _ in 0..MOST_SETTLINGS {
            if changed.is_empty() {
                return;
            }
            thread::sleep(pause);
            let sources: Vec<Arc<Source>> =
                changed.iter().map(|(source, _)| source.clone()).collect();
            let mut unsettled = Vec::new();
            let mut settled = Vec::new();
            self.read_each(&sources, because, events, |source, now| {
                let before = changed.iter().find(|(known, _)| known == source);
                let same = before.is_some_and(|(_, before)| before.digest == now.digest);
                let list = if same { &mut settled } else { &mut unsettled };
                list.push((source.clone(), now));
            });
            for (source, snapshot) in settled {
                let event = self.take(&source, &snapshot, because);
                events.extend(event.map(|event| (source, event)));
            }
            changed = unsettled;
        }
    }

    /// New content: in use from now on, or not at all.
    fn take(
        &self,
        source: &Arc<Source>,
        snapshot: &Snapshot,
        because: CheckReason,
    ) -> Option<Event> {
        let read = match Material::read(source, snapshot) {
            Ok(read) => read,
            Err(error) if becomes_valid(&error) => {
                return self.is_waiting(source, snapshot, &error);
            }
            Err(error) => return self.is_in_trouble(source, &snapshot.digest, error, because),
        };
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(source)?;
        (entry.trouble, entry.candidate) = (None, None);
        // The order of lines or a comment is no change of the material.
        let equal = entry.current.equals(&read);
        entry.current = read;
        if equal {
            return None;
        }
        entry.rotations += 1;
        let event = entry.current.described(about(EventName::Rotated, source));
        self.epoch.fetch_add(1, Ordering::AcqRel);
        Some(event)
    }

    fn look_at_key(&self, source: &Arc<Source>, snapshot: &Snapshot) -> Option<Event> {
        let open = snapshot.open_key();
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(source)?;
        let told = std::mem::replace(&mut entry.key_was_open, open.is_some());
        open.filter(|_| !told).zip(source.key_file()).map(|(mode, file)| {
            Event::new(EventName::KeyReadable)
                .with("file", file.display().to_string())
                .with("mode", format!("{mode:04o}"))
        })
    }

    fn is_well(&self, source: &Arc<Source>) {
        if let Some(entry) = self.entries.lock().get_mut(source) {
            (entry.trouble, entry.candidate) = (None, None);
        }
    }

    /// Tells each fault once, and of polled files only if it lasts.
    fn is_in_trouble(
        &self,
        source: &Arc<Source>,
        digest: &[u8],
        error: Error,
        because: CheckReason,
    ) -> Option<Event> {
        let what = [digest, error.message().as_bytes()].concat();
        let lasts = |since: Instant| because != CheckReason::Polled || since.elapsed() >= PATIENCE;
        self.tell_once(source, what, lasts)
            .then(|| about(EventName::RotationFailed, source).because(error))
    }

    fn is_waiting(
        &self,
        source: &Arc<Source>,
        snapshot: &Snapshot,
        error: &Error,
    ) -> Option<Event> {
        self.tell_once(source, snapshot.digest.to_vec(), |_| true).then(|| {
            let fact = |key: &str| error.context().get(key).cloned().unwrap_or_default();
            about(EventName::RotationWaiting, source)
                .with("name", fact("subject"))
                .with("not_before_ms", fact("not_before_ms"))
        })
    }

    fn tell_once(
        &self,
        source: &Arc<Source>,
        what: Vec<u8>,
        lasts: impl FnOnce(Instant) -> bool,
    ) -> bool {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(source) else { return false };
        let trouble = match &mut entry.trouble {
            Some(trouble) if trouble.what == what => trouble,
            trouble => trouble.insert(Trouble { what, since: Instant::now(), told: false }),
        };
        !trouble.told && {
            trouble.told = lasts(trouble.since);
            trouble.told
        }
    }
}

impl Material {
    fn read(source: &Arc<Source>, snapshot: &Snapshot) -> Result<Self, Error> {
        let origin = snapshot.origin(source.clone());
        Ok(match &**source {
            Source::Identity { .. } => Self::Identity(Identity::from_snapshot(snapshot, origin)?),
            Source::Trust { .. } => Self::Trust(Trust::from_snapshot(snapshot, origin)?),
            Source::Pins { .. } => Self::Pins(Pins::from_snapshot(snapshot, origin)?),
        })
    }

    fn origin(&self) -> Option<&crate::material::source::Origin> {
        match self {
            Self::Identity(identity) => identity.origin(),
            Self::Trust(trust) => trust.origin(),
            Self::Pins(pins) => pins.origin(),
        }
    }

    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Identity(one), Self::Identity(other)) => one == other,
            (Self::Trust(one), Self::Trust(other)) => one == other,
            (Self::Pins(one), Self::Pins(other)) => one == other,
            _ => false,
        }
    }

    fn described(&self, event: Event) -> Event {
        match self {
            Self::Identity(identity) => event
                .with("name", identity.leaf().subject())
                .with("not_after_ms", identity.leaf().not_after().saturating_mul(1000)),
            Self::Trust(_) | Self::Pins(_) => event,
        }
    }
}

fn about(name: EventName, source: &Source) -> Event {
    Event::new(name).with("what", source.what()).with("files", source.shown())
}

/// How long polled content must stay the same.
fn settling(interval: Duration) -> Duration {
    (interval / 10).clamp(SHORTEST_SETTLING, LONGEST_SETTLING)
}

/// Whether time alone will mend it.
fn becomes_valid(error: &Error) -> bool {
    let not_before = error.context().get("not_before_ms").and_then(serde_json::Value::as_i64);
    error.kind() == Kind::IdentityUnusable
        && clock::now().is_ok_and(|now| not_before.is_some_and(|from| from / 1000 > now))
}

/// Milliseconds of a clock that only goes forward, the same in a process and in its children.
fn monotonic() -> u64 {
    static START: Once<Instant> = Once::new();
    let start = *START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}
