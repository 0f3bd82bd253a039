//! Watches the files that material was read from, for dispatchers and verifiers.
//!
//! Files are compared by content and not by time stamp. New content is used only if two reads in a row
//! give the same bytes, because a file may be half-written. If the content cannot be used, the former
//! material stays. This module does not know the users of the material.

mod entries;
mod on_use;
#[cfg(all(test, feature = "testing"))]
mod torn_tests;
mod watched_material;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock;
use crate::error::{Error, Kind, key};
use crate::event::{Event, EventName};
use crate::material::identity::Identity;
use crate::material::jwt_bearer::TokenKey;
use crate::material::jwt_keys::JwtKeys;
use crate::material::pin::Pins;
use crate::material::source::{ReadTimeouts, Snapshot, Source, read_each};
use crate::material::trust::Trust;
use crate::process::{self, Once, PerProcess, own};
pub(crate) use entries::Watched;
use entries::{Entries, PendingFailure};
pub(crate) use on_use::ChecksOnUse;
pub(crate) use watched_material::Material;

/// The time that a failure of polled files must last before it is reported. During a replacement, files
/// may not fit together for a moment.
const FAILURE_GRACE: Duration = Duration::from_secs(4);

/// The bounds of the time that new content must stay the same before it is used.
const MIN_SETTLING: Duration = Duration::from_millis(10);
const MAX_SETTLING: Duration = Duration::from_secs(1);

/// The upper bound of that time if a caller waits for the check.
const SETTLING_ON_DEMAND: Duration = Duration::from_millis(100);

/// The most reads of changing content within one check.
const MAX_SETTLING_READS: usize = 10;

/// The reason for a check of the files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckReason {
    /// The interval has passed.
    Polled,
    /// The last check is long ago, and a caller waits to use the material.
    Overdue,
    /// The caller asked for it, and failures are reported at once.
    OnDemand,
}

/// The watched files of one dispatcher or verifier, with their last usable content.
pub(crate) struct Watch {
    /// The time between checks. `None`: the files are checked on demand only.
    interval: Option<Duration>,
    entries: Arc<Entries>,
    /// Incremented with every change of an entry.
    epoch: AtomicU64,
    /// Held while files are read. Per process, because a child must not wait for a thread of its parent.
    checking: PerProcess<own::Mutex<()>>,
    /// The time of the last check, in milliseconds of [`monotonic`].
    checked: AtomicU64,
    /// Whether new content was seen once and must be read again soon.
    unsettled: AtomicBool,
    /// The id of the process that polls.
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

    /// Returns the time until the next check, or `None` if files are checked on demand only.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.interval.map(|interval| {
            let unsettled = self.unsettled.load(Ordering::Relaxed);
            if unsettled { settling(interval) } else { interval }
        })
    }

    /// Returns whether no file is watched.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of sources that are watched.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// Returns a number that changes with every change of the material.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Returns true to the first caller in each process, which must start to poll.
    pub(crate) fn claim_polling(&self) -> bool {
        let process = process::id();
        self.polling.load(Ordering::Relaxed) != process
            && self.polling.swap(process, Ordering::AcqRel) != process
    }

    /// Returns whether the last check is so long ago that the material may be outdated, as in a child that
    /// was forked hours after its parent read the files.
    pub(crate) fn is_overdue(&self) -> bool {
        self.not_checked_for(|watch| watch.interval.map(|interval| interval * 2 + MAX_SETTLING))
    }

    /// Returns whether the next check is due.
    pub(crate) fn is_due(&self) -> bool {
        self.not_checked_for(Self::pause)
    }

    /// Returns true to one caller if the next check is due. That caller must make it.
    pub(crate) fn claim_due_check(&self) -> bool {
        let before = self.checked.load(Ordering::Relaxed);
        let claim = |before| {
            self.checked.compare_exchange(before, monotonic(), Ordering::AcqRel, Ordering::Relaxed)
        };
        self.is_due() && claim(before).is_ok()
    }

    /// Records a check of the files now, also if a check that takes too long was abandoned.
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

    /// Returns the current identity of its files if they are watched, else `given`.
    pub(crate) fn identity(&self, given: &Identity) -> Identity {
        match self.current(Material::Identity(given.clone())) {
            Material::Identity(current) => current,
            _ => given.clone(),
        }
    }

    /// Returns the current trust of its files if they are watched, else `given`.
    pub(crate) fn trust(&self, given: &Trust) -> Trust {
        match self.current(Material::Trust(given.clone())) {
            Material::Trust(current) => current,
            _ => given.clone(),
        }
    }

    /// Returns the current pins of their file if it is watched, else `given`.
    pub(crate) fn pins(&self, given: &Pins) -> Pins {
        match self.current(Material::Pins(given.clone())) {
            Material::Pins(current) => current,
            _ => given.clone(),
        }
    }

    /// Returns the current key of its file if it is watched, else `given`.
    pub(crate) fn signing_key(&self, given: &TokenKey) -> TokenKey {
        match self.current(Material::SigningKey(given.clone())) {
            Material::SigningKey(current) => current,
            _ => given.clone(),
        }
    }

    /// Returns the current keys of their file if it is watched, else `given`.
    pub(crate) fn jwt_keys(&self, given: &JwtKeys) -> JwtKeys {
        match self.current(Material::JwtKeys(given.clone())) {
            Material::JwtKeys(current) => current,
            _ => given.clone(),
        }
    }

    /// Watches the file of the keys until the guard is dropped. Returns `None` if they have no file.
    pub(crate) fn watch_jwt_keys(&self, keys: &JwtKeys) -> Option<Watched> {
        self.watch(Material::JwtKeys(keys.clone()))
    }

    /// Watches the file of the key until the guard is dropped. Returns `None` if it has no file.
    pub(crate) fn watch_signing_key(&self, key: &TokenKey) -> Option<Watched> {
        self.watch(Material::SigningKey(key.clone()))
    }

    /// Watches the files of the identity until the guard is dropped. Returns `None` if it has no files.
    pub(crate) fn watch_identity(&self, identity: &Identity) -> Option<Watched> {
        self.watch(Material::Identity(identity.clone()))
    }

    /// Watches the files of the trust until the guard is dropped. Returns `None` if it has no files.
    pub(crate) fn watch_trust(&self, trust: &Trust) -> Option<Watched> {
        self.watch(Material::Trust(trust.clone()))
    }

    /// Watches the file of the pins until the guard is dropped. Returns `None` if they have no file.
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
        // The caller may have read the files after the last check.
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

    /// Returns how often the files have changed since the watch began.
    pub(crate) fn rotations(&self, source: &Arc<Source>) -> u64 {
        self.entries.lock().get(source).map_or(0, |entry| entry.rotations)
    }

    /// Checks all watched files and returns the events of the check.
    ///
    /// Blocks for a few seconds at most: it waits for the file system, and unless `reason` is `Polled` and the
    /// check is not overdue, also until new content stays the same.
    ///
    /// Returns `None` if another thread is checking the files or has just checked them.
    pub(crate) fn check(&self, reason: CheckReason) -> Option<Vec<(Arc<Source>, Event)>> {
        let checking = self.checking.get();
        let _checking = match reason {
            CheckReason::Polled => checking.value.try_lock().ok()?,
            _ => checking.value.lock().unwrap_or_else(PoisonError::into_inner),
        };
        let is_overdue = self.is_overdue();
        if reason == CheckReason::Overdue && !is_overdue {
            return None;
        }
        let known: Vec<Arc<Source>> = self.entries.lock().keys().cloned().collect();
        let mut events = Vec::new();
        let mut changed = Vec::new();
        self.read_each(&known, reason, &mut events, |source, snapshot| {
            if self.entries.holds(source, &snapshot.digest) {
                self.clear_failure(source);
            } else {
                changed.push((source.clone(), snapshot));
            }
        });
        match self.interval {
            // A delivery may wait for an overdue check, so that check loads new files at once.
            Some(interval) if reason == CheckReason::Polled && !is_overdue => {
                self.load_settled(changed, settling(interval), &mut events);
            }
            _ => self.wait_and_load(changed, reason, &mut events),
        }
        self.mark_checked();
        Some(events)
    }

    /// Reads sources and passes each snapshot to `with`. Adds an event for each that cannot be read.
    fn read_each(
        &self,
        sources: &[Arc<Source>],
        reason: CheckReason,
        events: &mut Vec<(Arc<Source>, Event)>,
        mut with: impl FnMut(&Arc<Source>, Snapshot),
    ) {
        read_each(sources, ReadTimeouts::RELOAD, |source, read| {
            let event = match read {
                Ok(snapshot) => {
                    let open = self.check_key_mode(source, &snapshot);
                    with(source, snapshot);
                    open
                }
                Err(error) => self.report_failure(source, &[], error, reason),
            };
            events.extend(event.map(|event| (source.clone(), event)));
        });
    }

    /// Loads content that has stayed the same since an earlier check. The rest is checked again soon.
    fn load_settled(
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
                let event = self.load(&source, &snapshot, CheckReason::Polled);
                events.extend(event.map(|event| (source, event)));
            }
        }
        self.unsettled.store(unsettled, Ordering::Relaxed);
    }

    /// Loads content that is the same in two reads in a row.
    fn wait_and_load(
        &self,
        mut changed: Vec<(Arc<Source>, Snapshot)>,
        reason: CheckReason,
        events: &mut Vec<(Arc<Source>, Event)>,
    ) {
        let pause = self.interval.map_or(SETTLING_ON_DEMAND, settling).min(SETTLING_ON_DEMAND);
        for _ in 0..MAX_SETTLING_READS {
            if changed.is_empty() {
                return;
            }
            thread::sleep(pause);
            let sources: Vec<Arc<Source>> =
                changed.iter().map(|(source, _)| source.clone()).collect();
            let mut unsettled = Vec::new();
            let mut settled = Vec::new();
            self.read_each(&sources, reason, events, |source, now| {
                let before = changed.iter().find(|(known, _)| known == source);
                let same = before.is_some_and(|(_, before)| before.digest == now.digest);
                let list = if same { &mut settled } else { &mut unsettled };
                list.push((source.clone(), now));
            });
            for (source, snapshot) in settled {
                let event = self.load(&source, &snapshot, reason);
                events.extend(event.map(|event| (source, event)));
            }
            changed = unsettled;
        }
    }

    /// Parses new content and makes it current. If that fails, the former material stays.
    fn load(
        &self,
        source: &Arc<Source>,
        snapshot: &Snapshot,
        reason: CheckReason,
    ) -> Option<Event> {
        let read = match Material::read(source, snapshot) {
            Ok(read) => read,
            Err(error) if becomes_valid(&error) => {
                return self.report_waiting(source, snapshot, &error, reason);
            }
            Err(error) => return self.report_failure(source, &snapshot.digest, error, reason),
        };
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(source)?;
        (entry.failure, entry.candidate) = (None, None);
        // A comment or the order of lines does not change the material.
        let equal = entry.current.equals(&read);
        entry.current = read;
        if equal {
            return None;
        }
        entry.rotations += 1;
        let event = entry
            .current
            .described(about(EventName::Rotated, source))
            .with("pid", std::process::id())
            .with("generation", entry.rotations + 1);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        Some(event)
    }

    /// Returns an event if the file of the private key has become readable for every user.
    fn check_key_mode(&self, source: &Arc<Source>, snapshot: &Snapshot) -> Option<Event> {
        let open = snapshot.open_key();
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(source)?;
        let was_open = std::mem::replace(&mut entry.key_was_open, open.is_some());
        open.filter(|_| !was_open).zip(source.key_file()).map(|(mode, file)| {
            Event::new(EventName::KeyReadable)
                .with("file", file.display().to_string())
                .with("mode", format!("{mode:04o}"))
        })
    }

    fn clear_failure(&self, source: &Arc<Source>) {
        if let Some(entry) = self.entries.lock().get_mut(source) {
            (entry.failure, entry.candidate) = (None, None);
        }
    }

    /// Returns an event for each failure: once for polled files, and only if the failure lasts; each time
    /// if the caller asked for the check.
    fn report_failure(
        &self,
        source: &Arc<Source>,
        digest: &[u8],
        error: Error,
        reason: CheckReason,
    ) -> Option<Event> {
        // The message about known content may have the time of the check.
        let what = if digest.is_empty() { error.message() } else { error.kind().name() };
        let cause = [digest, what.as_bytes()].concat();
        let lasts =
            |since: Instant| reason != CheckReason::Polled || since.elapsed() >= FAILURE_GRACE;
        self.mark_reported(source, cause, reason, lasts)
            .then(|| about(EventName::RotationFailed, source).because(error))
    }

    fn report_waiting(
        &self,
        source: &Arc<Source>,
        snapshot: &Snapshot,
        error: &Error,
        reason: CheckReason,
    ) -> Option<Event> {
        self.mark_reported(source, snapshot.digest.to_vec(), reason, |_| true).then(|| {
            let not_before = error.fact(key::NOT_BEFORE).map(|from| from.0);
            about(EventName::RotationWaiting, source)
                .with("name", error.fact(key::SUBJECT).cloned())
                .with("not_before_ms", not_before)
        })
    }

    /// Records a failure. Returns whether it must be reported now.
    fn mark_reported(
        &self,
        source: &Arc<Source>,
        cause: Vec<u8>,
        reason: CheckReason,
        lasts: impl FnOnce(Instant) -> bool,
    ) -> bool {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(source) else { return false };
        let failure = match &mut entry.failure {
            Some(failure) if failure.cause == cause => failure,
            failure => {
                failure.insert(PendingFailure { cause, since: Instant::now(), reported: false })
            }
        };
        let unheard = !failure.reported || reason == CheckReason::OnDemand;
        unheard && {
            failure.reported = lasts(failure.since);
            failure.reported
        }
    }
}

fn about(name: EventName, source: &Source) -> Event {
    Event::new(name).with("what", source.what()).with("files", source.shown())
}

/// Returns the time that polled content must stay the same.
fn settling(interval: Duration) -> Duration {
    (interval / 10).clamp(MIN_SETTLING, MAX_SETTLING)
}

/// Returns whether the certificate is only not valid yet.
fn becomes_valid(error: &Error) -> bool {
    let not_before = error.fact(key::NOT_BEFORE);
    error.kind() == Kind::IdentityUnusable
        && clock::now().is_ok_and(|now| not_before.is_some_and(|from| from.0 / 1000 > now))
}

/// Returns milliseconds of a monotonic clock that a process shares with its children.
fn monotonic() -> u64 {
    static START: Once<Instant> = Once::new();
    let start = *START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}
