//! Typed observers of deliveries and probes: what metrics, traces and a circuit breaker see.
//!
//! The facts have the types of the core. No JSON is made for an observer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Sent, Stage};
use crate::tls::TlsFacts;
use crate::verify::PeerIdentity;

/// Watches the deliveries and probes of a dispatcher. Each method does nothing by default.
///
/// For one delivery or probe, `began` is called first and `ended` last, each once, however it ends. It is
/// at one stage at most: a stage is left before the next is entered. `began` is called on the thread
/// that makes the delivery, and the others on the thread that drives it or, if it is abandoned, drops
/// it. No lock of the library is held. A method must not block. A panic in it is caught and has no
/// effect.
///
/// A failure before a dispatcher has the delivery (invalid options, an unknown endpoint) is not seen.
pub trait Observer: Send + Sync {
    /// A delivery or probe asks to be admitted. It is at stage `admit`, which is not reported before.
    fn began(&self, _subject: &Subject) {}

    /// The stage begins. `response` begins when the last byte of the request has left.
    fn stage_entered(&self, _subject: &Subject, _stage: Stage) {}

    /// The stage is over after `took`. The stages `admit` of a run exclude the wait for a place in the
    /// run, so the durations of all stages add up to at most [`End::elapsed`].
    fn stage_left(&self, _subject: &Subject, _stage: Stage, _took: Duration) {}

    /// A handshake is over. A reused connection has none.
    fn handshake_ended(&self, _subject: &Subject, _handshake: &HandshakeEnd<'_>) {}

    /// An attempt is over. Another may follow.
    fn attempt_ended(&self, _subject: &Subject, _attempt: &AttemptEnd<'_>) {}

    /// The delivery or probe is over.
    fn ended(&self, _subject: &Subject, _end: &End<'_>) {}
}

/// A delivery or probe that is observed.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Different for each delivery and probe of this process.
    pub number: u64,
    /// Whether a request is delivered.
    pub operation: OperationKind,
    /// The consumer id.
    pub consumer: Arc<str>,
    /// The event's id as the caller wrote it, if one was set. Not fit for a log unless checked.
    pub id: Option<String>,
}

/// The operation that is observed. Exhaustive: a dispatcher makes no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// A delivery, by any way to deliver.
    Delivery,
    /// A probe.
    Probe,
}

/// The end of a handshake.
#[derive(Debug)]
pub struct HandshakeEnd<'a> {
    /// The address of the connection.
    pub address: SocketAddr,
    /// The duration.
    pub took: Duration,
    /// The result of the negotiation. If the handshake was not completed, the choices of the consumer's
    /// ServerHello. `None` if it did not arrive.
    pub tls: Option<&'a TlsFacts>,
    /// The verified peer, if the handshake was completed.
    pub peer: Option<&'a PeerIdentity>,
    /// The error, if the handshake failed. `None` beside no `peer`: it was abandoned.
    pub error: Option<&'a Error>,
}

/// The end of an attempt.
#[derive(Debug)]
pub struct AttemptEnd<'a> {
    /// The number of the attempt, from 1.
    pub number: u32,
    /// The duration.
    pub took: Duration,
    /// The address of its connection, if it had one.
    pub address: Option<SocketAddr>,
    /// Whether it used an idle connection.
    pub reused: bool,
    /// How much of the request this attempt has sent.
    pub sent: Sent,
    /// How it ended.
    pub outcome: AttemptOutcome<'a>,
}

/// How an attempt ended. Exhaustive: the library makes no other.
#[derive(Clone, Copy, Debug)]
pub enum AttemptOutcome<'a> {
    /// It succeeded, with this HTTP status. A probe has none.
    Succeeded(Option<u16>),
    /// It failed. The error has no facts of the delivery yet.
    Failed(&'a Error),
    /// It ended without a failure, and another follows.
    Repeated(Repeat),
    /// The delivery was dropped.
    Abandoned,
}

/// Why an attempt that has not failed is made again. Exhaustive: there is no other reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The endpoint's settings changed before the first byte.
    SettingsChanged,
    /// The idle connection was closed, and nothing was sent.
    ConnectionClosed,
    /// The consumer answered `Expect: 100-continue` as if it were the whole request.
    HoldUnsupported,
}

/// The end of a delivery or probe.
#[derive(Debug)]
pub struct End<'a> {
    /// How it ended.
    pub outcome: Outcome<'a>,
    /// How much of the request all attempts together have sent.
    pub sent: Sent,
    /// How many attempts began.
    pub attempts: u32,
    /// The total duration.
    pub elapsed: Duration,
}

/// How a delivery or probe ended. Exhaustive: there is no other end.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// It succeeded.
    Succeeded,
    /// It failed with this error, which the caller gets.
    Failed(&'a Error),
    /// The caller dropped it, canceled its run, or interrupted it, and so gets no outcome.
    Abandoned,
}

/// The observers of a dispatcher.
#[derive(Clone, Default)]
pub(crate) struct Observers {
    pub(super) list: Option<Arc<Vec<Arc<dyn Observer>>>>,
    /// A panic to raise when a stage begins, so that tests see how a panic ends.
    #[cfg(feature = "testing")]
    pub(super) panic_at: Option<Stage>,
}

impl Observers {
    pub(crate) fn add(&mut self, observer: Arc<dyn Observer>) {
        Arc::make_mut(self.list.get_or_insert_default()).push(observer);
    }

    /// Returns these observers and one more, if there is one.
    pub(super) fn with(&self, further: Option<Arc<dyn Observer>>) -> Self {
        let mut all = self.clone();
        if let Some(observer) = further {
            all.add(observer);
        }
        all
    }

    /// Makes every delivery and probe panic when this stage begins.
    #[cfg(feature = "testing")]
    pub(crate) fn panic_at(&mut self, stage: Stage) {
        self.panic_at = Some(stage);
    }

    pub(super) fn are_none(&self) -> bool {
        #[cfg(feature = "testing")]
        if self.panic_at.is_some() {
            return false;
        }
        self.list.is_none()
    }
}
