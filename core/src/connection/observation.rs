//! What the observers of one delivery or probe have been told, so that each fact is told once.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::observer::{
    AttemptEnd, AttemptOutcome, End, HandshakeEnd, Observer, Observers, OperationKind, Subject,
};
use super::{ConnectionFacts, HandshakeFacts};
use crate::error::{Sent, Stage};
use crate::process::{self, own};

/// One observed delivery or probe.
pub(crate) struct Observation {
    /// A forked child tells its copy of the observers nothing: the parent makes the delivery.
    process: u32,
    observers: Observers,
    subject: Subject,
    told: own::Mutex<Told>,
}

/// What has begun and is not over.
#[derive(Default)]
struct Told {
    stage: Option<(Stage, Instant)>,
    handshake: Option<Instant>,
    attempt: Option<Instant>,
    ended: bool,
}

/// The facts of an attempt that ends.
pub(super) struct AttemptFacts {
    pub(super) number: u32,
    pub(super) connection: Option<ConnectionFacts>,
    pub(super) sent: Sent,
}

impl Observation {
    /// Starts to observe a delivery or probe at stage `admit`. Returns `None` if nothing observes it.
    ///
    /// * `trace`: an observer of this operation alone, called after the others.
    pub(crate) fn begin(
        observers: &Observers,
        trace: Option<Arc<dyn Observer>>,
        operation: OperationKind,
        consumer: impl FnOnce() -> Arc<str>,
        id: Option<&str>,
    ) -> Option<Box<Self>> {
        if observers.are_none() && trace.is_none() {
            return None;
        }
        Some(Self::begin_observed(observers.with(trace), operation, consumer(), id))
    }

    #[cold]
    fn begin_observed(
        observers: Observers,
        operation: OperationKind,
        consumer: Arc<str>,
        id: Option<&str>,
    ) -> Box<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let subject = Subject { number, operation, consumer, id: id.map(str::to_owned) };
        let told = own::Mutex::new(Told {
            stage: Some((Stage::Admit, Instant::now())),
            ..Told::default()
        });
        let this = Box::new(Self { process: process::id(), observers, subject, told });
        this.each(|observer| observer.began(&this.subject));
        this.each(|observer| observer.stage_entered(&this.subject, Stage::Admit));
        this
    }

    /// Restarts the clock of the current stage.
    #[cold]
    pub(super) fn restart_clock(&self, now: Instant) {
        if let Some((_, since)) = &mut self.told().stage {
            *since = now;
        }
    }

    /// Enters a stage, and leaves the one before. Entering the current stage again has no effect.
    #[cold]
    pub(super) fn enter(&self, stage: Stage, now: Instant) {
        #[cfg(feature = "testing")]
        assert!(self.observers.panic_at != Some(stage), "a planted panic");
        if self.told().stage.is_some_and(|(current, _)| current == stage) {
            return;
        }
        self.leave(now);
        let mut told = self.told();
        told.stage = Some((stage, now));
        if stage == Stage::Handshake {
            told.handshake = Some(now);
        }
        drop(told);
        self.each(|observer| observer.stage_entered(&self.subject, stage));
    }

    /// Leaves the current stage, if there is one.
    #[cold]
    pub(super) fn leave(&self, now: Instant) {
        let left = self.told().stage.take();
        if let Some((stage, since)) = left {
            let took = now.saturating_duration_since(since);
            self.each(|observer| observer.stage_left(&self.subject, stage, took));
        }
    }

    /// Counts an attempt as begun.
    #[cold]
    pub(super) fn begin_attempt(&self, now: Instant) {
        self.told().attempt = Some(now);
    }

    /// Tells of a completed handshake.
    #[cold]
    pub(super) fn shook_hands(
        &self,
        now: Instant,
        address: SocketAddr,
        handshake: &HandshakeFacts,
    ) {
        self.leave(now);
        let HandshakeFacts { peer, tls } = handshake;
        self.end_handshake(now, address, |end| {
            (end.tls, end.peer) = (Some(tls), Some(peer));
        });
    }

    fn end_handshake<'a>(
        &self,
        now: Instant,
        address: SocketAddr,
        with: impl FnOnce(&mut HandshakeEnd<'a>),
    ) {
        let since = self.told().handshake.take();
        if let Some(since) = since {
            let took = now.saturating_duration_since(since);
            let mut end = HandshakeEnd { address, took, tls: None, peer: None, error: None };
            with(&mut end);
            self.each(|observer| observer.handshake_ended(&self.subject, &end));
        }
    }

    /// Ends the current attempt, if there is one, with its stage and its handshake.
    #[cold]
    pub(super) fn end_attempt(
        &self,
        now: Instant,
        facts: impl FnOnce() -> AttemptFacts,
        outcome: AttemptOutcome<'_>,
    ) {
        let since = self.told().attempt.take();
        let Some(since) = since else { return };
        self.leave(now);
        let AttemptFacts { number, connection, sent } = facts();
        let address = connection.as_ref().map(|known| known.address);
        if let Some(address) = address {
            let tls = connection.as_ref().and_then(ConnectionFacts::failed_handshake);
            self.end_handshake(now, address, |end| {
                end.tls = tls.as_ref();
                if let AttemptOutcome::Failed(error) = outcome {
                    end.error = Some(error);
                }
            });
        }
        let reused = connection.is_some_and(|known| known.reused);
        let took = now.saturating_duration_since(since);
        let end = AttemptEnd { number, took, address, reused, sent, outcome };
        self.each(|observer| observer.attempt_ended(&self.subject, &end));
    }

    /// Ends the operation. Only the first call has an effect.
    #[cold]
    pub(super) fn end(&self, now: Instant, end: &End<'_>) {
        let ended = std::mem::replace(&mut self.told().ended, true);
        if !ended {
            self.leave(now);
            self.each(|observer| observer.ended(&self.subject, end));
        }
    }

    /// Whether the end was told.
    pub(super) fn has_ended(&self) -> bool {
        self.told().ended
    }

    fn each(&self, call: impl Fn(&dyn Observer)) {
        if self.process != process::id() {
            return;
        }
        for observer in self.observers.list.iter().flat_map(|list| list.iter()) {
            // An observer must not change how a delivery ends.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| call(&**observer))) {
                std::mem::forget(panic);
            }
        }
    }

    fn told(&self) -> own::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
