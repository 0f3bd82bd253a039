//! The deadlines of an attempt, and the progress that an error reports.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Error, Kind, Sent, Stage, key, saturating_millis};
use crate::runtime;

/// How long each part of an attempt may take. The total limits the sum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    pub(crate) connect: Duration,
    pub(crate) handshake: Duration,
    pub(crate) write: Duration,
    pub(crate) response: Duration,
    pub(crate) total: Duration,
}

impl Deadlines {
    /// Awaits one part of an attempt. Fails with `deadline_exceeded` at `by`.
    pub(super) async fn within<T>(
        &self,
        part: &'static str,
        by: Instant,
        progress: &Progress,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match runtime::before(by.min(progress.by), pin!(work)).await {
            Some(outcome) => outcome,
            None => Err(progress.deadline_exceeded(part, by, self)),
        }
    }

    fn of(&self, part: &str) -> Duration {
        match part {
            "connect" => self.connect,
            "handshake" => self.handshake,
            "write" => self.write,
            "response" => self.response,
            _ => self.total,
        }
    }
}

/// The progress of a delivery. A cancellation from outside reads it too.
pub(crate) struct Progress {
    /// The total deadline.
    by: Instant,
    stage: AtomicU8,
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
}

impl Progress {
    /// * `by`: the total deadline.
    pub(crate) fn new(by: Instant) -> Self {
        Self {
            by,
            stage: AtomicU8::new(Stage::Admit as u8),
            sent: AtomicU8::new(Sent::Nothing as u8),
            before: AtomicU8::new(Sent::Nothing as u8),
            payload: AtomicBool::new(false),
            payload_before: AtomicBool::new(false),
            decided: AtomicBool::new(false),
            enough: AtomicBool::new(false),
        }
    }

    pub(crate) fn by(&self) -> Instant {
        self.by
    }

    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
        if stage <= Stage::Request {
            self.sent.store(Sent::Nothing as u8, Ordering::Relaxed);
            self.payload.store(false, Ordering::Relaxed);
        }
    }

    /// Records how much of the request has left.
    pub(super) fn wrote(&self, sent: Sent) {
        self.sent.store(sent as u8, Ordering::Relaxed);
    }

    /// Records that a byte of the payload has left.
    pub(super) fn wrote_payload(&self) {
        self.payload.store(true, Ordering::Relaxed);
    }

    /// Whether a byte of the payload has left in the current attempt.
    pub(crate) fn has_sent_payload(&self) -> bool {
        self.payload.load(Ordering::Relaxed)
    }

    pub(crate) fn stage(&self) -> Stage {
        let stage = self.stage.load(Ordering::Relaxed);
        let entered =
            Stage::ALL.iter().copied().find(|known| *known as u8 == stage).unwrap_or(Stage::Admit);
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

    /// Begins another attempt.
    ///
    /// * `sent`: how much of the last attempt the consumer may have read.
    pub(crate) fn next_attempt(&self, sent: Sent) {
        self.before.fetch_max(sent as u8, Ordering::Relaxed);
        let payload = sent > Sent::Nothing && self.payload.load(Ordering::Relaxed);
        self.payload_before.fetch_or(payload, Ordering::Relaxed);
        self.decided.store(false, Ordering::Release);
        self.enter(Stage::Admit);
    }

    /// Adds to the error that ends the delivery what all attempts together have sent.
    pub(crate) fn add_sent(&self, error: Error) -> Error {
        let last = error.sent();
        let sent = last.max(read(&self.before));
        if sent == Sent::Nothing {
            return error;
        }
        let now = last > Sent::Nothing && self.payload.load(Ordering::Relaxed);
        let payload = now || self.payload_before.load(Ordering::Relaxed);
        error.having_sent(sent).noting(key::PAYLOAD_SENT, payload)
    }

    /// Records that the head of a final response has arrived. Later events do not change the outcome.
    pub(super) fn decide(&self) {
        self.decided.store(true, Ordering::Release);
    }

    /// Stops reading a response whose head has arrived. Returns `false` if no head has arrived.
    pub(crate) fn stop_reading(&self) -> bool {
        let decided = self.decided.load(Ordering::Acquire);
        if decided {
            self.enough.store(true, Ordering::Release);
        }
        decided
    }

    /// Whether the rest of the response is not needed.
    pub(super) fn is_enough(&self) -> bool {
        self.enough.load(Ordering::Acquire)
    }

    /// The error for a passed total deadline.
    pub(crate) fn total_deadline_exceeded(&self, deadlines: &Deadlines) -> Error {
        self.deadline_exceeded("total", self.by, deadlines)
    }

    /// The error for a part whose deadline `due` has passed, or for the total deadline if that was
    /// earlier.
    pub(super) fn deadline_exceeded(
        &self,
        part: &'static str,
        due: Instant,
        deadlines: &Deadlines,
    ) -> Error {
        let part = if self.by <= due { "total" } else { part };
        let millis = saturating_millis(deadlines.of(part));
        Error::new(
            Kind::DeadlineExceeded,
            format!("the {part} deadline of {millis} ms passed at stage {}", self.stage().name()),
        )
        .at(self.stage())
        .having_sent(self.sent())
        .noting(key::DEADLINE, part)
        .noting(key::ALLOWED, millis)
    }
}

fn read(sent: &AtomicU8) -> Sent {
    let number = sent.load(Ordering::Relaxed);
    Sent::ALL.iter().copied().find(|sent| *sent as u8 == number).unwrap_or(Sent::Maybe)
}

/// How long the parts of a delivery took. The first three are zero on a reused connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timings {
    pub(crate) resolve: Duration,
    pub(crate) connect: Duration,
    pub(crate) handshake: Duration,
    pub(crate) response: Duration,
}

impl Timings {
    pub(crate) fn to_json(self) -> Value {
        json!({
            "resolve_ms": fraction(self.resolve),
            "connect_ms": fraction(self.connect),
            "handshake_ms": fraction(self.handshake),
            "response_ms": fraction(self.response),
        })
    }
}

/// Converts to milliseconds with microseconds as the fraction.
#[allow(clippy::cast_precision_loss, reason = "microseconds of a delivery fit")]
pub(crate) fn fraction(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
