//! `Egress`: the addresses that a dispatcher may connect to.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use webhook_mtls::bindings::Rebuild as _;

use crate::arguments::{reject_unknown, text, texts};
use crate::boundary::guard;
use crate::error::BindingError;
use crate::recipe;

/// The addresses that a dispatcher may connect to.
///
/// Args:
///     preset: `public` (the default: only the Internet) or `private` (adds RFC 1918, ULA and
///         CGNAT).
///     allow: networks in addition to the preset, each a CIDR block or an address.
///     deny: networks that are always denied, even if `allow` contains them.
///     nat64: the prefixes of the NAT64 gateways of the local network, of 32, 40, 48, 56, 64 or 96
///         bits. An address below one is checked as the IPv4 address that it embeds (RFC 6052).
///
/// Raises:
///     ConfigError: `option_invalid`.
///
/// >>> Egress("private", allow=["127.0.0.1"]) == Egress("private")
/// False
#[pyclass(frozen, eq, hash, weakref, module = "webhook_mtls")]
#[derive(PartialEq, Hash)]
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
    ) -> Result<Self, BindingError> {
        guard(|| {
            reject_unknown(unknown, "preset, allow, deny, nat64")?;
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

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> recipe::Reduced<'py> {
        recipe::reduce(&slf.get_type(), slf.get().0.recipe(), "")
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        recipe::shown(slf.py(), "Egress", slf.get().0.recipe())
    }
}
