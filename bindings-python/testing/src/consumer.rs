//! `Consumer` and `Received`: a consumer of the lab and its requests.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use webhook_mtls::bindings::limits::Limit;
use webhook_mtls::testing::{self, Answer, Misbehavior};

use crate::authority::{Authority, Issued};
use webhook_mtls_python::arguments::{bytes, count, duration, noun, pairs, text};
use webhook_mtls_python::boundary::guard;
use webhook_mtls_python::error::BindingError;

/// A consumer on 127.0.0.1 that requires a client certificate of its lab's CA.
///
/// Made by `Lab.consumer`. It runs until its lab is closed. Its recorded requests stay readable.
#[pyclass(frozen, weakref, module = "webhook_mtls.testing")]
pub struct Consumer(pub(super) testing::Consumer);

#[pymethods]
impl Consumer {
    /// The consumer's name in the lab, which is also the tenant in its certificate.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// The consumer's URL, `https://127.0.0.1:<port>/webhooks/<name>`. It records requests for
    /// other paths as well.
    #[getter]
    fn url(&self) -> String {
        self.0.url()
    }

    /// The pin of the certificate that it presents on the next connection.
    #[getter]
    fn pin(&self) -> String {
        self.0.pin()
    }

    /// The pin before the last renewal with a new key; None if there was none.
    #[getter]
    fn previous_pin(&self) -> Option<String> {
        self.0.previous_pin()
    }

    /// The complete requests so far, in the order of completion.
    #[getter]
    fn received(&self) -> Vec<Received> {
        self.0.received().into_iter().map(Received).collect()
    }

    /// The number of accepted TCP connections.
    #[getter]
    fn connections(&self) -> u64 {
        self.0.connections()
    }

    /// The number of completed TLS handshakes, including the client certificate.
    #[getter]
    fn handshakes(&self) -> u64 {
        self.0.handshakes()
    }

    /// Waits until `count` requests are recorded, including requests that it never answers.
    ///
    /// Args:
    ///     count: the number of requests since the start.
    ///     within: the time limit, in seconds or as a timedelta.
    ///
    /// Returns:
    ///     False if the time limit passes first.
    #[pyo3(signature = (count, *, within), text_signature = "($self, count, *, within)")]
    fn wait(
        &self,
        py: Python<'_>,
        count: usize,
        within: &Bound<'_, PyAny>,
    ) -> Result<bool, BindingError> {
        guard(|| {
            let within = duration("within", within)?;
            Ok(py.detach(|| self.0.wait(count, within)))
        })
    }

    /// Answers the next requests with this response. The responses of earlier calls come first.
    ///
    /// Args:
    ///     status: the HTTP status.
    ///     retry_after: the value of the header retry-after, in seconds.
    ///     times: the number of requests; 0 lasts until the next call.
    ///     headers: more headers, sent unchanged.
    ///     body: bytes-like.
    #[pyo3(
        signature = (status, *, retry_after = None, times = None, headers = None, body = None),
        text_signature = "($self, status, *, retry_after=None, times=1, headers=None, body=b'')"
    )]
    fn respond(
        &self,
        status: u16,
        retry_after: Option<u32>,
        times: Option<&Bound<'_, PyAny>>,
        headers: Option<&Bound<'_, PyAny>>,
        body: Option<&Bound<'_, PyAny>>,
    ) -> Result<(), BindingError> {
        guard(|| {
            let answer = Answer {
                retry_after,
                headers: headers.map_or_else(|| Ok(Vec::new()), |value| pairs("headers", value))?,
                body: body
                    .map_or_else(|| Ok(Vec::new()), |value| bytes("body", value, Limit::body()))?,
                ..Answer::status(status)
            };
            self.0.respond(answer, times.map_or(Ok(1), |value| count("times", value))?);
            Ok(())
        })
    }

    /// Makes the consumer misbehave. The misbehaviors of earlier calls come first.
    ///
    /// Args:
    ///     how: `never_ask`, `reject_certificate`, `expired`, `wrong_name`, `other_ca`,
    ///         `close_after_handshake`, `reject_by_close` or `tls_1_2`, which affect connections;
    ///         `reset_after_body` or `stall`, which affect requests.
    ///     times: the number of connections or requests; 0 lasts until the next call for the same
    ///         one of the two.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    #[pyo3(signature = (how, times = None), text_signature = "($self, how, times=1)")]
    fn misbehave(
        &self,
        how: &Bound<'_, PyAny>,
        times: Option<&Bound<'_, PyAny>>,
    ) -> Result<(), BindingError> {
        guard(|| {
            let how = Misbehavior::of_argument(&text("how", how)?)?;
            self.0.misbehave(how, times.map_or(Ok(1), |value| count("times", value))?);
            Ok(())
        })
    }

    /// Discards all pending responses and misbehaviors.
    fn behave(&self) {
        self.0.behave();
    }

    /// Presents a renewed certificate from the next connection on, and closes idle connections.
    ///
    /// Args:
    ///     new_key: true makes a new key, and so a new pin; false keeps the key.
    #[pyo3(signature = (*, new_key), text_signature = "($self, *, new_key)")]
    fn renew(&self, py: Python<'_>, new_key: bool) -> Result<(), BindingError> {
        guard(|| Ok(py.detach(|| self.0.renew(new_key))?))
    }

    /// The certificate that it presents on the next connection, with its key, for instance to
    /// revoke it.
    #[getter]
    fn issued(&self) -> Issued {
        Issued(self.0.issued())
    }

    /// Presents a given certificate from the next connection on, and closes idle connections.
    ///
    /// Args:
    ///     issued: a server certificate with its key.
    fn show(&self, py: Python<'_>, issued: &Bound<'_, PyAny>) -> Result<(), BindingError> {
        guard(|| {
            let issued: &Issued = noun("issued", "an Issued", issued)?;
            py.detach(|| self.0.show(issued.0.clone()));
            Ok(())
        })
    }

    /// Presents a certificate of another CA for the same key from the next connection on, and
    /// closes idle connections.
    ///
    /// Args:
    ///     authority: the CA.
    fn certify(&self, py: Python<'_>, authority: &Bound<'_, PyAny>) -> Result<(), BindingError> {
        guard(|| {
            let authority: &Authority = noun("authority", "an Authority", authority)?;
            Ok(py.detach(|| self.0.certify(&authority.0))?)
        })
    }

    /// Accepts client certificates of one more CA from the next connection on.
    ///
    /// Args:
    ///     authority: the CA.
    fn accept(&self, authority: &Bound<'_, PyAny>) -> Result<(), BindingError> {
        guard(|| {
            let authority: &Authority = noun("authority", "an Authority", authority)?;
            self.0.accept(&authority.0);
            Ok(())
        })
    }

    /// Accepts only client certificates of one CA from the next connection on, and closes idle
    /// connections.
    ///
    /// Args:
    ///     authority: the CA.
    fn accept_only(
        &self,
        py: Python<'_>,
        authority: &Bound<'_, PyAny>,
    ) -> Result<(), BindingError> {
        guard(|| {
            let authority: &Authority = noun("authority", "an Authority", authority)?;
            py.detach(|| self.0.accept_only(&authority.0));
            Ok(())
        })
    }

    fn __repr__(&self) -> String {
        format!("Consumer({:?}, {:?})", self.0.name(), self.0.url())
    }
}

/// A complete request that a consumer received.
#[pyclass(frozen, weakref, module = "webhook_mtls.testing")]
pub struct Received(pub(super) testing::Received);

#[pymethods]
impl Received {
    /// The header `webhook-id`; None if the request has none.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.0.id.as_deref()
    }

    /// The method, such as `POST`.
    #[getter]
    fn method(&self) -> &str {
        &self.0.method
    }

    /// The request target, such as `/webhooks/acme`.
    #[getter]
    fn path(&self) -> &str {
        &self.0.path
    }

    /// The headers with names in lower case; repeated headers are joined by a comma.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let headers = PyDict::new(py);
        for (name, value) in &self.0.headers {
            match headers.get_item(name)? {
                Some(before) => headers.set_item(name, format!("{before}, {value}"))?,
                None => headers.set_item(name, value)?,
            }
        }
        Ok(headers)
    }

    /// The body.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.body)
    }

    /// The tenant in the client certificate; None if there is no tenant, or no certificate was
    /// requested.
    #[getter]
    fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    /// The server name that the client sent in its handshake (SNI); None if it sent none, as for a
    /// URL with an IP address.
    #[getter]
    fn server_name(&self) -> Option<&str> {
        self.0.server_name.as_deref()
    }

    fn __repr__(&self) -> String {
        format!("Received({} {}, {} bytes)", self.0.method, self.0.path, self.0.body.len())
    }
}
