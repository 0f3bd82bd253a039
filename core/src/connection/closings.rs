//! Counts the idle connections that are closed to make room for others, and tells when they are so many
//! that most deliveries must open a connection.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::process::own;

/// The span in which closings are counted. An idle connection would stay open for most of it.
const SPAN: Duration = Duration::from_secs(60);

/// A warning says nothing new within this time after another.
const QUIET: Duration = Duration::from_secs(3600);

/// With a lower limit, fewer closings than this are no burden.
const FEW: usize = 16;

/// The closings of one dispatcher.
pub(super) struct Closings {
    /// How many closings within the span are reported: each of the connections once.
    threshold: usize,
    counted: own::Mutex<Counted>,
    /// The number to report; 0 if there is nothing to report.
    due: AtomicUsize,
}

#[derive(Default)]
struct Counted {
    since: Option<Instant>,
    closed: usize,
    warned: Option<Instant>,
}

impl Closings {
    /// * `max`: how many connections may be open at once.
    pub(super) fn new(max: usize) -> Self {
        Self { threshold: max.max(FEW), counted: own::Mutex::default(), due: AtomicUsize::new(0) }
    }

    /// Counts an idle connection that is closed at `now` to make room.
    pub(super) fn count(&self, now: Instant) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_within =
            |since: Instant, span: Duration| now.saturating_duration_since(since) < span;
        if counted.warned.is_some_and(|warned| is_within(warned, QUIET)) {
            return;
        }
        if !counted.since.is_some_and(|since| is_within(since, SPAN)) {
            *counted = Counted { since: Some(now), ..Counted::default() };
        }
        counted.closed += 1;
        if counted.closed == self.threshold {
            *counted = Counted { warned: Some(now), ..Counted::default() };
            self.due.store(self.threshold, Ordering::Relaxed);
        }
    }

    /// Returns the number of closings once they are too many.
    pub(super) fn to_report(&self) -> Option<usize> {
        if self.due.load(Ordering::Relaxed) == 0 {
            return None;
        }
        Some(self.due.swap(0, Ordering::Relaxed)).filter(|&closed| closed > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_closings_as_connections_within_a_minute_are_reported_once_an_hour() {
        let closings = Closings::new(20);
        let start = Instant::now();
        let count = |from: Duration, apart: Duration, times: u32| {
            (0..times).for_each(|number| closings.count(start + from + apart * number));
            closings.to_report()
        };
        let (none, second) = (Duration::ZERO, Duration::from_secs(1));
        assert_eq!(count(none, 4 * second, 40), None, "15 in each minute");
        let later = 300 * second;
        assert_eq!(count(later, none, 19), None);
        assert_eq!(count(later + second, none, 1), Some(20));
        assert_eq!(count(later + 2 * second, none, 100), None, "reported just now");
        let later = later + QUIET + 2 * second;
        assert_eq!(count(later, none, 20), Some(20));
    }

    #[test]
    fn few_closings_are_no_burden_whatever_the_limit_is() {
        let closings = Closings::new(1);
        let now = Instant::now();
        (1..FEW).for_each(|_| closings.count(now));
        assert_eq!(closings.to_report(), None);
        closings.count(now);
        assert_eq!(closings.to_report(), Some(FEW));
        assert_eq!(closings.to_report(), None);
    }
}
