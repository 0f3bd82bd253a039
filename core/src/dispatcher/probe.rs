//! Probing an endpoint: a handshake without a payload, for monitoring and before a first delivery.

use std::future::Future;
use std::time::{Duration, Instant};

use super::{CancelToken, Dispatcher, check_identity};
use crate::clock;
use crate::connection::{Deadlines, Progress, probe};
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind, Stage};
use crate::options::{self, Setting};
use crate::probe::{self as result, Probe};
use crate::runtime::Task;

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
    /// closes. What was seen is recorded in the endpoint's status. No byte of a request is sent.
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
        let admitted = self.admit(endpoint);
        let (dispatcher, endpoint) = (self.inner.clone(), endpoint.clone());
        let flight = self.inner.flights.start();
        async move {
            let consumer = endpoint.consumer().to_owned();
            let probing = async move {
                let _flight = flight;
                admitted?;
                let mut deadlines = dispatcher.options.deadlines;
                deadlines.total = options.timeout.unwrap_or(deadlines.total);
                let started = Instant::now();
                let progress = Progress::new();
                let work = async {
                    dispatcher.watch_files();
                    dispatcher.catch_up().await;
                    let generation = endpoint.generation();
                    let now = clock::now().map_err(|error| error.at(Stage::Admit))?;
                    check_identity(&generation, now)?;
                    let _permit = dispatcher.budget.permit(Some(&dispatcher.room)).await?;
                    let route = &dispatcher.options.route;
                    let url = &generation.url;
                    let seen = probe(url, &generation.terms, route, &deadlines, &progress).await;
                    dispatcher.tell(&endpoint.noted(seen.as_ref().map(|seen| &seen.peer)));
                    let seen = seen?;
                    Ok(Probe::new(result::Inner {
                        consumer: endpoint.consumer().to_owned(),
                        url: url.text.clone(),
                        peer: seen.peer,
                        tls: seen.facts,
                        address: seen.address,
                        timings: seen.timings,
                        elapsed: started.elapsed(),
                    }))
                };
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
    tokio::select! {
        biased;
        () = cancel.canceled() => canceled("canceled by the caller"),
        () = stop.canceled() => canceled("canceled because the dispatcher closed"),
        outcome = work => outcome,
        () = tokio::time::sleep(deadlines.total) => {
            Err(progress.overdue("total", deadlines.total))
        }
    }
}
