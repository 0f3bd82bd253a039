//! `StandardWebhooks` and `JwtBearer`: what signs deliveries.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use webhook_mtls::bindings::SetByName as _;
use webhook_mtls::material::Signing;

use crate::arguments::{material, path, reject_unknown, texts, wrong_type};
use crate::boundary::guard;
use crate::error::BindingError;
use crate::options::{self, SetOption};
use crate::{json, recipe};

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

/// The private key that signs a token (JWT) for each attempt, and what the token says.
///
/// The token is bound to the certificate that the connection presents (`cnf` with `x5t#S256`,
/// RFC 8705). The request has it as `authorization: Bearer …`. The key determines the algorithm:
/// P-256 signs ES256, Ed25519 signs EdDSA, RSA of 2048 to 8192 bits signs RS256. Made by `from_pem`
/// or `from_file`.
#[pyclass(frozen, eq, weakref, module = "webhook_mtls")]
#[derive(PartialEq)]
pub struct JwtBearer(pub webhook_mtls::JwtBearer);

#[pymethods]
impl JwtBearer {
    /// Reads the private key.
    ///
    /// Args:
    ///     key: PEM or DER (PKCS#8, PKCS#1 or SEC1), not encrypted, bytes-like.
    // generated: begin arguments jwt_bearer
    ///     key_id: the key id (kid) of each token. By default the key's thumbprint.
    ///     issuer: the issuer (iss) of each token.
    ///     subject: the subject (sub) of each token.
    ///     audience: the audience (aud) of each token.
    ///     lifetime: the time from iat to exp, at least 1 s and at most 5 min. In seconds, or a
    ///         timedelta; by default 60.
    ///     claims: further claims of each token: a JSON object without the claims that the
    ///         library sets.
    ///     content_digest: whether the claim content_digest has the SHA-256 of the body.
    ///         Without it, the token does not cover the body. By default False.
    // generated: end
    ///
    /// Raises:
    ///     ConfigError: `pem_invalid`, also for a key of another type or size; `key_encrypted` or
    ///         `option_invalid`.
    #[classmethod]
    #[pyo3(
        signature = (key, **keywords),
        // generated: begin text_signature ($cls, key, *, {jwt_bearer})
        text_signature = "($cls, key, *, key_id=None, issuer=None, subject=None, audience=None, lifetime=None, claims=None, content_digest=None)"
        // generated: end
    )]
    fn from_pem(
        _cls: &Bound<'_, PyType>,
        key: &Bound<'_, PyAny>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            let made = webhook_mtls::JwtBearer::from_pem(&material("key", key)?)?;
            Ok(Self(options::apply(made, keywords)?))
        })
    }

    /// Reads the private key from a file, which a dispatcher that uses it watches.
    ///
    /// Args:
    ///     path: a regular file of at most 1 MiB, in a form of `from_pem`.
    // generated: begin arguments jwt_bearer
    ///     key_id: the key id (kid) of each token. By default the key's thumbprint.
    ///     issuer: the issuer (iss) of each token.
    ///     subject: the subject (sub) of each token.
    ///     audience: the audience (aud) of each token.
    ///     lifetime: the time from iat to exp, at least 1 s and at most 5 min. In seconds, or a
    ///         timedelta; by default 60.
    ///     claims: further claims of each token: a JSON object without the claims that the
    ///         library sets.
    ///     content_digest: whether the claim content_digest has the SHA-256 of the body.
    ///         Without it, the token does not cover the body. By default False.
    // generated: end
    ///
    /// Raises:
    ///     ConfigError: as for `from_pem`, and `pem_invalid` if the file cannot be read.
    #[classmethod]
    #[pyo3(
        signature = (path, **keywords),
        // generated: begin text_signature ($cls, path, *, {jwt_bearer})
        text_signature = "($cls, path, *, key_id=None, issuer=None, subject=None, audience=None, lifetime=None, claims=None, content_digest=None)"
        // generated: end
    )]
    fn from_file(
        class: &Bound<'_, PyType>,
        path: &Bound<'_, PyAny>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            let path = self::path("path", path)?;
            let made = class.py().detach(|| webhook_mtls::JwtBearer::from_file(path))?;
            Ok(Self(options::apply(made, keywords)?))
        })
    }

    /// The algorithm of the key: `ES256`, `EdDSA` or `RS256`.
    #[getter]
    fn algorithm(&self) -> &'static str {
        self.0.algorithm()
    }

    /// The public key for consumers, as a dict in the form of a JWK (RFC 7517).
    #[getter]
    fn public_jwk<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.0.public_jwk())
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }

    fn __hash__(&self) -> u64 {
        recipe::hash(&self.0.public_jwk())
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    fn __reduce__(_slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(recipe::not_pickled(
            "a JwtBearer is not pickled, because the pickle would contain its private key: make it \
             again in the other process",
        ))
    }
}

impl SetOption for webhook_mtls::JwtBearer {
    const NOUN: &'static str = "jwt_bearer";

    fn with_option(self, name: &str, value: &Bound<'_, PyAny>) -> Result<Self, BindingError> {
        Ok(self.set(name, options::setting(Self::NOUN, name, value)?)?)
    }
}

/// Reads the ways in which an endpoint signs: one, or a sequence with at most one of each type.
pub fn signing(name: &str, value: &Bound<'_, PyAny>) -> Result<Vec<Signing>, BindingError> {
    let expected = "StandardWebhooks, a JwtBearer, or one of each";
    if let Some(one) = one_signing(value) {
        return Ok(vec![one]);
    }
    let mut all: Vec<Signing> = Vec::new();
    for item in value.try_iter().map_err(|_| wrong_type(name, expected, value))? {
        let item = item?;
        let one = one_signing(&item).ok_or_else(|| wrong_type(name, expected, &item))?;
        let of_one_type =
            |other: &Signing| std::mem::discriminant(other) == std::mem::discriminant(&one);
        if all.iter().any(of_one_type) {
            return Err(webhook_mtls::Error::wrong_type(name, expected, "two of one type").into());
        }
        all.push(one);
    }
    if all.is_empty() {
        return Err(webhook_mtls::Error::wrong_type(name, expected, "an empty sequence").into());
    }
    Ok(all)
}

fn one_signing(value: &Bound<'_, PyAny>) -> Option<Signing> {
    if let Ok(signing) = value.cast::<StandardWebhooks>() {
        return Some(signing.get().0.clone().into());
    }
    value.cast::<JwtBearer>().ok().map(|signing| signing.get().0.clone().into())
}
