//! Probes an endpoint: a handshake without a request, for monitoring and before a first delivery.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::delivery::check_identity;
use super::operation::{Operation, not_started};
use super::restarts::Restarts;
use super::{CancelToken, Dispatcher};
use crate::admission::{Needs, Waiter, removed};
use crate::clock;
use crate::connection::observer::{AttemptOutcome, OperationKind, Repeat};
use crate::connection::{HandshakeFacts, probe};
use crate::endpoint::{Endpoint, Generation};
use crate::error::{Error, Stage, Timings, fraction};
use crate::log::LogRecord;
use crate::material::identity::Identity;
use crate::material::pin::PinSlot;
use crate::options::{self, SetByName, Setting, Unchecked};
use crate::runtime::{self, Task};
use crate::tls::{self, TlsFacts};
use crate::verify::PeerIdentity;

/// The limits of one probe.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use webhook_mtls::ProbeOptions;
/// # use webhook_mtls::testing::Lab;
/// # use webhook_mtls::{EndpointOptions, Pins};
/// # let lab = Lab::start()?;
/// # let acme = lab.consumer("acme")?;
/// # let dispatcher = lab.dispatcher();
/// # let pins = Pins::new([acme.pin()])?;
/// # let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(Some(pins)))?;
///
/// # webhook_mtls::bindings::runtime::drive(async {
/// let options = ProbeOptions::new().timeout(Duration::from_secs(3))?;
/// dispatcher.probe(&endpoint, options).await?;
/// # Ok::<(), webhook_mtls::Error>(())
/// # }, || false).expect("nothing interrupts it")?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug, Default)]
pub struct ProbeOptions {
    timeout: Option<Duration>,
    cancel: CancelToken,
}

impl ProbeOptions {
    /// Makes options with the dispatcher's timeout.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the total deadline, by default the dispatcher's.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, Error> {
        self.timeout = Some(options::duration("timeout", timeout)?);
        Ok(self)
    }

    /// Cancels the probe when `token` is canceled.
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.cancel = token;
        self
    }
}

impl SetByName for ProbeOptions {
    fn set(self, name: &str, value: Setting) -> Result<Self, Error> {
        let value = Unchecked { of: "probe", name, value };
        match name {
            "timeout" => self.timeout(value.duration()?),
            _ => Err(options::mistyped("probe", name)),
        }
    }
}

/// The result of a probe: a completed handshake. The consumer passed every check of a delivery, asked
/// for our certificate, and did not refuse it in the handshake. Cheap to clone.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use webhook_mtls::ProbeOptions;
/// # use webhook_mtls::testing::Lab;
/// # use webhook_mtls::{EndpointOptions, Pins};
/// # let lab = Lab::start()?;
/// # let acme = lab.consumer("acme")?;
/// # let dispatcher = lab.dispatcher();
/// # let pins = Pins::new([acme.pin()])?;
/// # let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(Some(pins)))?;
///
/// # webhook_mtls::bindings::runtime::drive(async {
/// let probe = dispatcher.probe(&endpoint, ProbeOptions::new()).await?;
/// assert_eq!(probe.tls().version, "TLSv1.3");
/// assert!(probe.peer().lifetime_left() > 0.0);
/// assert!(acme.received().is_empty(), "a probe sends no request");
/// # Ok::<(), webhook_mtls::Error>(())
/// # }, || false).expect("nothing interrupts it")?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Probe {
    parts: Arc<ProbeParts>,
}

#[derive(Debug)]
struct ProbeParts {
    consumer: String,
    url: String,
    handshake: Arc<HandshakeFacts>,
    identity: Identity,
    address: SocketAddr,
    timings: Timings,
    elapsed: Duration,
}

impl Probe {
    /// * `generation`: the generation that the handshake was made for.
    fn of(
        operation: &Operation,
        generation: &Generation,
        address: SocketAddr,
        handshake: Arc<HandshakeFacts>,
    ) -> Self {
        let progress = &operation.progress;
        let parts = ProbeParts {
            consumer: operation.endpoint.consumer().to_owned(),
            url: generation.url.text.clone(),
            handshake,
            identity: generation.identity().clone(),
            address,
            timings: progress.timings(),
            elapsed: progress.elapsed(),
        };
        Self { parts: Arc::new(parts) }
    }

    /// Returns the consumer id of the endpoint.
    pub fn consumer(&self) -> &str {
        &self.parts.consumer
    }

    /// Returns the identity in the consumer's certificate, with the certificate's dates.
    pub fn peer(&self) -> &PeerIdentity {
        &self.parts.handshake.peer
    }

    /// Returns which of the endpoint's pins matched, or `None` if it has no pins.
    pub fn pin(&self) -> Option<PinSlot> {
        self.peer().pin_slot()
    }

    /// Returns the TLS version, the cipher suite and the other results of the handshake.
    pub fn tls(&self) -> &TlsFacts {
        &self.parts.handshake.tls
    }

    /// Returns what the handshake does not show about our certificate, and the CAs that the consumer
    /// accepts if they do not include ours. `None` if there is nothing to say.
    pub fn note(&self) -> Option<String> {
        let tls = self.tls();
        tls::unjudged(&self.parts.identity, tls.version, &tls.authorities)
    }

    /// Returns the address of the connection.
    pub fn address(&self) -> SocketAddr {
        self.parts.address
    }

    /// Returns the total duration, including the wait for a turn.
    pub fn elapsed(&self) -> Duration {
        self.parts.elapsed
    }

    /// Returns the result as a log record, which is below 1 KiB.
    pub fn log_record(&self) -> LogRecord {
        LogRecord::of_probe(&self.to_json())
    }

    /// Returns the whole result as the JSON that all languages share. Durations are in milliseconds.
    pub fn to_json(&self) -> Value {
        let parts = &*self.parts;
        json!({
            "consumer": parts.consumer,
            "url": parts.url,
            "address": parts.address.to_string(),
            "pin": self.pin().map(PinSlot::name),
            "peer": self.peer().to_json(),
            "tls": self.tls().to_json(),
            "note": self.note(),
            "elapsed_ms": fraction(parts.elapsed),
            "timings": {
                "resolve_ms": parts.timings.resolve.map(fraction),
                "connect_ms": parts.timings.connect.map(fraction),
                "handshake_ms": parts.timings.handshake.map(fraction),
            },
        })
    }
}

impl Dispatcher {
    /// Opens a connection to a consumer, completes the handshake with the checks of a delivery, and
    /// closes. Sends no byte of a request. The endpoint's status records the result. Takes one of the
    /// endpoint's turns (`concurrency`) and waits for it as a delivery does. An open circuit does not
    /// refuse a probe, and a successful one closes it unless only the answer to a request shows that our
    /// certificate is accepted.
    ///
    /// A probe detects a consumer that refuses our certificate in the handshake or closes after it. It
    /// does not detect one that refuses it only in the response to a request, as nginx does;
    /// [`Probe::note`] says so.
    ///
    /// # Errors
    ///
    /// Fails as [`Dispatcher::deliver`] does before its request: with kinds of the stages `config`,
    /// `admit`, `resolve`, `connect` and `handshake`.
    pub fn probe(
        &self,
        endpoint: &Endpoint,
        options: ProbeOptions,
    ) -> impl Future<Output = Result<Probe, Error>> + Send + 'static {
        let started = Instant::now();
        let ProbeOptions { timeout, cancel } = options;
        let mut deadlines = self.inner.options.deadlines;
        deadlines.total = timeout.unwrap_or(deadlines.total);
        let mut operation = Operation::new(
            OperationKind::Probe,
            self,
            endpoint,
            None,
            deadlines,
            Some(cancel),
            None,
        );
        let entered = operation.enter(Waiter::Unknown, None);
        let consumer = endpoint.clone();
        async move {
            let outcome = match entered.and_then(|()| runtime::ready_here()) {
                Ok(()) => match Task::start(operation.probe()) {
                    Ok(task) => task.output().await.and_then(|outcome| outcome),
                    Err(error) => Err(error),
                },
                Err(error) => Err(operation.fail(error)),
            };
            let consumer = Some(consumer.consumer());
            outcome.map_err(|error| not_started(error, consumer, None, started))
        }
    }
}

impl Operation {
    /// Runs the probe to its end.
    async fn probe(mut self) -> Result<Probe, Error> {
        let outcome = match self.begin().await {
            Ok(()) => self.bounded(self.probe_in_turn()).await,
            Err(error) => Err(error),
        };
        self.leave(outcome)
    }

    /// Waits for a turn, then probes the endpoint's current generation; probes again if the settings
    /// changed meanwhile.
    async fn probe_in_turn(&self) -> Result<Probe, Error> {
        let Self { dispatcher, endpoint, progress, .. } = self;
        dispatcher.watch_files();
        let _turn = self.take_turn().await?;
        let mut restarts = Restarts::default();
        loop {
            if endpoint.is_removed() {
                return Err(removed());
            }
            progress.begin_attempt();
            progress.enter(Stage::Admit);
            progress.connect_anew();
            let generation = endpoint.generation();
            let seen = tokio::select! {
                biased;
                () = endpoint.withdrawn(&generation) => None,
                seen = self.probe_once(&generation) => Some(seen),
            };
            // The result of former settings does not apply to the current ones.
            let Some(seen) = seen.filter(|_| endpoint.serves(&generation)) else {
                self.count_attempt(None);
                progress.end_attempt(AttemptOutcome::Repeated(Repeat::SettingsChanged));
                restarts.again(endpoint).await?;
                continue;
            };
            dispatcher.emit(&endpoint.record_handshake(
                &generation,
                seen.as_ref().map(|(_, handshake)| &handshake.peer),
            ));
            let (address, handshake) = match seen {
                Ok(seen) => seen,
                Err(error) => {
                    let now = clock::now()?;
                    return Err(dispatcher.judge_close(endpoint, &generation, error, now));
                }
            };
            dispatcher.record_connected(endpoint, Needs::Verdict);
            return Ok(Probe::of(self, &generation, address, handshake));
        }
    }

    async fn probe_once(
        &self,
        generation: &Generation,
    ) -> Result<(SocketAddr, Arc<HandshakeFacts>), Error> {
        let now = clock::now().map_err(|error| error.at(Stage::Admit))?;
        check_identity(generation, now)?;
        let permits = &self.dispatcher.connection_limit;
        let permit = permits.permit(generation.owner(), self.wait_limit()).await?;
        let (url, terms, route) =
            (&generation.url, &generation.terms, &self.dispatcher.options.route);
        probe(permit, url, terms, route, &self.deadlines, &self.progress).await
    }
}

#[cfg(test)]
impl options::current::Current for ProbeOptions {
    fn current(&self, name: &str) -> String {
        assert_eq!(name, "timeout", "a probe has no option {name}");
        self.timeout.map_or("the dispatcher's".to_owned(), options::current::millis)
    }
}
