//! `Dispatcher` and `deliver`: the producer's side.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use webhook_mtls::{DeliverOptions, DispatcherOptions, EndpointOptions, ProbeOptions, runtime};

use crate::arguments::{body as payload, duration, noun, refuse_unknown, text, wrong_type};
use crate::border::{guard, interruptible, wait};
use crate::completions::{CancelToken, Completions, Done};
use crate::endpoint::Endpoint;
use crate::error::Fault;
use crate::event::{Event, Expiry, events, expiries, listener};
use crate::identity::Identity;
use crate::json;
use crate::many::{Outcomes, Run};
use crate::options;
use crate::probe::Probe;
use crate::receipt::Receipt;

/// Connects to consumers, presents our identity and delivers.
///
/// Keeps endpoints by consumer id, and their connections. Threads share it, and so do forked
/// processes: a child makes its own connections on first use. Starts nothing by itself.
///
/// Args:
///     identity: who we are, for endpoints that bring no identity of their own.
///     trust: whom we believe, for endpoints that bring no trust of their own.
///     egress: which addresses may be connected to, an `Egress` or the name of a preset.
///     proxy: the CONNECT proxy to go through, `http://host:port` or
///         `http://user:password@host:port`. No environment variable says one.
///     proxy_credentials: `user:password` for the proxy, where its URL shall not hold them.
///     timeout: the time one delivery may take in all, in seconds or as a timedelta.
///     connect_timeout: the time to resolve the host and open a TCP connection.
///     handshake_timeout: the time of the TLS handshake.
///     write_timeout: the time to hand the request to the kernel.
///     response_timeout: the time from the last request byte to the head of the answer.
///     reload: how often watched files are looked at; 0 for only by `reload()`.
///     expiry_warning: the fraction of a lifetime left at which an expiry event comes first.
///     max_connections: how many connections may be open at once, idle ones included.
///     max_waiting: how many deliveries may wait for a turn or a connection. Those of one owner are
///         at most a quarter.
///     status_retry: whether trying again helps after a status, `{"404": "never", "5xx": "later"}`.
///
/// Raises:
///     ConfigError: `option_invalid`.
///
/// >>> with Dispatcher(timeout=20) as dispatcher:
/// ...     dispatcher.remove("nobody")
/// False
#[pyclass(frozen, module = "webhook_mtls")]
pub struct Dispatcher(pub webhook_mtls::Dispatcher);

#[pymethods]
impl Dispatcher {
    #[new]
    #[pyo3(
        signature = (**keywords),
        text_signature = "(*, identity=None, trust=None, egress=None, proxy=None, proxy_credentials=None, timeout=None, connect_timeout=None, handshake_timeout=None, write_timeout=None, response_timeout=None, max_connections=None, max_waiting=None, status_retry=None, reload=None, expiry_warning=None)"
    )]
    fn new(keywords: Option<&Bound<'_, PyDict>>) -> Result<Self, Fault> {
        guard(|| {
            let chosen = options::take(DispatcherOptions::new(), keywords)?;
            Ok(Self(webhook_mtls::Dispatcher::new(chosen)?))
        })
    }

    /// Makes or changes the endpoint of a consumer.
    ///
    /// Equal values give the same handle and keep its connections; changed values concern this
    /// endpoint alone.
    ///
    /// Args:
    ///     consumer: the consumer id, not empty.
    ///     url: where it listens, `https` only.
    ///     pins: the keys it may have. Must be said: None is the decision to trust its CA alone.
    ///     identity: who we are to this consumer, if not the dispatcher's.
    ///     trust: whom we believe about this consumer, if not the dispatcher's.
    ///     min_tls: the oldest TLS version accepted, `1.3` or `1.2`.
    ///     server_uri: the SAN URI that the consumer's certificate must carry, instead of the host.
    ///     hold_payload: whether a payload waits until the consumer has answered its head with 100
    ///         Continue, for a second at most.
    ///     signing: the secrets that sign each delivery; its `id` must then be said.
    ///     concurrency: how many deliveries to this consumer may be under way at once.
    ///     owner: whose endpoint this is, the consumer id unless said. While others wait, the endpoints
    ///         of one owner hold at most a quarter of `max_connections` and of the look-ups.
    ///     status_retry: as the dispatcher's, which holds for what is not named here.
    ///
    /// Raises:
    ///     ConfigError: `url_invalid`, `option_invalid` or `handle_closed`.
    #[pyo3(
        signature = (consumer, url, **keywords),
        text_signature = "($self, consumer, url, *, pins, identity=None, trust=None, min_tls=None, server_uri=None, hold_payload=None, signing=None, concurrency=None, owner=None, status_retry=None)"
    )]
    fn endpoint(
        &self,
        consumer: &Bound<'_, PyAny>,
        url: &Bound<'_, PyAny>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> Result<Endpoint, Fault> {
        guard(|| {
            let (consumer, url) = (text("consumer", consumer)?, text("url", url)?);
            let chosen = options::take(EndpointOptions::default(), keywords)?;
            Ok(Endpoint(self.0.endpoint(&consumer, &url, chosen)?))
        })
    }

    /// Forgets the endpoint of a consumer and closes its idle connections.
    ///
    /// No request to it starts once this has returned: deliveries whose bytes already leave finish,
    /// and those that have not begun end as `handle_closed`, with nothing sent.
    ///
    /// Returns:
    ///     Whether there was one.
    fn remove(&self, consumer: &Bound<'_, PyAny>) -> Result<bool, Fault> {
        guard(|| Ok(self.0.remove(&text("consumer", consumer)?)))
    }

    /// Delivers one payload, and waits for the answer without holding the interpreter.
    ///
    /// Ctrl-C raises KeyboardInterrupt and cuts the delivery.
    ///
    /// Args:
    ///     endpoint: one of this dispatcher.
    ///     body: bytes-like, at most 32 MiB; a str is refused.
    ///     id: the event's id, sent as `webhook-id`; the same for every attempt.
    ///     content_type: the type of the payload, if not `application/json`.
    ///     headers: further request headers.
    ///     timeout: the time this delivery may take in all, in seconds or as a timedelta.
    ///
    /// Returns:
    ///     The receipt, once the consumer has answered with a final 2xx head.
    ///
    /// Raises:
    ///     DeliveryError: any kind; its `sent` says how much may have reached the consumer.
    ///     ConfigError: `option_invalid`, `header_invalid`, `body_too_large`, `handle_closed`;
    ///         nothing was sent.
    #[pyo3(
        signature = (endpoint, body, **keywords),
        text_signature = "($self, endpoint, body, *, id=None, content_type=None, headers=None, timeout=None)"
    )]
    fn deliver(
        &self,
        endpoint: &Bound<'_, PyAny>,
        body: &Bound<'_, PyAny>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> Result<Receipt, Fault> {
        guard(|| {
            let (py, target) =
                (endpoint.py(), noun::<Endpoint>("endpoint", "an Endpoint", endpoint)?);
            let (options, body) = (options::take(DeliverOptions::new(), keywords)?, payload(body)?);
            let (dispatcher, target) = (&self.0, &target.0);
            let receipt = interruptible(py, |interrupt| {
                dispatcher.deliver_blocking(target, body, options, Some(interrupt))
            })??;
            Ok(Receipt(receipt))
        })
    }

    /// Shakes hands with a consumer over a connection of its own, judges it as a delivery would, and
    /// closes. No byte of a request is sent.
    ///
    /// What was seen is recorded in the endpoint's status. A consumer that refuses our certificate
    /// only in its answer to a request, as nginx does, is not found out.
    ///
    /// Args:
    ///     endpoint: one of this dispatcher.
    ///     timeout: the time it may take in all, in seconds or as a timedelta.
    ///
    /// Returns:
    ///     What the handshake has shown.
    ///
    /// Raises:
    ///     DeliveryError: what a delivery fails with before its request.
    ///     ConfigError: `option_invalid` or `handle_closed`.
    #[pyo3(
        signature = (endpoint, **keywords),
        text_signature = "($self, endpoint, *, timeout=None)"
    )]
    fn probe(
        &self,
        endpoint: &Bound<'_, PyAny>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> Result<Probe, Fault> {
        guard(|| {
            let target: &Endpoint = noun("endpoint", "an Endpoint", endpoint)?;
            let chosen = options::take(ProbeOptions::new(), keywords)?;
            Ok(Probe(wait(endpoint.py(), self.0.probe(&target.0, chosen))??))
        })
    }

    /// Delivers many at once, and gives outcomes as they finish.
    ///
    /// Takes deliveries as they are wanted: while fewer than `concurrency` are under way. One whose
    /// consumer is slow is put aside until its turn comes, and holds up no other; its timeout starts
    /// then. A delivery that fails is an outcome and ends nothing else. What the iterable raises is
    /// raised once the outcomes of what it gave before have been given.
    ///
    /// Args:
    ///     deliveries: an iterable of `Delivery`.
    ///     concurrency: how many are under way at once; 64 unless said.
    ///
    /// Returns:
    ///     An iterator of `Outcome` with `progress` and `close`. Letting go of it cancels what is
    ///     under way.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    #[pyo3(
        signature = (deliveries, *, concurrency = None, **unknown),
        text_signature = "($self, deliveries, *, concurrency=None)"
    )]
    fn deliver_many(
        &self,
        deliveries: &Bound<'_, PyAny>,
        concurrency: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Outcomes, Fault> {
        guard(|| {
            refuse_unknown(unknown, "concurrency")?;
            Outcomes::new(&self.0, deliveries, concurrency)
        })
    }

    /// The engine of a run, for asyncio.
    #[pyo3(name = "_run", signature = (deliveries, concurrency, **unknown))]
    fn run(
        &self,
        deliveries: &Bound<'_, PyAny>,
        concurrency: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Run, Fault> {
        guard(|| {
            refuse_unknown(unknown, "concurrency")?;
            if !deliveries.hasattr("__aiter__")? && deliveries.try_iter().is_err() {
                let expected = "an iterable or asynchronous iterable of Delivery";
                return Err(wrong_type("deliveries", expected, deliveries));
            }
            Run::new(&self.0, concurrency)
        })
    }

    /// The same dispatcher for asyncio: the same endpoints and the same connections.
    fn as_async<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let module = slf.py().import("webhook_mtls._asyncio")?;
        module.getattr("AsyncDispatcher")?.call1((slf,))
    }

    /// Looks at all watched files now, and puts into use what they hold anew.
    ///
    /// Listeners hear the events as well. An unusable file is an event `rotation_failed`, and the
    /// former material stays in use.
    ///
    /// Returns:
    ///     What there is to tell.
    ///
    /// Raises:
    ///     ConfigError: `handle_closed`.
    fn reload(&self, py: Python<'_>) -> Result<Vec<Event>, Fault> {
        guard(|| Ok(events(wait(py, self.0.reload())??)))
    }

    /// What expires: our chains, anchors, intermediates, CRLs, and each consumer's certificate as
    /// last seen; what has the least of its lifetime left comes first.
    ///
    /// Raises:
    ///     ConfigError: `clock_implausible`, without the time nothing can be said.
    fn expiries(&self) -> Result<Vec<Expiry>, Fault> {
        guard(|| expiries(self.0.expiries()))
    }

    /// Which of our identities each consumer took last, as this process has seen it.
    ///
    /// To merge those of several processes, take each consumer from the one with the greatest
    /// `accepted_at_ms`; None is less than any.
    ///
    /// Returns:
    ///     A dict that JSON can take: under `consumers`, by consumer id, `wanted`, `accepted`,
    ///     `accepted_at_ms`, `state` (`current`, `previous` or `unknown`), `pin` and `pin_slot`.
    fn rotation_status<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, Fault> {
        guard(|| Ok(json::to_python(py, &self.0.rotation_status().to_json())?))
    }

    /// Shows a previous identity to nobody any more, for instance before its certificate is revoked.
    ///
    /// Args:
    ///     identity: one that was in use before; the one in use now cannot be retired.
    ///     force: also if consumers depend on it, those that took it last.
    ///
    /// Returns:
    ///     The consumers that depended on it; there are none unless it was forced.
    ///
    /// Raises:
    ///     ConfigError: `identity_in_use`, whose context lists the `consumers`, or `handle_closed`.
    #[pyo3(
        signature = (identity, *, force = false),
        text_signature = "($self, identity, *, force=False)"
    )]
    fn retire(&self, identity: &Bound<'_, PyAny>, force: bool) -> Result<Vec<String>, Fault> {
        guard(|| {
            let identity: &Identity = noun("identity", "an Identity", identity)?;
            Ok(self.0.retire(&identity.0, force)?)
        })
    }

    /// Has every event from now on handed to a callback, one after the other, on a thread of its
    /// own.
    ///
    /// What it raises is shown by `sys.unraisablehook`. It keeps hearing after a fork, in the parent
    /// and in each child what happens there.
    ///
    /// Args:
    ///     callback: takes an `Event`.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    fn on_event(&self, callback: &Bound<'_, PyAny>) -> Result<(), Fault> {
        guard(|| {
            self.0.on_event(listener(callback)?);
            Ok(())
        })
    }

    /// Lets the deliveries under way finish, then cancels them; new ones are refused from now on.
    ///
    /// Closing twice is the same as once. Leaving a `with` block closes without waiting.
    ///
    /// A signal handler may call it in the middle of a delivery of its own thread. It then waits for
    /// all other deliveries. That one goes on when the handler returns, for what is left of `drain`,
    /// and then raises `canceled`.
    ///
    /// Args:
    ///     drain: how long they may take, in seconds or as a timedelta.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    #[pyo3(
        signature = (drain = None, **unknown),
        text_signature = "($self, drain=0.0)"
    )]
    fn close(
        &self,
        py: Python<'_>,
        drain: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<(), Fault> {
        guard(|| {
            refuse_unknown(unknown, "drain")?;
            let drain = drain.map(|value| duration("drain", value)).transpose()?;
            wait(py, self.0.close(drain.unwrap_or_default()))
        })
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_raised))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _raised: &Bound<'_, pyo3::types::PyTuple>,
    ) -> Result<(), Fault> {
        self.close(py, None, None)
    }

    /// Starts a delivery whose outcome arrives at `completions` with the ticket.
    #[pyo3(name = "_start")]
    fn start(
        &self,
        completions: &Bound<'_, Completions>,
        ticket: u64,
        endpoint: &Bound<'_, PyAny>,
        body: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
    ) -> Result<CancelToken, Fault> {
        guard(|| {
            let token = webhook_mtls::CancelToken::new();
            let chosen = DeliverOptions::new().cancel(token.clone());
            let target: &Endpoint = noun("endpoint", "an Endpoint", endpoint)?;
            let options = options::take(chosen, Some(options))?;
            let slot = completions.get().slot(ticket);
            let done = move |outcome: Result<webhook_mtls::Receipt, webhook_mtls::Error>| {
                slot.fill(outcome.map(Done::Delivered));
            };
            self.0.start(&target.0, payload(body)?, options, done)?;
            Ok(CancelToken(token))
        })
    }

    /// Starts a probe whose outcome arrives at `completions` with the ticket.
    #[pyo3(name = "_start_probe", signature = (completions, ticket, endpoint, **keywords))]
    fn start_probe(
        &self,
        completions: &Bound<'_, Completions>,
        ticket: u64,
        endpoint: &Bound<'_, PyAny>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> Result<CancelToken, Fault> {
        guard(|| {
            let token = webhook_mtls::CancelToken::new();
            let target: &Endpoint = noun("endpoint", "an Endpoint", endpoint)?;
            let chosen = options::take(ProbeOptions::new().cancel(token.clone()), keywords)?;
            let slot = completions.get().slot(ticket);
            let probe = self.0.probe(&target.0, chosen);
            runtime::spawn(probe, move |outcome| slot.fill(outcome.map(Done::Probed)))?;
            Ok(CancelToken(token))
        })
    }

    /// Starts a reload whose events arrive at `completions` with the ticket.
    #[pyo3(name = "_start_reload")]
    fn start_reload(&self, completions: &Bound<'_, Completions>, ticket: u64) -> Result<(), Fault> {
        guard(|| {
            let slot = completions.get().slot(ticket);
            let done = move |outcome: Result<_, _>| slot.fill(outcome.map(Done::Reloaded));
            Ok(runtime::spawn(self.0.reload(), done)?)
        })
    }

    /// Starts to close; that it is done arrives at `completions` with the ticket.
    #[pyo3(name = "_start_close")]
    fn start_close(
        &self,
        completions: &Bound<'_, Completions>,
        ticket: u64,
        drain: &Bound<'_, PyAny>,
    ) -> Result<(), Fault> {
        guard(|| {
            let closing = self.0.close(duration("drain", drain)?);
            let slot = completions.get().slot(ticket);
            Ok(runtime::spawn(closing, move |()| slot.fill(Ok(Done::Closed)))?)
        })
    }
}

/// Delivers one payload over one connection and closes it: the form for scripts.
///
/// Takes what `Dispatcher`, `Dispatcher.endpoint` and `Dispatcher.deliver` take; the consumer id is
/// the URL's host and port. `timeout` is that of the delivery.
///
/// Args:
///     url: where the consumer listens, `https` only.
///     body: bytes-like, at most 32 MiB; a str is refused.
///     identity: who we are.
///     trust: whom we believe.
///     pins: the keys the consumer may have; None is the decision to trust its CA alone.
///
/// Returns:
///     The receipt, once the consumer has answered with a final 2xx head.
///
/// Raises:
///     DeliveryError: any kind; its `sent` says how much may have reached the consumer.
///     ConfigError: `url_invalid`, `option_invalid`, `header_invalid`, `body_too_large`; nothing was
///         sent.
#[pyfunction]
#[pyo3(
    signature = (url, body, **keywords),
    text_signature = "(url, body, *, identity, trust, pins, egress=None, proxy=None, proxy_credentials=None, timeout=None, connect_timeout=None, handshake_timeout=None, write_timeout=None, response_timeout=None, max_connections=None, max_waiting=None, reload=None, expiry_warning=None, min_tls=None, server_uri=None, hold_payload=None, signing=None, concurrency=None, owner=None, status_retry=None, id=None, content_type=None, headers=None)"
)]
pub fn deliver(
    url: &Bound<'_, PyAny>,
    body: &Bound<'_, PyAny>,
    keywords: Option<&Bound<'_, PyDict>>,
) -> Result<Receipt, Fault> {
    guard(|| {
        let url_text = text("url", url)?;
        let body = payload(body)?;
        let mut dispatcher = DispatcherOptions::new();
        let mut endpoint = EndpointOptions::default();
        let mut delivery = DeliverOptions::new();
        for (name, value) in options::said(keywords)? {
            if options::has("deliver", &name) {
                options::offer(&mut delivery, &name, &value)?;
            } else if options::has("endpoint", &name) {
                options::offer(&mut endpoint, &name, &value)?;
            } else {
                options::offer(&mut dispatcher, &name, &value)?;
            }
        }
        let delivery = webhook_mtls::deliver(&url_text, body, dispatcher, endpoint, delivery);
        Ok(Receipt(wait(url.py(), delivery)??))
    })
}
