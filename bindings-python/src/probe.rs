//! `Probe`: what a handshake without a payload has shown.

use pyo3::prelude::*;
use webhook_mtls::PinSlot;

use crate::json;
use crate::peer::PeerIdentity;
use crate::receipt::TlsFacts;

/// A handshake that was completed without a payload. Made by `Dispatcher.probe`.
///
/// The consumer passed every check that a delivery makes, asked for our certificate, and did not
/// refuse it there.
#[pyclass(frozen, module = "webhook_mtls")]
pub struct Probe(pub webhook_mtls::Probe);

#[pymethods]
impl Probe {
    /// The consumer id of the endpoint.
    #[getter]
    fn consumer(&self) -> &str {
        self.0.consumer()
    }

    /// The consumer as its certificate shows it, with the certificate's dates.
    #[getter]
    fn peer(&self) -> PeerIdentity {
        PeerIdentity(self.0.peer().clone())
    }

    /// Which of the endpoint's pins matched: `current` or `next`; None where it has none.
    #[getter]
    fn pin(&self) -> Option<&'static str> {
        self.0.pin().map(PinSlot::name)
    }

    /// What the handshake negotiated.
    #[getter]
    fn tls(&self) -> TlsFacts {
        TlsFacts(self.0.tls().clone())
    }

    /// The address and port that were connected to.
    #[getter]
    fn address(&self) -> String {
        self.0.address().to_string()
    }

    /// How long it took in all, in seconds.
    #[getter]
    fn elapsed(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }

    /// The whole result in the form that every language shows. Durations are milliseconds.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.0.to_json())
    }

    fn __repr__(&self) -> String {
        format!("Probe(consumer={:?}, address='{}')", self.0.consumer(), self.0.address())
    }
}
