//! One delivery from its turn to its receipt: attempts, and what ends them from outside.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::flight::Flight;
use super::request::Payload;
use super::staging::Refused;
use super::{CancelToken, Inner};
use crate::clock;
use crate::connection::{Answer, Connection, Deadlines, Progress, Timings, Turn};
use crate::endpoint::{Endpoint, Generation};
use crate::error::{Error, Kind, Retry, Scope, Sent, Stage};
use crate::receipt::{self, Receipt};

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

impl Call {
    /// * `turn`: the delivery's, if it has been given one already.
    pub(super) async fn run(&self, turn: Option<Turn>) -> Result<Receipt, Error> {
        let started = Instant::now();
        let progress = Progress::new();
        let canceled = |by: &str| {
            Error::new(Kind::Canceled, format!("{by} at stage {}", progress.stage().name()))
                .at(progress.stage())
                .having_sent(progress.sent())
        };
        let by = self.by(started);
        let mut attempts = pin!(self.admitted(turn, started, &progress));
        let mut total = pin!(tokio::time::sleep_until(by.into()));
        // An exchange has a timer of its own, which keeps to this one.
        let late = poll_fn(|context| match progress.stage() {
            Stage::Request | Stage::Response => Poll::Pending,
            _ => total.as_mut().poll(context),
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
            "total" => progress.overdue("total", self.deadlines.total),
            by => canceled(by),
        })
    }

    /// When a delivery that started then is to be over.
    fn by(&self, started: Instant) -> Instant {
        started + self.deadlines.total
    }

    /// Waits for this delivery's turn, then attempts it.
    async fn admitted(
        &self,
        turn: Option<Turn>,
        started: Instant,
        progress: &Progress,
    ) -> Result<Receipt, Error> {
        let turns = self.endpoint.turns();
        let _turn = match turn {
            Some(turn) => turn,
            None => turns.take_in(&self.dispatcher.room).await?,
        };
        self.attempts(turns.limit(), started, progress).await
    }

    /// One attempt, and a second one if an idle connection turned out to be dead before anything was
    /// sent on it.
    async fn attempts(
        &self,
        most_idle: usize,
        started: Instant,
        progress: &Progress,
    ) -> Result<Receipt, Error> {
        let mut attempts = 1;
        let mut fresh = false;
        let mut denied: Option<Refused> = None;
        self.dispatcher.catch_up().await;
        loop {
            let now = clock::now().map_err(|error| error.at(Stage::Admit))?;
            let attempt = (now, attempts);
            let generation = self.dispatcher.shown(&self.endpoint, denied.as_ref(), now);
            let idle = if fresh { None } else { generation.pool.take(now) };
            let reused = idle.is_some();
            let opened = match idle {
                Some(connection) => Ok((connection, Timings::default())),
                // Boxed: most deliveries open none, and would carry its room about.
                None => Box::pin(self.open(&generation, now, progress)).await,
            };
            let (mut connection, timings) = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    denied = Some(self.refused(&generation, error, denied, progress, attempt)?);
                    attempts += 1;
                    continue;
                }
            };
            // What was swapped out while we connected takes no new request either.
            if !self.endpoint.is_current(&generation) {
                continue;
            }
            let by = self.by(started);
            match self.exchange(&mut connection, &generation, by, progress).await {
                Ok((answer, responded)) => {
                    self.accepted(&generation, denied.as_ref(), now);
                    let timings = Timings { response: responded, ..timings };
                    let receipt = receipt::Inner {
                        consumer: self.endpoint.shared_consumer(),
                        id: self.id.clone(),
                        status: answer.status(),
                        peer: connection.peer.clone(),
                        attempts,
                        elapsed: connection.idle_since() - started,
                        tls: connection.facts.clone(),
                        reused,
                        address: connection.address,
                        proxy: self.dispatcher.options.route.through(),
                        timings,
                        hold_honored: connection.hold_honored(),
                        answer,
                    };
                    self.keep(connection, &generation, most_idle);
                    return Ok(Receipt::new(receipt));
                }
                Err(Failed { error, answered }) => {
                    if answered {
                        self.keep(connection, &generation, most_idle);
                        if error.kind() != Kind::ClientCertificateRejected {
                            self.accepted(&generation, denied.as_ref(), now);
                        }
                    }
                    if reused && error.sent() == Sent::Nothing {
                        attempts += 1;
                        fresh = true;
                        continue;
                    }
                    let error = error.noting("attempts", attempts);
                    denied = Some(self.refused(&generation, error, denied, progress, attempt)?);
                    attempts += 1;
                    fresh = false;
                }
            }
        }
    }

    /// The consumer took our certificate.
    fn accepted(&self, generation: &Generation, refused: Option<&Refused>, now: i64) {
        let consumer = self.endpoint.consumer();
        self.dispatcher.refusals.accepted(generation.identity(), consumer);
        self.dispatcher.accepted(&self.endpoint, generation, refused, now);
    }

    /// Whether to try once more with another identity of ours, or what to fail with.
    fn refused(
        &self,
        by: &Arc<Generation>,
        error: Error,
        before: Option<Refused>,
        progress: &Progress,
        (now, attempts): (i64, u32),
    ) -> Result<Refused, Error> {
        let counted = |error: Error| {
            if attempts > 1 { error.noting("attempts", attempts) } else { error }
        };
        let consumer = self.endpoint.consumer();
        let error = self.dispatcher.refusals.judge(by.identity(), consumer, error);
        let refused = self.dispatcher.refused(&self.endpoint, by, error, before, now);
        let refused = refused.map_err(counted)?;
        progress.again(refused.error.sent());
        Ok(refused)
    }

    async fn open(
        &self,
        generation: &Generation,
        now: i64,
        progress: &Progress,
    ) -> Result<(Box<Connection>, Timings), Error> {
        // After an exchange, the total deadline is kept by `run` again.
        progress.enter(Stage::Admit);
        check_identity(generation, now)?;
        let route = &self.dispatcher.options.route;
        let room = (!self.patient).then_some(&self.dispatcher.room);
        let permit = self.dispatcher.budget.permit(room).await?;
        let (url, terms) = (&generation.url, &generation.terms);
        let opened = Connection::open(permit, url, terms, route, &self.deadlines, progress).await;
        let noted = self.endpoint.noted(opened.as_ref().map(|(connection, _)| &*connection.peer));
        self.dispatcher.tell(&noted);
        opened
    }

    async fn exchange(
        &self,
        connection: &mut Connection,
        generation: &Generation,
        by: Instant,
        progress: &Progress,
    ) -> Result<(Answer, Duration), Failed> {
        let unanswered = |error| Failed { error, answered: false };
        let request = || self.payload.request(generation);
        let (mut answer, responded) = connection
            .exchange(request, &self.deadlines, by, progress)
            .await
            .map_err(|error| unanswered(held(connection, error)))?;
        answer.redact(self.payload.credentials());
        if answer.is_success() {
            Ok((answer, responded))
        } else {
            let sent = progress.sent();
            let others = &self.dispatcher.options.status_retry;
            let error = answer.into_error(generation.status_retry(), others);
            Err(Failed { error: held(connection, error.having_sent(sent)), answered: true })
        }
    }

    fn keep(&self, connection: Box<Connection>, generation: &Generation, most_idle: usize) {
        if self.endpoint.is_current(generation) && !self.dispatcher.closed.load(Ordering::Acquire) {
            generation.pool.put(connection, most_idle);
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

/// Says of a failure that the payload never left, where it was held.
fn held(connection: &Connection, error: Error) -> Error {
    if !connection.withheld() {
        return error;
    }
    let status = error.response().map(|response| response.status);
    let error = error.noting("payload_sent", false);
    match status {
        Some(417) => error
            .scoped(Scope::Endpoint)
            .retried(Retry::AfterRepair, None)
            .advising("The consumer takes no Expect: 100-continue: turn hold_payload off for it."),
        _ => error,
    }
}

/// An exchange that brought no receipt; `answered` if its connection is none the worse.
struct Failed {
    error: Error,
    answered: bool,
}
