//! Floor 8: the producer's side. Keeps endpoints by consumer id and delivers to them.

mod cancel;
mod certificate_refusals;
mod delivery;
mod fallback;
mod in_flight;
mod many;
mod options;
mod probe;
mod probe_result;
mod receipt;
mod reentry;
mod reload;
mod request;
mod restarts;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

pub use cancel::CancelToken;
use certificate_refusals::Refusals;
use delivery::{Call, check_identity};
use in_flight::Flights;
pub use many::{BlockingOutcomes, Delivery, Fanout, Outcome, Outcomes, Progress as FanoutProgress};
pub use options::{DeliverOptions, DispatcherOptions};
pub use probe::ProbeOptions;
pub use probe_result::Probe;
pub use receipt::Receipt;
use reload::Rotation;
use request::Payload;

use crate::admission::WaitLimit;
use crate::connection::pool::ConnectionLimit;
use crate::endpoint::{Endpoint, EndpointOptions, Generation, check_id};
use crate::error::{Error, Kind};
use crate::material::trust::Trust;
use crate::options::fault;
use crate::process::{Lock, Locked};
use crate::runtime::{self, Task};

/// Delivers webhooks. Cheap to clone; every clone is the same dispatcher.
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
    flights: Flights,
    connection_limit: Arc<ConnectionLimit>,
    wait_limit: WaitLimit,
    refusals: Refusals,
    rotation: Rotation,
}

impl Dispatcher {
    /// Makes a dispatcher. Starts nothing: threads come with the first delivery.
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
        let rotation = Rotation::new(&options);
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
                flights: Flights::default(),
                refusals: Refusals::default(),
                rotation,
            }),
        })
    }

    /// Makes or changes the endpoint of a consumer. Equal values give the same handle and keep its
    /// connections; changed values make a new generation of this endpoint alone. No request starts
    /// under the former values once this has returned: deliveries that have not begun go by the new
    /// ones.
    ///
    /// * `consumer`: the consumer id, not empty.
    /// * `url`: where it listens, `https` only.
    ///
    /// Fails with `url_invalid`, `option_invalid` or `handle_closed`.
    pub fn endpoint(
        &self,
        consumer: &str,
        url: &str,
        options: EndpointOptions,
    ) -> Result<Endpoint, Error> {
        // From here on, errors carry it.
        check_id("consumer", consumer)?;
        self.make(consumer, url, options).map_err(|error| error.for_consumer(consumer))
    }

    fn make(&self, consumer: &str, url: &str, options: EndpointOptions) -> Result<Endpoint, Error> {
        self.check_open()?;
        let defaults = &self.inner.options;
        let concurrency = options.chosen_concurrency();
        let watch = &self.inner.rotation.watch;
        let (generation, mut endpoints) = loop {
            let epoch = watch.epoch();
            let generation = Generation::new(
                self.inner.next_generation(),
                consumer,
                url,
                options.clone(),
                (defaults.identity.as_ref(), defaults.trust.as_ref()),
                &self.inner.connection_limit,
                watch,
            )?;
            let endpoints = self.endpoints();
            // Files may have changed since they were asked for; what was swapped in meanwhile must
            // not be swapped out again.
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

    /// Forgets the endpoint of a consumer and closes its idle connections. `false` if there is none.
    ///
    /// No request to it starts once this has returned: deliveries whose bytes already leave finish,
    /// those that wait for anything before that end as `handle_closed` with nothing sent, and so do
    /// new ones.
    pub fn remove(&self, consumer: &str) -> bool {
        // Under the lock: a caller that finds no endpoint may rely on it that nothing starts.
        let mut endpoints = self.endpoints();
        let removed = endpoints.remove(consumer);
        if let Some(endpoint) = &removed {
            endpoint.remove();
            self.inner.refusals.forget(consumer);
        }
        removed.is_some()
    }

    /// Delivers one payload. The future may be awaited on any executor; dropping it cuts the delivery.
    ///
    /// Succeeds only when the consumer answered with a final 2xx head. Fails with any kind of the
    /// table; `sent` says how much may have reached the consumer.
    pub fn deliver(
        &self,
        endpoint: &Endpoint,
        body: impl Into<Bytes>,
        options: DeliverOptions,
    ) -> impl Future<Output = Result<Receipt, Error>> + Send + 'static {
        let prepared = self.prepare(endpoint, body.into(), options);
        let endpoint = endpoint.clone();
        async move {
            let outcome = match prepared {
                Ok(call) => {
                    match Task::start_in(endpoint.lane(), async move { call.run(None).await }) {
                        Ok(task) => task.output().await.and_then(|outcome| outcome),
                        Err(error) => Err(error),
                    }
                }
                Err(error) => Err(error),
            };
            outcome.map_err(|error| error.for_consumer(endpoint.consumer()))
        }
    }

    /// Delivers one payload on the calling thread, which blocks; it needs no other thread.
    ///
    /// * `interrupt`: asked every 50 ms whether to stop; `None` runs to the end.
    ///
    /// Fails as [`Dispatcher::deliver`] does. `None` if it was interrupted, which cuts the delivery.
    pub fn deliver_blocking(
        &self,
        endpoint: &Endpoint,
        body: impl Into<Bytes>,
        options: DeliverOptions,
        interrupt: Option<&mut dyn FnMut() -> bool>,
    ) -> Option<Result<Receipt, Error>> {
        let mut stopped = false;
        let mut noted = interrupt.map(|interrupt| {
            || {
                stopped = (*interrupt)();
                stopped
            }
        });
        let noted = noted.as_mut().map(|noted| noted as &mut dyn FnMut() -> bool);
        let outcome = self.driven(endpoint, body.into(), options, noted);
        if stopped && outcome.is_none() {
            return None;
        }
        let outcome = outcome.unwrap_or_else(|| Err(runtime::undriven()));
        Some(outcome.map_err(|error| error.for_consumer(endpoint.consumer())))
    }

    /// `None` if it was interrupted, or waiting would never end.
    fn driven(
        &self,
        endpoint: &Endpoint,
        body: Bytes,
        options: DeliverOptions,
        interrupt: Option<&mut dyn FnMut() -> bool>,
    ) -> Option<Result<Receipt, Error>> {
        let prepared = self.prepare(endpoint, body, options);
        let call = prepared.and_then(|call| self.check_reentry(endpoint).map(|()| call));
        let call = match call {
            Ok(call) => call,
            Err(error) => return Some(Err(error)),
        };
        if !runtime::is_inside() {
            let mut amid =
                interrupt.map(|interrupt| || reentry::amid(self, endpoint, &mut *interrupt));
            let amid = amid.as_mut().map(|amid| amid as &mut dyn FnMut() -> bool);
            return match runtime::lane(endpoint.lane()) {
                Ok(lane) => runtime::drive_in(&lane, call.run(None), amid),
                Err(error) => Some(Err(error)),
            };
        }
        let mut never = || false;
        let interrupt = interrupt.unwrap_or(&mut never);
        match Task::start_in(endpoint.lane(), async move { call.run(None).await }) {
            Ok(task) => runtime::drive(task.output(), interrupt).map(|outcome| outcome?),
            Err(error) => Some(Err(error)),
        }
    }

    /// Starts a delivery for those who may not block; `done` gets its outcome on a thread of the
    /// runtime.
    ///
    /// Fails as [`Dispatcher::deliver`] does before anything is sent; `done` is not called then.
    pub fn start(
        &self,
        endpoint: &Endpoint,
        body: impl Into<Bytes>,
        options: DeliverOptions,
        done: impl FnOnce(Result<Receipt, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        let consumer = endpoint.clone();
        let named = |error: Error| error.for_consumer(endpoint.consumer());
        let call = self.prepare(endpoint, body.into(), options).map_err(named)?;
        let task = async move {
            let outcome = call.run(None).await;
            drop(call);
            done(outcome.map_err(|error| error.for_consumer(consumer.consumer())));
        };
        runtime::start(endpoint.lane(), runtime::Driven::ByKeeper, task, drop).map_err(named)
    }

    fn prepare(
        &self,
        endpoint: &Endpoint,
        body: Bytes,
        options: DeliverOptions,
    ) -> Result<Call, Error> {
        // Counted first: `close` waits for it, or it finds the dispatcher closed.
        let flight = self.inner.flights.start();
        self.admit(endpoint)?;
        let generation = endpoint.generation();
        let payload = Payload::new(
            body,
            options.id.as_deref(),
            options.content_type.as_deref(),
            &options.headers,
        )?;
        if generation.signing().is_some() {
            payload.check_signable()?;
        }
        self.inner.watch_files();
        let mut deadlines = self.inner.options.deadlines;
        deadlines.total = options.timeout.unwrap_or(deadlines.total);
        Ok(Call {
            _flight: flight,
            dispatcher: self.inner.clone(),
            endpoint: endpoint.clone(),
            payload,
            id: options.id,
            deadlines,
            cancel: options.cancel,
            patient: false,
        })
    }

    /// Lets the deliveries under way finish for at most `drain`, then cancels them (`canceled`), and
    /// returns when none is left. New ones fail with `handle_closed` from now on. Closing twice is the
    /// same as once.
    ///
    /// It never waits for the delivery that it is called from: in the interrupt of a
    /// [`Dispatcher::deliver_blocking`] it waits for all others, and the one that is interrupted has
    /// what is left of `drain` once that returns. On a thread that runs deliveries at this moment, as
    /// in the callback of [`Dispatcher::start`], it waits for none: closing goes on by itself.
    pub fn close(&self, drain: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.inner.closed.store(true, Ordering::SeqCst);
        let (inner, flights) = (self.inner.clone(), self.inner.flights.clone());
        let closing = Task::start(async move {
            let _ = tokio::time::timeout(drain, inner.flights.down_to(0)).await;
            inner.stop.cancel();
            inner.flights.down_to(0).await;
            let endpoints: Vec<Endpoint> =
                inner.endpoints.lock().drain().map(|(_, endpoint)| endpoint).collect();
            endpoints.iter().for_each(Endpoint::remove);
        });
        let (held_up, runs_them) = (self.held_up() as u64, runtime::is_in_lane());
        let awaited = closing.ok().and_then(|task| {
            if held_up == 0 && !runs_them {
                return Some(task);
            }
            task.detach();
            None
        });
        async move {
            match awaited {
                Some(task) => drop(task.output().await),
                None if runs_them => {}
                None => flights.down_to(held_up).await,
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

/// Delivers one payload over one connection and closes it: the form for scripts. A dispatcher is for
/// whoever delivers more than once.
///
/// Fails as [`Dispatcher::endpoint`] and [`Dispatcher::deliver`] do. The consumer id is the URL's host,
/// with the port unless it is 443.
pub async fn deliver(
    url: &str,
    body: impl Into<Bytes>,
    mut dispatcher: DispatcherOptions,
    endpoint: EndpointOptions,
    options: DeliverOptions,
) -> Result<Receipt, Error> {
    let body = body.into();
    // There is one endpoint, and a trust that is for endpoints alone is for this one.
    let endpoint = endpoint.or_trust(dispatcher.trust.take());
    let consumer = crate::net::Url::parse(url)?.authority().to_owned();
    let dispatcher = Dispatcher::new(dispatcher)?;
    let endpoint = dispatcher.endpoint(&consumer, url, endpoint)?;
    let outcome = dispatcher.deliver(&endpoint, body, options).await;
    dispatcher.close(Duration::ZERO).await;
    outcome
}
