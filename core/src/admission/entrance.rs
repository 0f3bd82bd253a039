//! The one entrance: every way to deliver, and a probe, passes [`Admission::enter`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::access::EndpointAccess;
use super::cancel::CancelToken;
use super::in_flight::{InFlight, InFlightGuard};
use super::run_place::{RunLimit, RunPlace};
use super::turns::Turn;
use super::wait_limit::WaitLimit;
use crate::clock;
use crate::error::{Error, Kind, Stage};
use crate::process;
use crate::runtime;

/// The admission of one dispatcher.
pub(crate) struct Admission {
    /// The number of the dispatcher.
    pub(super) number: u64,
    pub(super) max_connections: usize,
    closed: AtomicBool,
    stop: CancelToken,
    in_flight: InFlight,
    wait_limit: WaitLimit,
}

/// A delivery or probe that asks to be admitted.
pub(crate) struct Entry<'a> {
    pub(crate) endpoint: &'a EndpointAccess,
    pub(crate) cancel: Option<&'a CancelToken>,
    /// Whether an open circuit refuses the entry. A probe enters, since an operator makes it to learn
    /// whether the consumer is well again.
    pub(crate) is_delivery: bool,
    pub(crate) waiter: Waiter,
    pub(crate) run: Option<RunEntry<'a>>,
}

/// Which thread will wait for the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// No thread that is known.
    Unknown,
    /// The calling thread, later.
    Caller,
    /// The calling thread, before it does anything else.
    CallerAtOnce,
}

/// A delivery that a run makes.
pub(crate) struct RunEntry<'a> {
    /// The process that made the run.
    pub(crate) process: u32,
    /// `None` if the run does not limit its deliveries.
    pub(crate) limit: Option<&'a RunLimit>,
    /// Returns a guard that counts the delivery as waiting for its turn.
    pub(crate) waits: &'a dyn Fn() -> Box<dyn Send + Sync>,
}

/// An admitted delivery or probe. Until this is dropped, it counts as in flight and keeps its place in
/// the run.
pub(crate) struct Admitted {
    /// Released before the operation is no longer in flight.
    run: Option<RunPlace>,
    in_flight: InFlightGuard,
}

impl Admission {
    /// * `number`: the number of the dispatcher.
    /// * `max_waiting`: how many deliveries may wait for a turn or a connection.
    pub(crate) fn new(number: u64, max_connections: usize, max_waiting: usize) -> Self {
        Self {
            number,
            max_connections,
            closed: AtomicBool::new(false),
            stop: CancelToken::new(),
            in_flight: InFlight::default(),
            wait_limit: WaitLimit::new(max_waiting),
        }
    }

    /// The number of the dispatcher.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Admits nothing more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Fails with `handle_closed` once the dispatcher was closed.
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.is_closed() {
            return Err(Error::new(Kind::HandleClosed, "the dispatcher was closed"));
        }
        Ok(())
    }

    /// Cancels the deliveries in flight, once `close` has waited long enough.
    pub(crate) fn stop(&self) -> &CancelToken {
        &self.stop
    }

    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Admits a delivery or probe, or refuses it, without waiting. The checks, in this order: the
    /// dispatcher is open; this process made the run; the endpoint is one of the dispatcher and was not
    /// removed; the delivery was not canceled; the circuit is not open; it will not wait for the calling
    /// thread. A delivery of a run takes a free turn.
    ///
    /// The rest of the entrance waits: [`Admitted::enter_run`], [`Admitted::take_turn`], and a permit for
    /// each new connection.
    pub(crate) fn enter(&self, entry: Entry<'_>) -> Result<Admitted, Error> {
        // First, so that `close` either waits for the delivery or refuses it.
        let in_flight = self.in_flight.start();
        self.check_open()?;
        let process = entry.run.as_ref().map_or_else(process::id, |run| run.process);
        check_process(process)?;
        entry.endpoint.check(self.number)?;
        if entry.cancel.is_some_and(CancelToken::is_canceled) {
            return Err(canceled("by the caller", Stage::Admit));
        }
        if entry.is_delivery {
            entry.endpoint.circuit().check(clock::now_millis)?;
        }
        if entry.waiter == Waiter::CallerAtOnce && runtime::is_in_lane() {
            return Err(runtime::undriven());
        }
        if entry.waiter != Waiter::Unknown {
            self.check_reentry(entry.endpoint)?;
        }
        let limited = entry.run.and_then(|run| Some((run.limit?.clone(), run.waits)));
        let run =
            limited.map(|(limit, waits)| RunPlace::take(limit, entry.endpoint.turns(), waits));
        Ok(Admitted { run, in_flight })
    }

    /// Returns how many deliveries wait for a turn or a connection.
    pub(crate) fn waiting(&self) -> usize {
        self.wait_limit.waiting()
    }

    /// Returns the limit on waiting for a connection. A run bounds its deliveries itself.
    pub(crate) fn wait_limit(&self, admitted: &Admitted) -> Option<&WaitLimit> {
        admitted.run.is_none().then_some(&self.wait_limit)
    }
}

impl Admitted {
    /// Fails with `forked_process` in a child that was forked since the admission: the parent makes the
    /// delivery.
    pub(crate) fn check_process(&self) -> Result<(), Error> {
        check_process(self.in_flight.process())
    }

    /// Whether the run, if there is one, has a free place now.
    pub(crate) fn is_in_run(&self) -> bool {
        self.run.as_ref().is_none_or(RunPlace::is_complete)
    }

    /// Waits for a place in the run, which includes a turn. The total deadline starts afterwards.
    pub(crate) async fn enter_run(&mut self, endpoint: &EndpointAccess) -> Result<(), Error> {
        match &mut self.run {
            Some(run) => run.wait(endpoint.turns()).await,
            None => Ok(()),
        }
    }

    /// Waits for a turn of the endpoint, and returns it. Returns `None` if the run has one.
    ///
    /// * `by`: the total deadline.
    /// * `owner`: returns the owner of the endpoint. Called only if the delivery has to wait.
    pub(crate) async fn take_turn(
        &self,
        admission: &Admission,
        endpoint: &EndpointAccess,
        by: Instant,
        owner: impl FnOnce() -> Arc<str>,
    ) -> Result<Option<Turn>, Error> {
        if self.run.is_some() {
            return Ok(None);
        }
        endpoint.turns().take_in(&admission.wait_limit, by, owner).await.map(Some)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        // A thread of the parent may hold the locks of the parent's runs and turns.
        if self.in_flight.process() != process::id() {
            std::mem::forget(self.run.take());
        }
    }
}

/// Fails with `forked_process` unless this process is `process`.
pub(crate) fn check_process(process: u32) -> Result<(), Error> {
    if process == process::id() {
        return Ok(());
    }
    Err(Error::of_parent("these deliveries belong to the process that forked"))
}

/// The error of a canceled delivery or probe that has sent nothing yet.
///
/// * `by`: `by the caller`, or another end of the sentence.
pub(crate) fn canceled(by: &str, stage: Stage) -> Error {
    Error::new(Kind::Canceled, format!("canceled {by} at stage {}", stage.name())).at(stage)
}
