//! `Receipt`: the result of a successful delivery.

use pyo3::prelude::*;
use webhook_mtls::material::PinSlot;

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

    /// The event's id; None if the delivery has none.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.0.id()
    }

    /// The HTTP status, 200 to 299.
    #[getter]
    fn status(&self) -> u16 {
        self.0.status()
    }

    /// The consumer, as its certificate describes it.
    #[getter]
    fn peer(&self) -> PeerIdentity {
        PeerIdentity(self.0.peer().clone())
    }

    /// Which pin matched, `current` or `next`; None if the endpoint has no pins.
    #[getter]
    fn pin(&self) -> Option<&'static str> {
        self.0.pin().map(PinSlot::name)
    }

    /// The number of attempts, including the successful one. An attempt is repeated only if it sent
    /// nothing.
    #[getter]
    fn attempts(&self) -> u32 {
        self.0.attempts()
    }

    /// The duration of the whole delivery, in seconds.
    #[getter]
    fn elapsed(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }

    /// The result of the TLS negotiation.
    #[getter]
    fn tls(&self) -> TlsFacts {
        TlsFacts(self.0.tls().clone())
    }

    /// Whether the delivery used an idle connection.
    #[getter]
    fn reused(&self) -> bool {
        self.0.is_reused()
    }

    /// Whether the consumer answered the head with 100 Continue before the payload was sent.
    ///
    /// None if the payload was not held. It is held by `hold_payload`, or for an identity that the
    /// consumer has not answered yet.
    #[getter]
    fn hold_honored(&self) -> Option<bool> {
        self.0.hold_honored()
    }

    /// Returns the whole receipt as a dict, in the same form in every language. Durations are
    /// milliseconds.
    ///
    /// It has more than the attributes: the address, the time of each step, the headers of the
    /// response and the first bytes of its body.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.0.to_json())
    }

    fn __repr__(&self) -> String {
        format!("Receipt(consumer={:?}, status={})", self.0.consumer(), self.0.status())
    }
}

/// The result of the TLS negotiation of a connection.
#[pyclass(frozen, module = "webhook_mtls")]
pub struct TlsFacts(pub webhook_mtls::dispatcher::TlsFacts);

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

    /// Whether the consumer requested our certificate. Always true on a receipt.
    #[getter]
    fn client_auth_requested(&self) -> bool {
        self.0.client_auth_requested
    }

    /// The CAs that the consumer named in its certificate request: it accepts certificates of these.
    ///
    /// Escaped, and cut to 4 KiB. Empty if it named none.
    #[getter]
    fn certificate_authorities(&self) -> Vec<String> {
        self.0.certificate_authorities()
    }

    /// Whether the consumer named an issuer of our certificate; None if it named no CA.
    #[getter]
    fn issuer_listed(&self) -> Option<bool> {
        self.0.is_issuer_listed()
    }

    fn __repr__(&self) -> String {
        format!("TlsFacts({}, {}, {})", self.0.version, self.0.cipher_suite, self.0.key_exchange)
    }
}
