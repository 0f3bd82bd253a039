//! One delivery from its turn to its receipt: its attempts, its total deadline and its cancellation.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::fallback::RefusedAttempt;
use super::in_flight::InFlightGuard;
use super::receipt::{self, Receipt};
use super::request::PreparedRequest;
use super::restarts::Restarts;
use super::{CancelToken, Inner};
use crate::admission::{Turn, removed};
use crate::clock;
use crate::connection::{Connection, Deadlines, Progress, Response, Timings};
use crate::endpoint::{Endpoint, Generation};
use crate::error::{Error, Kind, Retry, Scope, Sent, Stage, key};
use crate::runtime::poll_due;

/// One admitted delivery, which makes one or several attempts.
pub(super) struct DeliveryAttempts {
    pub(super) _in_flight: InFlightGuard,
    pub(super) dispatcher: Arc<Inner>,
    pub(super) endpoint: Endpoint,
    pub(super) request: PreparedRequest,
    pub(super) id: Option<String>,
    pub(super) deadlines: Deadlines,
    pub(super) cancel: Option<CancelToken>,
    /// The run limits the number of deliveries, so this one waits for a connection even if
    /// `max_waiting` is reached.
    pub(super) bounded_by_run: bool,
}

/// The state that one attempt leaves for the next.
#[derive(Default)]
struct AttemptState {
    attempts: u32,
    restarts: Restarts,
    /// Open a new connection, because an idle one was dead.
    fresh: bool,
    /// Do not hold the payload for an identity in doubt any more.
    unheld: bool,
    /// The refusal of our certificate, after which the next attempt presents another one.
    refused: Option<RefusedAttempt>,
}

/// The reason why an attempt has no receipt.
enum FailedAttempt {
    /// The endpoint's settings changed before the first byte. Nothing was sent.
    Withdrawn,
    /// The idle connection was dead. Nothing was sent.
    Dead,
    /// The consumer accepted our certificate, but answered a head with `Expect: 100-continue` as if it
    /// were the whole request. The payload was not sent.
    Unheld,
    /// The attempt failed. `withheld`: the payload was held and not sent.
    Ended { error: Error, withheld: bool },
}

impl FailedAttempt {
    /// A failure before the request.
    fn early(error: Error) -> Self {
        Self::Ended { error, withheld: false }
    }
}

impl DeliveryAttempts {
    /// Runs the delivery to its end.
    ///
    /// * `turn`: the turn of this delivery, if the caller has taken it.
    pub(super) async fn run(&self, turn: Option<Turn>) -> Result<Receipt, Error> {
        let started = Instant::now();
        let progress = Progress::new(started + self.deadlines.total);
        self.bounded(turn, started, &progress).await.map_err(|error| progress.add_sent(error))
    }

    /// Runs the delivery until it ends, is canceled, or reaches the total deadline.
    async fn bounded(
        &self,
        turn: Option<Turn>,
        started: Instant,
        progress: &Progress,
    ) -> Result<Receipt, Error> {
        let canceled = |by: &str| {
            Error::new(Kind::Canceled, format!("{by} at stage {}", progress.stage().name()))
                .at(progress.stage())
                .having_sent(progress.sent())
        };
        let mut attempts = pin!(self.attempts_in_turn(turn, started, progress));
        let mut total = pin!(tokio::time::sleep_until(progress.by().into()));
        // During an exchange, the timer of the exchange also enforces the total deadline.
        let late = poll_fn(|context| match progress.stage() {
            Stage::Request | Stage::Response => Poll::Pending,
            _ => poll_due(total.as_mut(), || progress.by(), context),
        });
        // In this order: cancellation takes precedence over the outcome.
        let ended = tokio::select! {
            biased;
            () = CancelToken::canceled_if_any(self.cancel.as_ref()) => "canceled by the caller",
            () = self.dispatcher.stop.canceled() => "canceled because the dispatcher closed",
            outcome = &mut attempts => return outcome,
            () = late => "total",
        };
        // Once the head of the final response is here, the consumer has decided: return its outcome
        // without waiting for the rest of the body.
        if progress.stop_reading() {
            return attempts.await;
        }
        Err(match ended {
            "total" => progress.total_deadline_exceeded(&self.deadlines),
            by => canceled(by),
        })
    }

    /// Waits for the turn of this delivery, then makes attempts.
    async fn attempts_in_turn(
        &self,
        turn: Option<Turn>,
        started: Instant,
        progress: &Progress,
    ) -> Result<Receipt, Error> {
        let _turn = if let Some(turn) = turn {
            turn
        } else {
            let owner = || self.endpoint.generation().owner().clone();
            self.endpoint.turns().take_in(&self.dispatcher.wait_limit, owner).await?
        };
        self.dispatcher.catch_up().await;
        let mut state = AttemptState::default();
        let outcome = self.attempts(&mut state, started, progress).await;
        outcome.map_err(|error| match state.attempts {
            0 | 1 => error,
            attempts => error.noting(key::ATTEMPTS, attempts),
        })
    }

    async fn attempts(
        &self,
        state: &mut AttemptState,
        started: Instant,
        progress: &Progress,
    ) -> Result<Receipt, Error> {
        loop {
            let now = clock::now().map_err(|error| error.at(Stage::Admit))?;
            let generation = self.next_generation(state, now)?;
            state.attempts += 1;
            match self.attempt(&generation, state, (now, started), progress).await {
                Ok(receipt) => return Ok(receipt),
                Err(failed) => self.prepare_next(failed, &generation, state, now, progress).await?,
            }
        }
    }

    /// Returns the generation of the next attempt. Fails if no attempt may follow.
    fn next_generation(
        &self,
        state: &mut AttemptState,
        now: i64,
    ) -> Result<Arc<Generation>, Error> {
        if self.endpoint.is_removed() {
            return Err(removed());
        }
        let current = self.endpoint.generation();
        // A refusal does not apply to settings that the endpoint was given since.
        state.refused = state.refused.take().filter(|refused| refused.by.number == current.number);
        let refused = state.refused.as_ref();
        let chosen = self.dispatcher.choose_generation(&self.endpoint, current, refused, now);
        chosen.ok_or_else(|| state.refused.take().map_or_else(removed, |refused| refused.error))
    }

    /// Takes an idle connection or opens one, and makes the request on it.
    async fn attempt(
        &self,
        generation: &Arc<Generation>,
        state: &AttemptState,
        (now, started): (i64, Instant),
        progress: &Progress,
    ) -> Result<Receipt, FailedAttempt> {
        let idle = if state.fresh { None } else { generation.pool.take(now) };
        let reused = idle.is_some();
        let (mut connection, timings) = match idle {
            Some(connection) => (connection, Timings::default()),
            // Boxed, so that the future of a delivery on an idle connection stays small.
            None => Box::pin(self.open(generation, now, progress)).await?,
        };
        // A consumer that has not answered under a new identity yet may refuse it in its response.
        let in_doubt = !state.unheld && self.endpoint.is_in_doubt(generation);
        let hold = generation.holds_payload() || in_doubt;
        let exchanged = self.exchange(&mut connection, generation, hold, progress).await;
        let (answer, responded) = match exchanged {
            Ok(answered) => answered,
            Err(error) if error.kind() == Kind::HandleClosed => {
                return Err(FailedAttempt::Withdrawn);
            }
            Err(error) if reused && error.sent() == Sent::Nothing => {
                return Err(FailedAttempt::Dead);
            }
            Err(error) => {
                let error = error.noting(key::ATTEMPTS, state.attempts);
                self.learn_acceptance(&connection, generation, state, (now, in_doubt), &error);
                return Err(self.failed_attempt(connection, generation, progress, error));
            }
        };
        self.record_accepted(generation, state.refused.as_ref(), now);
        let timings = Timings { response: responded, ..timings };
        let receipt = receipt::Inner {
            consumer: self.endpoint.consumer_arc(),
            id: self.id.clone(),
            status: answer.status(),
            peer: connection.peer.clone(),
            attempts: state.attempts,
            elapsed: connection.idle_since() - started,
            tls: connection.facts.clone(),
            reused,
            address: connection.address,
            proxy: self.dispatcher.options.route.through(),
            timings,
            hold_honored: connection.hold_honored(),
            answer,
        };
        self.keep(connection, generation);
        Ok(Receipt::new(receipt))
    }

    async fn open(
        &self,
        generation: &Generation,
        now: i64,
        progress: &Progress,
    ) -> Result<(Box<Connection>, Timings), FailedAttempt> {
        // After an exchange, `bounded` enforces the total deadline again.
        progress.enter(Stage::Admit);
        check_identity(generation, now).map_err(FailedAttempt::early)?;
        let opened = tokio::select! {
            biased;
            () = self.endpoint.withdrawn(generation) => return Err(FailedAttempt::Withdrawn),
            opened = self.connect(generation, progress) => opened,
        };
        if !self.endpoint.serves(generation) {
            return Err(FailedAttempt::Withdrawn);
        }
        let peer = opened.as_ref().map(|(connection, _)| &*connection.peer);
        self.dispatcher.emit(&self.endpoint.record_handshake(generation, peer));
        opened.map_err(FailedAttempt::early)
    }

    async fn connect(
        &self,
        generation: &Generation,
        progress: &Progress,
    ) -> Result<(Box<Connection>, Timings), Error> {
        let route = &self.dispatcher.options.route;
        let wait_limit = (!self.bounded_by_run).then_some(&self.dispatcher.wait_limit);
        let permit =
            self.dispatcher.connection_limit.permit(generation.owner(), wait_limit).await?;
        let (url, terms) = (&generation.url, &generation.terms);
        Connection::open(permit, url, terms, route, &self.deadlines, progress).await
    }

    /// Makes the request. A response other than 2xx is an error.
    ///
    /// * `hold`: whether to hold the payload until the consumer answers the head.
    async fn exchange(
        &self,
        connection: &mut Connection,
        generation: &Generation,
        hold: bool,
        progress: &Progress,
    ) -> Result<(Response, Duration), Error> {
        let request = || self.request.request(generation, hold);
        let may_start = || self.endpoint.start(generation);
        let (mut answer, responded) =
            connection.exchange(request, &may_start, &self.deadlines, progress).await?;
        answer.redact(self.request.credentials());
        if answer.is_success() {
            return Ok((answer, responded));
        }
        let dispatcher_rules = &self.dispatcher.options.status_retry;
        // A consumer that sends 100 Continue has accepted our certificate.
        let accepted = connection.hold_honored() == Some(true);
        let error = answer.into_error(generation.status_retry(), dispatcher_rules, accepted);
        Err(error.having_sent(progress.sent_now()))
    }

    /// Records that the consumer accepted our certificate.
    fn record_accepted(&self, generation: &Generation, refused: Option<&RefusedAttempt>, now: i64) {
        let consumer = self.endpoint.consumer();
        self.dispatcher.refusals.accepted(generation.identity(), consumer);
        self.dispatcher.record_accepted(&self.endpoint, generation, refused, now);
    }

    /// Records whether a failed exchange means that the consumer accepts our certificate.
    fn learn_acceptance(
        &self,
        connection: &Connection,
        generation: &Generation,
        state: &AttemptState,
        (now, in_doubt): (i64, bool),
        error: &Error,
    ) {
        let rejected = error.kind() == Kind::ClientCertificateRejected;
        if rejected {
            // The payload was sent, so this delivery has failed. The next one starts with the other
            // identity.
            let late = in_doubt && error.sent() > Sent::Nothing && !connection.withheld();
            self.dispatcher.record_refused(&self.endpoint, generation, late, now);
        } else if connection.status().is_some() && error.sent() > Sent::Nothing {
            self.record_accepted(generation, state.refused.as_ref(), now);
        }
    }

    /// Classifies a failed request. Keeps the connection if the consumer answered.
    fn failed_attempt(
        &self,
        connection: Box<Connection>,
        generation: &Generation,
        progress: &Progress,
        error: Error,
    ) -> FailedAttempt {
        let withheld = connection.withheld();
        // This also covers a final response that arrives together with 100 Continue.
        let unsent = connection.is_held() && !progress.has_sent_payload();
        let status = connection.status();
        let answered = error.response().is_some();
        if answered {
            self.keep(connection, generation);
        }
        match status {
            Some(200..=299 | 417)
                if unsent && error.sent() > Sent::Nothing && !generation.holds_payload() =>
            {
                FailedAttempt::Unheld
            }
            Some(417) if withheld => {
                FailedAttempt::Ended { error: expectation_refused(error), withheld }
            }
            _ => FailedAttempt::Ended { error, withheld },
        }
    }

    /// Prepares the next attempt. Fails with the error of the delivery if there is none.
    async fn prepare_next(
        &self,
        failed: FailedAttempt,
        generation: &Arc<Generation>,
        state: &mut AttemptState,
        now: i64,
        progress: &Progress,
    ) -> Result<(), Error> {
        match failed {
            FailedAttempt::Withdrawn => {
                progress.enter(Stage::Admit);
                return state.restarts.again(&self.endpoint).await;
            }
            FailedAttempt::Dead => state.fresh = true,
            FailedAttempt::Unheld => {
                progress.next_attempt(Sent::Maybe);
                state.unheld = true;
            }
            FailedAttempt::Ended { error, withheld } => {
                // The error of the delivery covers the bytes of all attempts.
                progress.next_attempt(error.sent());
                let (before, endpoint) = (state.refused.take(), &self.endpoint);
                let (identity, consumer) = (generation.identity(), endpoint.consumer());
                let error = self.dispatcher.refusals.judge(identity, consumer, error);
                let failed = (error, withheld);
                state.refused =
                    Some(self.dispatcher.after_refusal(endpoint, generation, failed, before, now)?);
                state.fresh = false;
            }
        }
        Ok(())
    }

    fn keep(&self, connection: Box<Connection>, generation: &Generation) {
        if !self.dispatcher.is_closed() {
            self.endpoint.keep(connection, generation);
        }
    }
}

/// Checks that our certificate is still valid, before each new connection.
pub(super) fn check_identity(generation: &Generation, now: i64) -> Result<(), Error> {
    generation.terms.identity().check(now).map_err(|error| {
        Error::new(Kind::ClientCertificateUnusable, error.message())
            .at(Stage::Admit)
            .noting_all(&error)
    })
}

/// Adds the advice for a consumer that does not support `Expect: 100-continue`, which the caller asked
/// for.
fn expectation_refused(error: Error) -> Error {
    error.scoped(Scope::Endpoint).retried(Retry::AfterRepair, None).advising(
        "The consumer does not support Expect: 100-continue: turn hold_payload off for it.",
    )
}
