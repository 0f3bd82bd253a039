//! Keeps endpoints by consumer id and delivers webhooks to them.

mod accounting;
mod certificate_refusals;
mod circuits;
mod delivery;
mod diagnose_command;
mod doubt;
pub(crate) mod examination;
mod fallback;
mod fanout;
mod many;
mod operation;
mod options;
mod probe;
mod receipt;
mod reload;
mod request;
mod restarts;
mod trace;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use crate::admission::CancelToken;
pub use crate::error::HttpResponse;
pub use crate::log::{LogLevel, LogRecord};
pub use crate::metrics::{Metrics, MetricsFormat};
pub use crate::tls::TlsFacts;
use certificate_refusals::CertificateRefusals;
use circuits::WayJudgment;
use delivery::DeliveryAttempts;
pub use fanout::{Completed, Delivery, Fanout, FanoutProgress, Outcome};
pub use many::{BlockingOutcomes, Outcomes};
use operation::{Operation, not_started};
pub use options::{DeliverOptions, DispatcherOptions};
pub use probe::{Probe, ProbeOptions};
pub use receipt::Receipt;
use reload::MaterialReload;
use request::PreparedRequest;
#[doc(hidden)]
pub use trace::{Trace, TraceQueue};

use crate::admission::{Admission, RunEntry, Waiter};
use crate::clock;
use crate::connection::observer::OperationKind;
use crate::connection::pool::ConnectionLimit;
use crate::endpoint::{Defaults, Endpoint, EndpointOptions, Generation, check_id};
use crate::error::Error;
use crate::material::trust::Trust;
use crate::metrics::DispatcherCells;
use crate::options::fault;
use crate::process::{Lock, Locked, PerProcess};
use crate::runtime::{self, Driven, Task, TaskPlace};

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
    admission: Admission,
    options: DispatcherOptions,
    endpoints: Lock<HashMap<Arc<str>, Endpoint>>,
    generations: AtomicU64,
    connection_limit: Arc<ConnectionLimit>,
    refusals: CertificateRefusals,
    way: WayJudgment,
    reload: MaterialReload,
    metrics: PerProcess<DispatcherCells>,
}

impl Dispatcher {
    /// Makes a dispatcher. Starts no thread: the first delivery or event listener starts the
    /// runtime.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the options contradict each other, and with `trust_invalid` if every
    /// anchor of the default trust has expired.
    pub fn new(options: DispatcherOptions) -> Result<Self, Error> {
        static DISPATCHERS: AtomicU64 = AtomicU64::new(1);
        if options.trust.as_ref().is_some_and(Trust::is_public) {
            return Err(fault("trust", "made by dangerous_public is for endpoints alone")
                .advising(
                    "Give it to the endpoints whose server certificate a public CA issues.",
                ));
        }
        if let Some(trust) = &options.trust {
            trust.check_current(clock::now()?)?;
        }
        let options = options.finish()?;
        let reload = MaterialReload::new(&options);
        let number = DISPATCHERS.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            inner: Arc::new(Inner {
                admission: Admission::new(number, options.max_connections, options.max_waiting),
                connection_limit: ConnectionLimit::new(options.max_connections),
                options,
                endpoints: Lock::default(),
                generations: AtomicU64::new(1),
                refusals: CertificateRefusals::default(),
                way: WayJudgment::default(),
                reload,
                metrics: PerProcess::default(),
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
    /// Fails with `url_invalid`, `option_invalid`, `trust_invalid` (every anchor has expired) or
    /// `handle_closed`.
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
        let limits = options.turn_limits();
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
            known.update(generation, limits);
            return Ok(known.clone());
        }
        let has_metrics = endpoints.len() < defaults.metrics_endpoints;
        let number = self.inner.admission.number();
        let made = Endpoint::new(number, consumer, generation, limits, has_metrics);
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
        let prepared = self.prepare(endpoint, body.into(), options, Waiter::Unknown, None);
        let prepared = prepared.and_then(|it| it.ready(runtime::ready_lane).map(|()| it));
        let endpoint = endpoint.clone();
        async move {
            let outcome = match prepared {
                Ok(mut attempts) => {
                    let run = async move { attempts.run().await };
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
        let prepared = self.prepare(endpoint, body, options, Waiter::CallerAtOnce, None);
        let mut attempts = match prepared {
            Ok(attempts) => attempts,
            Err(error) => return Some(Err(error)),
        };
        if !runtime::is_inside() {
            let (admission, access) = (&self.inner.admission, endpoint.access());
            let mut guarded =
                interrupt.map(|interrupt| || admission.while_held_up(access, &mut *interrupt));
            let guarded = guarded.as_mut().map(|guarded| guarded as &mut dyn FnMut() -> bool);
            return match attempts.ready(runtime::lane) {
                Ok(lane) => runtime::drive_in(&lane, attempts.run(), guarded),
                Err(error) => Some(Err(error)),
            };
        }
        if let Err(error) = attempts.ready(runtime::ready_lane) {
            return Some(Err(error));
        }
        let mut never = || false;
        let interrupt = interrupt.unwrap_or(&mut never);
        match Task::start_in(endpoint.lane(), async move { attempts.run().await }) {
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
        let body = body.into();
        let mut attempts = self.prepare(endpoint, body, options, Waiter::Unknown, None)?;
        let place = attempts.ready(TaskPlace::new)?;
        let task = async move {
            let outcome = attempts.run().await;
            drop(attempts);
            done(outcome);
        };
        place.start(Driven::ByKeeper, task, drop);
        Ok(())
    }

    /// Admits a delivery and checks its request. A failure has left through the exit.
    fn prepare(
        &self,
        endpoint: &Endpoint,
        body: Bytes,
        options: DeliverOptions,
        waiter: Waiter,
        run: Option<RunEntry<'_>>,
    ) -> Result<DeliveryAttempts, Error> {
        let DeliverOptions { id, content_type, headers, timeout, cancel, trace } = options;
        let mut deadlines = self.inner.options.deadlines;
        deadlines.total = timeout.unwrap_or(deadlines.total);
        let mut operation =
            Operation::new(OperationKind::Delivery, self, endpoint, id, deadlines, cancel, trace);
        let request = operation.enter(waiter, run).and_then(|()| {
            let id = operation.id.as_deref();
            let request = PreparedRequest::new(body, id, content_type.as_deref(), &headers)?;
            request.check_signable(endpoint.generation().signing())?;
            Ok(request)
        });
        match request {
            Ok(request) => {
                self.inner.watch_files();
                Ok(DeliveryAttempts { operation, request })
            }
            Err(error) => Err(operation.fail(error)),
        }
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
        self.inner.admission.close();
        let (inner, in_flight) = (self.inner.clone(), self.inner.admission.in_flight().clone());
        let closing = Task::start(async move {
            let in_flight = inner.admission.in_flight();
            let _ = tokio::time::timeout(drain, in_flight.wait_until_at_most(0)).await;
            inner.admission.stop().cancel();
            in_flight.wait_until_at_most(0).await;
            let endpoints: Vec<Endpoint> =
                inner.endpoints.lock().drain().map(|(_, endpoint)| endpoint).collect();
            endpoints.iter().for_each(Endpoint::remove);
        });
        let (held_up, runs_lane) = (self.inner.admission.held_up() as u64, runtime::is_in_lane());
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

    fn check_open(&self) -> Result<(), Error> {
        self.inner.admission.check_open()
    }

    /// Returns the number of endpoints.
    #[doc(hidden)]
    pub fn endpoint_count(&self) -> usize {
        self.endpoints().len()
    }

    /// Returns whether [`close`](Self::close) was called.
    #[doc(hidden)]
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn endpoints(&self) -> Locked<'_, HashMap<Arc<str>, Endpoint>> {
        self.inner.endpoints.lock()
    }
}

impl Inner {
    fn is_closed(&self) -> bool {
        self.admission.is_closed()
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
