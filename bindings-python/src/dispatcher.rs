//! `Dispatcher`.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use webhook_mtls::bindings::runtime;
use webhook_mtls::diagnosis::DiagnosisOptions;
use webhook_mtls::{DeliverOptions, DispatcherOptions, EndpointOptions, ProbeOptions};

use crate::arguments::{
    body as payload, duration, merged_status, noun, reject_unknown, text, wrong_type,
};
use crate::boundary::{guard, interruptible, wait};
use crate::completions::{CancelToken, Completions, Done};
use crate::endpoint::Endpoint;
use crate::error::BindingError;
use crate::event::{Expiry, events, expiries, listener};
use crate::greenlets;
use crate::identity::Identity;
use crate::json;
use crate::many::{Outcomes, Run};
use crate::metrics::metrics_text;
use crate::options;
use crate::probe::ProbeResult;
use crate::receipt::Receipt;
use crate::recipe::{self, Made};
use crate::report::ReportResult;
use crate::telemetry::Telemetry;

/// Delivers webhooks to consumers over mutual TLS.
///
/// Keeps one endpoint for each consumer id, and connections for each endpoint. It is safe to share
/// between threads and with forked processes: a child opens its own connections on first use. The
/// constructor starts no thread and opens no connection.
///
/// Args:
// generated: begin arguments dispatcher
///     identity: the identity to present to consumers, unless the endpoint sets its own.
///     trust: the default trust, used if the endpoint sets none.
///     crl_policy: the certificates of a consumer that a CRL must cover: if_present (none),
///         require (all but the anchor) or require_leaf. By default `if_present`.
///     egress: the addresses that the dispatcher may connect to: a preset, or a policy. By
///         default `public`.
///     proxy: the CONNECT proxy for all connections: http://host:port, or
///         http://user:password@host:port. Environment variables are not read.
///     proxy_credentials: user:password for the proxy, if its URL must not contain them.
///     proxy_by_name: whether CONNECT asks the proxy for the consumer's name instead of a
///         checked address, for a proxy whose rules are written by name. The proxy then resolves
///         the name, and the egress policy does not apply to it: the proxy's rules must keep
///         deliveries away from internal addresses. By default False.
///     timeout: the time limit of a whole delivery. It bounds the other four timeouts. In
///         seconds, or a timedelta; by default 30.
///     connect_timeout: the time limit to resolve the host and open a TCP connection. In
///         seconds, or a timedelta; by default 5.
///     handshake_timeout: the time limit of the TLS handshake. In seconds, or a timedelta; by
///         default 5.
///     write_timeout: the time limit to write the request to the kernel. In seconds, or a
///         timedelta; by default 10.
///     response_timeout: the time limit from the last byte of the request to the response head.
///         In seconds, or a timedelta; by default 15.
///     max_connections: the most open connections, including idle ones. By default 256.
///     max_waiting: the most deliveries that may wait for a turn or a connection. One owner has
///         at most a quarter of them. Further deliveries fail with overloaded. By default 4096.
///     circuit_failures: the failures in a row before a request that open the circuit of an
///         endpoint. 0 opens none. By default 5.
///     circuit_open: the time for which a circuit opens first. It doubles each time the
///         consumer fails again. In seconds, or a timedelta; by default 30.
///     circuit_ceiling: the longest time for which a circuit opens. In seconds, or a timedelta;
///         by default 600.
///     metrics_endpoints: how many endpoints have metrics of their own, by consumer id: those
///         that were made first. The others share the value other. By default 0.
///     status_retry: the retry verdict for a status or status class other than 2xx: later,
///         after_repair or never.
///     reload: the interval at which the files of the material are checked for changes. 0
///         checks only in reload(). In seconds, or a timedelta; by default 10.
///     expiry_warning: the remaining fraction of a lifetime at which the first expiry event is
///         raised. More follow at 0.1, 0.05 and 0. By default 0.2.
// generated: end
///
/// Raises:
///     ConfigError: `option_invalid`.
///
/// >>> with Dispatcher(timeout=20) as dispatcher:
/// ...     dispatcher.remove("unknown")
/// False
#[pyclass(frozen, weakref, module = "webhook_mtls")]
pub struct Dispatcher(pub webhook_mtls::Dispatcher, pub Telemetry);

#[pymethods]
impl Dispatcher {
    #[new]
    #[pyo3(
        signature = (**keywords),
        // generated: begin text_signature (*, {dispatcher})
        text_signature = "(*, identity=None, trust=None, crl_policy=None, egress=None, proxy=None, proxy_credentials=None, proxy_by_name=None, timeout=None, connect_timeout=None, handshake_timeout=None, write_timeout=None, response_timeout=None, max_connections=None, max_waiting=None, circuit_failures=None, circuit_open=None, circuit_ceiling=None, metrics_endpoints=None, status_retry=None, reload=None, expiry_warning=None)"
        // generated: end
    )]
    fn new(keywords: Option<&Bound<'_, PyDict>>) -> Result<Self, BindingError> {
        guard(|| {
            let chosen = options::apply(DispatcherOptions::new(), keywords)?;
            Ok(Self(webhook_mtls::Dispatcher::new(chosen)?, Telemetry::default()))
        })
    }

    /// Makes or changes the endpoint of a consumer.
    ///
    /// Equal values return the same endpoint and keep its connections. Changed values affect only
    /// this endpoint.
    ///
    /// Args:
    ///     consumer: the consumer id, not empty.
    ///     url: the consumer's URL; the scheme must be https.
    // generated: begin arguments endpoint
    ///     pins: the keys that the consumer may have. There is no default: to rely on the CA
    ///         alone, say so explicitly.
    ///     identity: the identity to present to this consumer. By default the dispatcher's.
    ///     trust: the trust for this consumer's certificate. By default the dispatcher's.
    ///     crl_policy: the certificates of this consumer that a CRL must cover: if_present
    ///         (none), require (all but the anchor) or require_leaf. By default the dispatcher's.
    ///     min_tls: the oldest TLS version to accept: 1.3 or 1.2. By default `1.3`.
    ///     post_quantum: whether to offer the key exchange X25519MLKEM768. Without it, the
    ///         first message of the handshake fits into one packet, for a firewall that drops or
    ///         resets connections with a larger one. By default True.
    ///     server_name: the name that the handshake asks for (SNI) and that the consumer's
    ///         certificate must contain: a DNS name or an IP address. The URL's host is still
    ///         looked up and connected to. By default the URL's host.
    ///     server_uri: the SAN URI that the consumer's certificate must contain, instead of the
    ///         URL's host name.
    ///     hold_payload: whether to hold the payload until the consumer answers the request
    ///         head with 100 Continue, for at most one second. By default False.
    ///     response_excerpt: how many bytes of a response's body receipts and errors show, at
    ///         most 65536. By default 1024.
    ///     signing: how each delivery is signed: by the secrets of Standard Webhooks, which
    ///         require an id, by a token, or by both.
    ///     concurrency: the most deliveries to this consumer at once. By default 8.
    ///     rate: the most deliveries to this consumer in a second, from this process: 0.001 to
    ///         1000000. Further ones wait in line.
    ///     owner: the customer that owns this endpoint. While others wait, the endpoints of one
    ///         owner use at most a quarter of max_connections and of the DNS lookups. By default
    ///         the consumer id.
    ///     status_retry: the retry verdict for a status or status class of this consumer:
    ///         later, after_repair or never. A status that it does not name uses the dispatcher's
    ///         verdict. By default the dispatcher's.
    // generated: end
    ///
    /// Raises:
    ///     ConfigError: `url_invalid`, `option_invalid` or `handle_closed`.
    #[pyo3(
        signature = (consumer, url, **keywords),
        // generated: begin text_signature ($self, consumer, url, *, {endpoint})
        text_signature = "($self, consumer, url, *, pins, identity=None, trust=None, crl_policy=None, min_tls=None, post_quantum=None, server_name=None, server_uri=None, hold_payload=None, response_excerpt=None, signing=None, concurrency=None, rate=None, owner=None, status_retry=None)"
        // generated: end
    )]
    fn endpoint(
        &self,
        consumer: &Bound<'_, PyAny>,
        url: &Bound<'_, PyAny>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> Result<Endpoint, BindingError> {
        guard(|| {
            let (consumer, url) = (text("consumer", consumer)?, text("url", url)?);
            let chosen = options::apply(EndpointOptions::default(), keywords)?;
            Ok(Endpoint(self.0.endpoint(&consumer, &url, chosen)?))
        })
    }

    /// Removes the endpoint of a consumer and closes its idle connections.
    ///
    /// No request to the endpoint starts after this call has returned. Deliveries that have started
    /// to write a request finish. All others end with `handle_closed` and have sent nothing.
    ///
    /// Returns:
    ///     Whether the consumer had an endpoint.
    fn remove(&self, consumer: &Bound<'_, PyAny>) -> Result<bool, BindingError> {
        guard(|| Ok(self.0.remove(&text("consumer", consumer)?)))
    }

    /// Delivers one payload. Waits for the response without holding the interpreter.
    ///
    /// Ctrl-C raises KeyboardInterrupt and cancels the delivery.
    ///
    /// Args:
    ///     endpoint: an endpoint of this dispatcher.
    ///     body: bytes-like, at most 32 MiB; a str is rejected.
    // generated: begin arguments deliver
    ///     id: the event's id, sent as webhook-id. Use the same id for every attempt.
    ///     content_type: the content type of the payload. By default `application/json`.
    ///     headers: additional request headers.
    ///     timeout: the time limit of this whole delivery. In seconds, or a timedelta; by
    ///         default the dispatcher's.
    // generated: end
    ///
    /// Returns:
    ///     The receipt, once the consumer has answered with a final 2xx head.
    ///
    /// Raises:
    ///     DeliveryError: any kind; `sent` tells how much of the request may have reached the
    ///         consumer.
    ///     ConfigError: `option_invalid`, `header_invalid`, `body_too_large`, `handle_closed`;
    ///         nothing was sent.
    #[pyo3(
        signature = (endpoint, body, **keywords),
        // generated: begin text_signature ($self, endpoint, body, *, {deliver})
        text_signature = "($self, endpoint, body, *, id=None, content_type=None, headers=None, timeout=None)"
        // generated: end
    )]
    fn deliver<'py>(
        slf: &Bound<'py, Self>,
        endpoint: &Bound<'py, PyAny>,
        body: &Bound<'py, PyAny>,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> Result<Bound<'py, PyAny>, BindingError> {
        guard(|| {
            let py = slf.py();
            if let Some(gevent) = greenlets::gevent(py)? {
                return Ok(gevent.call_method("deliver", (slf, endpoint, body), keywords)?);
            }
            let target = noun::<Endpoint>("endpoint", "an Endpoint", endpoint)?;
            let (options, body) =
                (options::apply(DeliverOptions::new(), keywords)?, payload(body)?);
            let Self(dispatcher, telemetry) = slf.get();
            let (target, options) = (&target.0, telemetry.begin(py, &target.0, options));
            let outcome = interruptible(py, |interrupt| {
                dispatcher.deliver_blocking(target, body, options, Some(interrupt))
            });
            telemetry.flush(py);
            Ok(Bound::new(py, Receipt(Made::Live(outcome??)))?.into_any())
        })
    }

    /// Opens a new connection to a consumer, runs the handshake with the checks of a delivery, and
    /// closes it. It sends no byte of a request.
    ///
    /// The status of the endpoint records the result. A probe cannot detect a consumer that rejects
    /// our certificate only in its HTTP response, as nginx does.
    ///
    /// Args:
    ///     endpoint: an endpoint of this dispatcher.
    // generated: begin arguments probe
    ///     timeout: the time limit of the whole probe. In seconds, or a timedelta; by default
    ///         the dispatcher's.
    // generated: end
    ///
    /// Returns:
    ///     The result of the handshake.
    ///
    /// Raises:
    ///     DeliveryError: the kinds of a delivery that fails before its request.
    ///     ConfigError: `option_invalid` or `handle_closed`.
    #[pyo3(
        signature = (endpoint, **keywords),
        // generated: begin text_signature ($self, endpoint, *, {probe})
        text_signature = "($self, endpoint, *, timeout=None)"
        // generated: end
    )]
    fn probe<'py>(
        slf: &Bound<'py, Self>,
        endpoint: &Bound<'py, PyAny>,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> Result<Bound<'py, PyAny>, BindingError> {
        guard(|| {
            let py = slf.py();
            if let Some(gevent) = greenlets::gevent(py)? {
                return Ok(gevent.call_method("probe", (slf, endpoint), keywords)?);
            }
            let target: &Endpoint = noun("endpoint", "an Endpoint", endpoint)?;
            let chosen = options::apply(ProbeOptions::new(), keywords)?;
            let probe = ProbeResult(wait(py, slf.get().0.probe(&target.0, chosen))??);
            Ok(Bound::new(py, probe)?.into_any())
        })
    }

    /// Says what is wrong with an endpoint, whose fault it is and whom to tell.
    ///
    /// Checks our identity and trust, the way to the consumer, its side of the handshake, and its
    /// verdict on our certificate. It goes on after a fault where it can. It sends no payload, and
    /// presents our certificate only to a consumer that a delivery would accept. It takes no turn of
    /// the endpoint and passes no circuit.
    ///
    /// Args:
    ///     endpoint: an endpoint of this dispatcher.
    // generated: begin arguments diagnosis
    ///     timeout: the time limit of the whole diagnosis. At the limit, the report has the
    ///         checks that have ended. In seconds, or a timedelta; by default the dispatcher's.
    ///     request: the request without a payload to make after the handshake: head or options.
    ///         Servers like nginx judge our certificate only when a request arrives.
    // generated: end
    ///
    /// Returns:
    ///     The report. A fault of the endpoint is in it, and raises nothing.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` or `handle_closed`.
    ///     DeliveryError: `overloaded`.
    #[pyo3(
        signature = (endpoint, **keywords),
        // generated: begin text_signature ($self, endpoint, *, {diagnosis})
        text_signature = "($self, endpoint, *, timeout=None, request=None)"
        // generated: end
    )]
    fn diagnose<'py>(
        slf: &Bound<'py, Self>,
        endpoint: &Bound<'py, PyAny>,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> Result<Bound<'py, PyAny>, BindingError> {
        guard(|| {
            let py = slf.py();
            if let Some(gevent) = greenlets::gevent(py)? {
                return Ok(gevent.call_method("diagnose", (slf, endpoint), keywords)?);
            }
            let target: &Endpoint = noun("endpoint", "an Endpoint", endpoint)?;
            let chosen = options::apply(DiagnosisOptions::new(), keywords)?;
            let report = ReportResult(wait(py, slf.get().0.diagnose(&target.0, chosen))??);
            Ok(Bound::new(py, report)?.into_any())
        })
    }

    /// Runs many deliveries at once, and yields outcomes as they finish.
    ///
    /// Takes the next delivery while fewer than `concurrency` are running. If a consumer is at its
    /// own limit, its delivery is parked until a permit is free; it does not delay the deliveries
    /// to other consumers, and its timeout starts with the permit. A failed delivery is an outcome
    /// and does not end the run. If the iterable raises, the exception is raised again after the
    /// outcomes of all earlier deliveries.
    ///
    /// Args:
    ///     deliveries: an iterable of `Delivery`.
    ///     concurrency: how many deliveries run at once, by default 64.
    ///
    /// Returns:
    ///     An iterator of `Outcome` with `progress` and `close`. Dropping the iterator cancels the
    ///     running deliveries.
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
    ) -> Result<Outcomes, BindingError> {
        guard(|| {
            reject_unknown(unknown, "concurrency")?;
            Outcomes::new(self, deliveries, concurrency)
        })
    }

    /// Makes a run that asyncio drives.
    #[pyo3(name = "_run", signature = (deliveries, concurrency, **unknown))]
    fn run(
        &self,
        deliveries: &Bound<'_, PyAny>,
        concurrency: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Run, BindingError> {
        guard(|| {
            reject_unknown(unknown, "concurrency")?;
            if !deliveries.hasattr("__aiter__")? && deliveries.try_iter().is_err() {
                let expected = "an iterable or asynchronous iterable of Delivery";
                return Err(wrong_type("deliveries", expected, deliveries));
            }
            Run::new(self, concurrency)
        })
    }

    /// Returns an `AsyncDispatcher` that shares the endpoints and connections.
    fn as_async<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let module = slf.py().import("webhook_mtls._asyncio")?;
        module.getattr("AsyncDispatcher")?.call1((slf,))
    }

    /// Checks all watched files now and uses their new content.
    ///
    /// Listeners receive the events as well. An unusable file is an event `rotation_failed`, and
    /// its previous content remains in use.
    ///
    /// Returns:
    ///     The events.
    ///
    /// Raises:
    ///     ConfigError: `handle_closed`.
    fn reload<'py>(slf: &Bound<'py, Self>) -> Result<Bound<'py, PyAny>, BindingError> {
        guard(|| {
            let py = slf.py();
            if let Some(gevent) = greenlets::gevent(py)? {
                return Ok(gevent.call_method1("reload", (slf,))?);
            }
            let events = events(wait(py, slf.get().0.reload())??);
            Ok(events.into_pyobject(py)?)
        })
    }

    /// Lists when our chains, anchors, intermediates, CRLs and the last certificate of each
    /// consumer expire, the smallest fraction of lifetime left first.
    ///
    /// Raises:
    ///     ConfigError: `clock_implausible`, because no lifetime can be computed without the date.
    fn expiries(&self) -> Result<Vec<Expiry>, BindingError> {
        guard(|| expiries(self.0.expiries()))
    }

    /// Returns the metrics of this dispatcher in this process. A forked child starts at zero.
    ///
    /// Looks at every endpoint: for a scrape, not for each delivery.
    ///
    /// Returns:
    ///     A dict that can be serialized as JSON: for each name, `type`, `unit`, `help`, `labels`,
    ///     `combine` and `samples`. A sample has `labels` and `value`, or `count`, `sum` and `buckets`.
    fn metrics<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, BindingError> {
        guard(|| Ok(json::to_python(py, &self.0.metrics().to_json())?))
    }

    /// Returns the metrics as the text of one response to a scrape.
    ///
    /// Args:
    ///     format: `prometheus` (text format 0.0.4) or `openmetrics` (1.0).
    ///     others: dispatchers and verifiers of this process whose metrics are added.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    #[pyo3(
        signature = (format = None, *, others = None),
        text_signature = "($self, format=\"prometheus\", *, others=())"
    )]
    fn metrics_text(
        &self,
        format: Option<&Bound<'_, PyAny>>,
        others: Option<&Bound<'_, PyAny>>,
    ) -> Result<String, BindingError> {
        guard(|| metrics_text(self.0.metrics(), format, others))
    }

    /// Returns which of our identities each consumer accepted last, as this process has observed
    /// it.
    ///
    /// `process_status` and `merge` make one status of those of several processes.
    ///
    /// Returns:
    ///     A dict that can be serialized as JSON. `consumers` maps each consumer id to `wanted`,
    ///     `accepted`, `accepted_at_ms`, `state` (`current`, `previous` or `unknown`), `pin` and
    ///     `pin_slot`.
    fn rotation_status<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, BindingError> {
        guard(|| Ok(json::to_python(py, &self.0.rotation_status().to_json())?))
    }

    /// Returns the status of this process: what `rotation_status`, `Endpoint.status` and `expiries` say.
    /// `merge` makes one of those of several processes.
    ///
    /// Args:
    ///     process: the name of this process, which no other one of the fleet has: 1 to 256 bytes
    ///         without control characters.
    ///
    /// Returns:
    ///     A dict that can be serialized as JSON. `docs/fleet.schema.json` describes it.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` or `clock_implausible`.
    fn process_status<'py>(
        &self,
        py: Python<'py>,
        process: &Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyAny>, BindingError> {
        guard(|| Ok(json::to_python(py, &self.0.process_status(&text("process", process)?)?)?))
    }

    /// Stops presenting a previous identity, for instance before its certificate is revoked.
    ///
    /// Args:
    ///     identity: a previous identity. The current identity cannot be retired.
    ///     force: retires it even if it is the one that some consumers accepted last.
    ///     fleet: what `merge` returned for the statuses of all processes, or its JSON text. The
    ///         identity is then retired only if no process of the fleet needs it. The status of each
    ///         may be at most five minutes old, and at most a minute ahead of our clock, also with
    ///         `force`. Each process that may present the identity makes this call; it takes effect
    ///         in its own process. Without `fleet`, this process alone is asked.
    ///
    /// Returns:
    ///     The consumers that depended on it. The list is empty unless `force` is true.
    ///
    /// Raises:
    ///     ConfigError: `identity_in_use`, whose context lists the `consumers` and, of a fleet, the
    ///         `processes`; `option_invalid` if `fleet` is no merged status or a status in it is too
    ///         old or ahead of our clock; `handle_closed` or `clock_implausible`.
    #[pyo3(
        signature = (identity, *, force = false, fleet = None),
        text_signature = "($self, identity, *, force=False, fleet=None)"
    )]
    fn retire(
        &self,
        identity: &Bound<'_, PyAny>,
        force: bool,
        fleet: Option<&Bound<'_, PyAny>>,
    ) -> Result<Vec<String>, BindingError> {
        guard(|| {
            let identity: &Identity = noun("identity", "an Identity", identity)?;
            Ok(match fleet {
                None => self.0.retire(&identity.0, force)?,
                Some(fleet) => {
                    self.0.retire_in_fleet(&identity.0, &merged_status("fleet", fleet)?, force)?
                }
            })
        })
    }

    /// Registers a callback for all later events. It is called for one event at a time, on a thread
    /// of its own.
    ///
    /// An exception of the callback goes to `sys.unraisablehook`. The registration survives a fork:
    /// the parent and each child receive the events of their own process.
    ///
    /// Args:
    ///     callback: a callable that takes an `Event`.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    fn on_event(&self, callback: &Bound<'_, PyAny>) -> Result<(), BindingError> {
        guard(|| {
            self.0.on_event(listener(callback)?);
            Ok(())
        })
    }

    /// Closes the dispatcher: rejects new deliveries, waits for the running ones for at most
    /// `drain`, then cancels the rest.
    ///
    /// A second call has no effect. Leaving a `with` block closes without waiting.
    ///
    /// A signal handler may call it during a delivery of its own thread. It then waits for all
    /// other deliveries. The interrupted delivery continues after the handler for the rest of
    /// `drain`, and then raises `canceled`.
    ///
    /// Args:
    ///     drain: the time limit for running deliveries, in seconds or as a timedelta; 0 cancels
    ///         them at once.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    #[pyo3(
        signature = (drain = None, **unknown),
        text_signature = "($self, drain=0.0)"
    )]
    fn close(
        slf: &Bound<'_, Self>,
        drain: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<(), BindingError> {
        guard(|| {
            reject_unknown(unknown, "drain")?;
            let drain = drain.map(|value| duration("drain", value)).transpose()?;
            let drain = drain.unwrap_or_default();
            if let Some(gevent) = greenlets::gevent(slf.py())? {
                gevent.call_method1("close", (slf, drain))?;
                return Ok(());
            }
            let closed = wait(slf.py(), slf.get().0.close(drain));
            slf.get().1.flush(slf.py());
            closed
        })
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_raised))]
    fn __exit__(
        slf: &Bound<'_, Self>,
        _raised: &Bound<'_, pyo3::types::PyTuple>,
    ) -> Result<(), BindingError> {
        Self::close(slf, None, None)
    }

    fn __repr__(&self) -> String {
        let state = if self.0.is_closed() { "closed" } else { "open" };
        format!("<Dispatcher {state}, endpoints={}>", self.0.endpoint_count())
    }

    fn __reduce__(_slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(recipe::not_pickled(
            "a Dispatcher has threads and connections: make it in the process that uses it, from its \
             Identity and Trust, which can be pickled",
        ))
    }

    /// Returns the hub of the instruments.
    #[pyo3(name = "_telemetry")]
    fn telemetry(&self, py: Python<'_>) -> Result<Py<PyAny>, BindingError> {
        guard(|| Ok(self.1.hub(py)?))
    }

    /// Starts a delivery. Its outcome is pushed to `completions` with the ticket.
    #[pyo3(name = "_start")]
    fn start(
        &self,
        completions: &Bound<'_, Completions>,
        ticket: u64,
        endpoint: &Bound<'_, PyAny>,
        body: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
    ) -> Result<CancelToken, BindingError> {
        guard(|| {
            let token = webhook_mtls::CancelToken::new();
            let chosen = DeliverOptions::new().cancel(token.clone());
            let target: &Endpoint = noun("endpoint", "an Endpoint", endpoint)?;
            let options = options::apply(chosen, Some(options))?;
            let body = payload(body)?;
            let options = self.1.begin(endpoint.py(), &target.0, options);
            let slot = completions.get().slot(ticket).traced_by(&self.1);
            let done = move |outcome: Result<webhook_mtls::Receipt, webhook_mtls::Error>| {
                slot.fill(outcome.map(Done::Delivered));
            };
            self.0.start(&target.0, body, options, done)?;
            Ok(CancelToken(token))
        })
    }

    /// Starts a probe. Its outcome is pushed to `completions` with the ticket.
    #[pyo3(name = "_start_probe", signature = (completions, ticket, endpoint, **keywords))]
    fn start_probe(
        &self,
        completions: &Bound<'_, Completions>,
        ticket: u64,
        endpoint: &Bound<'_, PyAny>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> Result<CancelToken, BindingError> {
        guard(|| {
            let token = webhook_mtls::CancelToken::new();
            let target: &Endpoint = noun("endpoint", "an Endpoint", endpoint)?;
            let chosen = options::apply(ProbeOptions::new().cancel(token.clone()), keywords)?;
            let slot = completions.get().slot(ticket);
            let probe = self.0.probe(&target.0, chosen);
            runtime::spawn(probe, move |outcome| slot.fill(outcome.map(Done::Probed)))?;
            Ok(CancelToken(token))
        })
    }

    /// Starts a diagnosis. Its outcome is pushed to `completions` with the ticket.
    #[pyo3(name = "_start_diagnosis", signature = (completions, ticket, endpoint, **keywords))]
    fn start_diagnosis(
        &self,
        completions: &Bound<'_, Completions>,
        ticket: u64,
        endpoint: &Bound<'_, PyAny>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> Result<CancelToken, BindingError> {
        guard(|| {
            let token = webhook_mtls::CancelToken::new();
            let target: &Endpoint = noun("endpoint", "an Endpoint", endpoint)?;
            let chosen = options::apply(DiagnosisOptions::new().cancel(token.clone()), keywords)?;
            let slot = completions.get().slot(ticket);
            let diagnosis = self.0.diagnose(&target.0, chosen);
            runtime::spawn(diagnosis, move |outcome| slot.fill(outcome.map(Done::Diagnosed)))?;
            Ok(CancelToken(token))
        })
    }

    /// Starts a reload. Its events are pushed to `completions` with the ticket.
    #[pyo3(name = "_start_reload")]
    fn start_reload(
        &self,
        completions: &Bound<'_, Completions>,
        ticket: u64,
    ) -> Result<(), BindingError> {
        guard(|| {
            let slot = completions.get().slot(ticket);
            let done = move |outcome: Result<_, _>| slot.fill(outcome.map(Done::Reloaded));
            Ok(runtime::spawn(self.0.reload(), done)?)
        })
    }

    /// Starts the close. Its end is pushed to `completions` with the ticket.
    #[pyo3(name = "_start_close")]
    fn start_close(
        &self,
        completions: &Bound<'_, Completions>,
        ticket: u64,
        drain: &Bound<'_, PyAny>,
    ) -> Result<(), BindingError> {
        guard(|| {
            let closing = self.0.close(duration("drain", drain)?);
            let slot = completions.get().slot(ticket);
            Ok(runtime::spawn(closing, move |()| slot.fill(Ok(Done::Closed)))?)
        })
    }
}
