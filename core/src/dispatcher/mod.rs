//! Keeps endpoints by consumer id and delivers webhooks to them.

mod cancel;
mod certificate_refusals;
mod delivery;
mod doubt;
mod fallback;
mod fanout;
mod in_flight;
mod many;
mod operation;
#[cfg(test)]
mod option_table_tests;
mod options;
mod probe;
mod receipt;
mod reentry;
mod reload;
mod request;
mod restarts;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use crate::error::HttpResponse;
pub use crate::tls::TlsFacts;
pub use cancel::CancelToken;
use certificate_refusals::CertificateRefusals;
use delivery::DeliveryAttempts;
pub use fanout::{Delivery, Fanout, FanoutProgress, Outcome};
use in_flight::InFlight;
pub use many::{BlockingOutcomes, Outcomes};
use operation::{Operation, not_started};
pub use options::{DeliverOptions, DispatcherOptions};
pub use probe::{Probe, ProbeOptions};
pub use receipt::Receipt;
use reload::MaterialReload;
use request::PreparedRequest;

use crate::admission::WaitLimit;
use crate::connection::pool::ConnectionLimit;
use crate::endpoint::{Defaults, Endpoint, EndpointOptions, Generation, check_id};
use crate::error::{Error, Kind};
use crate::material::trust::Trust;
use crate::options::fault;
use crate::process::{Lock, Locked};
use crate::runtime::{self, Task};

/// Delivers webhooks. Cheap to clone; all clones share one dispatcher.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use webhook_mtls::testing::Lab;
/// use webhook_mtls::{DeliverOptions, Dispatcher, EndpointOptions, Pins};
///
/// let lab = Lab::start()?;
/// let acme = lab.consumer("acme")?;
/// let dispatcher = Dispatcher::new(lab.dispatcher_options().identity(lab.identity()))?;
///
/// let pins = Pins::new([acme.pin()])?;
/// let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(Some(pins)))?;
/// let receipt = dispatcher
///     .deliver_blocking(&endpoint, r#"{"event":"ping"}"#, DeliverOptions::new(), None)
///     .expect("nothing interrupts it")?;
/// assert_eq!(receipt.status(), 200);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Dispatcher {
    inner: Arc<Inner>,
}

struct Inner {
    number: u64,
    options: DispatcherOptions,
    endpoints: Lock<HashMap<Arc<str>, Endpoint>>,
    generations: AtomicU64,
    closed: AtomicBool,
    stop: CancelToken,
    in_flight: InFlight,
    connection_limit: Arc<ConnectionLimit>,
    wait_limit: WaitLimit,
    refusals: CertificateRefusals,
    reload: MaterialReload,
}

impl Dispatcher {
    /// Makes a dispatcher. Starts no thread: the first delivery starts the runtime.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the options contradict each other.
    pub fn new(options: DispatcherOptions) -> Result<Self, Error> {
        static DISPATCHERS: AtomicU64 = AtomicU64::new(1);
        if options.trust.as_ref().is_some_and(Trust::is_public) {
            return Err(fault("trust", "made by dangerous_public is for endpoints alone")
                .advising(
                    "Give it to the endpoints whose server certificate a public CA issues.",
                ));
        }
        let options = options.finish()?;
        let reload = MaterialReload::new(&options);
        Ok(Self {
            inner: Arc::new(Inner {
                number: DISPATCHERS.fetch_add(1, Ordering::Relaxed),
                connection_limit: ConnectionLimit::new(options.max_connections),
                wait_limit: WaitLimit::new(options.max_waiting),
                options,
                endpoints: Lock::default(),
                generations: AtomicU64::new(1),
                closed: AtomicBool::new(false),
                stop: CancelToken::new(),
                in_flight: InFlight::default(),
                refusals: CertificateRefusals::default(),
                reload,
            }),
        })
    }

    /// Makes or changes the endpoint of a consumer. Equal values return the same handle and keep its
    /// connections. Changed values make a new generation of this endpoint only. After this returns, no
    /// request starts under the former values: a delivery whose request has not started uses the new
    /// ones.
    ///
    /// * `consumer`: the consumer id, not empty.
    /// * `url`: the `https` URL of the consumer's receiver.
    ///
    /// # Errors
    ///
    /// Fails with `url_invalid`, `option_invalid` or `handle_closed`.
    pub fn endpoint(
        &self,
        consumer: &str,
        url: &str,
        options: EndpointOptions,
    ) -> Result<Endpoint, Error> {
        // Only a valid consumer id is attached to errors.
        check_id("consumer", consumer)?;
        self.make_endpoint(consumer, url, options).map_err(|error| error.for_consumer(consumer))
    }

    fn make_endpoint(
        &self,
        consumer: &str,
        url: &str,
        options: EndpointOptions,
    ) -> Result<Endpoint, Error> {
        self.check_open()?;
        let defaults = &self.inner.options;
        let concurrency = options.chosen_concurrency();
        let watch = &self.inner.reload.watch;
        let (generation, mut endpoints) = loop {
            let epoch = watch.epoch();
            let generation = Generation::new(
                self.inner.next_generation(),
                consumer,
                url,
                options.clone(),
                Defaults {
                    identity: defaults.identity.as_ref(),
                    trust: defaults.trust.as_ref(),
                    crl_policy: defaults.crl_policy,
                },
                &self.inner.connection_limit,
                watch,
            )?;
            let endpoints = self.endpoints();
            // A reload may have replaced material since the generation was made. An older generation
            // must not replace a newer one.
            if watch.epoch() == epoch {
                break (generation, endpoints);
            }
        };
        if let Some(known) = endpoints.get(consumer) {
            known.update(generation, concurrency);
            return Ok(known.clone());
        }
        let made = Endpoint::new(self.inner.number, consumer, generation, concurrency);
        endpoints.insert(made.consumer_arc(), made.clone());
        Ok(made)
    }

    /// Removes the endpoint of a consumer and closes its idle connections. Returns `false` if there is
    /// none.
    ///
    /// After this returns, no request to the endpoint starts. A delivery whose request has started
    /// finishes. Every other delivery, waiting or new, fails with `handle_closed` and sends nothing.
    pub fn remove(&self, consumer: &str) -> bool {
        // Under the lock, so that no request starts once another caller finds no endpoint.
        let mut endpoints = self.endpoints();
        let removed = endpoints.remove(consumer);
        if let Some(endpoint) = &removed {
            endpoint.remove();
            self.inner.refusals.forget(consumer);
        }
        removed.is_some()
    }

    /// Delivers one payload. The future may be awaited on any executor; dropping it cancels the
    /// delivery.
    ///
    /// # Errors
    ///
    /// Fails unless the consumer answers with a final 2xx head, with any kind of the stages `config`
    /// to `response`. [`Error::sent`] says how much of the request may have reached the consumer.
    pub fn deliver(
        &self,
        endpoint: &Endpoint,
        body: impl Into<Bytes>,
        options: DeliverOptions,
    ) -> impl Future<Output = Result<Receipt, Error>> + Send + 'static {
        let (started, id) = (Instant::now(), options.id.clone());
        let prepared = self.prepare(endpoint, body.into(), options);
        let endpoint = endpoint.clone();
        async move {
            let outcome = match prepared {
                Ok(mut attempts) => {
                    let run = async move { attempts.run(None).await };
                    match Task::start_in(endpoint.lane(), run) {
                        Ok(task) => task.output().await.and_then(|outcome| outcome),
                        Err(error) => Err(error),
                    }
                }
                Err(error) => Err(error),
            };
            outcome.map_err(|error| not_started(error, Some(endpoint.consumer()), id, started))
        }
    }

    /// Delivers one payload and blocks the calling thread, which drives the delivery itself.
    ///
    /// * `interrupt`: called every 50 ms; returns whether to stop. `None` never stops.
    ///
    /// Returns `None` if it was interrupted; the delivery is then canceled.
    ///
    /// # Errors
    ///
    /// Fails as [`Dispatcher::deliver`] does.
    pub fn deliver_blocking(
        &self,
        endpoint: &Endpoint,
        body: impl Into<Bytes>,
        options: DeliverOptions,
        interrupt: Option<&mut dyn FnMut() -> bool>,
    ) -> Option<Result<Receipt, Error>> {
        let (started, id) = (Instant::now(), options.id.clone());
        let mut stopped = false;
        let mut noted = interrupt.map(|interrupt| {
            || {
                stopped = (*interrupt)();
                stopped
            }
        });
        let noted = noted.as_mut().map(|noted| noted as &mut dyn FnMut() -> bool);
        let outcome = self.drive_delivery(endpoint, body.into(), options, noted);
        if stopped && outcome.is_none() {
            return None;
        }
        let outcome = outcome.unwrap_or_else(|| Err(runtime::undriven()));
        Some(outcome.map_err(|error| not_started(error, Some(endpoint.consumer()), id, started)))
    }

    /// Returns `None` if it was interrupted, or if the wait could never end.
    fn drive_delivery(
        &self,
        endpoint: &Endpoint,
        body: Bytes,
        options: DeliverOptions,
        interrupt: Option<&mut dyn FnMut() -> bool>,
    ) -> Option<Result<Receipt, Error>> {
        let prepared = self.prepare(endpoint, body, options);
        let prepared = prepared.and_then(|it| self.check_reentry(endpoint).map(|()| it));
        let mut attempts = match prepared {
            Ok(attempts) => attempts,
            Err(error) => return Some(Err(error)),
        };
        if !runtime::is_inside() {
            let mut guarded = interrupt
                .map(|interrupt| || reentry::while_held_up(self, endpoint, &mut *interrupt));
            let guarded = guarded.as_mut().map(|guarded| guarded as &mut dyn FnMut() -> bool);
            return match runtime::lane(endpoint.lane()) {
                Ok(lane) => runtime::drive_in(&lane, attempts.run(None), guarded),
                Err(error) => Some(Err(error)),
            };
        }
        let mut never = || false;
        let interrupt = interrupt.unwrap_or(&mut never);
        match Task::start_in(endpoint.lane(), async move { attempts.run(None).await }) {
            Ok(task) => runtime::drive(task.output(), interrupt).map(|outcome| outcome?),
            Err(error) => Some(Err(error)),
        }
    }

    /// Starts a delivery without blocking, and calls `done` with its outcome on a thread of the
    /// runtime.
    ///
    /// # Errors
    ///
    /// Fails if the delivery cannot start, with a kind that [`Dispatcher::deliver`] fails with before
    /// it sends anything. `done` is then not called.
    pub fn start(
        &self,
        endpoint: &Endpoint,
        body: impl Into<Bytes>,
        options: DeliverOptions,
        done: impl FnOnce(Result<Receipt, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        let (started, id) = (Instant::now(), options.id.clone());
        let named = |error| not_started(error, Some(endpoint.consumer()), id.clone(), started);
        let mut attempts = self.prepare(endpoint, body.into(), options).map_err(named)?;
        let task = async move {
            let outcome = attempts.run(None).await;
            drop(attempts);
            done(outcome);
        };
        runtime::start(endpoint.lane(), runtime::Driven::ByKeeper, task, drop).map_err(named)
    }

    fn prepare(
        &self,
        endpoint: &Endpoint,
        body: Bytes,
        options: DeliverOptions,
    ) -> Result<DeliveryAttempts, Error> {
        let DeliverOptions { id, content_type, headers, timeout, cancel } = options;
        let operation = Operation::start(self, endpoint, id);
        let id = operation.id.as_deref();
        let request = match self.prepare_request(endpoint, body, id, content_type, &headers) {
            Ok(request) => request,
            Err(error) => return Err(operation.fail(error)),
        };
        self.inner.watch_files();
        let mut deadlines = self.inner.options.deadlines;
        deadlines.total = timeout.unwrap_or(deadlines.total);
        Ok(DeliveryAttempts { operation, request, deadlines, cancel, bounded_by_run: false })
    }

    fn prepare_request(
        &self,
        endpoint: &Endpoint,
        body: Bytes,
        id: Option<&str>,
        content_type: Option<String>,
        headers: &[(String, String)],
    ) -> Result<PreparedRequest, Error> {
        self.admit(endpoint)?;
        let generation = endpoint.generation();
        let request = PreparedRequest::new(body, id, content_type.as_deref(), headers)?;
        if generation.signing().is_some() {
            request.check_signable()?;
        }
        Ok(request)
    }

    /// Lets the deliveries in flight finish for at most `drain`, then cancels them (`canceled`), and
    /// returns when all have ended. New deliveries fail with `handle_closed` from now on. A second call
    /// changes nothing.
    ///
    /// `close` never waits for the delivery that it is called from. In the interrupt of a
    /// [`Dispatcher::deliver_blocking`], it waits for all other deliveries; the interrupted one
    /// continues for the rest of `drain` after the interrupt returns. On a thread that runs deliveries
    /// at that moment, as in the callback of [`Dispatcher::start`], it waits for no delivery and
    /// closing continues in the background.
    pub fn close(&self, drain: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.inner.closed.store(true, Ordering::SeqCst);
        let (inner, in_flight) = (self.inner.clone(), self.inner.in_flight.clone());
        let closing = Task::start(async move {
            let _ = tokio::time::timeout(drain, inner.in_flight.wait_until_at_most(0)).await;
            inner.stop.cancel();
            inner.in_flight.wait_until_at_most(0).await;
            let endpoints: Vec<Endpoint> =
                inner.endpoints.lock().drain().map(|(_, endpoint)| endpoint).collect();
            endpoints.iter().for_each(Endpoint::remove);
        });
        let (held_up, runs_lane) = (self.held_up() as u64, runtime::is_in_lane());
        let awaited = closing.ok().and_then(|task| {
            if held_up == 0 && !runs_lane {
                return Some(task);
            }
            task.detach();
            None
        });
        async move {
            match awaited {
                Some(task) => drop(task.output().await),
                None if runs_lane => {}
                None => in_flight.wait_until_at_most(held_up).await,
            }
        }
    }

    fn admit(&self, endpoint: &Endpoint) -> Result<(), Error> {
        self.check_open()?;
        if !endpoint.belongs_to(self.inner.number) {
            return Err(fault("endpoint", "belongs to another dispatcher"));
        }
        if endpoint.is_removed() {
            return Err(Error::new(Kind::HandleClosed, "the endpoint was removed"));
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), Error> {
        if self.inner.is_closed() {
            return Err(Error::new(Kind::HandleClosed, "the dispatcher was closed"));
        }
        Ok(())
    }

    fn endpoints(&self) -> Locked<'_, HashMap<Arc<str>, Endpoint>> {
        self.inner.endpoints.lock()
    }
}

impl Inner {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher")
            .field("endpoints", &self.endpoints().len())
            .finish_non_exhaustive()
    }
}

/// Delivers one payload over one connection and closes it. For scripts; a program that delivers more
/// than once uses a [`Dispatcher`].
///
/// # Errors
///
/// Fails as [`Dispatcher::endpoint`] and [`Dispatcher::deliver`] do. The consumer id is the URL's host,
/// with the port unless it is 443.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use webhook_mtls::testing::Lab;
/// use webhook_mtls::{DeliverOptions, EndpointOptions, Pins};
///
/// # webhook_mtls::bindings::runtime::drive(async {
/// let lab = Lab::start()?;
/// let acme = lab.consumer("acme")?;
/// let options = lab.dispatcher_options();
/// let pinned = EndpointOptions::new(Some(Pins::new([acme.pin()])?));
/// let receipt =
///     webhook_mtls::deliver(&acme.url(), "{}", options, pinned, DeliverOptions::new()).await?;
/// assert_eq!(receipt.status(), 200);
/// # Ok::<(), webhook_mtls::Error>(())
/// # }, || false).expect("nothing interrupts it")?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
pub async fn deliver(
    url: &str,
    body: impl Into<Bytes>,
    mut dispatcher: DispatcherOptions,
    endpoint: EndpointOptions,
    options: DeliverOptions,
) -> Result<Receipt, Error> {
    let (started, id, body) = (Instant::now(), options.id.clone(), body.into());
    // The dispatcher has this endpoint only, so a trust that only endpoints may have moves there.
    let endpoint = endpoint.or_trust(dispatcher.trust.take());
    let consumer = crate::net::Url::parse(url).map(|url| url.authority().to_owned());
    let consumer = consumer.map_err(|error| not_started(error, None, id.clone(), started))?;
    let made = Dispatcher::new(dispatcher).and_then(|dispatcher| {
        let endpoint = dispatcher.endpoint(&consumer, url, endpoint)?;
        Ok((dispatcher, endpoint))
    });
    let (dispatcher, endpoint) =
        made.map_err(|error| not_started(error, Some(&consumer), id, started))?;
    let outcome = dispatcher.deliver(&endpoint, body, options).await;
    dispatcher.close(Duration::ZERO).await;
    outcome
}
