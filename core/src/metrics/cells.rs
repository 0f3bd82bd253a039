//! The numbers that are counted: histograms, and counts by label.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::table::row;
use super::{MAX_VALUES, Metrics, OTHER, label_value};
use crate::event::{Event, EventName};
use crate::process::own;

/// The upper bounds of the buckets in seconds: those of OpenTelemetry for `http.client.request.duration`.
pub(super) const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The same in nanoseconds.
const BOUNDS_NANOS: [u64; BOUNDS.len()] = [
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    75_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    750_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    7_500_000_000,
    10_000_000_000,
];

/// The last bucket has no bound.
const BUCKETS: usize = BOUNDS.len() + 1;

/// Durations, counted without a lock.
#[derive(Default)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, nanos: u64) {
        self.buckets[bucket(nanos)].fetch_add(1, Relaxed);
        self.nanos.fetch_add(nanos, Relaxed);
    }

    pub(super) fn read(&self) -> Observed {
        Observed {
            buckets: std::array::from_fn(|at| self.buckets[at].load(Relaxed)),
            nanos: self.nanos.load(Relaxed),
        }
    }
}

/// Durations, counted under a lock or read from a [`Histogram`].
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    buckets: [u64; BUCKETS],
    nanos: u64,
}

impl Observed {
    pub(super) fn observe(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)] += 1;
        self.nanos = self.nanos.saturating_add(nanos);
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(own, more)| *own += more);
        self.nanos = self.nanos.saturating_add(other.nanos);
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The sum of the durations.
    #[allow(
        clippy::cast_precision_loss,
        reason = "nanoseconds beyond 104 days lose the last digits"
    )]
    pub(super) fn seconds(&self) -> f64 {
        self.nanos as f64 / 1e9
    }

    /// For each bound, the number of durations up to it.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = u64> {
        self.buckets[..BOUNDS.len()].iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        })
    }
}

fn bucket(nanos: u64) -> usize {
    BOUNDS_NANOS.iter().position(|bound| nanos <= *bound).unwrap_or(BOUNDS.len())
}

/// Counts by a label that no table limits. At most [`MAX_VALUES`] values are kept apart.
#[derive(Default)]
pub(crate) struct BoundedCounts(own::Mutex<BTreeMap<String, u64>>);

impl BoundedCounts {
    pub(crate) fn count(&self, value: &str) {
        let mut counts = lock(&self.0);
        let value = label_value(value);
        let known = counts.len() < MAX_VALUES || counts.contains_key(&value);
        *counts.entry(if known { value } else { OTHER.to_owned() }).or_default() += 1;
    }

    pub(super) fn each(&self, mut show: impl FnMut(&str, u64)) {
        lock(&self.0).iter().for_each(|(value, count)| show(value, *count));
    }
}

/// Counts the events of a dispatcher or a verifier.
#[derive(Default)]
pub(crate) struct EventCells {
    by_name: own::Mutex<BTreeMap<&'static str, u64>>,
    rotations: own::Mutex<BTreeMap<(String, &'static str), u64>>,
}

impl EventCells {
    pub(crate) fn count(&self, event: &Event) {
        *lock(&self.by_name).entry(event.name().name()).or_default() += 1;
        let outcome = match event.name() {
            EventName::Rotated => "used",
            EventName::RotationFailed => "failed",
            EventName::RotationWaiting => "waiting",
            _ => return,
        };
        // The words of the table of events.
        let what = event.fields().get("what").and_then(|what| what.as_str()).unwrap_or_default();
        *lock(&self.rotations).entry((what.to_owned(), outcome)).or_default() += 1;
    }

    /// Returns how many events of this name were emitted.
    pub(super) fn of(&self, name: EventName) -> u64 {
        lock(&self.by_name).get(name.name()).copied().unwrap_or_default()
    }

    pub(super) fn show(&self, metrics: &mut Metrics) {
        for ((what, outcome), count) in &*lock(&self.rotations) {
            metrics.count(row::ROTATIONS, &[what, outcome], *count);
        }
        for (name, count) in &*lock(&self.by_name) {
            metrics.count(row::EVENTS, &[name], *count);
        }
    }
}

/// The deliveries of one endpoint.
#[derive(Default)]
pub(crate) struct EndpointCells {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl EndpointCells {
    pub(crate) fn count(&self, has_succeeded: bool) {
        let cell = if has_succeeded { &self.succeeded } else { &self.failed };
        cell.fetch_add(1, Relaxed);
    }

    /// Returns how many have succeeded and failed.
    pub(crate) fn read(&self) -> (u64, u64) {
        (self.succeeded.load(Relaxed), self.failed.load(Relaxed))
    }
}

pub(super) fn lock<T>(mutex: &own::Mutex<T>) -> own::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_holds_it() {
        for (at, (seconds, nanos)) in BOUNDS.into_iter().zip(BOUNDS_NANOS).enumerate() {
            assert_eq!(Duration::from_secs_f64(seconds).as_nanos(), u128::from(nanos));
            assert_eq!((bucket(nanos), bucket(nanos + 1)), (at, at + 1));
        }
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(u64::MAX), BOUNDS.len());
    }

    #[test]
    fn both_ways_to_count_agree() {
        let (atomic, mut locked) = (Histogram::default(), Observed::default());
        for millis in [0, 1, 5, 6, 300, 700_000] {
            atomic.observe(millis * 1_000_000);
            locked.observe(Duration::from_millis(millis));
        }
        let read = atomic.read();
        assert_eq!((read.buckets, read.nanos), (locked.buckets, locked.nanos));
        assert_eq!((read.count(), read.cumulative().last()), (6, Some(5)));
    }

    #[test]
    fn the_values_of_a_label_are_bounded() {
        let counts = BoundedCounts::default();
        for number in 0..MAX_VALUES + 7 {
            counts.count(&number.to_string());
        }
        counts.count("3");
        let mut seen = BTreeMap::new();
        counts.each(|value, count| assert_eq!(seen.insert(value.to_owned(), count), None));
        assert_eq!((seen.len(), seen["3"], seen["other"]), (MAX_VALUES + 1, 2, 7));
    }
}
