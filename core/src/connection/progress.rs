//! The progress of a delivery or probe: its stage, what it has sent, and what its end reports.
//!
//! The delivery records facts as they become known, which costs a few stores. They are collected only
//! if it fails, so a success does not pay for the facts of a failure.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::deadline::Deadlines;
use super::observation::{AttemptFacts, Observation};
use super::observer::{AttemptOutcome, End, Outcome, Repeat};
use super::phases::Phases;
use super::{ConnectionFacts, HandshakeFacts};
use crate::error::{Error, Kind, Scope, Sent, Stage, Timings, cause, key, saturating_millis};
use crate::metrics::AttemptPhases;
use crate::process::own;

/// The progress of a delivery or probe. A cancellation from outside reads it too.
pub(crate) struct Progress {
    /// `None` until the clock is started.
    started: Option<Instant>,
    /// The total deadline.
    by: Option<Instant>,
    stage: AtomicU8,
    phases: Phases,
    attempts: AtomicU32,
    /// The connection of the current attempt.
    connection: own::Mutex<Option<ConnectionFacts>>,
    /// How much of the request the current attempt has sent.
    sent: AtomicU8,
    /// How much earlier attempts have sent.
    before: AtomicU8,
    /// Whether the current attempt has sent a byte of the payload.
    payload: AtomicBool,
    /// Whether an earlier attempt has.
    payload_before: AtomicBool,
    /// The head of a final response has arrived.
    decided: AtomicBool,
    /// The rest of the response is not needed.
    enough: AtomicBool,
    /// `None` if nothing observes the operation.
    observation: Option<Box<Observation>>,
}

impl Progress {
    /// Starts at stage `admit`. The deadline follows with [`start_clock`](Self::start_clock).
    pub(crate) fn new(observation: Option<Box<Observation>>) -> Self {
        // Observers see the time before the deadline starts as well.
        let observed = observation.as_ref().map(|observation| {
            let now = Instant::now();
            observation.restart_clock(now);
            now
        });
        Self {
            started: observed,
            by: None,
            stage: AtomicU8::new(Stage::Admit as u8),
            phases: Phases::default(),
            attempts: AtomicU32::new(0),
            connection: own::Mutex::default(),
            sent: AtomicU8::new(Sent::Nothing as u8),
            before: AtomicU8::new(Sent::Nothing as u8),
            payload: AtomicBool::new(false),
            payload_before: AtomicBool::new(false),
            decided: AtomicBool::new(false),
            enough: AtomicBool::new(false),
            observation,
        }
    }

    /// Starts the clock and the total deadline. The wait before, for a place in a run, does not count.
    pub(crate) fn start_clock(&mut self, total: Duration) {
        let now = Instant::now();
        (self.started, self.by) = (Some(now), Some(now + total));
        if let Some(observation) = &self.observation {
            observation.restart_clock(now);
        }
    }

    /// The total deadline.
    pub(crate) fn by(&self) -> Instant {
        self.by.unwrap_or_else(Instant::now)
    }

    /// Enters a stage. Returns the time of the entry.
    pub(crate) fn enter(&self, stage: Stage) -> Instant {
        let now = Instant::now();
        self.phases.enter(stage, self.until(now));
        self.stage.store(stage as u8, Relaxed);
        if stage <= Stage::Request {
            self.sent.store(Sent::Nothing as u8, Relaxed);
            self.payload.store(false, Relaxed);
        }
        if let Some(observation) = &self.observation {
            observation.enter(stage, now);
        }
        now
    }

    /// Counts an attempt, which opens a connection unless it [reuses](Self::reuse) one.
    pub(crate) fn begin_attempt(&self) {
        self.attempts.fetch_add(1, Relaxed);
        if let Some(observation) = &self.observation {
            observation.begin_attempt(Instant::now());
        }
    }

    /// Tells the observers how the current attempt ended.
    pub(crate) fn end_attempt(&self, outcome: AttemptOutcome<'_>) {
        if self.observation.is_some() {
            self.end_attempt_at(Instant::now(), outcome);
        }
    }

    fn end_attempt_at(&self, now: Instant, outcome: AttemptOutcome<'_>) {
        if let Some(observation) = &self.observation {
            let facts = || AttemptFacts {
                number: self.attempts(),
                connection: self.connection_facts(),
                sent: match outcome {
                    AttemptOutcome::Succeeded(_) | AttemptOutcome::Abandoned => self.sent_now(),
                    AttemptOutcome::Failed(error) => error.sent(),
                    AttemptOutcome::Repeated(Repeat::HoldUnsupported) => Sent::Maybe,
                    AttemptOutcome::Repeated(_) => Sent::Nothing,
                },
            };
            observation.end_attempt(now, facts, outcome);
        }
    }

    /// Tells the observers how the operation ended, once.
    pub(crate) fn end(&self, outcome: Outcome<'_>) {
        if let Some(observation) = &self.observation {
            let (sent, attempt) = match outcome {
                Outcome::Succeeded => (self.sent(), AttemptOutcome::Succeeded(None)),
                Outcome::Failed(error) => (error.sent(), AttemptOutcome::Failed(error)),
                Outcome::Abandoned => (self.sent(), AttemptOutcome::Abandoned),
            };
            let now = Instant::now();
            self.end_attempt_at(now, attempt);
            let (attempts, elapsed) = (self.attempts(), self.until(now));
            observation.end(now, &End { outcome, sent, attempts, elapsed });
        }
    }

    /// Forgets the connection and the phases of the previous attempt.
    pub(crate) fn connect_anew(&self) {
        self.phases.forget();
        *self.connection() = None;
    }

    /// Records that the attempt uses an idle connection.
    pub(crate) fn reuse(&self, connection: ConnectionFacts) {
        self.phases.skip_opening();
        *self.connection() = Some(connection);
    }

    /// Records the connection that the attempt has opened.
    pub(super) fn connected(&self, connection: ConnectionFacts) {
        *self.connection() = Some(connection);
    }

    /// Records that the handshake on the new connection is completed.
    pub(super) fn shook_hands(&self, handshake: &Arc<HandshakeFacts>) {
        self.phases.end(self.elapsed());
        let mut connection = self.connection();
        let Some(known) = &mut *connection else { return };
        known.complete(handshake);
        let address = known.address;
        drop(connection);
        if let Some(observation) = &self.observation {
            observation.shook_hands(Instant::now(), address, handshake);
        }
    }

    /// Records that the response has ended.
    pub(super) fn finish(&self, now: Instant) {
        self.phases.end(self.until(now));
        if let Some(observation) = &self.observation {
            observation.leave(now);
        }
    }

    /// Returns the time from the start to the end of the response.
    pub(crate) fn finished_after(&self) -> Duration {
        self.phases.ended()
    }

    /// Records how much of the request has left.
    pub(super) fn wrote(&self, sent: Sent) {
        self.sent.store(sent as u8, Relaxed);
    }

    /// Records that the last byte of the request has left.
    pub(super) fn wrote_all(&self, now: Instant) {
        self.wrote(Sent::All);
        self.phases.wrote_request(self.until(now));
        if let Some(observation) = &self.observation {
            observation.enter(Stage::Response, now);
        }
    }

    /// Records that the delivery panicked. A write may have happened that was not recorded.
    pub(crate) fn panicked(&self) {
        if self.stage() >= Stage::Request {
            self.wrote(Sent::Maybe);
            self.wrote_payload();
        }
    }

    /// Records that a byte of the payload has left.
    pub(super) fn wrote_payload(&self) {
        self.payload.store(true, Relaxed);
    }

    /// Whether a byte of the payload has left in the current attempt.
    pub(crate) fn has_sent_payload(&self) -> bool {
        self.payload.load(Relaxed)
    }

    pub(crate) fn stage(&self) -> Stage {
        let entered = entered(&self.stage);
        let written = self.sent_now() == Sent::All;
        if entered == Stage::Request && written { Stage::Response } else { entered }
    }

    /// How much all attempts have sent. Only the delivery itself writes. A cancellation drops the delivery,
    /// so the value does not change afterwards.
    pub(crate) fn sent(&self) -> Sent {
        self.sent_now().max(read(&self.before))
    }

    /// How much the current attempt has sent.
    pub(crate) fn sent_now(&self) -> Sent {
        read(&self.sent)
    }

    /// Records how much of a failed attempt the consumer may have read.
    pub(crate) fn add_attempt_sent(&self, sent: Sent) {
        self.before.fetch_max(sent as u8, Relaxed);
        let payload = sent > Sent::Nothing && self.payload.load(Relaxed);
        self.payload_before.fetch_or(payload, Relaxed);
    }

    /// Prepares another attempt, after [`add_attempt_sent`](Self::add_attempt_sent).
    pub(crate) fn next_attempt(&self) {
        self.decided.store(false, Release);
        self.enter(Stage::Admit);
    }

    /// Adds to the error that ends the delivery what all attempts together have sent.
    pub(crate) fn add_sent(&self, error: Error) -> Error {
        let last = error.sent();
        let sent = last.max(read(&self.before));
        if sent == Sent::Nothing {
            return error;
        }
        let now = last > Sent::Nothing && self.payload.load(Relaxed);
        // Of a parent's delivery, this process does not know it.
        let unknown = error.kind() == Kind::ForkedProcess;
        let payload = unknown || now || self.payload_before.load(Relaxed);
        error.having_sent(sent).noting(key::PAYLOAD_SENT, payload)
    }

    /// Records that the head of a final response has arrived. Later events do not change the outcome.
    pub(super) fn decide(&self) {
        self.decided.store(true, Release);
    }

    /// Stops reading a response whose head has arrived. Returns `false` if no head has arrived.
    pub(crate) fn stop_reading(&self) -> bool {
        let decided = self.decided.load(Acquire);
        if decided {
            self.enough.store(true, Release);
        }
        decided
    }

    /// Reads no body: the head of the response is enough.
    pub(crate) fn expect_no_body(&self) {
        self.enough.store(true, Release);
    }

    /// Whether the rest of the response is not needed.
    pub(super) fn is_enough(&self) -> bool {
        self.enough.load(Acquire)
    }

    /// The number of attempts that have begun.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.load(Relaxed)
    }

    /// Returns the time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |started| started.elapsed())
    }

    /// Returns the time from the start to an instant.
    fn until(&self, at: Instant) -> Duration {
        self.started.map_or(Duration::ZERO, |started| at - started)
    }

    /// Returns how long the phases of the current attempt have taken so far.
    pub(crate) fn timings(&self) -> Timings {
        self.phases.timings(|| self.elapsed())
    }

    /// Ends the phase in progress. Returns how long the phases of the current attempt took, for metrics.
    pub(crate) fn counted_phases(&self) -> AttemptPhases {
        if !self.phases.are_ended() {
            self.phases.end(self.elapsed());
        }
        self.phases.counted()
    }

    /// Whether the current attempt uses an idle connection.
    pub(crate) fn is_reusing(&self) -> bool {
        self.phases.are_of_reuse()
    }

    /// Returns the connection of the current attempt, if it has one.
    pub(crate) fn connection_facts(&self) -> Option<ConnectionFacts> {
        self.connection().clone()
    }

    fn connection(&self) -> own::MutexGuard<'_, Option<ConnectionFacts>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error for a passed total deadline.
    pub(crate) fn total_deadline_exceeded(&self, deadlines: &Deadlines) -> Error {
        self.deadline_exceeded("total", self.by(), deadlines)
    }

    /// The error for a part whose deadline `due` has passed, or for the total deadline if that was
    /// earlier.
    pub(super) fn deadline_exceeded(
        &self,
        part: &'static str,
        due: Instant,
        deadlines: &Deadlines,
    ) -> Error {
        let part = if self.by() <= due { "total" } else { part };
        let (millis, stage) = (saturating_millis(deadlines.of(part)), self.stage());
        let known = self.connection_facts();
        let of_signer = || known.as_ref()?.signer_timeout(part, millis);
        let error = if stage == Stage::Admit {
            self.limit_reached(millis)
        } else if let Some(error) = of_signer() {
            error
        } else {
            let address = known.map(|known| known.address);
            let with = address.map(|address| format!(" with {address}")).unwrap_or_default();
            let passed = format!("the {part} deadline of {millis} ms passed at stage");
            let message = format!("{passed} {}{with}", stage.name());
            let error = Error::new(Kind::DeadlineExceeded, message).at(stage);
            match (stage, address) {
                (Stage::Handshake, Some(address)) => error
                    .scoped(Scope::Endpoint)
                    .caused(&cause::SILENT_HANDSHAKE, &[("address", &address)]),
                (Stage::Request, Some(address)) => {
                    error.caused(&cause::SLOW_WRITE, &[("address", &address)])
                }
                (Stage::Response, Some(address)) => {
                    error.caused(&cause::SLOW_RESPONSE, &[("address", &address)])
                }
                _ => error.caused(&cause::TOTAL_TOO_SHORT, &[("stage", &stage.name())]),
            }
        };
        error.having_sent(self.sent()).noting(key::DEADLINE, part).noting(key::ALLOWED, millis)
    }

    /// The error for a delivery that was not admitted until its deadline: a limit of ours was reached.
    fn limit_reached(&self, millis: u64) -> Error {
        // An attempt begins with its turn.
        let (what, scope, cause) = if self.attempts() == 0 {
            ("turn of the endpoint", Scope::Endpoint, &cause::TURN_AWAITED)
        } else {
            ("connection of the dispatcher", Scope::Process, &cause::CONNECTION_AWAITED)
        };
        let message = format!("no {what} became free within {millis} ms");
        Error::new(Kind::Overloaded, message).at(Stage::Admit).scoped(scope).caused(cause, &[])
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.observation.as_ref().is_some_and(|observation| !observation.has_ended()) {
            self.end(Outcome::Abandoned);
        }
    }
}

fn entered(stage: &AtomicU8) -> Stage {
    let number = stage.load(Relaxed);
    Stage::ALL.iter().copied().find(|known| *known as u8 == number).unwrap_or(Stage::Admit)
}

fn read(sent: &AtomicU8) -> Sent {
    let number = sent.load(Relaxed);
    Sent::ALL.iter().copied().find(|sent| *sent as u8 == number).unwrap_or(Sent::Maybe)
}
