//! The clock of an attempt: how long its phases took.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64};
use std::time::Duration;

use crate::error::{Stage, Timings};

/// The durations of the phases, in nanoseconds. Only the delivery writes them, so their order in
/// memory does not matter.
#[derive(Debug)]
pub(super) struct Phases {
    /// The phase in progress, as an index of `spent`, or `NONE`.
    current: AtomicU8,
    /// When the last phase began or ended, since the start of the delivery.
    changed: AtomicU64,
    /// `NOT_BEGUN` for a phase that has not begun. The phase in progress is not stored yet.
    spent: [AtomicU64; 4],
}

const NONE: u8 = u8::MAX;
const NOT_BEGUN: u64 = u64::MAX;
const RESPONSE: u8 = 3;

impl Default for Phases {
    fn default() -> Self {
        let spent = [const { AtomicU64::new(NOT_BEGUN) }; 4];
        Self { current: AtomicU8::new(NONE), changed: AtomicU64::new(0), spent }
    }
}

impl Phases {
    /// Ends the phase in progress, and begins the phase of this stage if it has one.
    ///
    /// * `at`: the time since the start of the delivery.
    pub(super) fn enter(&self, stage: Stage, at: Duration) {
        self.end(at);
        let phase = match stage {
            Stage::Resolve => 0,
            Stage::Connect => 1,
            Stage::Handshake => 2,
            Stage::Request | Stage::Response => RESPONSE,
            Stage::Config | Stage::Admit | Stage::Verify => NONE,
        };
        self.current.store(phase, Relaxed);
    }

    /// Ends the phase in progress.
    pub(super) fn end(&self, at: Duration) {
        let at = nanos(at);
        if let Some(spent) = self.spent.get(usize::from(self.current.load(Relaxed))) {
            spent.store(at.saturating_sub(self.changed.load(Relaxed)), Relaxed);
            self.current.store(NONE, Relaxed);
        }
        self.changed.store(at, Relaxed);
    }

    /// Returns when the last phase ended, since the start of the delivery.
    pub(super) fn ended(&self) -> Duration {
        Duration::from_nanos(self.changed.load(Relaxed))
    }

    /// Forgets the phases of the last attempt.
    pub(super) fn forget(&self) {
        self.current.store(NONE, Relaxed);
        self.spent.iter().for_each(|spent| spent.store(NOT_BEGUN, Relaxed));
    }

    /// Records that this attempt opens no connection.
    pub(super) fn skip_opening(&self) {
        self.forget();
        self.spent[..usize::from(RESPONSE)].iter().for_each(|spent| spent.store(0, Relaxed));
    }

    /// Returns the durations. The phase in progress has lasted until now.
    ///
    /// * `now`: returns the time since the start of the delivery. Called only for a phase in progress.
    pub(super) fn timings(&self, now: impl Fn() -> Duration) -> Timings {
        let of = |phase: u8| {
            if self.current.load(Relaxed) == phase {
                return Some(now().saturating_sub(self.ended()));
            }
            let spent = self.spent[usize::from(phase)].load(Relaxed);
            (spent != NOT_BEGUN).then(|| Duration::from_nanos(spent))
        };
        Timings { resolve: of(0), connect: of(1), handshake: of(2), response: of(RESPONSE) }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NOT_BEGUN - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_phase_ends_where_the_next_begins() {
        let phases = Phases::default();
        assert_eq!(phases.timings(|| at(5)), Timings::default());
        phases.enter(Stage::Resolve, at(10));
        phases.enter(Stage::Connect, at(13));
        let timings = phases.timings(|| at(20));
        assert_eq!((timings.resolve, timings.connect), (Some(at(3)), Some(at(7))));
        assert_eq!((timings.handshake, timings.response), (None, None));
    }

    #[test]
    fn a_finished_phase_grows_no_more_and_another_attempt_forgets_it() {
        let phases = Phases::default();
        phases.skip_opening();
        phases.enter(Stage::Request, at(1));
        phases.end(at(4));
        assert_eq!(phases.ended(), at(4));
        let timings = phases.timings(|| at(900));
        assert_eq!((timings.resolve, timings.response), (Some(at(0)), Some(at(3))));
        phases.forget();
        assert_eq!(phases.timings(|| at(900)), Timings::default());
    }
}
