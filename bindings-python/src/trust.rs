//! `Trust`: the CAs that verify peers.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use webhook_mtls::Error;
use webhook_mtls::bindings::Rebuild as _;
use webhook_mtls::bindings::limits::Limit;

use crate::arguments::{bytes_list, path, reject_unknown, texts};
use crate::boundary::guard;
use crate::certificates::certificates;
use crate::error::BindingError;
use crate::recipe;

/// The private CA anchors, known intermediates and CRLs that verify a peer, or exactly one
/// certificate of a peer. The constructors check them.
///
/// It contains no public web roots, unless `dangerous_public` made it. It is immutable and safe to
/// share between threads.
#[pyclass(frozen, eq, hash, weakref, module = "webhook_mtls")]
#[derive(PartialEq, Hash)]
pub struct Trust(pub webhook_mtls::Trust);

#[pymethods]
impl Trust {
    /// Reads PEM files. A dispatcher or verifier that uses the trust watches them.
    ///
    /// Args:
    ///     anchors: path of the trusted CA certificates; a regular file of at most 1 MiB.
    ///     intermediates: path of CA certificates that peers may fail to send. They are not
    ///         anchors.
    ///     crls: path of certificate revocation lists; a regular file of at most 64 MiB.
    ///     distrusted: pins (`sha256/…`) of CA keys that no path may contain, such as a compromised
    ///         intermediate.
    ///
    /// Raises:
    ///     ConfigError: `pem_invalid`, `trust_invalid`, `public_root_in_trust`, `crl_unusable`,
    ///         `pin_invalid`, `clock_implausible` or `option_invalid`.
    #[classmethod]
    #[pyo3(
        signature = (anchors, *, intermediates = None, crls = None, distrusted = None, **unknown),
        text_signature = "($cls, anchors, *, intermediates=None, crls=None, distrusted=())"
    )]
    fn from_files(
        class: &Bound<'_, PyType>,
        anchors: &Bound<'_, PyAny>,
        intermediates: Option<&Bound<'_, PyAny>>,
        crls: Option<&Bound<'_, PyAny>>,
        distrusted: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            reject_unknown(unknown, KEYWORDS)?;
            let anchors = path("anchors", anchors)?;
            let intermediates =
                intermediates.map(|value| path("intermediates", value)).transpose()?;
            let crls = crls.map(|value| path("crls", value)).transpose()?;
            let distrusted = pins(distrusted)?;
            let read = || {
                webhook_mtls::Trust::from_files(anchors, intermediates.as_deref(), crls.as_deref())?
                    .distrusting(distrusted)
            };
            Ok(Self(class.py().detach(read)?))
        })
    }

    /// Reads PEM or DER.
    ///
    /// Args:
    ///     anchors: the trusted CA certificates: str or bytes-like, certificates of
    ///         `cryptography` or `ssl`, or a sequence of these.
    ///     intermediates: CA certificates that peers may fail to send, in the same forms. They are
    ///         not anchors.
    ///     crls: a sequence of certificate revocation lists, each bytes-like; at most 64 MiB.
    ///     distrusted: pins (`sha256/…`) of CA keys that no path may contain, such as a compromised
    ///         intermediate.
    ///
    /// Raises:
    ///     ConfigError: `pem_invalid`, `trust_invalid` (the message names the certificate by
    ///         position and subject), `public_root_in_trust`, `crl_unusable`, `pin_invalid`,
    ///         `clock_implausible` or `option_invalid`.
    #[classmethod]
    #[pyo3(
        signature = (anchors, *, intermediates = None, crls = None, distrusted = None, **unknown),
        text_signature = "($cls, anchors, *, intermediates=None, crls=(), distrusted=())"
    )]
    fn from_pem(
        class: &Bound<'_, PyType>,
        anchors: &Bound<'_, PyAny>,
        intermediates: Option<&Bound<'_, PyAny>>,
        crls: Option<&Bound<'_, PyAny>>,
        distrusted: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            reject_unknown(unknown, KEYWORDS)?;
            let bundle = Bundle::from_arguments(anchors, intermediates, crls, distrusted)?;
            Ok(Self(class.py().detach(|| bundle.read(webhook_mtls::Trust::from_pem))?))
        })
    }

    /// Reads PEM or DER, and also accepts public web roots: for a consumer whose *server*
    /// certificate comes from a public CA.
    ///
    /// Anyone who controls a domain name can get a certificate of such a CA. An endpoint accepts
    /// this trust only together with pins; a `Dispatcher` and a `Verifier` reject it.
    ///
    /// Args:
    ///     anchors, intermediates, crls, distrusted: as for `from_pem`.
    ///
    /// Raises:
    ///     ConfigError: as for `from_pem`, except `public_root_in_trust`.
    #[classmethod]
    #[pyo3(
        signature = (anchors, *, intermediates = None, crls = None, distrusted = None, **unknown),
        text_signature = "($cls, anchors, *, intermediates=None, crls=(), distrusted=())"
    )]
    fn dangerous_public(
        class: &Bound<'_, PyType>,
        anchors: &Bound<'_, PyAny>,
        intermediates: Option<&Bound<'_, PyAny>>,
        crls: Option<&Bound<'_, PyAny>>,
        distrusted: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            reject_unknown(unknown, KEYWORDS)?;
            let bundle = Bundle::from_arguments(anchors, intermediates, crls, distrusted)?;
            Ok(Self(class.py().detach(|| bundle.read(webhook_mtls::Trust::dangerous_public))?))
        })
    }

    /// Trusts one certificate and no CA: for a peer with a self-signed certificate, or for one
    /// certificate of a CA that is not trusted.
    ///
    /// Its dates, names, purpose and pins are checked as for any other peer. A certificate that it
    /// has issued is refused.
    ///
    /// Args:
    ///     certificate: the peer's certificate: PEM or DER with exactly one, str or bytes-like, or
    ///         an object of `cryptography` or `ssl`.
    ///
    /// Raises:
    ///     ConfigError: `pem_invalid`, `trust_invalid` (several certificates, weak key),
    ///         `clock_implausible` or `option_invalid`.
    #[classmethod]
    fn exact(
        class: &Bound<'_, PyType>,
        certificate: &Bound<'_, PyAny>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            let certificate = certificates("certificate", certificate)?;
            Ok(Self(class.py().detach(|| webhook_mtls::Trust::exact(&certificate))?))
        })
    }

    /// Reads the certificate of `exact` from a file. A dispatcher or verifier that uses the trust
    /// watches it.
    ///
    /// Args:
    ///     path: path of the peer's certificate; a regular file of at most 1 MiB.
    ///
    /// Raises:
    ///     ConfigError: as for `exact`.
    #[classmethod]
    #[pyo3(signature = (path), text_signature = "($cls, path)")]
    fn exact_from_file(
        class: &Bound<'_, PyType>,
        path: &Bound<'_, PyAny>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            let path = crate::arguments::path("path", path)?;
            Ok(Self(class.py().detach(|| webhook_mtls::Trust::exact_from_file(path))?))
        })
    }

    /// Remarks for the operator about a usable trust, such as an expired anchor that is not used.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.0.notes().to_vec()
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> recipe::Reduced<'py> {
        recipe::reduce(&slf.get_type(), slf.get().0.recipe(), "")
    }

    fn __repr__(&self) -> String {
        format!("Trust({:?})", self.0)
    }
}

const KEYWORDS: &str = "anchors, intermediates, crls, distrusted";

/// The input of a trust.
struct Bundle {
    anchors: Vec<u8>,
    intermediates: Option<Vec<u8>>,
    crls: Vec<Vec<u8>>,
    distrusted: Vec<String>,
}

type Read = fn(&[u8], Option<&[u8]>, &[&[u8]]) -> Result<webhook_mtls::Trust, Error>;

impl Bundle {
    fn from_arguments(
        anchors: &Bound<'_, PyAny>,
        intermediates: Option<&Bound<'_, PyAny>>,
        crls: Option<&Bound<'_, PyAny>>,
        distrusted: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self, BindingError> {
        Ok(Self {
            anchors: certificates("anchors", anchors)?,
            intermediates: intermediates
                .map(|value| certificates("intermediates", value))
                .transpose()?,
            crls: crls
                .map(|value| bytes_list("crls", value, Limit::crls()))
                .transpose()?
                .unwrap_or_default(),
            distrusted: pins(distrusted)?,
        })
    }

    fn read(self, read: Read) -> Result<webhook_mtls::Trust, Error> {
        let crls: Vec<&[u8]> = self.crls.iter().map(Vec::as_slice).collect();
        read(&self.anchors, self.intermediates.as_deref(), &crls)?.distrusting(self.distrusted)
    }
}

fn pins(distrusted: Option<&Bound<'_, PyAny>>) -> Result<Vec<String>, BindingError> {
    Ok(distrusted.map(|value| texts("distrusted", value)).transpose()?.unwrap_or_default())
}
