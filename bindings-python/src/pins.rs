//! `Pins` and `pin_of`: the keys that a peer may have.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use webhook_mtls::bindings::Rebuild as _;

use crate::arguments::{path, reject_unknown, texts};
use crate::boundary::guard;
use crate::certificates::certificates;
use crate::error::BindingError;
use crate::recipe;

/// The pins of one endpoint: of the keys in use, and of announced keys. Never empty.
///
/// Args:
///     current: the pins of keys in use, each `sha256/<base64>`, `sha256//<base64>`, the bare
///         base64 of 32 bytes, or `cert-sha256/<base64>`.
///     next: the pins of announced keys, which are accepted as well.
///
/// Raises:
///     ConfigError: `pin_invalid` if a pin cannot be read or `current` is empty; `option_invalid`.
///
/// >>> Pins(["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="])
/// Pins(['sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='], next=[])
#[pyclass(frozen, eq, hash, weakref, module = "webhook_mtls")]
#[derive(PartialEq, Hash)]
pub struct Pins(pub webhook_mtls::Pins);

#[pymethods]
impl Pins {
    #[new]
    #[pyo3(signature = (current, next = None, **unknown), text_signature = "(current, next=())")]
    fn new(
        current: &Bound<'_, PyAny>,
        next: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            reject_unknown(unknown, "current, next")?;
            let next = next.map(|value| texts("next", value)).transpose()?.unwrap_or_default();
            Ok(Self(webhook_mtls::Pins::with_next(texts("current", current)?, next)?))
        })
    }

    /// Reads a file with one pin on each line. `next` precedes an announced pin, `#` precedes a
    /// comment. A dispatcher or verifier that uses the pins watches the file.
    ///
    /// Args:
    ///     path: a regular file of at most 1 MiB.
    ///
    /// Raises:
    ///     ConfigError: `pem_invalid` if the file cannot be read, `pin_invalid` if a line is not a
    ///         pin; `option_invalid`.
    #[classmethod]
    #[pyo3(name = "from_file")]
    fn from_file(_cls: &Bound<'_, PyType>, path: &Bound<'_, PyAny>) -> Result<Self, BindingError> {
        guard(|| Ok(Self(webhook_mtls::Pins::from_file(self::path("path", path)?)?)))
    }

    fn __repr__(&self) -> String {
        let slot = |wanted| {
            let pins = self.0.iter().filter(|(_, slot)| *slot == wanted);
            pins.map(|(pin, _)| format!("'{pin}'")).collect::<Vec<_>>().join(", ")
        };
        let (current, next) = (
            slot(webhook_mtls::material::PinSlot::Current),
            slot(webhook_mtls::material::PinSlot::Next),
        );
        format!("Pins([{current}], next=[{next}])")
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
}

/// Computes the pin of a certificate's public key.
///
/// Args:
///     cert: one certificate: PEM or DER, str or bytes-like, or an object of `cryptography` or `ssl`.
///
/// Returns:
///     `sha256/` and the base64 of the SHA-256 of its SubjectPublicKeyInfo.
///
/// Raises:
///     ConfigError: `pem_invalid` or `option_invalid`.
#[pyfunction]
pub fn pin_of(cert: &Bound<'_, PyAny>) -> Result<String, BindingError> {
    guard(|| Ok(webhook_mtls::material::pin_of(&certificates("cert", cert)?)?))
}
