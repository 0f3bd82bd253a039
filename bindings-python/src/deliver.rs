//! `deliver`: one delivery without a dispatcher of the caller's.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use webhook_mtls::bindings::runtime;
use webhook_mtls::{CancelToken, DeliverOptions, DispatcherOptions, EndpointOptions};

use crate::arguments::{body as payload, text};
use crate::boundary::{guard, wait};
use crate::completions::Done;
use crate::error::BindingError;
use crate::greenlets::{self, Wait};
use crate::options;
use crate::receipt::Receipt;
use crate::recipe::Made;

/// Delivers one payload over one connection and closes it. Use it in scripts.
///
/// Accepts the options of `Dispatcher`, `Dispatcher.endpoint` and `Dispatcher.deliver`. The
/// consumer id is the host and port of the URL. `timeout` is the time limit of the delivery.
///
/// Args:
///     url: the consumer's URL; the scheme must be https.
///     body: bytes-like, at most 32 MiB; a str is rejected.
///     identity: the identity to present to the consumer.
///     trust: the CAs that verify the consumer.
///     pins: the keys that the consumer may have; None relies on the CA alone.
///
/// Returns:
///     The receipt, once the consumer has answered with a final 2xx head.
///
/// Raises:
///     DeliveryError: any kind; `sent` tells how much of the request may have reached the consumer.
///     ConfigError: `url_invalid`, `option_invalid`, `header_invalid`, `body_too_large`; nothing
///         was sent.
#[pyfunction]
#[pyo3(
    signature = (url, body, **keywords),
    // generated: begin text_signature (url, body, *, {one_shot})
    text_signature = "(url, body, *, pins, identity, trust, id=None, content_type=None, headers=None, timeout=None, crl_policy=None, min_tls=None, post_quantum=None, server_name=None, server_uri=None, hold_payload=None, response_excerpt=None, signing=None, concurrency=None, rate=None, owner=None, status_retry=None, egress=None, proxy=None, proxy_credentials=None, proxy_by_name=None, connect_timeout=None, handshake_timeout=None, write_timeout=None, response_timeout=None, max_connections=None, max_waiting=None, circuit_failures=None, circuit_open=None, circuit_ceiling=None, metrics_endpoints=None, reload=None, expiry_warning=None)"
    // generated: end
)]
pub fn deliver(
    url: &Bound<'_, PyAny>,
    body: &Bound<'_, PyAny>,
    keywords: Option<&Bound<'_, PyDict>>,
) -> Result<Py<Receipt>, BindingError> {
    guard(|| {
        let py = url.py();
        let url_text = text("url", url)?;
        let body = payload(body)?;
        let mut dispatcher = DispatcherOptions::new();
        let mut endpoint = EndpointOptions::default();
        let mut delivery = DeliverOptions::new();
        for (name, value) in options::keyword_values(keywords)? {
            if options::has("deliver", &name) {
                delivery = options::set_keyword(delivery, &name, &value)?;
            } else if options::has("endpoint", &name) {
                endpoint = options::set_keyword(endpoint, &name, &value)?;
            } else {
                dispatcher = options::set_keyword(dispatcher, &name, &value)?;
            }
        }
        let token = CancelToken::new();
        let delivery = delivery.cancel(token.clone());
        let delivery = async move {
            webhook_mtls::deliver(&url_text, body, dispatcher, endpoint, delivery).await
        };
        if let Some(gevent) = greenlets::gevent(py)? {
            let waiting = Wait::new(&gevent)?;
            let (completions, ticket) = waiting.ends_with()?;
            let slot = completions.slot(ticket);
            runtime::spawn(delivery, move |outcome| slot.fill(outcome.map(Done::Delivered)))?;
            let receipt = waiting.wait().inspect_err(|_| token.cancel());
            waiting.close()?;
            let receipt = receipt?;
            return Ok(receipt.cast_into::<Receipt>().map_err(PyErr::from)?.unbind());
        }
        let receipt = Receipt(Made::Live(wait(py, delivery)??));
        Ok(Py::new(py, receipt)?)
    })
}
