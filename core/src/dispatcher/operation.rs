//! One delivery or probe, from its start to its one exit.
//!
//! Every way to deliver ends in [`Operation::leave`]. It adds to a success and to an error alike what
//! is known: the consumer, the id, the attempts, the durations, the connection and the peer.

use std::sync::Arc;
use std::time::Instant;

use super::in_flight::InFlightGuard;
use super::{Dispatcher, Inner};
use crate::connection::Progress;
use crate::endpoint::Endpoint;
use crate::error::{ConnectionParts, DeliveryFacts, Error, ShownHandshake, key};

/// One delivery or probe that has not ended.
pub(super) struct Operation {
    pub(super) dispatcher: Arc<Inner>,
    pub(super) endpoint: Endpoint,
    /// The event's id, if one was set.
    pub(super) id: Option<String>,
    pub(super) progress: Progress,
    _in_flight: InFlightGuard,
}

impl Operation {
    /// Starts an operation, which from now on counts as in flight: either `close` waits for it, or
    /// `admit` fails with `handle_closed`.
    pub(super) fn start(dispatcher: &Dispatcher, endpoint: &Endpoint, id: Option<String>) -> Self {
        let dispatcher = dispatcher.inner.clone();
        let in_flight = dispatcher.in_flight.start();
        let (endpoint, progress) = (endpoint.clone(), Progress::new());
        Self { dispatcher, endpoint, id, progress, _in_flight: in_flight }
    }

    /// The one exit.
    ///
    /// * `succeed`: makes the result of a success with the facts of this operation.
    pub(super) fn leave<R, T>(
        &self,
        outcome: Result<R, Error>,
        succeed: impl FnOnce(&Self, R) -> T,
    ) -> Result<T, Error> {
        match outcome {
            Ok(result) => Ok(succeed(self, result)),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// The exit of a failure.
    pub(super) fn fail(&self, error: Error) -> Error {
        let error = self.with_facts(self.progress.add_sent(error));
        match self.progress.attempts() {
            0 => error,
            attempts => error.noting(key::ATTEMPTS, attempts),
        }
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
        let handshake = connection.as_ref().and_then(|known| known.handshake.clone());
        DeliveryFacts {
            timings: self.progress.timings(),
            connection: connection.map(|known| ConnectionParts {
                reused: known.reused,
                address: known.address,
                proxy: self.dispatcher.options.route.through(),
            }),
            handshake: handshake.map(|known| ShownHandshake::Completed(known as _)),
            ..DeliveryFacts::of_none(None, self.progress.elapsed())
        }
    }
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
