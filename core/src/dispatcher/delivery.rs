//! One delivery from its turn to its receipt, with its attempts.

use std::pin::pin;
use std::sync::Arc;

use super::fallback::{Failure, RefusedAttempt};
use super::operation::Operation;
use super::receipt::{Answered, Receipt};
use super::request::PreparedRequest;
use super::restarts::Restarts;
use crate::admission::{Needs, removed};
use crate::clock;
use crate::connection::observer::{AttemptOutcome, Repeat};
use crate::connection::{Asked, Connection, Progress, Response};
use crate::endpoint::Generation;
use crate::endpoint::identity_rollout::may_be_refusal;
use crate::error::{Error, Kind, Retry, Scope, Sent, Stage};

/// One admitted delivery, which makes one or several attempts.
pub(super) struct DeliveryAttempts {
    pub(super) operation: Operation,
    pub(super) request: PreparedRequest,
}

/// The state that one attempt leaves for the next.
#[derive(Default)]
struct AttemptState {
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
    Ended(Failure),
}

impl FailedAttempt {
    /// A failure before the request.
    fn early(error: Error) -> Self {
        Self::Ended(Failure { error, in_doubt: true, withheld: false })
    }

    /// The failure, unless the attempt is made again for another reason.
    fn error(&self) -> Option<&Error> {
        match self {
            Self::Ended(failure) => Some(&failure.error),
            Self::Withdrawn | Self::Dead | Self::Unheld => None,
        }
    }

    /// The end of the attempt as observers see it.
    fn outcome(&self) -> AttemptOutcome<'_> {
        match self {
            Self::Withdrawn => AttemptOutcome::Repeated(Repeat::SettingsChanged),
            Self::Dead => AttemptOutcome::Repeated(Repeat::ConnectionClosed),
            Self::Unheld => AttemptOutcome::Repeated(Repeat::HoldUnsupported),
            Self::Ended(failure) => AttemptOutcome::Failed(&failure.error),
        }
    }
}

impl DeliveryAttempts {
    /// Makes the runtime ready for the task of this delivery. A failure has left through the exit.
    ///
    /// * `ready`: of [`runtime`](crate::runtime).
    pub(super) fn ready<T>(&self, ready: fn(usize) -> Result<T, Error>) -> Result<T, Error> {
        let lane = self.operation.endpoint.lane();
        ready(lane).map_err(|error| self.operation.fail(error))
    }

    /// Runs the delivery to its end.
    pub(super) async fn run(&mut self) -> Result<Receipt, Error> {
        let outcome = match self.operation.begin().await {
            Ok(()) => {
                // Pinned here: `bounded` would move the whole future.
                let attempts = pin!(self.attempts_in_turn(&self.operation.progress));
                self.operation.bounded(attempts).await
            }
            Err(error) => Err(error),
        };
        if let (Ok(receipt), Some(trace)) = (&outcome, &self.operation.trace) {
            trace.succeed(receipt);
        }
        self.operation.leave(outcome)
    }

    /// Waits for the turn of this delivery, then makes attempts.
    async fn attempts_in_turn(&self, progress: &Progress) -> Result<Receipt, Error> {
        let _turn = self.operation.take_turn().await?;
        let mut state = AttemptState::default();
        loop {
            let now = clock::now().map_err(|error| error.at(Stage::Admit))?;
            let generation = self.next_generation(&mut state, now)?;
            progress.begin_attempt();
            match self.attempt(&generation, &state, now, progress).await {
                Ok(answered) => {
                    let receipt = Receipt::of(&self.operation, answered);
                    progress.end_attempt(AttemptOutcome::Succeeded(Some(receipt.status())));
                    return Ok(receipt);
                }
                Err(failed) => {
                    self.operation.count_attempt(failed.error());
                    progress.end_attempt(failed.outcome());
                    self.prepare_next(failed, &generation, &mut state, now, progress).await?;
                }
            }
        }
    }

    /// Returns the generation of the next attempt. Fails if no attempt may follow.
    fn next_generation(
        &self,
        state: &mut AttemptState,
        now: i64,
    ) -> Result<Arc<Generation>, Error> {
        if self.operation.endpoint.is_removed() {
            return Err(removed());
        }
        let current = self.operation.endpoint.generation();
        // A refusal does not apply to settings that the endpoint was given since.
        state.refused = state.refused.take().filter(|refused| refused.by.number == current.number);
        let refused = state.refused.as_ref();
        let chosen = self.operation.dispatcher.choose_generation(
            &self.operation.endpoint,
            current,
            refused,
            now,
        );
        chosen.ok_or_else(|| state.refused.take().map_or_else(removed, |refused| refused.error))
    }

    /// Takes an idle connection or opens one, and makes the request on it.
    async fn attempt(
        &self,
        generation: &Arc<Generation>,
        state: &AttemptState,
        now: i64,
        progress: &Progress,
    ) -> Result<Answered, FailedAttempt> {
        let idle = if state.fresh || self.operation.trial().is_some() {
            None
        } else {
            generation.pool.take(now)
        };
        let reused = idle.is_some();
        let mut connection = match idle {
            Some(connection) => {
                progress.reuse(connection.facts(true));
                connection
            }
            // Boxed, so that the future of a delivery on an idle connection stays small.
            None => Box::pin(self.open(generation, now, progress)).await?,
        };
        // A consumer that has not answered under a new identity yet may refuse it in its response.
        let excluded = !reused && connection.excludes_our_issuer();
        let endpoint = &self.operation.endpoint;
        let in_doubt = !state.unheld
            && (self.tries_certificate() || endpoint.is_in_doubt(generation, !reused, excluded));
        let hold = generation.holds_payload() || in_doubt;
        let exchanged = self.exchange(&mut connection, generation, hold, progress).await;
        let answer = match exchanged {
            Ok(answer) => answer,
            Err(error) if error.kind() == Kind::HandleClosed => {
                return Err(FailedAttempt::Withdrawn);
            }
            Err(error) if reused && error.sent() == Sent::Nothing => {
                return Err(FailedAttempt::Dead);
            }
            Err(error) => {
                self.learn_acceptance(&connection, generation, state, (now, in_doubt), &error);
                let error = if in_doubt && error.sent() == Sent::Nothing {
                    self.operation.dispatcher.judge_close(endpoint, generation, error, now)
                } else {
                    error
                };
                let failed = (error, in_doubt);
                return Err(self.failed_attempt(connection, generation, progress, failed));
            }
        };
        self.record_accepted(generation, state.refused.as_ref(), now);
        let answered = Answered {
            answer,
            hold_honored: connection.hold_honored(),
            reused,
            address: connection.address,
            handshake: connection.handshake.clone(),
        };
        self.keep(connection, generation);
        Ok(answered)
    }

    async fn open(
        &self,
        generation: &Generation,
        now: i64,
        progress: &Progress,
    ) -> Result<Box<Connection>, FailedAttempt> {
        // After an exchange, `bounded` enforces the total deadline again.
        progress.enter(Stage::Admit);
        progress.connect_anew();
        check_identity(generation, now).map_err(FailedAttempt::early)?;
        let opened = tokio::select! {
            biased;
            () = self.operation.endpoint.withdrawn(generation) => return Err(FailedAttempt::Withdrawn),
            opened = self.connect(generation, progress) => opened,
        };
        if !self.operation.endpoint.serves(generation) {
            return Err(FailedAttempt::Withdrawn);
        }
        let peer = opened.as_ref().map(|connection| &connection.handshake.peer);
        self.operation.dispatcher.emit(&self.operation.endpoint.record_handshake(generation, peer));
        let heard = tokio::select! {
            biased;
            () = self.operation.endpoint.withdrawn(generation) => return Err(FailedAttempt::Withdrawn),
            heard = self.hear_verdict(opened, generation) => heard,
        };
        let (dispatcher, endpoint) = (&self.operation.dispatcher, &self.operation.endpoint);
        let (connection, shown) = heard.map_err(|error| {
            FailedAttempt::early(dispatcher.judge_close(endpoint, generation, error, now))
        })?;
        dispatcher.record_connected(endpoint, shown);
        Ok(connection)
    }

    async fn hear_verdict(
        &self,
        opened: Result<Box<Connection>, Error>,
        generation: &Generation,
    ) -> Result<(Box<Connection>, Needs), Error> {
        let mut connection = opened?;
        let (dispatcher, endpoint) = (&self.operation.dispatcher, &self.operation.endpoint);
        let tries = self.tries_certificate();
        let shown =
            dispatcher.hear_verdict_in_doubt(endpoint, generation, &mut connection, tries).await?;
        Ok((connection, shown))
    }

    /// Whether this is the trial of a circuit that a refusal of our certificate opened. The identity is in
    /// doubt then.
    fn tries_certificate(&self) -> bool {
        self.operation.trial().is_some_and(|needs| needs > Needs::Handshake)
    }

    async fn connect(
        &self,
        generation: &Generation,
        progress: &Progress,
    ) -> Result<Box<Connection>, Error> {
        let dispatcher = &self.operation.dispatcher;
        let route = &dispatcher.options.route;
        let waited = self.operation.wait_limit();
        let permit = dispatcher.connection_limit.permit(generation.owner(), waited).await?;
        dispatcher.report_closings();
        let (url, terms) = (&generation.url, &generation.terms);
        Connection::open(permit, url, terms, route, &self.operation.deadlines, progress).await
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
    ) -> Result<Response, Error> {
        let mut token = None;
        let request = || self.request.request(generation, hold, &mut token);
        let may_start = || self.operation.endpoint.start(generation);
        let mut answer =
            connection.exchange(request, &may_start, &self.operation.deadlines, progress).await?;
        answer.conceal(self.request.secrets(token), generation.response_excerpt());
        if answer.is_success() {
            return Ok(answer);
        }
        let dispatcher_rules = &self.operation.dispatcher.options.status_retry;
        // A consumer that sends 100 Continue has accepted our certificate.
        let accepted = connection.hold_honored() == Some(true);
        let asked = Asked { identity: generation.identity(), length: self.request.length() };
        let error = answer.into_error(generation.status_retry(), dispatcher_rules, asked, accepted);
        let error = match error.kind() {
            Kind::ClientCertificateRejected => connection.refused_by_page(error),
            _ => error,
        };
        Err(error.having_sent(progress.sent_now()))
    }

    /// Records that the consumer accepted our certificate.
    fn record_accepted(&self, generation: &Generation, refused: Option<&RefusedAttempt>, now: i64) {
        let consumer = self.operation.endpoint.consumer();
        self.operation.dispatcher.refusals.accepted(generation.identity(), consumer);
        self.operation.dispatcher.record_well(&self.operation.endpoint, Needs::Answer);
        self.operation.dispatcher.record_accepted(
            &self.operation.endpoint,
            generation,
            refused,
            now,
        );
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
            self.operation.dispatcher.record_refused(
                &self.operation.endpoint,
                generation,
                late,
                now,
            );
        } else if connection.status().is_some() && error.sent() > Sent::Nothing {
            self.record_accepted(generation, state.refused.as_ref(), now);
        } else if may_be_refusal(error) {
            self.operation.endpoint.rollout().set_lost(generation.mark());
        }
    }

    /// Classifies a failed request. Keeps the connection if the consumer answered.
    fn failed_attempt(
        &self,
        connection: Box<Connection>,
        generation: &Generation,
        progress: &Progress,
        (error, in_doubt): (Error, bool),
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
                let error = expectation_refused(error);
                FailedAttempt::Ended(Failure { error, in_doubt, withheld })
            }
            _ => FailedAttempt::Ended(Failure { error, in_doubt, withheld }),
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
                return state.restarts.again(&self.operation.endpoint).await;
            }
            FailedAttempt::Dead => state.fresh = true,
            FailedAttempt::Unheld => {
                progress.add_attempt_sent(Sent::Maybe);
                progress.next_attempt();
                state.unheld = true;
            }
            FailedAttempt::Ended(Failure { error, in_doubt, withheld }) => {
                // The error of the delivery covers the bytes of all attempts.
                let error = self.operation.with_facts(error);
                progress.add_attempt_sent(error.sent());
                let (before, endpoint) = (state.refused.take(), &self.operation.endpoint);
                let (identity, consumer) = (generation.identity(), endpoint.consumer());
                let error = self.operation.dispatcher.refusals.judge(identity, consumer, error);
                let failed = Failure { error, in_doubt, withheld };
                state.refused = Some(
                    self.operation
                        .dispatcher
                        .after_refusal(endpoint, generation, failed, before, now)?,
                );
                state.fresh = false;
                progress.next_attempt();
            }
        }
        Ok(())
    }

    fn keep(&self, connection: Box<Connection>, generation: &Generation) {
        if !self.operation.dispatcher.is_closed() {
            self.operation.endpoint.keep(connection, generation);
        }
    }
}

/// Checks that our certificate is still valid, before each new connection.
pub(super) fn check_identity(generation: &Generation, now: i64) -> Result<(), Error> {
    generation.terms.identity().check(now).map_err(|error| {
        Error::new(Kind::ClientCertificateUnusable, error.message())
            .at(Stage::Admit)
            .noting_all(&error)
            .advising(error.remedy())
    })
}

/// Adds the advice for a consumer that does not support `Expect: 100-continue`, which the caller asked
/// for.
fn expectation_refused(error: Error) -> Error {
    error.scoped(Scope::Endpoint).retried(Retry::AfterRepair, None).advising(
        "The consumer does not support Expect: 100-continue: turn hold_payload off for it.",
    )
}
