//! `Trust`: whom we believe.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use webhook_mtls::Error;

use crate::arguments::{bytes, path, refuse_unknown, wrong_type};
use crate::border::guard;
use crate::error::Fault;

/// The private CA anchors, known intermediates and CRLs that judge a peer, checked when it is made.
///
/// Never the web's public roots. Made by `from_files` or `from_pem`; fixed from then on, and safe to
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
    ///
    /// Raises:
    ///     ConfigError: `pem_invalid`, `trust_invalid`, `public_root_in_trust`, `crl_unusable`,
    ///         `clock_implausible` or `option_invalid`.
    #[classmethod]
    #[pyo3(
        signature = (anchors, *, intermediates = None, crls = None, **unknown),
        text_signature = "($cls, anchors, *, intermediates=None, crls=None)"
    )]
    fn from_files(
        class: &Bound<'_, PyType>,
        anchors: &Bound<'_, PyAny>,
        intermediates: Option<&Bound<'_, PyAny>>,
        crls: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, Fault> {
        guard(|| {
            refuse_unknown(unknown, "anchors, intermediates, crls")?;
            let anchors = path("anchors", anchors)?;
            let intermediates =
                intermediates.map(|value| path("intermediates", value)).transpose()?;
            let crls = crls.map(|value| path("crls", value)).transpose()?;
            let read = || {
                webhook_mtls::Trust::from_files(anchors, intermediates.as_deref(), crls.as_deref())
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
    ///
    /// Raises:
    ///     ConfigError: `pem_invalid`, `trust_invalid` (the message names the certificate by
    ///         position and subject), `public_root_in_trust`, `crl_unusable`, `clock_implausible`
    ///         or `option_invalid`.
    #[classmethod]
    #[pyo3(
        signature = (anchors, *, intermediates = None, crls = None, **unknown),
        text_signature = "($cls, anchors, *, intermediates=None, crls=())"
    )]
    fn from_pem(
        class: &Bound<'_, PyType>,
        anchors: &Bound<'_, PyAny>,
        intermediates: Option<&Bound<'_, PyAny>>,
        crls: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, Fault> {
        guard(|| {
            refuse_unknown(unknown, "anchors, intermediates, crls")?;
            let anchors = bytes("anchors", anchors)?;
            let intermediates =
                intermediates.map(|value| bytes("intermediates", value)).transpose()?;
            let crls = crls.map(|value| many("crls", value)).transpose()?.unwrap_or_default();
            let read = || {
                let crls: Vec<&[u8]> = crls.iter().map(Vec::as_slice).collect();
                webhook_mtls::Trust::from_pem(&anchors, intermediates.as_deref(), &crls)
            };
            Ok(Self(class.py().detach(read)?))
        })
    }

    fn __repr__(&self) -> String {
        format!("Trust({:?})", self.0)
    }
}

/// Several bytes-like objects. One alone is refused: it would be taken for its numbers.
pub fn many(name: &str, value: &Bound<'_, PyAny>) -> Result<Vec<Vec<u8>>, Fault> {
    let expected = "a sequence of bytes";
    if bytes(name, value).is_ok() {
        return Err(Error::wrong_type(name, expected, "bytes").into());
    }
    let values = value.try_iter().map_err(|_| wrong_type(name, expected, value))?;
    values.map(|value| bytes(name, &value?)).collect()
}
