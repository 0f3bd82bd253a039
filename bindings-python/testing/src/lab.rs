//! `Lab`: the core's testing kit.

#![expect(clippy::disallowed_types, reason = "the kit belongs to the process that started it")]

use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use webhook_mtls::Kind;
use webhook_mtls::testing;
use webhook_mtls_python::arguments::{path, text};
use webhook_mtls_python::boundary::guard;
use webhook_mtls_python::error::BindingError;

use crate::authority::Authority;
use crate::consumer::Consumer;

/// A temporary private CA, and consumers on loopback that require client certificates.
///
/// Nothing is mocked: certificates, sockets and handshakes are real. No other lab trusts its CA.
/// Leaving the `with` block closes every socket and ends the lab's thread.
///
/// >>> from webhook_mtls import Pins
/// >>> from webhook_mtls.testing import Lab
/// >>> with Lab() as lab:
/// ...     acme, dispatcher = lab.consumer("acme"), lab.dispatcher()
/// ...     endpoint = dispatcher.endpoint("acme", acme.url, pins=Pins([acme.pin]))
/// ...     dispatcher.deliver(endpoint, b"{}").status, len(acme.received)
/// (200, 1)
#[pyclass(frozen, weakref, module = "webhook_mtls.testing")]
pub struct Lab {
    lab: Mutex<Option<testing::Lab>>,
    process: u32,
}

#[pymethods]
impl Lab {
    #[new]
    fn new(py: Python<'_>) -> Result<Self, BindingError> {
        guard(|| {
            let lab = py.detach(testing::Lab::start)?;
            Ok(Self { lab: Mutex::new(Some(lab)), process: process::id() })
        })
    }

    /// A client identity of the lab's CA, for the tenant `dispatcher`.
    #[getter]
    fn identity<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, BindingError> {
        let (chain, key) = self.identity_pem(py)?;
        Ok(production(py, "Identity")?.call_method1("from_pem", (chain, key))?)
    }

    /// A trust that contains only the lab's root.
    #[getter]
    fn trust<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, BindingError> {
        let root = self.trust_pem(py)?;
        Ok(production(py, "Trust")?.call_method1("from_pem", (root,))?)
    }

    /// The same identity as PEM: the certificate chain, leaf first, and the private key.
    #[getter]
    fn identity_pem(&self, py: Python<'_>) -> Result<(Py<PyBytes>, Py<PyBytes>), BindingError> {
        self.with_lab(|lab| {
            let (chain, key) = lab.identity_pem();
            let pem = |text: String| PyBytes::new(py, text.as_bytes()).unbind();
            Ok((pem(chain), pem(key)))
        })
    }

    /// The lab's root as PEM.
    #[getter]
    fn trust_pem(&self, py: Python<'_>) -> Result<Py<PyBytes>, BindingError> {
        self.with_lab(|lab| Ok(PyBytes::new(py, lab.trust_pem().as_bytes()).unbind()))
    }

    /// The lab's CA, to issue and revoke certificates.
    #[getter]
    fn authority(&self) -> Result<Authority, BindingError> {
        self.with_lab(|lab| Ok(Authority(lab.authority().clone())))
    }

    /// Returns the consumer of a name. It starts with the first call for that name.
    ///
    /// Args:
    ///     name: the consumer's tenant, 1 to 64 characters of `[A-Za-z0-9._-]`.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` or `internal`.
    fn consumer(&self, name: &Bound<'_, PyAny>) -> Result<Consumer, BindingError> {
        let name = text("name", name)?;
        self.with_lab(|lab| Ok(Consumer(lab.consumer(&name)?)))
    }

    /// Starts nginx in front of an application: a real proxy that ends mutual TLS, requires a
    /// certificate of the lab's CA, and forwards it in the dialect `nginx`. A dispatcher of the lab
    /// can deliver to its URL. The program must be installed: on Debian, the package nginx-light.
    ///
    /// Args:
    ///     application: host and port of the application, which speaks HTTP.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`, or `internal` if nginx is not installed or does not start.
    fn nginx(&self, py: Python<'_>, application: &Bound<'_, PyAny>) -> Result<Nginx, BindingError> {
        let application = text("application", application)?;
        py.detach(|| self.with_lab(|lab| Ok(Nginx(lab.nginx(&application)?))))
    }

    /// Makes a dispatcher with the lab's identity and trust, which may connect to loopback.
    ///
    /// Args:
    ///     options: options of `webhook_mtls.Dispatcher` that replace the lab's.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    #[pyo3(signature = (**options))]
    fn dispatcher<'py>(
        &self,
        py: Python<'py>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> Result<Bound<'py, PyAny>, BindingError> {
        let chosen = PyDict::new(py);
        let allow = PyDict::new(py);
        allow.set_item("allow", testing::LOOPBACK)?;
        chosen.set_item("egress", production(py, "Egress")?.call((), Some(&allow))?)?;
        chosen.set_item("identity", self.identity(py)?)?;
        chosen.set_item("trust", self.trust(py)?)?;
        for (name, value) in options.into_iter().flatten() {
            // `None` leaves an option unset.
            if !(value.is_none() && chosen.contains(&name)?) {
                chosen.set_item(name, value)?;
            }
        }
        Ok(production(py, "Dispatcher")?.call((), Some(&chosen))?)
    }

    /// Writes `tls.crt`, `tls.key` (mode 0600) and `ca.pem`, for programs that take paths.
    ///
    /// Args:
    ///     directory: its path; created if it does not exist.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` if a file cannot be written.
    fn write_files(&self, directory: &Bound<'_, PyAny>) -> Result<(), BindingError> {
        let directory = path("directory", directory)?;
        self.with_lab(|lab| Ok(lab.write_files(directory)?))
    }

    fn __repr__(&self) -> String {
        let state = if self.lock().is_some() { "running" } else { "closed" };
        format!("<Lab {state}>")
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
    fn with_lab<T>(
        &self,
        work: impl FnOnce(&testing::Lab) -> Result<T, BindingError>,
    ) -> Result<T, BindingError> {
        guard(|| match &*self.lock() {
            Some(lab) => work(lab),
            None => Err(testing::error(Kind::HandleClosed).into()),
        })
    }

    fn stop(&self) {
        let lab = self.lock().take();
        // A forked child does not have the lab's thread, so it cannot wait for its end.
        if process::id() == self.process {
            drop(lab);
        } else {
            std::mem::forget(lab);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<testing::Lab>> {
        self.lab.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop();
    }
}

/// nginx in front of an application, on 127.0.0.1.
///
/// Made by `Lab.nginx`. It runs until it or its lab is closed.
#[pyclass(frozen, weakref, module = "webhook_mtls.testing")]
pub struct Nginx(testing::Nginx);

#[pymethods]
impl Nginx {
    /// The URL, `https://127.0.0.1:<port>/`. The application gets requests for every path.
    #[getter]
    fn url(&self) -> &str {
        self.0.url()
    }

    /// The pin of its certificate.
    #[getter]
    fn pin(&self) -> &str {
        self.0.pin()
    }

    /// Ends it.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }

    fn __repr__(&self) -> String {
        format!("<Nginx {}>", self.0.url())
    }
}

/// Returns a class of the production package.
fn production<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("webhook_mtls")?.getattr(name)
}
