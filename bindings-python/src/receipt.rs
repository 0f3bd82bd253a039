//! `Receipt`: the result of a successful delivery.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyType};
use serde_json::Value;
use webhook_mtls::material::PinSlot;

use crate::json;
use crate::peer::PeerIdentity;
use crate::recipe::{self, Made, Reduced};

/// A delivery that the consumer answered with a final 2xx head.
#[pyclass(frozen, weakref, module = "webhook_mtls")]
pub struct Receipt(pub Made<webhook_mtls::Receipt>);

impl Receipt {
    fn json(&self) -> Value {
        self.0.get(webhook_mtls::Receipt::to_json, Value::clone)
    }
}

#[pymethods]
impl Receipt {
    /// The consumer id of the endpoint.
    #[getter]
    fn consumer(&self) -> &str {
        self.0.get(webhook_mtls::Receipt::consumer, |fields| json::text(&fields["consumer"]))
    }

    /// The event's id; None if the delivery has none.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.0.get(webhook_mtls::Receipt::id, |fields| fields["id"].as_str())
    }

    /// The HTTP status, 200 to 299.
    #[getter]
    fn status(&self) -> u64 {
        self.0.get(|receipt| receipt.status().into(), |fields| json::number(&fields["status"]))
    }

    /// The consumer, as its certificate describes it.
    #[getter]
    fn peer(&self) -> PeerIdentity {
        PeerIdentity(self.0.get(
            |receipt| Made::Live(receipt.peer().clone()),
            |fields| Made::Rebuilt(fields["peer"].clone()),
        ))
    }

    /// Which pin matched, `current` or `next`; None if the endpoint has no pins.
    #[getter]
    fn pin(&self) -> Option<&str> {
        self.0.get(|receipt| receipt.pin().map(PinSlot::name), |fields| fields["pin"].as_str())
    }

    /// The number of attempts, including the successful one. Another one follows only if the payload never
    /// left, or if the consumer refused our certificate before it responded.
    #[getter]
    fn attempts(&self) -> u64 {
        self.0.get(|receipt| receipt.attempts().into(), |fields| json::number(&fields["attempts"]))
    }

    /// The duration of the whole delivery, in seconds.
    #[getter]
    fn elapsed(&self) -> f64 {
        self.0.get(
            |receipt| receipt.elapsed().as_secs_f64(),
            |fields| json::seconds(&fields["elapsed_ms"]),
        )
    }

    /// The result of the TLS negotiation.
    #[getter]
    fn tls(&self) -> TlsFacts {
        self.0.get(|receipt| TlsFacts::from(receipt.tls()), |fields| TlsFacts::read(&fields["tls"]))
    }

    /// Whether the delivery used an idle connection.
    #[getter]
    fn reused(&self) -> bool {
        self.0
            .get(webhook_mtls::Receipt::is_reused, |fields| fields["connection"]["reused"] == true)
    }

    /// Whether the consumer answered the head with 100 Continue before the payload was sent.
    ///
    /// None if the payload was not held. It is held by `hold_payload`, or for an identity that the
    /// consumer has not answered yet.
    #[getter]
    fn hold_honored(&self) -> Option<bool> {
        self.0.get(webhook_mtls::Receipt::hold_honored, |fields| fields["hold_honored"].as_bool())
    }

    /// The response: its status, its headers and the first bytes of its body.
    #[getter]
    fn response<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let class = py.import("webhook_mtls")?.getattr("Response")?;
        class.call1((json::to_python(py, &self.json()["response"])?,))
    }

    /// Returns the whole receipt as a dict, in the same form in every language. Durations are
    /// milliseconds.
    ///
    /// It has more than the attributes: the address, the time of each step, the headers of the
    /// response and the first bytes of its body.
    ///
    /// Args:
    ///     full: False returns the log record instead: level, message and fields, below 1 KiB.
    #[pyo3(signature = (*, full = true), text_signature = "($self, *, full=True)")]
    fn to_dict<'py>(&self, py: Python<'py>, full: bool) -> PyResult<Bound<'py, PyAny>> {
        json::full_or_log_record(py, &self.json(), full)
    }

    /// Rebuilds an unpickled receipt.
    #[classmethod]
    fn _rebuilt(_cls: &Bound<'_, PyType>, fields: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self(Made::rebuilt(fields)?))
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> Reduced<'py> {
        recipe::reduce_fields(&slf.get_type(), &slf.get().json())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().json() == self.json())
    }

    fn __hash__(&self) -> u64 {
        recipe::hash(&self.json())
    }

    fn __repr__(&self) -> String {
        format!("Receipt(consumer={:?}, status={})", self.consumer(), self.status())
    }
}

/// A duration that Python sees as seconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seconds(Duration);

impl Seconds {
    /// Keeps whole microseconds, as JSON does: so a copy by pickle is equal.
    fn of(duration: Duration) -> Self {
        Self(Duration::new(duration.as_secs(), duration.subsec_micros() * 1000))
    }

    /// Reads milliseconds.
    fn read(millis: &Value) -> Option<Self> {
        Duration::try_from_secs_f64(millis.as_f64()? / 1000.0).ok().map(Self)
    }
}

impl<'py> IntoPyObject<'py> for Seconds {
    type Target = PyFloat;
    type Output = Bound<'py, PyFloat>;
    type Error = std::convert::Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Self::Error> {
        self.0.as_secs_f64().into_pyobject(py)
    }
}

/// The result of the TLS negotiation of a connection.
#[pyclass(frozen, eq, hash, get_all, weakref, module = "webhook_mtls")]
#[derive(Clone, PartialEq, Hash)]
pub struct TlsFacts {
    /// `TLSv1.3` or `TLSv1.2`.
    version: String,
    /// The cipher suite by its IANA name.
    cipher_suite: String,
    /// The key exchange group by its IANA name.
    key_exchange: String,
    /// Whether the consumer requested our certificate. Always true on a receipt.
    client_auth_requested: bool,
    /// How long the signer of our key took, in seconds; None without a signer.
    signature: Option<Seconds>,
    /// The CAs that the consumer named in its certificate request: it accepts certificates of these.
    ///
    /// Escaped, and cut to 4 KiB. Empty if it named none.
    certificate_authorities: Vec<String>,
    /// Whether the consumer named an issuer of our certificate; None if it named no CA.
    issuer_listed: Option<bool>,
}

impl From<&webhook_mtls::dispatcher::TlsFacts> for TlsFacts {
    fn from(facts: &webhook_mtls::dispatcher::TlsFacts) -> Self {
        Self {
            version: facts.version.to_owned(),
            cipher_suite: facts.cipher_suite.to_owned(),
            key_exchange: facts.key_exchange.to_owned(),
            client_auth_requested: facts.client_auth_requested,
            signature: facts.signature.map(Seconds::of),
            certificate_authorities: facts.certificate_authorities(),
            issuer_listed: facts.is_issuer_listed(),
        }
    }
}

impl TlsFacts {
    fn read(fields: &Value) -> Self {
        let text = |name: &str| json::text(&fields[name]).to_owned();
        Self {
            version: text("version"),
            cipher_suite: text("cipher_suite"),
            key_exchange: text("key_exchange"),
            client_auth_requested: fields["client_auth_requested"] == true,
            signature: Seconds::read(&fields["signature_ms"]),
            certificate_authorities: json::texts(&fields["certificate_authorities"]),
            issuer_listed: fields["issuer_listed"].as_bool(),
        }
    }
}

#[pymethods]
impl TlsFacts {
    fn __repr__(&self) -> String {
        format!("TlsFacts({}, {}, {})", self.version, self.cipher_suite, self.key_exchange)
    }
}
