//! Operations of a run that are not deliveries: a probe, a reload, the close of the dispatcher.
//!
//! The loop of a program thus awaits them as it awaits deliveries.

use std::future::{Future, poll_fn};
use std::time::Duration;

use bytes::Bytes;
use tokio::select;

use super::backlog::Place;
use super::state::CompletionSlot;
use super::{Fanout, Receipt};
use crate::admission::canceled;
use crate::dispatcher::{Dispatcher, Probe, ProbeOptions};
use crate::endpoint::Endpoint;
use crate::error::{Error, Stage};
use crate::event::Event;
use crate::runtime::{Driven, TaskPlace};

/// What an operation of a run has returned.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Completed {
    /// The consumer answered a delivery with a 2xx status.
    Delivered(Receipt),
    /// The consumer passed a probe.
    Probed(Probe),
    /// The files were checked; these are the events of the check.
    Reloaded(Vec<Event>),
    /// The dispatcher was closed.
    Closed,
}

impl From<Receipt> for Completed {
    fn from(receipt: Receipt) -> Self {
        Self::Delivered(receipt)
    }
}

impl<T, S> Fanout<T, S>
where
    T: Send + 'static,
    S: From<Receipt> + From<Completed> + Send + 'static,
{
    /// Starts a probe, as [`Dispatcher::probe`](crate::Dispatcher::probe) does. It does not wait for the
    /// deliveries in line. Every failure of the probe becomes an outcome.
    ///
    /// # Errors
    ///
    /// Fails with `forked_process`; with `overloaded` if the run is full, where an operation counts as
    /// a delivery without a payload; with `internal` if the runtime cannot be started.
    pub fn submit_probe(
        &self,
        endpoint: &Endpoint,
        options: ProbeOptions,
        tag: T,
    ) -> Result<(), Error> {
        let place = self.enter_operation()?;
        let probe = self.dispatcher.probe(endpoint, options);
        let probe = async move { probe.await.map(|probe| Completed::Probed(probe).into()) };
        self.run(place, probe, self.state.reserve(tag, false));
        Ok(())
    }

    /// Starts a check of all watched files, as [`Dispatcher::reload`](crate::Dispatcher::reload) does.
    /// The outcome is `canceled` if the dispatcher closes first.
    ///
    /// # Errors
    ///
    /// Fails as [`Fanout::submit_probe`] does.
    pub fn submit_reload(&self, tag: T) -> Result<(), Error> {
        let place = self.enter_operation()?;
        let reload = self.dispatcher.reload();
        let stop = self.dispatcher.inner.admission.stop().clone();
        let ended = async move {
            select! {
                biased;
                outcome = reload => outcome.map(|events| Completed::Reloaded(events).into()),
                // A file system that hangs must not delay a close.
                () = stop.canceled() => {
                    Err(canceled("because the dispatcher closed", Stage::Config))
                }
            }
        };
        self.run(place, ended, self.state.reserve(tag, false));
        Ok(())
    }

    /// Closes the dispatcher, as [`Dispatcher::close`](crate::Dispatcher::close) does: new deliveries
    /// fail from now on. The outcome comes after the outcomes of all other operations of this run.
    ///
    /// # Errors
    ///
    /// Fails with `forked_process`, and with `internal` if the runtime cannot be started. The dispatcher
    /// stays open then.
    pub fn submit_close(&self, drain: Duration, tag: T) -> Result<(), Error> {
        self.check_process()?;
        let place = TaskPlace::new(0)?;
        let (closed, state) = (self.dispatcher.close(drain), self.state.clone());
        let close = async move {
            closed.await;
            // A delivery stops to count as running shortly before its outcome is recorded.
            poll_fn(|context| state.poll_others_ended(context)).await;
            Ok(Completed::Closed.into())
        };
        let completion = self.state.reserve(tag, true);
        self.run(OperationPlace { place, in_backlog: None }, close, completion);
        Ok(())
    }
}

impl<T, S> Fanout<T, S>
where
    T: Send + 'static,
    S: From<Receipt> + Send + 'static,
{
    /// Starts an operation of another part of the crate. Every failure of it becomes an outcome.
    ///
    /// Fails as [`Fanout::submit_probe`] does.
    pub(crate) fn submit_operation(
        &self,
        operation: impl Future<Output = Result<S, Error>> + Send + 'static,
        tag: T,
    ) -> Result<(), Error> {
        let place = self.enter_operation()?;
        self.run(place, operation, self.state.reserve(tag, false));
        Ok(())
    }

    pub(crate) fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    /// Reserves what an operation needs, so that it is sure to start.
    fn enter_operation(&self) -> Result<OperationPlace, Error> {
        self.check_process()?;
        let enter = || self.state.backlog.enter(&Bytes::new(), self.state.unread());
        let in_backlog = self.refuses.then(enter).transpose()?;
        Ok(OperationPlace { place: TaskPlace::new(0)?, in_backlog })
    }

    fn run(
        &self,
        OperationPlace { place, in_backlog }: OperationPlace,
        operation: impl Future<Output = Result<S, Error>> + Send + 'static,
        completion: CompletionSlot<T, S>,
    ) {
        let (key, state) = (completion.key(), self.state.clone());
        let task = async move {
            let outcome = operation.await;
            drop(in_backlog);
            completion.complete(outcome);
        };
        // The keeper drives: the caller may wait for nothing, or for a delivery in another lane.
        place.start(Driven::ByKeeper, task, move |running| state.started(key, running));
    }
}

/// The place of an operation that is to start.
struct OperationPlace {
    place: TaskPlace,
    in_backlog: Option<Place>,
}
