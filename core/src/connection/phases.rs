//! The clock of an attempt: how long its phases took.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64};
use std::time::Duration;

use crate::error::{Stage, Timings};
use crate::metrics::AttemptPhases;

/// The durations of the phases, in nanoseconds. Only the delivery writes them, so their order in
/// memory does not matter.
#[derive(Debug)]
pub(super) struct Phases {
    /// The phase in progress, as an index of `spent`, or `NONE`.
    current: AtomicU8,
    /// When the last phase began or ended, since the start of the delivery.
    changed: AtomicU64,
    /// `NOT_BEGUN` for a phase that has not begun, `SKIPPED` for one that a reused connection needs not. The
    /// phase in progress is not stored yet.
    spent: [AtomicU64; 4],
    /// The part of the last phase until the last byte of the request left, or `NOT_BEGUN`.
    request: AtomicU64,
}

const NONE: u8 = u8::MAX;
const NOT_BEGUN: u64 = u64::MAX;
const SKIPPED: u64 = u64::MAX - 1;
const HANDSHAKE: usize = 2;
const RESPONSE: u8 = 3;

impl Default for Phases {
    fn default() -> Self {
        let spent = [const { AtomicU64::new(NOT_BEGUN) }; 4];
        let request = AtomicU64::new(NOT_BEGUN);
        Self { current: AtomicU8::new(NONE), changed: AtomicU64::new(0), spent, request }
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

    /// Records that the last byte of the request has left.
    pub(super) fn wrote_request(&self, at: Duration) {
        self.request.store(nanos(at).saturating_sub(self.changed.load(Relaxed)), Relaxed);
    }

    /// Returns when the last phase ended, since the start of the delivery.
    pub(super) fn ended(&self) -> Duration {
        Duration::from_nanos(self.changed.load(Relaxed))
    }

    /// Forgets the phases of the last attempt.
    pub(super) fn forget(&self) {
        self.current.store(NONE, Relaxed);
        self.request.store(NOT_BEGUN, Relaxed);
        self.spent.iter().for_each(|spent| spent.store(NOT_BEGUN, Relaxed));
    }

    /// Records that this attempt opens no connection.
    pub(super) fn skip_opening(&self) {
        self.forget();
        self.spent[..usize::from(RESPONSE)].iter().for_each(|spent| spent.store(SKIPPED, Relaxed));
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
            match spent {
                NOT_BEGUN => None,
                SKIPPED => Some(Duration::ZERO),
                nanos => Some(Duration::from_nanos(nanos)),
            }
        };
        Timings { resolve: of(0), connect: of(1), handshake: of(2), response: of(RESPONSE) }
    }
}

impl Phases {
    /// Returns the durations that metrics count, which has the request and the response apart. Phases in
    /// progress must have been ended.
    pub(super) fn counted(&self) -> AttemptPhases {
        let spent = |phase: usize| {
            let nanos = self.spent[phase].load(Relaxed);
            (nanos < SKIPPED).then_some(nanos)
        };
        let exchange = spent(usize::from(RESPONSE));
        let request = Some(self.request.load(Relaxed)).filter(|nanos| *nanos < SKIPPED);
        let response = request.and_then(|request| Some(exchange?.saturating_sub(request)));
        [spent(0), spent(1), spent(HANDSHAKE), request.or(exchange), response]
    }

    /// Whether no phase is in progress.
    pub(super) fn are_ended(&self) -> bool {
        self.current.load(Relaxed) == NONE
    }

    /// Whether the attempt uses an idle connection.
    pub(super) fn are_of_reuse(&self) -> bool {
        self.spent[HANDSHAKE].load(Relaxed) == SKIPPED
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(SKIPPED - 1).min(SKIPPED - 1)
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

    #[test]
    fn metrics_have_the_request_and_the_response_apart_and_no_phase_of_another_delivery() {
        let phases = Phases::default();
        phases.skip_opening();
        assert!(phases.are_of_reuse());
        phases.enter(Stage::Request, at(1));
        phases.wrote_request(at(3));
        phases.end(at(10));
        let millis = |millis: u64| Some(millis * 1_000_000);
        assert_eq!(phases.counted(), [None, None, None, millis(2), millis(7)]);
        phases.forget();
        assert!(!phases.are_of_reuse());
        phases.enter(Stage::Connect, at(20));
        phases.enter(Stage::Request, at(25));
        phases.end(at(29));
        assert_eq!(phases.counted(), [None, millis(5), None, millis(4), None]);
    }
}
