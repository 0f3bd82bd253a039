//! `StandardWebhooks`: the secrets that sign deliveries.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arguments::{reject_unknown, texts};
use crate::boundary::guard;
use crate::error::BindingError;
use crate::recipe;

/// The secrets that sign the deliveries of an endpoint with Standard Webhooks: HMAC-SHA256 (`v1`)
/// and Ed25519 (`v1a`).
///
/// Every secret makes a signature, and the consumer needs one of them. To change a secret, use the
/// old and the new one together for a while. A signed delivery requires an `id`.
///
/// Args:
///     secrets: one to eight, each `whsec_` and the base64 of 24 to 64 bytes, or `whsk_` and the
///         base64 of an Ed25519 private key: its 32 bytes, optionally followed by the public key.
///
/// Raises:
///     ConfigError: `option_invalid`, which names a secret by its position and never shows it.
///
/// >>> StandardWebhooks(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
/// StandardWebhooks(v1)
#[pyclass(frozen, eq, weakref, module = "webhook_mtls")]
#[derive(PartialEq)]
pub struct StandardWebhooks(pub webhook_mtls::StandardWebhooks);

#[pymethods]
impl StandardWebhooks {
    #[new]
    #[pyo3(signature = (secrets, **unknown), text_signature = "(secrets)")]
    fn new(
        secrets: &Bound<'_, PyAny>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            reject_unknown(unknown, "secrets")?;
            Ok(Self(webhook_mtls::StandardWebhooks::new(texts("secrets", secrets)?)?))
        })
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }

    fn __hash__(&self) -> u64 {
        // Not of the secrets: equal values have equal signature schemes.
        recipe::hash(&format!("{:?}", self.0).into())
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    fn __reduce__(_slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(recipe::not_pickled(
            "a StandardWebhooks is not pickled, because the pickle would contain its secrets: make it \
             again in the other process",
        ))
    }
}
