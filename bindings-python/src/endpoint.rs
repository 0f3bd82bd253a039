//! `Endpoint`: a consumer to deliver to.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use pyo3::prelude::*;

use crate::arguments;
use crate::error::BindingError;
use crate::recipe;

/// A consumer id with its URL, pins, identity and trust. Made by `Dispatcher.endpoint`.
///
/// Two handles are equal if they refer to the same endpoint of the same dispatcher.
#[pyclass(frozen, eq, weakref, module = "webhook_mtls")]
#[derive(PartialEq)]
pub struct Endpoint(pub webhook_mtls::Endpoint);

#[pymethods]
impl Endpoint {
    /// The consumer id.
    #[getter]
    fn consumer(&self) -> &str {
        self.0.consumer()
    }

    /// The current URL in its canonical form.
    #[getter]
    fn url(&self) -> String {
        self.0.url()
    }

    /// Returns a snapshot of what deliveries and probes of this process have observed.
    fn status(&self) -> EndpointStatus {
        EndpointStatus(self.0.status())
    }

    /// Lets the next delivery try an endpoint whose circuit is open, at once, because something was
    /// repaired. A changed option and `Dispatcher.reload` do the same.
    fn reset_circuit(&self) {
        self.0.reset_circuit();
    }

    /// Opens the circuit, because another process has found that the consumer fails. Afterwards one
    /// delivery tries it. A circuit that is open for longer stays so. No event is emitted.
    ///
    /// Args:
    ///     duration: for how long, in seconds or a timedelta.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` unless the duration is above zero and at most 24 hours.
    fn open_circuit(&self, duration: &Bound<'_, PyAny>) -> Result<(), BindingError> {
        Ok(self.0.open_circuit(arguments::duration("duration", duration)?)?)
    }

    fn __hash__(&self) -> u64 {
        // Equal handles have equal consumer ids, which never change.
        let mut hasher = DefaultHasher::new();
        self.0.consumer().hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }

    fn __reduce__(_slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(recipe::not_pickled(
            "an Endpoint belongs to its Dispatcher: pass the consumer id, and call \
             Dispatcher.endpoint in the other process",
        ))
    }
}

/// What deliveries and probes have observed of a consumer.
#[pyclass(frozen, eq, hash, weakref, module = "webhook_mtls")]
#[derive(PartialEq, Hash)]
pub struct EndpointStatus(webhook_mtls::endpoint::EndpointStatus);

#[pymethods]
impl EndpointStatus {
    /// The pin of the key that the consumer presented last; None before the first handshake.
    #[getter]
    fn pin_seen(&self) -> Option<&str> {
        self.0.pin_seen.as_deref()
    }

    /// The configured pins that no connection has matched yet.
    #[getter]
    fn pins_never_seen(&self) -> Vec<String> {
        self.0.pins_never_seen.clone()
    }

    /// When the certificate that the consumer presented last expires, an aware datetime; None
    /// before the first handshake.
    #[getter]
    fn peer_not_after<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.peer_not_after.map(|instant| arguments::datetime(py, instant)).transpose()
    }

    /// The certificate pin of our identity that the consumer accepted last; None before its first
    /// answer.
    #[getter]
    fn identity_accepted(&self) -> Option<&str> {
        self.0.identity_accepted.as_deref()
    }

    /// Whether deliveries are admitted: "closed", "open" or "half_open".
    #[getter]
    fn circuit(&self) -> &'static str {
        self.0.circuit.name()
    }

    /// Until when the circuit is open, an aware datetime; None if it is not.
    #[getter]
    fn circuit_open_until<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.circuit_open_until.map(|instant| arguments::datetime(py, instant)).transpose()
    }

    fn __repr__(&self) -> String {
        let shown = |pin: &Option<String>| {
            pin.as_ref().map_or_else(|| "None".to_owned(), |pin| format!("'{pin}'"))
        };
        format!(
            "EndpointStatus(pin_seen={}, identity_accepted={}, pins_never_seen={}, \
             circuit='{}')",
            shown(&self.0.pin_seen),
            shown(&self.0.identity_accepted),
            self.0.pins_never_seen.len(),
            self.circuit()
        )
    }
}
