//! Probing an endpoint: a handshake without a payload, for monitoring and before a first delivery.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::probe_result::{self as result, Probe};
use super::restarts::Restarts;
use super::{CancelToken, Dispatcher, Inner, check_identity};
use crate::admission::removed;
use crate::clock;
use crate::connection::{Deadlines, HandshakeResult, Progress, probe};
use crate::endpoint::{Endpoint, Generation};
use crate::error::{Error, Kind, Stage};
use crate::options::{self, Setting};
use crate::runtime::{Task, before};

/// What a probe may take.
#[derive(Clone, Debug, Default)]
pub struct ProbeOptions {
    timeout: Option<Duration>,
    cancel: CancelToken,
}

impl ProbeOptions {
    /// The dispatcher's timeout.
    pub fn new() -> Self {
        Self::default()
    }

    /// The time it may take in all. Fails with `option_invalid` unless it is finite and above zero.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, Error> {
        self.set("timeout", Setting::Millis(timeout.as_secs_f64() * 1000.0))?;
        Ok(self)
    }

    /// Cancels the probe when the token is.
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.cancel = token;
        self
    }

    /// Sets an option by its name in the table. Fails with `option_invalid`.
    pub fn set(&mut self, name: &str, value: Setting) -> Result<(), Error> {
        match (name, value) {
            ("timeout", Setting::Millis(millis)) => {
                self.timeout = Some(options::duration(name, millis)?);
                Ok(())
            }
            _ => Err(options::mistyped("probe", name)),
        }
    }
}

impl Dispatcher {
    /// Shakes hands with a consumer over a connection of its own, judges it as a delivery would, and
    /// closes. What was seen is recorded in the endpoint's status. No byte of a request is sent. It
    /// takes one of the endpoint's turns (`concurrency`) and waits for it as a delivery does.
    ///
    /// A consumer that refuses our certificate in the handshake is found out; one that does so only
    /// in its answer to a request, as nginx does, is not.
    ///
    /// Fails with what a delivery fails with before its request: kinds of the stages `config`,
    /// `admit`, `resolve`, `connect` and `handshake`.
    pub fn probe(
        &self,
        endpoint: &Endpoint,
        options: ProbeOptions,
    ) -> impl Future<Output = Result<Probe, Error>> + Send + 'static {
        // Counted first: `close` waits for it, or it finds the dispatcher closed.
        let flight = self.inner.flights.start();
        let admitted = self.admit(endpoint);
        let (dispatcher, endpoint) = (self.inner.clone(), endpoint.clone());
        async move {
            let consumer = endpoint.consumer().to_owned();
            let probing = async move {
                let _flight = flight;
                admitted?;
                let mut deadlines = dispatcher.options.deadlines;
                deadlines.total = options.timeout.unwrap_or(deadlines.total);
                let progress = Progress::new(Instant::now() + deadlines.total);
                let work = dispatcher.probed(&endpoint, &deadlines, &progress);
                bounded(&options.cancel, &dispatcher.stop, &deadlines, &progress, work).await
            };
            let outcome = match Task::start(probing) {
                Ok(task) => task.output().await.and_then(|outcome| outcome),
                Err(error) => Err(error),
            };
            outcome.map_err(|error| error.for_consumer(&consumer))
        }
    }
}

impl Inner {
    /// Waits for a turn, then probes what the endpoint is; again if it was given other settings
    /// meanwhile.
    async fn probed(
        self: &Arc<Self>,
        endpoint: &Endpoint,
        deadlines: &Deadlines,
        progress: &Progress,
    ) -> Result<Probe, Error> {
        let started = Instant::now();
        self.watch_files();
        let owner = || endpoint.generation().owner().clone();
        let _turn = endpoint.turns().take_in(&self.wait_limit, owner).await?;
        self.catch_up().await;
        let mut restarts = Restarts::default();
        loop {
            if endpoint.is_removed() {
                return Err(removed());
            }
            progress.enter(Stage::Admit);
            let generation = endpoint.generation();
            let seen = tokio::select! {
                biased;
                () = endpoint.withdrawn(&generation) => None,
                seen = self.sighted(&generation, deadlines, progress) => Some(seen),
            };
            // What was seen under former settings says nothing about the present ones.
            let Some(seen) = seen.filter(|_| endpoint.serves(&generation)) else {
                restarts.again(endpoint).await?;
                continue;
            };
            self.tell(&endpoint.noted(&generation, seen.as_ref().map(|seen| &seen.peer)));
            let seen = seen?;
            return Ok(Probe::new(result::Inner {
                consumer: endpoint.consumer().to_owned(),
                url: generation.url.text.clone(),
                peer: seen.peer,
                tls: seen.facts,
                address: seen.address,
                timings: seen.timings,
                elapsed: started.elapsed(),
            }));
        }
    }

    async fn sighted(
        &self,
        generation: &Generation,
        deadlines: &Deadlines,
        progress: &Progress,
    ) -> Result<HandshakeResult, Error> {
        let now = clock::now().map_err(|error| error.at(Stage::Admit))?;
        check_identity(generation, now)?;
        let permit =
            self.connection_limit.permit(generation.owner(), Some(&self.wait_limit)).await?;
        let route = &self.options.route;
        probe(permit, &generation.url, &generation.terms, route, deadlines, progress).await
    }
}

/// Ends the work when it is no longer wanted, or takes too long. Nothing was sent in any case.
async fn bounded<T>(
    cancel: &CancelToken,
    stop: &CancelToken,
    deadlines: &Deadlines,
    progress: &Progress,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let canceled = |by: &str| {
        let stage = progress.stage();
        Err(Error::new(Kind::Canceled, format!("{by} at stage {}", stage.name())).at(stage))
    };
    let work = pin!(work);
    tokio::select! {
        biased;
        () = cancel.canceled() => canceled("canceled by the caller"),
        () = stop.canceled() => canceled("canceled because the dispatcher closed"),
        outcome = before(progress.by(), work) => {
            outcome.unwrap_or_else(|| Err(progress.total_deadline_exceeded(deadlines)))
        }
    }
}
