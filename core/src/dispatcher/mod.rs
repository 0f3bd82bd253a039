//! Floor 8: the producer's side. Keeps endpoints by consumer id and delivers to them.

mod cancel;
mod flight;
mod many;
mod probe;
mod refusals;
mod reload;
mod request;
mod staging;

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use cancel::CancelToken;
use flight::{Flight, Flights};
pub use many::{Delivery, Fanout, Outcome, Outcomes, Progress as FanoutProgress};
pub use probe::ProbeOptions;
use refusals::Refusals;
use reload::Rotation;
use request::Payload;
use staging::Refused;

use crate::clock;
use crate::connection::pool::Budget;
use crate::connection::{Connection, Deadlines, Progress, Room, StatusRetry, Timings, Turn};
use crate::endpoint::{Endpoint, EndpointOptions, Generation};
use crate::error::{Error, Kind, Retry, Scope, Sent, Stage};
use crate::identity::Identity;
use crate::net::{Egress, Proxy, Route};
use crate::options::{self, Setting};
use crate::receipt::{self, Receipt};
use crate::runtime::{self, Task};
use crate::trust::Trust;

/// What a [`Dispatcher`] shall do unless an endpoint or a delivery says otherwise.
#[derive(Clone)]
pub struct DispatcherOptions {
    identity: Option<Identity>,
    trust: Option<Trust>,
    route: Route,
    proxy_credentials: Option<String>,
    deadlines: Deadlines,
    max_connections: usize,
    max_waiting: usize,
    status_retry: StatusRetry,
    reload: Option<Duration>,
    expiry_warning: f64,
}

impl Default for DispatcherOptions {
    fn default() -> Self {
        Self {
            identity: None,
            trust: None,
            route: Route::default(),
            proxy_credentials: None,
            deadlines: Deadlines {
                connect: Duration::from_secs(5),
                handshake: Duration::from_secs(5),
                write: Duration::from_secs(10),
                response: Duration::from_secs(15),
                total: Duration::from_secs(30),
            },
            max_connections: 256,
            max_waiting: 4096,
            status_retry: StatusRetry::default(),
            reload: Some(Duration::from_secs(10)),
            expiry_warning: 0.2,
        }
    }
}

impl DispatcherOptions {
    /// The defaults: no identity, no trust, egress `public`, 30 s in all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who we are, for endpoints that bring no identity of their own.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Whom we believe, for endpoints that bring no trust of their own.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = Some(trust);
        self
    }

    /// The proxy that opens the way to every consumer. Names are resolved and addresses judged here
    /// all the same.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.route.proxy = Some(proxy);
        self
    }

    /// Which addresses may be connected to.
    pub fn egress(mut self, egress: Egress) -> Self {
        self.route.egress = egress;
        self
    }

    /// The time one delivery may take in all. Fails with `option_invalid` unless it is finite and
    /// above zero.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, Error> {
        self.set("timeout", Setting::Millis(timeout.as_secs_f64() * 1000.0))?;
        Ok(self)
    }

    /// Whether trying again helps after a status other than 2xx, where it is not as in the table of
    /// the README: 410, 413, 414 and 431 are `never`, all others `later`.
    ///
    /// * `said`: a status from 300 to 599, or `3xx`, `4xx`, `5xx`, with the word for it.
    ///
    /// Fails with `option_invalid`.
    pub fn status_retry<S: Into<String>>(
        mut self,
        said: impl IntoIterator<Item = (S, Retry)>,
    ) -> Result<Self, Error> {
        let pairs = said.into_iter().map(|(status, retry)| (status.into(), retry.name().into()));
        self.set("status_retry", Setting::Pairs(pairs.collect()))?;
        Ok(self)
    }

    /// Sets an option by its name in the table. Fails with `option_invalid`.
    pub fn set(&mut self, name: &str, value: Setting) -> Result<(), Error> {
        let deadline = match name {
            "timeout" => &mut self.deadlines.total,
            "connect_timeout" => &mut self.deadlines.connect,
            "handshake_timeout" => &mut self.deadlines.handshake,
            "write_timeout" => &mut self.deadlines.write,
            "response_timeout" => &mut self.deadlines.response,
            "max_connections" | "max_waiting" => {
                let Setting::Number(number) = value else {
                    return Err(options::mistyped("dispatcher", name));
                };
                let count = options::count(name, number)?;
                match name {
                    "max_connections" => self.max_connections = count,
                    _ => self.max_waiting = count,
                }
                return Ok(());
            }
            "proxy" | "proxy_credentials" => {
                let Setting::Text(text) = value else {
                    return Err(options::mistyped("dispatcher", name));
                };
                match name {
                    "proxy" => self.route.proxy = Some(Proxy::new(&text)?),
                    _ => self.proxy_credentials = Some(text),
                }
                return Ok(());
            }
            "reload" => {
                self.reload = options::interval(name, value)?;
                return Ok(());
            }
            "expiry_warning" => {
                self.expiry_warning = options::fraction(name, value)?;
                return Ok(());
            }
            "egress" => {
                let Setting::Text(preset) = value else {
                    return Err(options::mistyped("dispatcher", name));
                };
                self.route.egress = Egress::preset(&preset)?;
                return Ok(());
            }
            "status_retry" => {
                self.status_retry = StatusRetry::read("dispatcher", name, &value)?;
                return Ok(());
            }
            _ => return Err(options::mistyped("dispatcher", name)),
        };
        let Setting::Millis(millis) = value else {
            return Err(options::mistyped("dispatcher", name));
        };
        *deadline = options::duration(name, millis)?;
        Ok(())
    }
}

impl DispatcherOptions {
    /// Puts together what was said apart. Fails with `option_invalid`.
    fn finish(mut self) -> Result<Self, Error> {
        if let Some(said) = self.proxy_credentials.take() {
            let fault = |why: &str| options::fault("proxy_credentials", why);
            let proxy = self.route.proxy.take().ok_or_else(|| fault("need a proxy"))?;
            let (user, password) =
                said.split_once(':').ok_or_else(|| fault("must be user:password"))?;
            if proxy.has_credentials() {
                return Err(fault("are in the proxy's URL already"));
            }
            self.route.proxy = Some(proxy.credentials(user, password)?);
        }
        Ok(self)
    }
}

impl std::fmt::Debug for DispatcherOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DispatcherOptions")
            .field("identity", &self.identity)
            .field("trust", &self.trust)
            .field("route", &self.route)
            .field("deadlines", &self.deadlines)
            .finish_non_exhaustive()
    }
}

/// What one delivery sends beside its payload.
#[derive(Clone, Default)]
pub struct DeliverOptions {
    id: Option<String>,
    content_type: Option<String>,
    headers: Vec<(String, String)>,
    timeout: Option<Duration>,
    cancel: CancelToken,
}

impl DeliverOptions {
    /// No id, `application/json`, no further headers, the dispatcher's timeout.
    pub fn new() -> Self {
        Self::default()
    }

    /// The event's id, sent as `webhook-id`. Give every attempt at the same event the same one.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The type of the payload.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Further request headers.
    pub fn headers(mut self, headers: Vec<(String, String)>) -> Self {
        self.headers = headers;
        self
    }

    /// The time this delivery may take in all. Fails with `option_invalid` unless it is finite and
    /// above zero.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, Error> {
        self.set("timeout", Setting::Millis(timeout.as_secs_f64() * 1000.0))?;
        Ok(self)
    }

    /// Cancels the delivery when the token is.
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.cancel = token;
        self
    }

    /// Sets an option by its name in the table. Fails with `option_invalid`.
    pub fn set(&mut self, name: &str, value: Setting) -> Result<(), Error> {
        match (name, value) {
            ("id", Setting::Text(id)) => self.id = Some(id),
            ("content_type", Setting::Text(content_type)) => self.content_type = Some(content_type),
            ("headers", Setting::Pairs(headers)) => self.headers = headers,
            ("timeout", Setting::Millis(millis)) => {
                self.timeout = Some(options::duration(name, millis)?);
            }
            _ => return Err(options::mistyped("deliver", name)),
        }
        Ok(())
    }
}

impl std::fmt::Debug for DeliverOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Headers may hold credentials: their names are shown, never their values.
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("DeliverOptions")
            .field("id", &self.id)
            .field("content_type", &self.content_type)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Delivers webhooks. Cheap to clone; every clone is the same dispatcher.
#[derive(Clone)]
pub struct Dispatcher {
    inner: Arc<Inner>,
}

struct Inner {
    number: u64,
    options: DispatcherOptions,
    endpoints: Mutex<HashMap<String, Endpoint>>,
    generations: AtomicU64,
    closed: AtomicBool,
    stop: CancelToken,
    flights: Flights,
    budget: Arc<Budget>,
    room: Room,
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
            return Err(options::fault("trust", "made by dangerous_public is for endpoints alone")
                .advising(
                    "Give it to the endpoints whose server certificate a public CA issues.",
                ));
        }
        let options = options.finish()?;
        let rotation = Rotation::new(&options);
        Ok(Self {
            inner: Arc::new(Inner {
                number: DISPATCHERS.fetch_add(1, Ordering::Relaxed),
                budget: Budget::new(options.max_connections),
                room: Room::new(options.max_waiting),
                options,
                endpoints: Mutex::default(),
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
    /// connections; changed values make a new generation of this endpoint alone.
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
        self.make(consumer, url, options).map_err(|error| error.for_consumer(consumer))
    }

    fn make(&self, consumer: &str, url: &str, options: EndpointOptions) -> Result<Endpoint, Error> {
        self.check_open()?;
        if consumer.is_empty() || consumer.len() > 256 || consumer.chars().any(char::is_control) {
            return Err(options::fault(
                "consumer",
                "must be 1 to 256 bytes without control characters",
            ));
        }
        let defaults = &self.inner.options;
        let concurrency = options.chosen_concurrency();
        let watch = &self.inner.rotation.watch;
        let (generation, mut endpoints) = loop {
            let epoch = watch.epoch();
            let generation = Generation::new(
                self.inner.next_generation(),
                url,
                options.clone(),
                (defaults.identity.as_ref(), defaults.trust.as_ref()),
                &self.inner.budget,
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
        endpoints.insert(consumer.to_owned(), made.clone());
        Ok(made)
    }

    /// Forgets the endpoint of a consumer and closes its idle connections; deliveries under way finish,
    /// new ones fail with `handle_closed`. `false` if there is none.
    pub fn remove(&self, consumer: &str) -> bool {
        let removed = self.endpoints().remove(consumer);
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
        let consumer = endpoint.consumer().to_owned();
        let lane = endpoint.lane();
        async move {
            let outcome = match prepared {
                Ok(call) => match Task::start_in(lane, call.run(None)) {
                    Ok(task) => task.output().await.and_then(|outcome| outcome),
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            outcome.map_err(|error| error.for_consumer(&consumer))
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
        let driven = self.prepare(endpoint, body.into(), options).and_then(|call| {
            if !runtime::is_inside() {
                return runtime::drive_on(endpoint.lane(), call.run(None), interrupt);
            }
            let task = Task::start_in(endpoint.lane(), call.run(None))?;
            let mut never = || false;
            let interrupt = interrupt.unwrap_or(&mut never);
            runtime::drive(task.output(), interrupt).transpose()
        });
        let outcome = match driven {
            Ok(outcome) => outcome?,
            Err(error) => Err(error),
        };
        Some(outcome.map_err(|error| error.for_consumer(endpoint.consumer())))
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
            done(outcome.map_err(|error| error.for_consumer(consumer.consumer())));
        };
        runtime::start(endpoint.lane(), runtime::Driven::ByKeeper, task).map_err(named)?;
        Ok(())
    }

    fn prepare(
        &self,
        endpoint: &Endpoint,
        body: Bytes,
        options: DeliverOptions,
    ) -> Result<Call, Error> {
        self.admit(endpoint)?;
        let payload = Payload::new(
            body,
            options.id.as_deref(),
            options.content_type.as_deref(),
            &options.headers,
        )?;
        if endpoint.generation().signing().is_some() {
            payload.check_signable()?;
        }
        self.inner.watch_files();
        let mut deadlines = self.inner.options.deadlines;
        deadlines.total = options.timeout.unwrap_or(deadlines.total);
        Ok(Call {
            _flight: self.inner.flights.start(),
            dispatcher: self.inner.clone(),
            endpoint: endpoint.clone(),
            payload,
            id: options.id,
            deadlines,
            cancel: options.cancel,
            patient: false,
        })
    }

    /// Lets the deliveries under way finish for at most `drain`, then cancels them (`canceled`). New
    /// ones fail with `handle_closed` from now on. Closing twice is the same as once.
    pub fn close(&self, drain: Duration) -> impl Future<Output = ()> + Send + 'static {
        let inner = self.inner.clone();
        inner.closed.store(true, Ordering::Release);
        async move {
            let closing = Task::start(async move {
                let _ = tokio::time::timeout(drain, inner.flights.landed()).await;
                inner.stop.cancel();
                inner.flights.landed().await;
                let endpoints: Vec<Endpoint> =
                    lock(&inner.endpoints).drain().map(|(_, endpoint)| endpoint).collect();
                endpoints.iter().for_each(Endpoint::remove);
            });
            if let Ok(task) = closing {
                let _ = task.output().await;
            }
        }
    }

    fn admit(&self, endpoint: &Endpoint) -> Result<(), Error> {
        self.check_open()?;
        if !endpoint.belongs_to(self.inner.number) {
            return Err(options::fault("endpoint", "belongs to another dispatcher"));
        }
        if endpoint.is_removed() {
            return Err(Error::new(Kind::HandleClosed, "the endpoint was removed"));
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), Error> {
        if self.inner.closed.load(Ordering::Acquire) {
            return Err(Error::new(Kind::HandleClosed, "the dispatcher was closed"));
        }
        Ok(())
    }

    fn endpoints(&self) -> MutexGuard<'_, HashMap<String, Endpoint>> {
        lock(&self.inner.endpoints)
    }
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher")
            .field("endpoints", &self.endpoints().len())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One delivery, admitted.
struct Call {
    _flight: Flight,
    dispatcher: Arc<Inner>,
    endpoint: Endpoint,
    payload: Payload,
    id: Option<String>,
    deadlines: Deadlines,
    cancel: CancelToken,
    /// It waits for a connection however many wait already: its run bounds them.
    patient: bool,
}

impl Call {
    /// * `turn`: the delivery's, if it has been given one already.
    async fn run(self, turn: Option<Turn>) -> Result<Receipt, Error> {
        let started = Instant::now();
        let progress = Progress::new();
        let canceled = |by: &str| {
            Error::new(Kind::Canceled, format!("{by} at stage {}", progress.stage().name()))
                .at(progress.stage())
                .having_sent(progress.seal())
        };
        let by = started + self.deadlines.total;
        let mut attempts = pin!(self.admitted(turn, started, &progress));
        // Looked at in this order: what ended a delivery outranks what it would have become.
        let ended = tokio::select! {
            biased;
            () = self.cancel.canceled() => "canceled by the caller",
            () = self.dispatcher.stop.canceled() => "canceled because the dispatcher closed",
            outcome = &mut attempts => return outcome,
            () = tokio::time::sleep_until(by.into()) => "total",
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
            let generation = self.dispatcher.shown(&self.endpoint, denied.as_ref(), now);
            let idle = if fresh { None } else { generation.pool.take(now) };
            let reused = idle.is_some();
            let opened = match idle {
                Some(connection) => Ok((connection, Timings::default())),
                None => self.open(&generation, now, progress).await,
            };
            let (mut connection, timings) = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    let error = self.blamed(&generation, error);
                    denied = Some(self.refused(
                        &generation,
                        error,
                        denied,
                        progress,
                        (now, attempts),
                    )?);
                    attempts += 1;
                    continue;
                }
            };
            // What was swapped out while we connected takes no new request either.
            if (reused && !connection.is_ready().await) || !self.endpoint.is_current(&generation) {
                continue;
            }
            match self.exchange(&mut connection, &generation, progress).await {
                Ok((answer, responded)) => {
                    self.accepted(&generation, denied.as_ref(), now);
                    let timings = Timings { response: responded, ..timings };
                    let receipt = receipt::Inner {
                        consumer: self.endpoint.consumer().to_owned(),
                        id: self.id.clone(),
                        status: answer.status(),
                        peer: connection.peer.clone(),
                        attempts,
                        elapsed: started.elapsed(),
                        tls: connection.facts.clone(),
                        reused,
                        address: connection.address.to_string(),
                        proxy: self.dispatcher.options.route.through(),
                        timings,
                        hold_honored: connection.hold_honored(),
                        response: answer.into_response(),
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
                    let error = self.blamed(&generation, error).noting("attempts", attempts);
                    denied = Some(self.refused(
                        &generation,
                        error,
                        denied,
                        progress,
                        (now, attempts),
                    )?);
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
        let refused = self.dispatcher.refused(&self.endpoint, by, error, before, now);
        let refused = refused.map_err(counted)?;
        progress.again(refused.error.sent());
        Ok(refused)
    }

    fn blamed(&self, generation: &Generation, error: Error) -> Error {
        let identity = generation.terms.identity();
        self.dispatcher.refusals.judge(identity, self.endpoint.consumer(), error)
    }

    async fn open(
        &self,
        generation: &Generation,
        now: i64,
        progress: &Progress,
    ) -> Result<(Connection, Timings), Error> {
        check_identity(generation, now)?;
        let route = &self.dispatcher.options.route;
        let room = (!self.patient).then_some(&self.dispatcher.room);
        let permit = self.dispatcher.budget.permit(room).await?;
        let (url, terms) = (&generation.url, &generation.terms);
        let opened = Connection::open(permit, url, terms, route, &self.deadlines, progress).await;
        let noted = self.endpoint.noted(opened.as_ref().map(|(connection, _)| &connection.peer));
        self.dispatcher.tell(&noted);
        opened
    }

    async fn exchange(
        &self,
        connection: &mut Connection,
        generation: &Generation,
        progress: &Progress,
    ) -> Result<(crate::connection::Answer, Duration), Failed> {
        let unanswered = |error| Failed { error, answered: false };
        let request =
            self.payload.request(&generation.url, generation.signing()).map_err(unanswered)?;
        let started = Instant::now();
        let mut answer = connection
            .exchange(request, generation.holds_payload(), &self.deadlines, progress)
            .await
            .map_err(|error| unanswered(held(connection, error)))?;
        answer.redact(self.payload.credentials());
        if answer.is_success() {
            Ok((answer, started.elapsed()))
        } else {
            let sent = progress.sent();
            let others = &self.dispatcher.options.status_retry;
            let error = answer.into_error(generation.status_retry(), others);
            Err(Failed { error: held(connection, error.having_sent(sent)), answered: true })
        }
    }

    fn keep(&self, connection: Connection, generation: &Generation, most_idle: usize) {
        if self.endpoint.is_current(generation) && !self.dispatcher.closed.load(Ordering::Acquire) {
            generation.pool.put(connection, most_idle);
        }
    }
}

/// Our certificate was good when it was loaded; whether it still is decides every connection.
fn check_identity(generation: &Generation, now: i64) -> Result<(), Error> {
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
    let consumer = crate::net::Url::parse(url)?.authority;
    let dispatcher = Dispatcher::new(dispatcher)?;
    let endpoint = dispatcher.endpoint(&consumer, url, endpoint)?;
    let outcome = dispatcher.deliver(&endpoint, body, options).await;
    dispatcher.close(Duration::ZERO).await;
    outcome
}
