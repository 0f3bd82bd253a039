//! `Trust`: whom we believe.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use webhook_mtls::Error;
use webhook_mtls::limits::Limit;

use crate::arguments::{many, material, path, refuse_unknown, texts};
use crate::border::guard;
use crate::error::Fault;

/// The private CA anchors, known intermediates and CRLs that judge a peer, checked when it is made.
///
/// Never the web's public roots, but for `dangerous_public`. Made by its class methods; fixed from then on, and safe to
/// share between threads.
#[pyclass(frozen, eq, module = "webhook_mtls")]
#[derive(PartialEq)]
pub struct Trust(pub webhook_mtls::Trust);

#[pymethods]
impl Trust {
    /// Reads PEM files.
    ///
    /// Args:
    ///     anchors: path of the CA certificates that are believed; a regular file of at most 1 MiB.
    ///     intermediates: path of CA certificates that peers may not send; not believed by
    ///         themselves.
    ///     crls: path of certificate revocation lists.
    ///     distrusted: pins (`sha256/…`) of the keys of CAs that no path may lead over, such as a
    ///         compromised intermediate.
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
    ) -> Result<Self, Fault> {
        guard(|| {
            refuse_unknown(unknown, KEYWORDS)?;
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
    ///     anchors: the CA certificates that are believed, bytes-like.
    ///     intermediates: CA certificates that peers may not send, bytes-like; not believed by
    ///         themselves.
    ///     crls: a sequence of certificate revocation lists, each bytes-like.
    ///     distrusted: pins (`sha256/…`) of the keys of CAs that no path may lead over, such as a
    ///         compromised intermediate.
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
    ) -> Result<Self, Fault> {
        guard(|| {
            refuse_unknown(unknown, KEYWORDS)?;
            let bundle = Bundle::given(anchors, intermediates, crls, distrusted)?;
            Ok(Self(class.py().detach(|| bundle.read(webhook_mtls::Trust::from_pem))?))
        })
    }

    /// Reads PEM or DER, and takes public web roots, too: for a consumer whose *server* certificate
    /// comes from a public CA.
    ///
    /// Whoever controls a name on the web gets a certificate below such a root. An endpoint takes
    /// this trust only together with pins; a `Dispatcher` and a `Verifier` refuse it.
    ///
    /// Args:
    ///     anchors, intermediates, crls, distrusted: as `from_pem` takes them.
    ///
    /// Raises:
    ///     ConfigError: as `from_pem`, but for `public_root_in_trust`.
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
    ) -> Result<Self, Fault> {
        guard(|| {
            refuse_unknown(unknown, KEYWORDS)?;
            let bundle = Bundle::given(anchors, intermediates, crls, distrusted)?;
            Ok(Self(class.py().detach(|| bundle.read(webhook_mtls::Trust::dangerous_public))?))
        })
    }

    /// What an operator should know of the bundle although it is sound, such as an anchor that has
    /// expired and is not used.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.0.notes().to_vec()
    }

    fn __repr__(&self) -> String {
        format!("Trust({:?})", self.0)
    }
}

const KEYWORDS: &str = "anchors, intermediates, crls, distrusted";

/// What a trust is read from.
struct Bundle {
    anchors: Vec<u8>,
    intermediates: Option<Vec<u8>>,
    crls: Vec<Vec<u8>>,
    distrusted: Vec<String>,
}

type Read = fn(&[u8], Option<&[u8]>, &[&[u8]]) -> Result<webhook_mtls::Trust, Error>;

impl Bundle {
    fn given(
        anchors: &Bound<'_, PyAny>,
        intermediates: Option<&Bound<'_, PyAny>>,
        crls: Option<&Bound<'_, PyAny>>,
        distrusted: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self, Fault> {
        Ok(Self {
            anchors: material("anchors", anchors)?,
            intermediates: intermediates
                .map(|value| material("intermediates", value))
                .transpose()?,
            crls: crls
                .map(|value| many("crls", value, Limit::material("crls")))
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

fn pins(distrusted: Option<&Bound<'_, PyAny>>) -> Result<Vec<String>, Fault> {
    Ok(distrusted.map(|value| texts("distrusted", value)).transpose()?.unwrap_or_default())
}
