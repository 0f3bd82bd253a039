//! One delivery or probe, from its entrance to its one exit.
//!
//! Every way to deliver starts with [`Operation::enter`], runs in [`Operation::bounded`] and ends in
//! [`Operation::leave`]. The exit adds the known facts to a success and to an error: the consumer, the id,
//! the attempts, the durations, the connection and the peer.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::{CancelToken, Dispatcher, Inner, Trace, diagnose_command};
use crate::admission::{Admitted, Entry, Needs, Pass, RunEntry, Turn, WaitLimit, Waiter, canceled};
use crate::clock;
use crate::connection::observer::{Observer, OperationKind, Outcome};
use crate::connection::{ConnectionFacts, Deadlines, Observation, Progress};
use crate::endpoint::Endpoint;
use crate::error::{ConnectionParts, DeliveryFacts, Error, Kind, ShownHandshake, Stage, key};
use crate::log::{LogRecord, OperationSpan};
use crate::process::{self, Once};
use crate::runtime::poll_due;

/// One delivery or probe that has not ended.
pub(super) struct Operation {
    pub(super) dispatcher: Arc<Inner>,
    pub(super) endpoint: Endpoint,
    /// The event's id, if one was set.
    pub(super) id: Option<String>,
    pub(super) progress: Progress,
    pub(super) deadlines: Deadlines,
    cancel: Option<CancelToken>,
    pub(super) kind: OperationKind,
    /// The process that makes the operation.
    pub(super) process: u32,
    /// How many attempts were counted.
    pub(super) counted: AtomicU32,
    /// Whether its end was counted.
    pub(super) ended: AtomicBool,
    pub(super) trace: Option<Arc<Trace>>,
    pub(super) span: OperationSpan,
    /// What the delivery must show if it is the trial of a half-open circuit.
    trial: Once<Needs>,
    /// Dropped after `progress`: `close` returns after the end of the operation was observed.
    admitted: Option<Admitted>,
}

/// A success that an operation ends with.
pub(super) trait Success {
    fn log_record(&self) -> LogRecord;

    /// Returns how long it took.
    fn elapsed(&self) -> Duration;
}

impl Operation {
    /// Makes an operation, which is to [enter](Self::enter).
    pub(super) fn new(
        kind: OperationKind,
        dispatcher: &Dispatcher,
        endpoint: &Endpoint,
        id: Option<String>,
        deadlines: Deadlines,
        cancel: Option<CancelToken>,
        trace: Option<Arc<Trace>>,
    ) -> Self {
        let (dispatcher, endpoint) = (dispatcher.inner.clone(), endpoint.clone());
        let observers = &dispatcher.options.observers;
        let consumer = || endpoint.consumer_arc();
        let observer = trace.clone().map(|trace| trace as Arc<dyn Observer>);
        let progress =
            Progress::new(Observation::begin(observers, observer, kind, consumer, id.as_deref()));
        let span = OperationSpan::new(noun(kind), endpoint.consumer(), id.as_deref());
        Self {
            dispatcher,
            endpoint,
            id,
            progress,
            deadlines,
            cancel,
            kind,
            process: process::id(),
            counted: AtomicU32::new(0),
            ended: AtomicBool::new(false),
            trace,
            span,
            trial: Once::new(),
            admitted: None,
        }
    }

    /// Makes an operation that delivers nothing and that no observer sees.
    pub(super) fn unobserved(
        dispatcher: &Dispatcher,
        endpoint: &Endpoint,
        deadlines: Deadlines,
        cancel: CancelToken,
    ) -> Self {
        Self {
            dispatcher: dispatcher.inner.clone(),
            endpoint: endpoint.clone(),
            id: None,
            trace: None,
            progress: Progress::new(None),
            deadlines,
            cancel: Some(cancel),
            kind: OperationKind::Probe,
            process: process::id(),
            counted: AtomicU32::new(0),
            // It is not counted.
            ended: AtomicBool::new(true),
            span: OperationSpan::new(noun(OperationKind::Probe), endpoint.consumer(), None),
            trial: Once::new(),
            admitted: None,
        }
    }

    /// The one entrance. From now on the operation counts as in flight.
    pub(super) fn enter(&mut self, waiter: Waiter, run: Option<RunEntry<'_>>) -> Result<(), Error> {
        let (endpoint, cancel) = (self.endpoint.access(), self.cancel.as_ref());
        let is_delivery = self.kind == OperationKind::Delivery;
        let entry = Entry { endpoint, cancel, is_delivery, waiter, run };
        self.admitted = Some(self.dispatcher.admission.enter(entry)?);
        Ok(())
    }

    /// Waits for a place in the run, if a run makes the delivery, then starts the clock and the total
    /// deadline.
    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        if let Some(admitted) = &self.admitted {
            admitted.check_process()?;
            if !admitted.is_in_run() {
                // Boxed, so that the future of a delivery with a free place stays small.
                Box::pin(self.enter_run()).await?;
            }
        }
        self.progress.start_clock(self.deadlines.total);
        Ok(())
    }

    async fn enter_run(&mut self) -> Result<(), Error> {
        let Some(admitted) = &mut self.admitted else { return Ok(()) };
        let (endpoint, progress) = (self.endpoint.access(), &self.progress);
        let mut waiting = pin!(admitted.enter_run(endpoint));
        let mut by_caller = pin!(CancelToken::canceled_if_any(self.cancel.as_ref()));
        let mut by_close = pin!(self.dispatcher.admission.stop().canceled());
        let ended = poll_fn(|context| {
            if let Poll::Ready(by) = poll_ended(by_caller.as_mut(), by_close.as_mut(), context) {
                return Poll::Ready(Err(by));
            }
            poll_caught(waiting.as_mut(), progress, context).map(Ok)
        });
        ended.await.unwrap_or_else(|by| Err(by.into_error(progress)))
    }

    /// Waits for a turn of the endpoint, then passes its circuit. Returns `None` if the run has a turn.
    pub(super) async fn take_turn(&self) -> Result<Option<Turn>, Error> {
        let turn = match &self.admitted {
            Some(admitted) => {
                let owner = || self.endpoint.generation().owner().clone();
                let (admission, by) = (&self.dispatcher.admission, self.progress.by());
                admitted.take_turn(admission, self.endpoint.access(), by, owner).await?
            }
            None => None,
        };
        self.dispatcher.catch_up().await;
        self.pass_circuit().inspect_err(|_| self.endpoint.access().turns().return_token())?;
        Ok(turn)
    }

    /// Passes the circuit, which may have opened while the delivery waited. Fails with `circuit_open`.
    fn pass_circuit(&self) -> Result<(), Error> {
        if self.kind == OperationKind::Delivery
            && let Pass::Trial(needs) = self.endpoint.access().circuit().pass(clock::now_millis)?
        {
            self.trial.set(needs);
        }
        Ok(())
    }

    /// Returns what the delivery must show if it is the trial of a half-open circuit.
    pub(super) fn trial(&self) -> Option<Needs> {
        self.trial.get().copied()
    }

    /// Returns the limit on waiting for a connection.
    pub(super) fn wait_limit(&self) -> Option<&WaitLimit> {
        self.dispatcher.admission.wait_limit(self.admitted.as_ref()?)
    }

    /// Runs `work` until it ends, is canceled, panics, or reaches the total deadline.
    pub(super) async fn bounded<R>(
        &self,
        work: impl Future<Output = Result<R, Error>>,
    ) -> Result<R, Error> {
        let progress = &self.progress;
        let mut work = pin!(work);
        let mut by_caller = pin!(CancelToken::canceled_if_any(self.cancel.as_ref()));
        let mut by_close = pin!(self.dispatcher.admission.stop().canceled());
        let mut total = pin!(tokio::time::sleep_until(progress.by().into()));
        let ended = poll_fn(|context| {
            // In this order: cancellation takes precedence over the outcome.
            if let Poll::Ready(by) = poll_ended(by_caller.as_mut(), by_close.as_mut(), context) {
                return Poll::Ready(Err(Some(by)));
            }
            let polled = self.span.within(|| poll_caught(work.as_mut(), progress, context));
            if let Poll::Ready(outcome) = polled {
                return Poll::Ready(Ok(outcome));
            }
            // During an exchange, the timer of the exchange also enforces the total deadline.
            match progress.stage() {
                Stage::Request | Stage::Response => Poll::Pending,
                _ => poll_due(total.as_mut(), || progress.by(), context).map(|()| Err(None)),
            }
        });
        match ended.await {
            Ok(outcome) => outcome,
            // Once the head of the final response is here, the consumer has decided: return its outcome
            // without waiting for the rest of the body.
            Err(_) if progress.stop_reading() => {
                poll_fn(|context| poll_caught(work.as_mut(), progress, context)).await
            }
            Err(Some(by)) => Err(by.into_error(progress)),
            Err(None) => Err(progress.total_deadline_exceeded(&self.deadlines)),
        }
    }

    /// The one exit.
    ///
    /// * `outcome`: a success has taken its facts from this operation already.
    pub(super) fn leave<T: Success>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        match outcome {
            Ok(success) => {
                self.account_for_success(&success);
                self.progress.end(Outcome::Succeeded);
                Ok(success)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// The exit of a failure.
    pub(super) fn fail(&self, error: Error) -> Error {
        let error = self.with_facts(self.progress.add_sent(error));
        let error = match self.progress.attempts() {
            0 => error,
            attempts => error.noting(key::ATTEMPTS, attempts),
        };
        self.dispatcher.record_failure(&self.endpoint, &error, self.trial().is_some());
        self.account_for_failure(&error);
        self.progress.end(Outcome::Failed(&error));
        let route = &self.dispatcher.options.route;
        diagnose_command::lead(error, &self.endpoint.generation(), route)
    }

    /// Adds the facts of the attempt that has just failed to its error. An error that already has those
    /// of an earlier attempt keeps them.
    pub(super) fn with_facts(&self, error: Error) -> Error {
        let attempt = error.facts().cloned().unwrap_or_else(|| self.attempt_facts());
        let (attempts, elapsed) = (self.progress.attempts(), self.progress.elapsed());
        let facts = DeliveryFacts { id: self.id.clone(), attempts, elapsed, ..attempt };
        error.for_consumer(self.endpoint.consumer()).with_facts(facts)
    }

    fn attempt_facts(&self) -> DeliveryFacts {
        let connection = self.progress.connection_facts();
        let handshake = connection.as_ref().and_then(ConnectionFacts::for_error);
        DeliveryFacts {
            timings: self.progress.timings(),
            connection: connection.map(|known| ConnectionParts {
                reused: known.reused,
                address: known.address,
                proxy: self.dispatcher.options.route.through(),
            }),
            handshake: handshake.map(ShownHandshake::Known),
            ..DeliveryFacts::of_none(None, self.progress.elapsed())
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.account_for_drop();
        // A trial that was canceled or dropped shows nothing.
        if self.trial().is_some() {
            self.endpoint.access().circuit().end_trial();
        }
    }
}

/// Returns the word for an operation in logs.
pub(super) fn noun(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Delivery => "delivery",
        OperationKind::Probe => "probe",
    }
}

/// What canceled an operation.
enum EndedBy {
    Caller,
    Close,
}

impl EndedBy {
    fn into_error(self, progress: &Progress) -> Error {
        let by = match self {
            Self::Caller => "by the caller",
            Self::Close => "because the dispatcher closed",
        };
        canceled(by, progress.stage()).having_sent(progress.sent())
    }
}

/// Is ready once the caller or `close` has canceled the operation.
fn poll_ended(
    by_caller: Pin<&mut impl Future<Output = ()>>,
    by_close: Pin<&mut impl Future<Output = ()>>,
    context: &mut Context<'_>,
) -> Poll<EndedBy> {
    if by_caller.poll(context).is_ready() {
        return Poll::Ready(EndedBy::Caller);
    }
    by_close.poll(context).map(|()| EndedBy::Close)
}

/// Polls the work of an operation. A panic ends the operation like any other failure, so that every way
/// to deliver reports it.
fn poll_caught<R>(
    work: Pin<&mut impl Future<Output = Result<R, Error>>>,
    progress: &Progress,
    context: &mut Context<'_>,
) -> Poll<Result<R, Error>> {
    catch_unwind(AssertUnwindSafe(|| work.poll(context)))
        .unwrap_or_else(|panic| Poll::Ready(Err(panicked(panic, progress))))
}

#[cold]
fn panicked(panic: Box<dyn Any + Send>, progress: &Progress) -> Error {
    // The text of a panic may contain anything, and dropping its value may panic again.
    std::mem::forget(panic);
    let stage = progress.stage();
    progress.panicked();
    Error::new(Kind::Internal, format!("the library panicked at stage {}", stage.name()))
        .at(stage)
        .having_sent(progress.sent())
}

/// The exit of a delivery or probe that did not start, or whose task ended without an outcome.
///
/// * `consumer`: the consumer id, if it is known.
pub(super) fn not_started(
    error: Error,
    consumer: Option<&str>,
    id: Option<String>,
    started: Instant,
) -> Error {
    let error = match consumer {
        Some(consumer) => error.for_consumer(consumer),
        None => error,
    };
    if error.facts().is_some() {
        return error;
    }
    error.with_facts(DeliveryFacts::of_none(id, started.elapsed()))
}
