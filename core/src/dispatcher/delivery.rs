//! One delivery from its turn to its receipt: attempts, and what ends them from outside.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::fallback::Refused;
use super::in_flight::Flight;
use super::receipt::{self, Receipt};
use super::request::Payload;
use super::restarts::Restarts;
use super::{CancelToken, Inner};
use crate::admission::{Turn, removed};
use crate::clock;
use crate::connection::{Connection, Deadlines, Progress, Response, Timings};
use crate::endpoint::{Endpoint, Generation};
use crate::error::{Error, Kind, Retry, Scope, Sent, Stage};
use crate::runtime::poll_due;

/// One delivery, admitted.
pub(super) struct Call {
    pub(super) _flight: Flight,
    pub(super) dispatcher: Arc<Inner>,
    pub(super) endpoint: Endpoint,
    pub(super) payload: Payload,
    pub(super) id: Option<String>,
    pub(super) deadlines: Deadlines,
    pub(super) cancel: Option<CancelToken>,
    /// It waits for a connection however many wait already: its run bounds them.
    pub(super) patient: bool,
}

/// What a delivery has tried so far.
#[derive(Default)]
struct Tries {
    attempts: u32,
    restarts: Restarts,
    /// No idle connection is taken any more: one was dead.
    fresh: bool,
    /// The payload is not held any more for the sake of a doubtful identity.
    unheld: bool,
    /// The refusal of our certificate after which another one is shown.
    denied: Option<Refused>,
}

/// An attempt that brought no receipt.
enum Failed {
    /// The endpoint's settings changed before the first byte. Nothing was sent.
    Withdrawn,
    /// An idle connection turned out to be dead. Nothing was sent.
    Dead,
    /// The consumer took our certificate, and answered a head that asked for 100 Continue as if it
    /// were the whole request. The payload was not sent.
    Unheld,
    /// * `withheld`: the payload was held, and not sent.
    Ended { error: Error, withheld: bool },
}

impl Failed {
    /// Before a request.
    fn early(error: Error) -> Self {
        Self::Ended { error, withheld: false }
    }
}

impl Call {
    /// * `turn`: the delivery's, if it has been given one already.
    pub(super) async fn run(&self, turn: Option<Turn>) -> Result<Receipt, Error> {
        let started = Instant::now();
        let progress = Progress::new(started + self.deadlines.total);
        self.bounded(turn, started, &progress).await.map_err(|error| progress.add_sent(error))
    }

    /// The delivery, and what ends it from outside.
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
        let mut attempts = pin!(self.admitted(turn, started, progress));
        let mut total = pin!(tokio::time::sleep_until(progress.by().into()));
        // An exchange has a timer of its own, which keeps to this one.
        let late = poll_fn(|context| match progress.stage() {
            Stage::Request | Stage::Response => Poll::Pending,
            _ => poll_due(total.as_mut(), || progress.by(), context),
        });
        // Looked at in this order: what ended a delivery outranks what it would have become.
        let ended = tokio::select! {
            biased;
            () = CancelToken::canceled_if_any(self.cancel.as_ref()) => "canceled by the caller",
            () = self.dispatcher.stop.canceled() => "canceled because the dispatcher closed",
            outcome = &mut attempts => return outcome,
            () = late => "total",
        };
        // But for the head of a final answer: the consumer has decided, and the rest is not waited for.
        if progress.stop_reading() {
            return attempts.await;
        }
        Err(match ended {
            "total" => progress.total_deadline_exceeded(&self.deadlines),
            by => canceled(by),
        })
    }

    /// Waits for this delivery's turn, then attempts it.
    async fn admitted(
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
        let mut tries = Tries::default();
        let outcome = self.attempts(&mut tries, started, progress).await;
        outcome.map_err(|error| match tries.attempts {
            0 | 1 => error,
            attempts => error.noting("attempts", attempts),
        })
    }

    async fn attempts(
        &self,
        tries: &mut Tries,
        started: Instant,
        progress: &Progress,
    ) -> Result<Receipt, Error> {
        loop {
            let now = clock::now().map_err(|error| error.at(Stage::Admit))?;
            let generation = self.next(tries, now)?;
            tries.attempts += 1;
            match self.attempt(&generation, tries, (now, started), progress).await {
                Ok(receipt) => return Ok(receipt),
                Err(failed) => self.again(failed, &generation, tries, now, progress).await?,
            }
        }
    }

    /// What the next attempt travels on. Fails if there shall be none.
    fn next(&self, tries: &mut Tries, now: i64) -> Result<Arc<Generation>, Error> {
        if self.endpoint.is_removed() {
            return Err(removed());
        }
        let current = self.endpoint.generation();
        // A refusal says nothing about what the endpoint was given since.
        tries.denied = tries.denied.take().filter(|denied| denied.by.number == current.number);
        let denied = tries.denied.as_ref();
        let shown = self.dispatcher.shown(&self.endpoint, current, denied, now);
        shown.ok_or_else(|| tries.denied.take().map_or_else(removed, |denied| denied.error))
    }

    /// Opens a connection or takes an idle one, and makes the request on it.
    async fn attempt(
        &self,
        generation: &Arc<Generation>,
        tries: &Tries,
        (now, started): (i64, Instant),
        progress: &Progress,
    ) -> Result<Receipt, Failed> {
        let idle = if tries.fresh { None } else { generation.pool.take(now) };
        let reused = idle.is_some();
        let (mut connection, timings) = match idle {
            Some(connection) => (connection, Timings::default()),
            // Boxed: most deliveries open none, and would reserve space for its future.
            None => Box::pin(self.open(generation, now, progress)).await?,
        };
        // Until a consumer has answered under a new identity, it may refuse it in its answer.
        let doubtful = !tries.unheld && self.endpoint.doubts(generation);
        let hold = generation.holds_payload() || doubtful;
        let exchanged = self.exchange(&mut connection, generation, hold, progress).await;
        let (answer, responded) = match exchanged {
            Ok(answered) => answered,
            Err(error) if error.kind() == Kind::HandleClosed => return Err(Failed::Withdrawn),
            Err(error) if reused && error.sent() == Sent::Nothing => return Err(Failed::Dead),
            Err(error) => {
                let error = error.noting("attempts", tries.attempts);
                self.learn(&connection, generation, tries, (now, doubtful), &error);
                return Err(self.ended(connection, generation, progress, error));
            }
        };
        self.accepted(generation, tries.denied.as_ref(), now);
        let timings = Timings { response: responded, ..timings };
        let receipt = receipt::Inner {
            consumer: self.endpoint.consumer_arc(),
            id: self.id.clone(),
            status: answer.status(),
            peer: connection.peer.clone(),
            attempts: tries.attempts,
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
    ) -> Result<(Box<Connection>, Timings), Failed> {
        // After an exchange, the total deadline is kept by `bounded` again.
        progress.enter(Stage::Admit);
        check_identity(generation, now).map_err(Failed::early)?;
        let opened = tokio::select! {
            biased;
            () = self.endpoint.withdrawn(generation) => return Err(Failed::Withdrawn),
            opened = self.connect(generation, progress) => opened,
        };
        if !self.endpoint.serves(generation) {
            return Err(Failed::Withdrawn);
        }
        let shaken = opened.as_ref().map(|(connection, _)| &*connection.peer);
        self.dispatcher.tell(&self.endpoint.noted(generation, shaken));
        opened.map_err(Failed::early)
    }

    async fn connect(
        &self,
        generation: &Generation,
        progress: &Progress,
    ) -> Result<(Box<Connection>, Timings), Error> {
        let route = &self.dispatcher.options.route;
        let wait_limit = (!self.patient).then_some(&self.dispatcher.wait_limit);
        let permit =
            self.dispatcher.connection_limit.permit(generation.owner(), wait_limit).await?;
        let (url, terms) = (&generation.url, &generation.terms);
        Connection::open(permit, url, terms, route, &self.deadlines, progress).await
    }

    /// Makes the request. An answer other than 2xx is an error.
    ///
    /// * `hold`: whether the payload waits for the consumer's word.
    async fn exchange(
        &self,
        connection: &mut Connection,
        generation: &Generation,
        hold: bool,
        progress: &Progress,
    ) -> Result<(Response, Duration), Error> {
        let request = || self.payload.request(generation, hold);
        let may_start = || self.endpoint.start(generation);
        let (mut answer, responded) =
            connection.exchange(request, &may_start, &self.deadlines, progress).await?;
        answer.redact(self.payload.credentials());
        if answer.is_success() {
            return Ok((answer, responded));
        }
        let others = &self.dispatcher.options.status_retry;
        // A consumer that sends 100 Continue has accepted our certificate.
        let passed = connection.hold_honored() == Some(true);
        let error = answer.into_error(generation.status_retry(), others, passed);
        Err(error.having_sent(progress.sent_now()))
    }

    /// The consumer took our certificate.
    fn accepted(&self, generation: &Generation, refused: Option<&Refused>, now: i64) {
        let consumer = self.endpoint.consumer();
        self.dispatcher.refusals.accepted(generation.identity(), consumer);
        self.dispatcher.accepted(&self.endpoint, generation, refused, now);
    }

    /// What a failure says about whether the consumer takes our certificate.
    fn learn(
        &self,
        connection: &Connection,
        generation: &Generation,
        tries: &Tries,
        (now, doubtful): (i64, bool),
        error: &Error,
    ) {
        let rejected = error.kind() == Kind::ClientCertificateRejected;
        if rejected {
            // With the payload gone, this delivery is over; the next one shall fare better.
            let late = doubtful && error.sent() > Sent::Nothing && !connection.withheld();
            self.dispatcher.doubt(&self.endpoint, generation, late, now);
        } else if connection.status().is_some() && error.sent() > Sent::Nothing {
            self.accepted(generation, tries.denied.as_ref(), now);
        }
    }

    /// What comes of a request that brought no receipt. The connection is kept if it is none the worse.
    fn ended(
        &self,
        connection: Box<Connection>,
        generation: &Generation,
        progress: &Progress,
        error: Error,
    ) -> Failed {
        let withheld = connection.withheld();
        // After 100 Continue too, if the response came together with it.
        let kept = connection.is_held() && !progress.has_sent_payload();
        let status = connection.status();
        let answered = error.response().is_some();
        if answered {
            self.keep(connection, generation);
        }
        match status {
            Some(200..=299 | 417)
                if kept && error.sent() > Sent::Nothing && !generation.holds_payload() =>
            {
                Failed::Unheld
            }
            Some(417) if withheld => Failed::Ended { error: unexpecting(error), withheld },
            _ => Failed::Ended { error, withheld },
        }
    }

    /// Prepares another attempt, or fails with what the delivery fails with.
    async fn again(
        &self,
        failed: Failed,
        generation: &Arc<Generation>,
        tries: &mut Tries,
        now: i64,
        progress: &Progress,
    ) -> Result<(), Error> {
        match failed {
            Failed::Withdrawn => {
                progress.enter(Stage::Admit);
                return tries.restarts.again(&self.endpoint).await;
            }
            Failed::Dead => tries.fresh = true,
            Failed::Unheld => {
                progress.next_attempt(Sent::Maybe);
                tries.unheld = true;
            }
            Failed::Ended { error, withheld } => {
                // Whichever refusal the delivery fails with, it says what all attempts have sent.
                progress.next_attempt(error.sent());
                let (before, endpoint) = (tries.denied.take(), &self.endpoint);
                let (identity, consumer) = (generation.identity(), endpoint.consumer());
                let error = self.dispatcher.refusals.judge(identity, consumer, error);
                let ended = (error, withheld);
                tries.denied =
                    Some(self.dispatcher.refused(endpoint, generation, ended, before, now)?);
                tries.fresh = false;
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

/// Our certificate was good when it was loaded; whether it still is decides every connection.
pub(super) fn check_identity(generation: &Generation, now: i64) -> Result<(), Error> {
    generation.terms.identity().check(now).map_err(|error| {
        Error::new(Kind::ClientCertificateUnusable, error.message())
            .at(Stage::Admit)
            .noting_all(error.context())
    })
}

/// The consumer takes no `Expect: 100-continue`, which the caller asked for.
fn unexpecting(error: Error) -> Error {
    error
        .scoped(Scope::Endpoint)
        .retried(Retry::AfterRepair, None)
        .advising("The consumer takes no Expect: 100-continue: turn hold_payload off for it.")
}
