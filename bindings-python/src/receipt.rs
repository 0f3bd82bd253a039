//! `Receipt`: what a success returns.

use pyo3::prelude::*;
use webhook_mtls::PinSlot;

use crate::json;
use crate::peer::PeerIdentity;

/// A delivery that the consumer answered with a final 2xx head.
#[pyclass(frozen, module = "webhook_mtls")]
pub struct Receipt(pub webhook_mtls::Receipt);

#[pymethods]
impl Receipt {
    /// The consumer id of the endpoint.
    #[getter]
    fn consumer(&self) -> &str {
        self.0.consumer()
    }

    /// The event's id, where one was given.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.0.id()
    }

    /// The HTTP status, 200 to 299.
    #[getter]
    fn status(&self) -> u16 {
        self.0.status()
    }

    /// The consumer as its certificate shows it.
    #[getter]
    fn peer(&self) -> PeerIdentity {
        PeerIdentity(self.0.peer().clone())
    }

    /// Which of the endpoint's pins matched: `current` or `next`; None where it has none.
    #[getter]
    fn pin(&self) -> Option<&'static str> {
        self.0.pin().map(PinSlot::name)
    }

    /// How many attempts it took. Only one of which nothing was sent is followed by another.
    #[getter]
    fn attempts(&self) -> u32 {
        self.0.attempts()
    }

    /// How long the delivery took in all, in seconds.
    #[getter]
    fn elapsed(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }

    /// What the handshake negotiated.
    #[getter]
    fn tls(&self) -> TlsFacts {
        TlsFacts(self.0.tls().clone())
    }

    /// Whether an idle connection was used.
    #[getter]
    fn reused(&self) -> bool {
        self.0.is_reused()
    }

    /// Whether the consumer answered the head with 100 Continue before the payload left.
    ///
    /// None unless the payload was held: by `hold_payload`, or for an identity that the consumer has
    /// not answered to yet.
    #[getter]
    fn hold_honored(&self) -> Option<bool> {
        self.0.hold_honored()
    }

    /// The whole receipt in the form that every language shows. Durations are milliseconds.
    ///
    /// Holds more than the attributes: the address, the time of each step, the answer's headers and
    /// the first bytes of its body.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.0.to_json())
    }

    fn __repr__(&self) -> String {
        format!("Receipt(consumer={:?}, status={})", self.0.consumer(), self.0.status())
    }
}

/// What the handshake of a delivery negotiated.
#[pyclass(frozen, module = "webhook_mtls")]
pub struct TlsFacts(pub webhook_mtls::TlsFacts);

#[pymethods]
impl TlsFacts {
    /// `TLSv1.3` or `TLSv1.2`.
    #[getter]
    fn version(&self) -> &str {
        self.0.version
    }

    /// The cipher suite by its IANA name.
    #[getter]
    fn cipher_suite(&self) -> &str {
        self.0.cipher_suite
    }

    /// The key exchange group by its IANA name.
    #[getter]
    fn key_exchange(&self) -> &str {
        self.0.key_exchange
    }

    /// Whether the consumer asked for our certificate. Always true on a receipt.
    #[getter]
    fn client_auth_requested(&self) -> bool {
        self.0.client_auth_requested
    }

    fn __repr__(&self) -> String {
        format!("TlsFacts({}, {}, {})", self.0.version, self.0.cipher_suite, self.0.key_exchange)
    }
}
