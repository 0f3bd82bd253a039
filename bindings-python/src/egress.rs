//! `Egress`: which addresses may be connected to.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arguments::{refuse_unknown, text, texts};
use crate::border::guard;
use crate::error::Fault;

/// Which addresses a dispatcher may connect to.
///
/// Args:
///     preset: `public` (the default: the Internet alone) or `private` (and RFC 1918, ULA, CGNAT).
///     allow: networks beyond the preset, as CIDR or single addresses.
///     deny: networks that are denied, whatever else allows them.
///
/// Raises:
///     ConfigError: `option_invalid`.
///
/// >>> Egress("private", allow=["127.0.0.1"]) == Egress("private")
/// False
#[pyclass(frozen, eq, module = "webhook_mtls")]
#[derive(PartialEq)]
pub struct Egress(pub webhook_mtls::Egress);

#[pymethods]
impl Egress {
    #[new]
    #[pyo3(
        signature = (preset = None, *, allow = None, deny = None, **unknown),
        text_signature = "(preset=None, *, allow=(), deny=())"
    )]
    fn new(
        preset: Option<&Bound<'_, PyAny>>,
        allow: Option<&Bound<'_, PyAny>>,
        deny: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, Fault> {
        guard(|| {
            refuse_unknown(unknown, "preset, allow, deny")?;
            let mut egress = match preset {
                Some(preset) => webhook_mtls::Egress::preset(&text("preset", preset)?)?,
                None => webhook_mtls::Egress::default(),
            };
            if let Some(allow) = allow {
                egress = egress.allow(texts("allow", allow)?)?;
            }
            if let Some(deny) = deny {
                egress = egress.deny(texts("deny", deny)?)?;
            }
            Ok(Self(egress))
        })
    }
}
