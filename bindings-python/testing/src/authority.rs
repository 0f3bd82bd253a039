//! `Authority` and `Issued`: a CA of the lab and its certificates.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use webhook_mtls::Error;
use webhook_mtls::testing::{self, KeyType, Leaf};

use webhook_mtls_python::arguments::{instant, noun, text};
use webhook_mtls_python::boundary::guard;
use webhook_mtls_python::error::BindingError;

/// A temporary private CA: a root, and an intermediate that issues certificates.
///
/// Args:
///     name: part of the subjects of its certificates; use a different name for each CA.
///     key_type: the type of its keys and of those of its certificates: `p256`, `ml_dsa_44`,
///         `ml_dsa_65` or `ml_dsa_87`.
#[pyclass(frozen, weakref, module = "webhook_mtls.testing")]
pub struct Authority(pub(super) testing::Authority);

#[pymethods]
impl Authority {
    #[new]
    #[pyo3(signature = (name, *, key_type = None), text_signature = "(name, *, key_type='p256')")]
    fn new(
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        key_type: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            let name = text("name", name)?;
            let key_type = match key_type.map(|value| text("key_type", value)).transpose()? {
                None => KeyType::default(),
                Some(word) => KeyType::from_name(&word).ok_or_else(|| {
                    Error::wrong_type("key_type", "a type of key", "another text")
                })?,
            };
            Ok(Self(py.detach(|| testing::Authority::with_key_type(&name, key_type))?))
        })
    }

    /// The root certificate as PEM. A peer must trust it.
    #[getter]
    fn root_pem<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.root_pem().as_bytes())
    }

    /// The intermediate certificate as PEM.
    #[getter]
    fn intermediate_pem<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.intermediate_pem().as_bytes())
    }

    /// Issues a certificate with a new key.
    ///
    /// Args:
    ///     tenant: the tenant in its SAN URI.
    ///     role: `client`, or `server` for a certificate that a consumer presents.
    ///     not_before: the first instant of validity, an aware datetime; by default five minutes
    ///         ago.
    ///     not_after: the last instant of validity; by default one day after the first.
    #[pyo3(
        signature = (tenant, *, role = None, not_before = None, not_after = None),
        text_signature = "($self, tenant, *, role='client', not_before=None, not_after=None)"
    )]
    fn issue(
        &self,
        tenant: &Bound<'_, PyAny>,
        role: Option<&Bound<'_, PyAny>>,
        not_before: Option<&Bound<'_, PyAny>>,
        not_after: Option<&Bound<'_, PyAny>>,
    ) -> Result<Issued, BindingError> {
        guard(|| {
            let tenant = text("tenant", tenant)?;
            let from = not_before.map(|value| instant("not_before", value)).transpose()?;
            let until = not_after.map(|value| instant("not_after", value)).transpose()?;
            let leaf = match role.map(|role| text("role", role)).transpose()?.as_deref() {
                None | Some("client") => Leaf::client(&tenant),
                Some("server") => Leaf::server(&tenant),
                Some(_) => {
                    return Err(
                        Error::wrong_type("role", "client or server", "another text").into()
                    );
                }
            };
            Ok(Issued(self.0.issue(leaf.between(from, until))?))
        })
    }

    /// Makes a CRL of the intermediate as PEM, valid for one day. A later CRL replaces it.
    ///
    /// Args:
    ///     revoked: the revoked certificates.
    #[pyo3(signature = (revoked = None), text_signature = "($self, revoked=())")]
    fn crl<'py>(
        &self,
        py: Python<'py>,
        revoked: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyBytes>, BindingError> {
        guard(|| {
            let mut issued = Vec::new();
            for item in revoked.map(PyAnyMethods::try_iter).transpose()?.into_iter().flatten() {
                let item = item?;
                let one: &Issued = noun("revoked", "an iterable of Issued", &item)?;
                issued.push(one.0.clone());
            }
            let crl = self.0.crl(&issued.iter().collect::<Vec<_>>())?;
            Ok(PyBytes::new(py, crl.as_bytes()))
        })
    }

    fn __repr__(&self) -> String {
        format!("Authority('{}')", self.0.name())
    }
}

/// A certificate with its chain and private key.
#[pyclass(frozen, weakref, module = "webhook_mtls.testing")]
pub struct Issued(pub(super) testing::Issued);

#[pymethods]
impl Issued {
    /// The chain as PEM, leaf first.
    #[getter]
    fn cert_pem<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.chain_pem.as_bytes())
    }

    /// The private key as PEM, unencrypted PKCS#8.
    #[getter]
    fn key_pem<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.key_pem.as_bytes())
    }

    /// The pin of the certificate's key.
    #[getter]
    fn pin(&self) -> &str {
        &self.0.pin
    }

    /// Returns the header lines that a proxy forwards after this client's handshake, to test a
    /// receiver without a proxy.
    ///
    /// Args:
    ///     dialect: how the proxy writes them.
    ///     forgery: forges them, so that a receiver must answer 401, also if they come from the hop.
    ///         `repeated`, `capitals`, `underscore`: a client's own line stands before that of the
    ///         proxy; `underscore_alone`: the only line has `_` for `-`; `not_verified`: the verdict
    ///         is negative; `absent`, `malformed`, `too_large`.
    ///
    /// Returns:
    ///     Pairs of name and value.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` if a word is unknown, or the dialect has no verdict.
    #[pyo3(
        signature = (dialect, *, forgery = None),
        text_signature = "($self, dialect, *, forgery=None)"
    )]
    fn forwarded(
        &self,
        dialect: &Bound<'_, PyAny>,
        forgery: Option<&Bound<'_, PyAny>>,
    ) -> Result<Vec<(String, String)>, BindingError> {
        guard(|| {
            let dialect = text("dialect", dialect)?;
            let forgery = forgery.filter(|value| !value.is_none());
            let forgery = forgery.map(|value| text("forgery", value)).transpose()?;
            Ok(self.0.forwarded_by_name(&dialect, forgery.as_deref())?)
        })
    }

    fn __repr__(&self) -> String {
        format!("Issued('{}')", self.0.pin)
    }
}
