//! `Probe`: the result of a handshake without a payload.

use pyo3::prelude::*;
use webhook_mtls::material::PinSlot;

use crate::json;
use crate::peer::PeerIdentity;
use crate::receipt::TlsFacts;
use crate::recipe::{self, Made};

/// A completed handshake without a payload. Made by `Dispatcher.probe`.
///
/// The consumer passed every check of a delivery, requested our certificate, and did not reject it
/// during the handshake.
#[pyclass(frozen, name = "Probe", weakref, module = "webhook_mtls")]
pub struct ProbeResult(pub webhook_mtls::Probe);

#[pymethods]
impl ProbeResult {
    /// The consumer id of the endpoint.
    #[getter]
    fn consumer(&self) -> &str {
        self.0.consumer()
    }

    /// The consumer, as its certificate describes it.
    #[getter]
    fn peer(&self) -> PeerIdentity {
        PeerIdentity(Made::Live(self.0.peer().clone()))
    }

    /// Which pin matched, `current` or `next`; None if the endpoint has no pins.
    #[getter]
    fn pin(&self) -> Option<&'static str> {
        self.0.pin().map(PinSlot::name)
    }

    /// The result of the TLS negotiation.
    #[getter]
    fn tls(&self) -> TlsFacts {
        TlsFacts::from(self.0.tls())
    }

    /// What the handshake does not show about our certificate, and the CAs that the consumer accepts
    /// if they do not include ours; None if there is nothing to say.
    #[getter]
    fn note(&self) -> Option<String> {
        self.0.note()
    }

    /// The IP address and port of the connection.
    #[getter]
    fn address(&self) -> String {
        self.0.address().to_string()
    }

    /// The duration of the whole probe, in seconds.
    #[getter]
    fn elapsed(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }

    /// Returns the whole result as a dict, in the same form in every language. Durations are
    /// milliseconds.
    ///
    /// Args:
    ///     full: False returns the log record instead: level, message and fields, below 1 KiB.
    #[pyo3(signature = (*, full = true), text_signature = "($self, *, full=True)")]
    fn to_dict<'py>(&self, py: Python<'py>, full: bool) -> PyResult<Bound<'py, PyAny>> {
        json::full_or_log_record(py, &self.0.to_json(), full)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().0.to_json() == self.0.to_json())
    }

    fn __hash__(&self) -> u64 {
        recipe::hash(&self.0.to_json())
    }

    fn __repr__(&self) -> String {
        format!("Probe(consumer={:?}, address='{}')", self.0.consumer(), self.0.address())
    }
}
