//! The circuit of one endpoint. It pauses deliveries to a consumer that keeps failing before it has a
//! request, and tries again with one delivery.
//!
//! The caller supplies the time and the random part, so the circuit knows no clock. It does not know
//! which failures count either.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::error::{Error, Kind, Retry, key, words};
use crate::process::{self, Lock};

words! {
    /// Whether deliveries to an endpoint are admitted. Exhaustive: an operator must understand each.
    CircuitState {
        /// Deliveries are admitted.
        Closed = 1 "closed",
        /// Deliveries fail with circuit_open.
        Open = 2 "open",
        /// The next delivery is admitted as a trial. The others fail with circuit_open until it has ended.
        HalfOpen = 3 "half_open",
    }
}

/// When a circuit opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CircuitLimits {
    /// The number of failures in a row that opens it. 0: never.
    pub(crate) failures: u32,
    /// The first pause. It doubles each time a trial fails.
    pub(crate) open: Duration,
    /// The longest pause.
    pub(crate) ceiling: Duration,
}

/// The circuit of one endpoint. Instants are milliseconds since 1970.
#[derive(Default)]
pub(crate) struct Circuit {
    /// Whether there is trouble. Without it, a delivery takes no lock.
    troubled: AtomicBool,
    trouble: Lock<Option<Box<Trouble>>>,
    way: Way,
}

/// What a circuit remembers of failures.
#[derive(Default)]
struct Trouble {
    /// The counted failures since the last success.
    failures: u32,
    /// How often the circuit opened since it was closed.
    opened: u32,
    phase: Phase,
    last: Option<LastFailure>,
}

#[derive(Clone, Copy, Default)]
enum Phase {
    #[default]
    Closed,
    Open {
        since: i64,
        until: i64,
    },
    /// With the process that makes the trial, if there is one. A forked child has inherited the trial of
    /// its parent, which does not end in the child.
    HalfOpen {
        trial: Option<u32>,
    },
}

/// The last counted failure.
#[derive(Clone)]
struct LastFailure {
    kind: Kind,
    remedy: String,
    /// What must happen before the consumer is well again.
    needs: Needs,
}

/// What shows that a consumer does not fail in the same way any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Needs {
    /// A handshake.
    Handshake,
    /// A handshake after which the consumer was given time to refuse our certificate.
    Verdict,
    /// The answer to a request: the consumer refuses our certificate where no handshake shows it.
    Answer,
}

/// How a delivery passed the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// The circuit is closed.
    Closed,
    /// The delivery is the trial of a half-open circuit. It must end in [`Circuit::end_trial`].
    Trial(Needs),
}

impl Circuit {
    /// Fails with `circuit_open` while the circuit is open. Takes no trial.
    pub(crate) fn check(&self, now: impl FnOnce() -> i64) -> Result<(), Error> {
        if !self.troubled.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (now, trouble) = (now(), self.trouble.lock());
        match trouble.as_ref() {
            Some(trouble) if trouble.state(now) == CircuitState::Open => Err(trouble.refusal(now)),
            _ => Ok(()),
        }
    }

    /// Lets a delivery pass. Only one passes a half-open circuit.
    ///
    /// Fails with `circuit_open`.
    pub(crate) fn pass(&self, now: impl FnOnce() -> i64) -> Result<Pass, Error> {
        if !self.troubled.load(Ordering::Relaxed) {
            return Ok(Pass::Closed);
        }
        let (now, mut trouble) = (now(), self.trouble.lock());
        let Some(trouble) = trouble.as_mut() else { return Ok(Pass::Closed) };
        match trouble.state(now) {
            CircuitState::Closed => Ok(Pass::Closed),
            CircuitState::HalfOpen if !trouble.is_tried() => {
                trouble.phase = Phase::HalfOpen { trial: Some(process::id()) };
                let needs = trouble.last.as_ref().map_or(Needs::Handshake, |last| last.needs);
                Ok(Pass::Trial(needs))
            }
            CircuitState::Open | CircuitState::HalfOpen => Err(trouble.refusal(now)),
        }
    }

    /// Ends the trial, whatever came of it. Without a success or a counted failure before, the next
    /// delivery is the trial.
    pub(crate) fn end_trial(&self) {
        if let Some(trouble) = self.trouble.lock().as_mut()
            && trouble.is_tried()
        {
            trouble.phase = Phase::HalfOpen { trial: None };
        }
    }

    /// Records a success. Returns `None` if the circuit was closed before, or if a success of this sort
    /// shows nothing.
    ///
    /// * `shown`: what the success was.
    pub(crate) fn succeeded(&self, shown: Needs) -> Option<Closed> {
        if !self.troubled.load(Ordering::Relaxed) {
            return None;
        }
        let mut held = self.trouble.lock();
        let trouble = held.as_ref()?;
        let needs = trouble.last.as_ref().map_or(Needs::Handshake, |last| last.needs);
        if shown < needs {
            return None;
        }
        let was_closed = matches!(trouble.phase, Phase::Closed);
        let after = trouble.last.as_ref().map(|last| last.kind);
        *held = None;
        self.troubled.store(false, Ordering::Relaxed);
        (!was_closed).then_some(Closed { after })
    }

    /// Counts a failure. Returns until when the circuit is open, if this opened it.
    ///
    /// * `is_trial`: it is the failure of the trial. Other failures count only while the circuit is
    ///   closed: their deliveries started before it opened.
    /// * `jitter`: a random number from -0.1 to 0.1.
    pub(crate) fn failed(
        &self,
        error: &Error,
        needs: Needs,
        limits: CircuitLimits,
        is_trial: bool,
        (now, jitter): (i64, f64),
    ) -> Option<Opened> {
        let mut held = self.trouble.lock();
        let trouble = held.get_or_insert_default();
        self.troubled.store(true, Ordering::Relaxed);
        let opens = match trouble.phase {
            Phase::Closed => {
                trouble.failures += 1;
                trouble.failures >= limits.failures
            }
            Phase::HalfOpen { .. } if is_trial => {
                trouble.failures += 1;
                true
            }
            Phase::HalfOpen { .. } | Phase::Open { .. } => return None,
        };
        let remedy = error.remedy().to_owned();
        trouble.last = Some(LastFailure { kind: error.kind(), remedy, needs });
        if !opens {
            return None;
        }
        let doubled = limits.open.saturating_mul(1 << trouble.opened.min(16));
        let pause = doubled.min(limits.ceiling.max(limits.open)).mul_f64(1.0 + jitter);
        let until = now.saturating_add(millis(pause));
        trouble.phase = Phase::Open { since: now, until };
        trouble.opened += 1;
        Some(Opened { until, failures: trouble.failures })
    }

    /// Opens the circuit for this long, unless it is open for longer.
    pub(crate) fn open(&self, pause: Duration, now: i64) {
        let until = now.saturating_add(millis(pause));
        let mut held = self.trouble.lock();
        let trouble = held.get_or_insert_default();
        self.troubled.store(true, Ordering::Relaxed);
        if trouble.open_until(now).is_none_or(|known| known < until) {
            trouble.phase = Phase::Open { since: now, until };
        }
    }

    /// Admits a trial at once if the circuit is open, because something was repaired. Forgets the failures
    /// of a closed one.
    pub(crate) fn retry_now(&self) {
        if !self.troubled.load(Ordering::Relaxed) {
            return;
        }
        let mut held = self.trouble.lock();
        match held.as_mut() {
            Some(trouble) if matches!(trouble.phase, Phase::Open { .. }) => {
                trouble.phase = Phase::HalfOpen { trial: None };
            }
            Some(trouble) if matches!(trouble.phase, Phase::Closed) => {
                *held = None;
                self.troubled.store(false, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// Returns the state, and until when the circuit is open.
    pub(crate) fn state(&self, now: i64) -> (CircuitState, Option<i64>) {
        match self.trouble.lock().as_ref() {
            Some(trouble) => (trouble.state(now), trouble.open_until(now)),
            None => (CircuitState::Closed, None),
        }
    }

    pub(crate) fn way(&self) -> &Way {
        &self.way
    }
}

/// A circuit that has opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) until: i64,
    /// The number of failures in a row.
    pub(crate) failures: u32,
}

/// A circuit that has closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// The kind of the last failure. `None` if the application had opened it.
    pub(crate) after: Option<Kind>,
}

impl Trouble {
    fn state(&self, now: i64) -> CircuitState {
        match self.phase {
            Phase::Closed => CircuitState::Closed,
            Phase::Open { .. } if self.open_until(now).is_some() => CircuitState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// Returns until when the circuit is open. `None` if it is not, or if the clock was set to a time
    /// before it opened.
    fn open_until(&self, now: i64) -> Option<i64> {
        match self.phase {
            Phase::Open { since, until } if (since..until).contains(&now) => Some(until),
            _ => None,
        }
    }

    /// Whether this process makes the trial now.
    fn is_tried(&self) -> bool {
        matches!(self.phase, Phase::HalfOpen { trial: Some(by) } if by == process::id())
    }

    fn refusal(&self, now: i64) -> Error {
        let wait = self.open_until(now).map_or(TRIAL_WAIT, |until| duration(until - now));
        let seconds = wait.as_secs_f64().ceil();
        let paused = match self.open_until(now) {
            Some(_) => format!("the circuit of this endpoint is open for another {seconds} s"),
            None => {
                "the circuit of this endpoint is half open, and another delivery tries it".into()
            }
        };
        match &self.last {
            Some(LastFailure { kind, remedy, .. }) => {
                let (failures, kind) = (self.failures, kind.name());
                let why = format!(
                    "{paused}: {failures} deliveries in a row failed, the last with {kind}"
                );
                Error::new(Kind::CircuitOpen, why).noting(key::LAST_KIND, kind).advising(remedy)
            }
            None => Error::new(Kind::CircuitOpen, format!("{paused}: the application opened it")),
        }
        .retried(Retry::Later, Some(wait))
    }
}

/// How long a delivery that meets a trial is advised to wait.
const TRIAL_WAIT: Duration = Duration::from_secs(1);

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

/// When the way to one consumer failed last, and when it was passed last, in seconds since 1970. 0: never.
/// The way is the lookup of the name and the TCP connection.
#[derive(Default)]
pub(crate) struct Way {
    failed: AtomicU32,
    passed: AtomicU32,
}

impl Way {
    pub(crate) fn record(&self, passed: bool, now: i64) {
        let now = u32::try_from(now.div_euclid(1000)).unwrap_or_default();
        if passed {
            self.passed.store(now, Ordering::Relaxed);
            self.failed.store(0, Ordering::Relaxed);
        } else {
            self.failed.store(now, Ordering::Relaxed);
        }
    }

    /// Returns whether the last try failed. `None` if there was no try since `since`.
    ///
    /// * `answered`: when the consumer answered last, in seconds since 1970.
    pub(crate) fn failed_since(&self, since: i64, answered: i64) -> Option<bool> {
        let failed = i64::from(self.failed.load(Ordering::Relaxed));
        let passed = i64::from(self.passed.load(Ordering::Relaxed)).max(answered);
        let last = failed.max(passed);
        (last > 0 && last >= since).then_some(failed == last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1000;
    const LIMITS: CircuitLimits = CircuitLimits {
        failures: 3,
        open: Duration::from_secs(30),
        ceiling: Duration::from_secs(600),
    };

    fn fail(circuit: &Circuit, is_trial: bool, now: i64) -> Option<Opened> {
        let error = Error::new(Kind::PinMismatch, "another key");
        circuit.failed(&error, Needs::Handshake, LIMITS, is_trial, (now, 0.0))
    }

    /// Returns a circuit that is open from 0 to 30 s.
    fn open() -> Circuit {
        let circuit = Circuit::default();
        assert_eq!((fail(&circuit, false, 0), fail(&circuit, false, 0)), (None, None));
        assert_eq!(fail(&circuit, false, 0), Some(Opened { until: 30 * SECOND, failures: 3 }));
        circuit
    }

    #[test]
    fn a_circuit_without_failures_is_small() {
        assert!(size_of::<Circuit>() <= 64, "{}", size_of::<Circuit>());
    }

    #[test]
    fn a_half_open_circuit_admits_a_single_trial() {
        let circuit = open();
        assert_eq!(circuit.pass(|| 29 * SECOND).unwrap_err().kind(), Kind::CircuitOpen);
        assert_eq!(circuit.pass(|| 30 * SECOND).unwrap(), Pass::Trial(Needs::Handshake));
        assert!(circuit.check(|| 30 * SECOND).is_ok(), "the turn decides who is the trial");
        assert_eq!(circuit.pass(|| 31 * SECOND).unwrap_err().kind(), Kind::CircuitOpen);
        circuit.end_trial();
        assert_eq!(circuit.pass(|| 31 * SECOND).unwrap(), Pass::Trial(Needs::Handshake));
        assert_eq!(
            circuit.succeeded(Needs::Handshake),
            Some(Closed { after: Some(Kind::PinMismatch) })
        );
        circuit.end_trial();
        assert_eq!(circuit.pass(|| 31 * SECOND).unwrap(), Pass::Closed);
        assert_eq!(circuit.succeeded(Needs::Answer), None);
    }

    #[test]
    fn the_failure_of_the_trial_alone_opens_it_again() {
        let circuit = open();
        assert_eq!(circuit.pass(|| 30 * SECOND).unwrap(), Pass::Trial(Needs::Handshake));
        // A delivery that started before the circuit opened.
        assert_eq!(fail(&circuit, false, 30 * SECOND), None);
        assert_eq!(
            fail(&circuit, true, 30 * SECOND),
            Some(Opened { until: 90 * SECOND, failures: 4 })
        );
        circuit.end_trial();
        assert_eq!(circuit.state(31 * SECOND), (CircuitState::Open, Some(90 * SECOND)));
    }

    #[test]
    fn a_success_that_shows_less_than_the_failure_closes_nothing() {
        for (needs, shown, closes) in [
            (Needs::Handshake, Needs::Handshake, true),
            (Needs::Verdict, Needs::Handshake, false),
            (Needs::Verdict, Needs::Verdict, true),
            (Needs::Answer, Needs::Verdict, false),
            (Needs::Answer, Needs::Answer, true),
        ] {
            let circuit = Circuit::default();
            let error = Error::new(Kind::ClientCertificateRejected, "refused");
            let limits = CircuitLimits { failures: 1, ..LIMITS };
            circuit.failed(&error, needs, limits, false, (0, 0.0)).unwrap();
            assert_eq!(circuit.succeeded(shown).is_some(), closes, "{needs:?} {shown:?}");
        }
    }

    #[test]
    fn a_forked_child_makes_its_own_trial() {
        let circuit = open();
        circuit.retry_now();
        let parent = process::id().wrapping_add(1);
        circuit.trouble.lock().as_mut().unwrap().phase = Phase::HalfOpen { trial: Some(parent) };
        assert_eq!(circuit.pass(|| 0).unwrap(), Pass::Trial(Needs::Handshake));
    }

    #[test]
    fn the_way_failed_if_the_last_try_did() {
        let way = Way::default();
        assert_eq!(way.failed_since(0, 0), None);
        way.record(false, 100 * SECOND);
        assert_eq!(way.failed_since(50, 0), Some(true));
        assert_eq!(way.failed_since(50, 101), Some(false), "the consumer has answered since");
        assert_eq!(way.failed_since(101, 0), None, "that was long ago");
        way.record(true, 100 * SECOND);
        assert_eq!(way.failed_since(50, 0), Some(false));
    }
}
