//! Deadlines of an attempt, and the progress that a failure reports.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Error, Kind, Sent, Stage, saturating_millis};
use crate::runtime;

/// How long each part of an attempt may take; the total bounds them all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    pub(crate) connect: Duration,
    pub(crate) handshake: Duration,
    pub(crate) write: Duration,
    pub(crate) response: Duration,
    pub(crate) total: Duration,
}

impl Deadlines {
    /// Awaits one part. `by` is when it must be over.
    pub(super) async fn within<T>(
        &self,
        part: &'static str,
        by: Instant,
        progress: &Progress,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match runtime::before(by.min(progress.by), pin!(work)).await {
            Some(outcome) => outcome,
            None => Err(progress.overdue(part, by, self)),
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

/// How far a delivery has come; whoever ends it from outside reads it from here.
pub(crate) struct Progress {
    /// When the delivery is to be over.
    by: Instant,
    stage: AtomicU8,
    /// What the attempt under way has sent.
    sent: AtomicU8,
    /// What an earlier attempt has sent.
    before: AtomicU8,
    /// Whether a byte of the payload has left: in the attempt under way, in an earlier one.
    payload: AtomicBool,
    payload_before: AtomicBool,
    decided: AtomicBool,
    enough: AtomicBool,
}

impl Progress {
    /// * `by`: when all of it is to be over.
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

    /// So much of the request has left by now.
    pub(super) fn wrote(&self, sent: Sent) {
        self.sent.store(sent as u8, Ordering::Relaxed);
    }

    /// A byte of the payload has left.
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

    /// How much was sent. Only the delivery itself sends anything: whoever ends it from outside has it
    /// dropped, and so this stays true.
    pub(crate) fn sent(&self) -> Sent {
        self.sent_now().max(read(&self.before))
    }

    /// How much the attempt under way has sent.
    pub(crate) fn sent_now(&self) -> Sent {
        read(&self.sent)
    }

    /// Another attempt begins; the consumer may have read so much of the last one.
    pub(crate) fn again(&self, sent: Sent) {
        self.before.fetch_max(sent as u8, Ordering::Relaxed);
        let payload = sent > Sent::Nothing && self.payload.load(Ordering::Relaxed);
        self.payload_before.fetch_or(payload, Ordering::Relaxed);
        self.decided.store(false, Ordering::Release);
        self.enter(Stage::Admit);
    }

    /// Says of the error that ends the delivery what all attempts together have sent.
    pub(crate) fn told(&self, error: Error) -> Error {
        let last = error.sent();
        let sent = last.max(read(&self.before));
        if sent == Sent::Nothing {
            return error;
        }
        let now = last > Sent::Nothing && self.payload.load(Ordering::Relaxed);
        let payload = now || self.payload_before.load(Ordering::Relaxed);
        error.having_sent(sent).noting("payload_sent", payload)
    }

    /// The head of a final answer has come: nothing that happens later changes what it says.
    pub(super) fn decide(&self) {
        self.decided.store(true, Ordering::Release);
    }

    /// Ends the reading of an answer whose head has come. `false` if none has.
    pub(crate) fn stop_reading(&self) -> bool {
        let decided = self.decided.load(Ordering::Acquire);
        if decided {
            self.enough.store(true, Ordering::Release);
        }
        decided
    }

    /// Whether nothing more of the answer is wanted.
    pub(super) fn is_enough(&self) -> bool {
        self.enough.load(Ordering::Acquire)
    }

    /// The time for all of it is over.
    pub(crate) fn too_late(&self, deadlines: &Deadlines) -> Error {
        self.overdue("total", self.by, deadlines)
    }

    /// The time for a part that was due at `due` is over, or for all of it if that was due before.
    pub(super) fn overdue(&self, part: &'static str, due: Instant, deadlines: &Deadlines) -> Error {
        let part = if self.by <= due { "total" } else { part };
        let millis = saturating_millis(deadlines.of(part));
        Error::new(
            Kind::DeadlineExceeded,
            format!("the {part} deadline of {millis} ms passed at stage {}", self.stage().name()),
        )
        .at(self.stage())
        .having_sent(self.sent())
        .noting("deadline", part)
        .noting("allowed_ms", millis)
    }
}

fn read(sent: &AtomicU8) -> Sent {
    let number = sent.load(Ordering::Relaxed);
    Sent::ALL.iter().copied().find(|sent| *sent as u8 == number).unwrap_or(Sent::Maybe)
}

/// How long the parts of a delivery took. A connection that was open already took none.
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

/// Milliseconds with microseconds behind the point.
#[allow(clippy::cast_precision_loss, reason = "microseconds of a delivery fit")]
pub(crate) fn fraction(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
