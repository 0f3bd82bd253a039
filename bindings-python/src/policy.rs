//! `TenantRule` and `Authorization`: the permission of a verified peer.

use pyo3::prelude::*;
use pyo3::types::PyType;
use webhook_mtls::bindings::{Argument, Rebuild as _, Recipe};

use crate::arguments::{text, texts};
use crate::boundary::guard;
use crate::error::BindingError;
use crate::recipe;

/// The part of a verified certificate that names its tenant, 1 to 64 of `A-Z a-z 0-9 . _ -`.
///
/// Made by its class methods.
#[pyclass(frozen, eq, hash, weakref, module = "webhook_mtls")]
#[derive(PartialEq, Hash)]
pub struct TenantRule(pub webhook_mtls::TenantRule);

#[pymethods]
impl TenantRule {
    /// Takes the tenant from a SAN URI that equals the template; `{tenant}` is one whole path
    /// segment.
    ///
    /// Args:
    ///     template: compared byte by byte, without percent-decoding.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` if the template does not have exactly one such segment.
    ///
    /// >>> template = "spiffe://corp/tenant/{tenant}"
    /// >>> TenantRule.san_uri(template) == TenantRule.san_uri(template)
    /// True
    #[classmethod]
    fn san_uri(
        _cls: &Bound<'_, PyType>,
        template: &Bound<'_, PyAny>,
    ) -> Result<Self, BindingError> {
        guard(|| Ok(Self(webhook_mtls::TenantRule::san_uri(&text("template", template)?)?)))
    }

    /// Takes the tenant from the one label before the suffix of a SAN DNS name: `tenants.corp`
    /// finds `acme` in `acme.tenants.corp`.
    ///
    /// Args:
    ///     suffix: a DNS name.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` if the suffix is not a DNS name.
    #[classmethod]
    fn san_dns_suffix(
        _cls: &Bound<'_, PyType>,
        suffix: &Bound<'_, PyAny>,
    ) -> Result<Self, BindingError> {
        guard(|| Ok(Self(webhook_mtls::TenantRule::san_dns_suffix(&text("suffix", suffix)?)?)))
    }

    /// Takes the tenant from the only common name of the subject. Use it only for a CA that names
    /// tenants only there.
    #[classmethod]
    fn subject_cn(_cls: &Bound<'_, PyType>) -> Self {
        Self(webhook_mtls::TenantRule::subject_cn())
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
        recipe::shown(slf.py(), "TenantRule", slf.get().0.recipe())
    }
}

/// The peers that are allowed. Made by its class methods; none of them allows every peer of every
/// CA.
#[pyclass(frozen, eq, hash, weakref, module = "webhook_mtls")]
#[derive(PartialEq, Hash)]
pub struct Authorization(pub webhook_mtls::Authorization);

#[pymethods]
impl Authorization {
    /// Allows peers that have one of these SAN URIs, compared byte by byte.
    ///
    /// Args:
    ///     uris: a sequence of at least one URI.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` if the sequence is empty or an entry is not a URI.
    #[classmethod]
    fn san_uris(_cls: &Bound<'_, PyType>, uris: &Bound<'_, PyAny>) -> Result<Self, BindingError> {
        guard(|| Ok(Self(webhook_mtls::Authorization::san_uris(texts("uris", uris)?)?)))
    }

    /// Allows peers that have exactly one SPIFFE ID, of this trust domain.
    ///
    /// Args:
    ///     domain: a SPIFFE trust domain, such as `corp`.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` if the text is not a trust domain.
    #[classmethod]
    fn trust_domain(
        _cls: &Bound<'_, PyType>,
        domain: &Bound<'_, PyAny>,
    ) -> Result<Self, BindingError> {
        guard(|| Ok(Self(webhook_mtls::Authorization::trust_domain(&text("domain", domain)?)?)))
    }

    /// Allows every peer that has a valid certificate of the trusted CA.
    ///
    /// Use it only if every holder of a certificate of that CA is authorized.
    #[classmethod]
    fn ca_members(_cls: &Bound<'_, PyType>) -> Self {
        Self(webhook_mtls::Authorization::ca_members())
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

    // Without the URIs: one could contain userinfo.
    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let recipe = slf.get().0.recipe();
        if let Some(Argument::Texts(uris)) = recipe.as_ref().and_then(first_argument) {
            return Ok(format!("Authorization.san_uris({} URIs)", uris.len()));
        }
        recipe::shown(slf.py(), "Authorization", recipe)
    }
}

fn first_argument(recipe: &Recipe) -> Option<&Argument> {
    recipe.arguments.first().map(|(_, argument)| argument)
}
