//! What `webhook_mtls.testing` is made of: the core's testing kit.

#![expect(clippy::disallowed_types, reason = "the kit belongs to the process that started it")]

use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use webhook_mtls::limits::Limit;
use webhook_mtls::testing::{self, Answer, Leaf, Misbehaviour};
use webhook_mtls::{Error, Kind};

use crate::arguments::{bytes, count, duration, instant, noun, pairs, path, text};
use crate::border::guard;
use crate::dispatcher::Dispatcher;
use crate::error::Fault;
use crate::identity::Identity;
use crate::options;
use crate::trust::Trust;

/// A throw-away private CA, and receivers on loopback that demand client certificates.
///
/// Everything is real: the certificates, the sockets and the handshakes. A lab is its own world; no
/// other lab trusts its CA. Leaving the `with` block closes every socket and ends its thread.
///
/// >>> from webhook_mtls import Pins
/// >>> from webhook_mtls.testing import Lab
/// >>> with Lab() as lab:
/// ...     acme, dispatcher = lab.consumer("acme"), lab.dispatcher()
/// ...     endpoint = dispatcher.endpoint("acme", acme.url, pins=Pins([acme.pin]))
/// ...     dispatcher.deliver(endpoint, b"{}").status, len(acme.received)
/// (200, 1)
#[pyclass(frozen, module = "webhook_mtls.testing")]
pub struct Lab {
    lab: Mutex<Option<testing::Lab>>,
    process: u32,
}

#[pymethods]
impl Lab {
    #[new]
    fn new(py: Python<'_>) -> Result<Self, Fault> {
        guard(|| {
            let lab = py.detach(testing::Lab::start)?;
            Ok(Self { lab: Mutex::new(Some(lab)), process: process::id() })
        })
    }

    /// A client identity of the lab's CA, for the tenant `dispatcher`.
    #[getter]
    fn identity(&self) -> Result<Identity, Fault> {
        self.open(|lab| Ok(Identity(lab.identity())))
    }

    /// Trust in the lab's root and in nothing else.
    #[getter]
    fn trust(&self) -> Result<Trust, Fault> {
        self.open(|lab| Ok(Trust(lab.trust())))
    }

    /// The same identity as PEM: the certificate chain, leaf first, and the private key.
    #[getter]
    fn identity_pem(&self, py: Python<'_>) -> Result<(Py<PyBytes>, Py<PyBytes>), Fault> {
        self.open(|lab| {
            let (chain, key) = lab.identity_pem();
            let pem = |text: String| PyBytes::new(py, text.as_bytes()).unbind();
            Ok((pem(chain), pem(key)))
        })
    }

    /// The lab's root as PEM.
    #[getter]
    fn trust_pem(&self, py: Python<'_>) -> Result<Py<PyBytes>, Fault> {
        self.open(|lab| Ok(PyBytes::new(py, lab.trust_pem().as_bytes()).unbind()))
    }

    /// The CA behind the lab, to issue and revoke certificates.
    #[getter]
    fn authority(&self) -> Result<Authority, Fault> {
        self.open(|lab| Ok(Authority(lab.authority().clone())))
    }

    /// The receiver of that name, started when it is first asked for.
    ///
    /// Args:
    ///     name: its tenant, 1 to 64 characters of `[A-Za-z0-9._-]`.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` or `internal`.
    fn consumer(&self, name: &Bound<'_, PyAny>) -> Result<Consumer, Fault> {
        let name = text("name", name)?;
        self.open(|lab| Ok(Consumer(lab.consumer(&name)?)))
    }

    /// A new dispatcher with the lab's identity and trust, which may connect to loopback.
    ///
    /// Args:
    ///     options: what `webhook_mtls.Dispatcher` takes, instead of the lab's.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    #[pyo3(signature = (**options))]
    fn dispatcher(&self, options: Option<&Bound<'_, PyDict>>) -> Result<Dispatcher, Fault> {
        self.open(|lab| {
            let chosen = options::take(lab.dispatcher_options(), options)?;
            Ok(Dispatcher(webhook_mtls::Dispatcher::new(chosen)?))
        })
    }

    /// Writes `tls.crt`, `tls.key` (mode 0600) and `ca.pem`, for programs that take paths.
    ///
    /// Args:
    ///     directory: made if it is missing.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` when one cannot be written.
    fn write_files(&self, directory: &Bound<'_, PyAny>) -> Result<(), Fault> {
        let directory = path("directory", directory)?;
        self.open(|lab| Ok(lab.write_files(directory)?))
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, py: Python<'_>, _raised: &Bound<'_, PyTuple>) {
        py.detach(|| self.stop());
    }
}

impl Lab {
    fn open<T>(&self, work: impl FnOnce(&testing::Lab) -> Result<T, Fault>) -> Result<T, Fault> {
        guard(|| match &*self.locked() {
            Some(lab) => work(lab),
            None => Err(testing::error(Kind::HandleClosed).into()),
        })
    }

    fn stop(&self) {
        let lab = self.locked().take();
        // In a forked child there is no thread that could be waited for.
        if process::id() == self.process {
            drop(lab);
        } else {
            std::mem::forget(lab);
        }
    }

    fn locked(&self) -> MutexGuard<'_, Option<testing::Lab>> {
        self.lab.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A receiver on 127.0.0.1 that demands a client certificate of its lab's CA.
///
/// Made by `Lab.consumer`. It serves until its lab is closed; what it recorded stays readable.
#[pyclass(frozen, module = "webhook_mtls.testing")]
pub struct Consumer(testing::Consumer);

#[pymethods]
impl Consumer {
    /// The name that the lab knows it by, which is also the tenant in its certificate.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// `https://127.0.0.1:<port>/webhooks/<name>`. Requests for other paths are recorded alike.
    #[getter]
    fn url(&self) -> String {
        self.0.url()
    }

    /// The pin of the certificate that the next connection will be shown.
    #[getter]
    fn pin(&self) -> String {
        self.0.pin()
    }

    /// The pin before the last renewal with a new key, if there was one.
    #[getter]
    fn previous_pin(&self) -> Option<String> {
        self.0.previous_pin()
    }

    /// Every complete request so far, in the order in which they were complete.
    #[getter]
    fn received(&self) -> Vec<Received> {
        self.0.received().into_iter().map(Received).collect()
    }

    /// How many TCP connections were accepted.
    #[getter]
    fn connections(&self) -> u64 {
        self.0.connections()
    }

    /// How many TLS handshakes were completed, client certificate included.
    #[getter]
    fn handshakes(&self) -> u64 {
        self.0.handshakes()
    }

    /// Waits until `count` requests are recorded, those included that are never answered.
    ///
    /// Args:
    ///     count: how many in all.
    ///     within: how long to wait, in seconds or as a timedelta.
    ///
    /// Returns:
    ///     False if the time passed before.
    #[pyo3(signature = (count, *, within), text_signature = "($self, count, *, within)")]
    fn wait(&self, py: Python<'_>, count: usize, within: &Bound<'_, PyAny>) -> Result<bool, Fault> {
        guard(|| {
            let within = duration("within", within)?;
            Ok(py.detach(|| self.0.wait(count, within)))
        })
    }

    /// Answers so, after the answers that earlier calls asked for.
    ///
    /// Args:
    ///     status: the HTTP status.
    ///     retry_after: the header of that name, in seconds.
    ///     times: to how many requests; 0 until told otherwise.
    ///     headers: further headers, sent as they are.
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
    ) -> Result<(), Fault> {
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

    /// Misbehaves, after the misbehaviours that earlier calls asked for.
    ///
    /// Args:
    ///     how: `never_ask`, `reject_certificate`, `expired`, `wrong_name` or `other_ca`, which
    ///         concern connections; `reset_after_body` or `stall`, which concern requests.
    ///     times: how often; 0 until told otherwise.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    #[pyo3(signature = (how, times = None), text_signature = "($self, how, times=1)")]
    fn misbehave(
        &self,
        how: &Bound<'_, PyAny>,
        times: Option<&Bound<'_, PyAny>>,
    ) -> Result<(), Fault> {
        guard(|| {
            let name = text("how", how)?;
            let how = Misbehaviour::from_name(&name)
                .ok_or_else(|| Error::wrong_type("how", "a misbehaviour", "another text"))?;
            self.0.misbehave(how, times.map_or(Ok(1), |value| count("times", value))?);
            Ok(())
        })
    }

    /// Forgets every answer and misbehaviour that is still to come.
    fn behave(&self) {
        self.0.behave();
    }

    /// Shows a renewed certificate from the next connection on, and closes the idle ones.
    ///
    /// Args:
    ///     new_key: whether it has a new key, and so a new pin.
    #[pyo3(signature = (*, new_key), text_signature = "($self, *, new_key)")]
    fn renew(&self, py: Python<'_>, new_key: bool) -> Result<(), Fault> {
        guard(|| Ok(py.detach(|| self.0.renew(new_key))?))
    }

    /// The certificate that the next connection will be shown, with its key: to revoke it, say.
    #[getter]
    fn issued(&self) -> Issued {
        Issued(self.0.issued())
    }

    /// Shows this certificate from the next connection on, and closes the idle ones.
    ///
    /// Args:
    ///     issued: a server's certificate with its key.
    fn show(&self, py: Python<'_>, issued: &Bound<'_, PyAny>) -> Result<(), Fault> {
        guard(|| {
            let issued: &Issued = noun("issued", "an Issued", issued)?;
            py.detach(|| self.0.show(issued.0.clone()));
            Ok(())
        })
    }

    /// Shows a certificate of that CA from the next connection on, with the key it had.
    ///
    /// Args:
    ///     authority: the CA; the idle connections are closed.
    fn certify(&self, py: Python<'_>, authority: &Bound<'_, PyAny>) -> Result<(), Fault> {
        guard(|| {
            let authority: &Authority = noun("authority", "an Authority", authority)?;
            Ok(py.detach(|| self.0.certify(&authority.0))?)
        })
    }

    /// Accepts client certificates of that CA as well, from the next connection on.
    ///
    /// Args:
    ///     authority: the CA.
    fn accept(&self, authority: &Bound<'_, PyAny>) -> Result<(), Fault> {
        guard(|| {
            let authority: &Authority = noun("authority", "an Authority", authority)?;
            self.0.accept(&authority.0);
            Ok(())
        })
    }

    /// Accepts client certificates of that CA and of no other, from the next connection on.
    ///
    /// Args:
    ///     authority: the CA; the idle connections are closed.
    fn accept_only(&self, py: Python<'_>, authority: &Bound<'_, PyAny>) -> Result<(), Fault> {
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

/// A throw-away private CA: a root, an intermediate that signs, and what it issues.
///
/// Args:
///     name: a part of its subjects; no two authorities share a name.
#[pyclass(frozen, module = "webhook_mtls.testing")]
pub struct Authority(testing::Authority);

#[pymethods]
impl Authority {
    #[new]
    fn new(py: Python<'_>, name: &Bound<'_, PyAny>) -> Result<Self, Fault> {
        guard(|| {
            let name = text("name", name)?;
            Ok(Self(py.detach(|| testing::Authority::new(&name))?))
        })
    }

    /// The root, which is what a peer has to trust, as PEM.
    #[getter]
    fn root_pem<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.root_pem().as_bytes())
    }

    /// The intermediate as PEM.
    #[getter]
    fn intermediate_pem<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.intermediate_pem().as_bytes())
    }

    /// Issues a certificate with a new key.
    ///
    /// Args:
    ///     tenant: what its SAN URI names.
    ///     role: `client`, or `server` for one that a consumer can show.
    ///     not_before: its first instant, an aware datetime; five minutes ago if it is left out.
    ///     not_after: its last instant; a day after its first if it is left out.
    #[pyo3(
        signature = (tenant, *, role = None, not_before = None, not_after = None),
        text_signature = "($self, tenant, *, role='client', not_before=None, not_after=None)"
    )]
    fn issue(
        &self,
        tenant: &Bound<'_, PyAny>,
        role: Option<&Bound<'_, PyAny>>,
        not_before: Option<&Bound<'_, PyAny>>,
        not_after: Option<&Bound<'_, PyAny>>,
    ) -> Result<Issued, Fault> {
        guard(|| {
            let tenant = text("tenant", tenant)?;
            let from = not_before.map(|value| instant("not_before", value)).transpose()?;
            let until = not_after.map(|value| instant("not_after", value)).transpose()?;
            let leaf = match role.map(|role| text("role", role)).transpose()?.as_deref() {
                None | Some("client") => Leaf::client(&tenant),
                Some("server") => Leaf::server(&tenant),
                Some(_) => {
                    return Err(Error::wrong_type("role", "client or server", "another").into());
                }
            };
            Ok(Issued(self.0.issue(leaf.between(from, until))?))
        })
    }

    /// A CRL of its intermediate, valid for a day, as PEM. A later one replaces it.
    ///
    /// Args:
    ///     revoked: the certificates that are revoked.
    #[pyo3(signature = (revoked = None), text_signature = "($self, revoked=())")]
    fn crl<'py>(
        &self,
        py: Python<'py>,
        revoked: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyBytes>, Fault> {
        guard(|| {
            let mut issued = Vec::new();
            for item in revoked.map(PyAnyMethods::try_iter).transpose()?.into_iter().flatten() {
                let item = item?;
                let one: &Issued = noun("revoked", "an iterable of Issued", &item)?;
                issued.push(one.0.clone());
            }
            let crl = self.0.crl(&issued.iter().collect::<Vec<_>>())?;
            Ok(PyBytes::new(py, crl.as_bytes()))
        })
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// A certificate with its chain and private key.
#[pyclass(frozen, module = "webhook_mtls.testing")]
pub struct Issued(testing::Issued);

#[pymethods]
impl Issued {
    /// The chain, leaf first, as PEM.
    #[getter]
    fn cert_pem<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.chain_pem.as_bytes())
    }

    /// The private key: unencrypted PKCS#8, as PEM.
    #[getter]
    fn key_pem<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.key_pem.as_bytes())
    }

    /// The pin of its key.
    #[getter]
    fn pin(&self) -> &str {
        &self.0.pin
    }
}

/// Lets the library believe, in this whole process, that it is then, and that time runs on.
///
/// For tests of what certificates do as they age. The lab's receivers keep to the true time.
///
/// Args:
///     at: an aware datetime; None for the true time again.
#[pyfunction]
#[pyo3(signature = (at), text_signature = "(at)")]
pub fn set_clock(at: Option<&Bound<'_, PyAny>>) -> Result<(), Fault> {
    guard(|| {
        testing::set_clock(at.map(|value| instant("at", value)).transpose()?);
        Ok(())
    })
}

/// Returns how many signatures of certificates and CRLs this process has checked so far.
///
/// A signature that is remembered is not checked again; see `remember_signatures`.
#[pyfunction]
#[pyo3(text_signature = "()")]
pub fn signatures_checked() -> u64 {
    testing::signatures_checked()
}

/// A request that a consumer got, whole.
#[pyclass(frozen, module = "webhook_mtls.testing")]
pub struct Received(testing::Received);

#[pymethods]
impl Received {
    /// The header `webhook-id`, if it came.
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

    /// The headers, names in lower case; what came more than once is joined by a comma.
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

    /// The tenant in the client certificate; None if there is none or none was asked for.
    #[getter]
    fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    fn __repr__(&self) -> String {
        format!("Received({} {}, {} bytes)", self.0.method, self.0.path, self.0.body.len())
    }
}
