//! `TenantRule` and `Authorization`: who may pass, once it is proven who they are.

use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::arguments::{text, texts};
use crate::border::guard;
use crate::error::Fault;

/// How a verified certificate names its tenant, which is 1 to 64 of `A-Z a-z 0-9 . _ -`.
///
/// Made by one of its class methods.
#[pyclass(frozen, eq, module = "webhook_mtls")]
#[derive(PartialEq)]
pub struct TenantRule(pub webhook_mtls::TenantRule);

#[pymethods]
impl TenantRule {
    /// A SAN URI equal to the template, in which `{tenant}` stands for one whole path segment.
    ///
    /// Args:
    ///     template: compared byte by byte, with no percent-decoding.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` if the template has not exactly one such segment.
    ///
    /// >>> template = "spiffe://corp/tenant/{tenant}"
    /// >>> TenantRule.san_uri(template) == TenantRule.san_uri(template)
    /// True
    #[classmethod]
    fn san_uri(_cls: &Bound<'_, PyType>, template: &Bound<'_, PyAny>) -> Result<Self, Fault> {
        guard(|| Ok(Self(webhook_mtls::TenantRule::san_uri(&text("template", template)?)?)))
    }

    /// A SAN DNS name of one label before the suffix: `tenants.corp` takes `acme.tenants.corp`.
    ///
    /// Args:
    ///     suffix: a DNS name.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` if the suffix is no DNS name.
    #[classmethod]
    fn san_dns_suffix(_cls: &Bound<'_, PyType>, suffix: &Bound<'_, PyAny>) -> Result<Self, Fault> {
        guard(|| Ok(Self(webhook_mtls::TenantRule::san_dns_suffix(&text("suffix", suffix)?)?)))
    }

    /// The subject's one common name. Only for CAs that name tenants there and nowhere else.
    #[classmethod]
    fn subject_cn(_cls: &Bound<'_, PyType>) -> Self {
        Self(webhook_mtls::TenantRule::subject_cn())
    }
}

/// Which peers are allowed. There is no "anybody": made by one of its class methods.
#[pyclass(frozen, eq, module = "webhook_mtls")]
#[derive(PartialEq)]
pub struct Authorization(pub webhook_mtls::Authorization);

#[pymethods]
impl Authorization {
    /// Peers with one of these SAN URIs, compared byte by byte.
    ///
    /// Args:
    ///     uris: a sequence of at least one URI.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` if the sequence is empty or an entry is no URI.
    #[classmethod]
    fn san_uris(_cls: &Bound<'_, PyType>, uris: &Bound<'_, PyAny>) -> Result<Self, Fault> {
        guard(|| Ok(Self(webhook_mtls::Authorization::san_uris(texts("uris", uris)?)?)))
    }

    /// Peers with exactly one SPIFFE ID, which belongs to this trust domain.
    ///
    /// Args:
    ///     domain: a SPIFFE trust domain, such as `corp`.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` if the text is no trust domain.
    #[classmethod]
    fn trust_domain(_cls: &Bound<'_, PyType>, domain: &Bound<'_, PyAny>) -> Result<Self, Fault> {
        guard(|| Ok(Self(webhook_mtls::Authorization::trust_domain(&text("domain", domain)?)?)))
    }

    /// Every peer with a valid certificate of the trusted CA.
    ///
    /// Right only where that CA issues to nobody else.
    #[classmethod]
    fn ca_members(_cls: &Bound<'_, PyType>) -> Self {
        Self(webhook_mtls::Authorization::ca_members())
    }
}
