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
///     nat64: the prefixes of this network's own NAT64 gateways, of 32, 40, 48, 56, 64 or 96 bits; an
///         address in one is judged by the IPv4 address that it holds (RFC 6052).
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
        signature = (preset = None, *, allow = None, deny = None, nat64 = None, **unknown),
        text_signature = "(preset=None, *, allow=(), deny=(), nat64=())"
    )]
    fn new(
        preset: Option<&Bound<'_, PyAny>>,
        allow: Option<&Bound<'_, PyAny>>,
        deny: Option<&Bound<'_, PyAny>>,
        nat64: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, Fault> {
        guard(|| {
            refuse_unknown(unknown, "preset, allow, deny, nat64")?;
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
            if let Some(nat64) = nat64 {
                egress = egress.nat64(texts("nat64", nat64)?)?;
            }
            Ok(Self(egress))
        })
    }
}
