//! `WebhookVerifier`, `JwtKeys` and `VerifiedWebhook`: verification of received webhooks.

use std::time::SystemTime;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyMapping, PyType};
use serde_json::Value;
use webhook_mtls::Error;
use webhook_mtls::bindings::{Rebuild as _, SetByName as _};
use webhook_mtls::verify::PeerIdentity as Peer;
use webhook_mtls::webhook::WebhookVerifierOptions;

use crate::arguments::{self, header_pairs, instant, noun, path, reject_unknown, text, texts};
use crate::arguments::{material, wrong_type};
use crate::boundary::guard;
use crate::error::BindingError;
use crate::event::{Event, events, listener};
use crate::options::{self, SetOption};
use crate::peer::PeerIdentity;
use crate::{json, recipe};

/// The public keys of a sender, each with its key id. The type of a key fixes the algorithm: P-256
/// verifies ES256, Ed25519 verifies EdDSA, RSA of 2048 to 8192 bits verifies RS256. Never empty.
///
/// Args:
///     keys: PEM (`PUBLIC KEY` or `CERTIFICATE`), DER, a JWK or a JWK set (RFC 7517), bytes-like; at
///         most 16 keys. Keys of a set that verify none of the algorithms are ignored.
///     key_id: the key id of the only key, for one that has no key id or another. A key without a
///         key id gets its thumbprint (RFC 7638).
///
/// Raises:
///     ConfigError: `pem_invalid`, also if a private key is among them; `option_invalid`.
#[pyclass(frozen, eq, hash, weakref, module = "webhook_mtls")]
#[derive(PartialEq, Hash)]
pub struct JwtKeys(pub webhook_mtls::webhook::JwtKeys);

#[pymethods]
impl JwtKeys {
    #[new]
    #[pyo3(
        signature = (keys, *, key_id = None, **unknown),
        text_signature = "(keys, *, key_id=None)"
    )]
    fn new(
        keys: &Bound<'_, PyAny>,
        key_id: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            reject_unknown(unknown, "keys, key_id")?;
            let key_id = key_id.map(|value| text("key_id", value)).transpose()?;
            let keys = material("keys", keys)?;
            Ok(Self(webhook_mtls::webhook::JwtKeys::new(&keys, key_id.as_deref())?))
        })
    }

    /// Reads keys from a file, which a verifier that uses them watches.
    ///
    /// Args:
    ///     path: a regular file of at most 1 MiB.
    ///     key_id: as for the constructor.
    ///
    /// Raises:
    ///     ConfigError: as for the constructor, and `pem_invalid` if the file cannot be read.
    #[classmethod]
    #[pyo3(
        signature = (path, *, key_id = None, **unknown),
        text_signature = "($cls, path, *, key_id=None)"
    )]
    fn from_file(
        class: &Bound<'_, PyType>,
        path: &Bound<'_, PyAny>,
        key_id: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            reject_unknown(unknown, "path, key_id")?;
            let key_id = key_id.map(|value| text("key_id", value)).transpose()?;
            let path = self::path("path", path)?;
            let read = || webhook_mtls::webhook::JwtKeys::from_file(path, key_id.as_deref());
            Ok(Self(class.py().detach(read)?))
        })
    }

    /// The key ids, in the order of the input.
    #[getter]
    fn key_ids(&self) -> Vec<String> {
        self.0.key_ids()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
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

/// Verifies received webhooks: that the peer's certificate, the signature and the token speak of one
/// tenant.
///
/// It is safe to share between threads.
///
/// Args:
///     seen: a store for ids: a function that is called with the tenant, the id and the time (an
///         aware datetime) until which to keep them. It records both and returns whether they were
///         there, in one step. It is asked last, and a webhook without an id is not asked about.
// generated: begin arguments webhook_verifier
///     secrets: the secrets of Standard Webhooks, whsec_ or whpk_: those of each tenant by its
///         name, or those of all. They or keys are required.
///     keys: the public keys of tokens: those of each tenant by its name, or those of all.
///     audience: the audience (aud) that a token must have. Without it, a token with an
///         audience is refused.
///     issuer: the issuer (iss) that a token must have.
///     tenant_claim: the claim of a token that must have the tenant of the peer's certificate.
///     require_signature: whether a webhook of a tenant with secrets must have a signature. A
///         signature or a token is always required. Each is checked that the tenant has secrets or
///         keys for, and must be valid. By default True.
///     require_token: whether a webhook of a tenant with keys must have a token. By default
///         True.
///     content_digest: whether a token must have a digest of the body. A digest that is there
///         is always checked. By default False.
///     timestamp_tolerance: the most time between the timestamp of a signature and now. In
///         seconds, or a timedelta; by default 300.
///     token_tolerance: the most time by which the clocks of sender and receiver differ, for
///         the dates of a token. In seconds, or a timedelta; by default 30.
///     reload: the interval at which the files of keys are checked for changes. 0 checks only
///         in reload(). In seconds, or a timedelta; by default 10.
// generated: end
///
/// Raises:
///     ConfigError: `option_invalid`.
#[pyclass(frozen, weakref, module = "webhook_mtls")]
pub struct WebhookVerifier {
    verifier: webhook_mtls::webhook::WebhookVerifier,
    seen: Option<Py<PyAny>>,
}

#[pymethods]
impl WebhookVerifier {
    #[new]
    #[pyo3(
        signature = (*, seen = None, **keywords),
        // generated: begin text_signature (*, seen=None, {webhook_verifier})
        text_signature = "(*, seen=None, secrets=None, keys=None, audience=None, issuer=None, tenant_claim=None, require_signature=None, require_token=None, content_digest=None, timestamp_tolerance=None, token_tolerance=None, reload=None)"
        // generated: end
    )]
    fn new(
        seen: Option<&Bound<'_, PyAny>>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            if let Some(seen) = seen.filter(|seen| !seen.is_callable()) {
                return Err(wrong_type("seen", "a function", seen));
            }
            let chosen = options::apply(WebhookVerifierOptions::new(), keywords)?;
            let verifier = webhook_mtls::webhook::WebhookVerifier::new(chosen)?;
            Ok(Self { verifier, seen: seen.map(|seen| seen.clone().unbind()) })
        })
    }

    /// Verifies a webhook, then asks the store for ids.
    ///
    /// Args:
    ///     peer: the verified `PeerIdentity` of the sender.
    ///     headers: all headers as they arrived: a sequence of pairs of str or bytes, or a mapping.
    ///     body: the body as it arrived, bytes-like.
    ///     at: the time of the verification, an aware datetime; now by default.
    ///
    /// Returns:
    ///     The webhook. If its `duplicate` is true, answer 2xx and do not process it again.
    ///
    /// Raises:
    ///     PeerRefused: `signature_invalid`, `token_invalid` or `tenant_refused`.
    ///     ConfigError: `option_invalid` or `body_too_large`.
    #[pyo3(
        signature = (peer, headers, body, *, at = None, **unknown),
        text_signature = "($self, peer, headers, body, *, at=None)"
    )]
    fn verify_webhook(
        slf: &Bound<'_, Self>,
        peer: &Bound<'_, PyAny>,
        headers: &Bound<'_, PyAny>,
        body: &Bound<'_, PyAny>,
        at: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<VerifiedWebhook, BindingError> {
        guard(|| {
            reject_unknown(unknown, "peer, headers, body, at")?;
            let webhook = slf.get().check(peer, headers, body, at)?;
            match slf.get().ask(slf.py(), &webhook)? {
                None => Ok(webhook),
                Some(answer) => webhook.marked(&answer),
            }
        })
    }

    /// Verifies a webhook as `verify_webhook` does. The store may be asynchronous: its answer is
    /// awaited if it is awaitable.
    ///
    /// Args:
    ///     peer, headers, body, at: as for `verify_webhook`.
    ///
    /// Raises:
    ///     PeerRefused: as for `verify_webhook`.
    ///     ConfigError: as for `verify_webhook`.
    #[pyo3(
        signature = (peer, headers, body, *, at = None, **unknown),
        text_signature = "($self, peer, headers, body, *, at=None)"
    )]
    fn verify_webhook_async<'py>(
        slf: &Bound<'py, Self>,
        peer: &Bound<'py, PyAny>,
        headers: &Bound<'py, PyAny>,
        body: &Bound<'py, PyAny>,
        at: Option<&Bound<'py, PyAny>>,
        unknown: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let function = py.import("webhook_mtls._webhooks")?.getattr("verify")?;
        let unknown = unknown.cloned().unwrap_or_else(|| PyDict::new(py));
        function.call1((slf, peer, headers, body, at, unknown))
    }

    /// Verifies a webhook without the store, and returns it with the store's answer.
    fn _check<'py>(
        slf: &Bound<'py, Self>,
        peer: &Bound<'py, PyAny>,
        headers: &Bound<'py, PyAny>,
        body: &Bound<'py, PyAny>,
        at: Option<&Bound<'py, PyAny>>,
        unknown: &Bound<'py, PyDict>,
    ) -> Result<(VerifiedWebhook, Option<Bound<'py, PyAny>>), BindingError> {
        guard(|| {
            reject_unknown(Some(unknown), "peer, headers, body, at")?;
            let webhook = slf.get().check(peer, headers, body, at)?;
            let answer = slf.get().ask(slf.py(), &webhook)?;
            Ok((webhook, answer))
        })
    }

    /// Checks the watched files of keys now, and uses their new content.
    ///
    /// Returns:
    ///     The events. An unusable file is `rotation_failed`, and its previous content remains in
    ///     use.
    fn reload(&self, py: Python<'_>) -> Result<Vec<Event>, BindingError> {
        guard(|| Ok(events(py.detach(|| self.verifier.reload()))))
    }

    /// Registers a callback for all later events, as `Dispatcher.on_event` does.
    ///
    /// Args:
    ///     callback: a callable that takes an `Event`.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    fn on_event(&self, callback: &Bound<'_, PyAny>) -> Result<(), BindingError> {
        guard(|| {
            self.verifier.on_event(listener(callback)?);
            Ok(())
        })
    }

    #[allow(clippy::unused_self, reason = "Python calls it on an object")]
    fn __repr__(&self) -> &'static str {
        "<WebhookVerifier>"
    }

    fn __reduce__(_slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(recipe::not_pickled(
            "a WebhookVerifier has secrets and watches files: make it in the process that uses it",
        ))
    }
}

impl WebhookVerifier {
    fn check(
        &self,
        peer: &Bound<'_, PyAny>,
        headers: &Bound<'_, PyAny>,
        body: &Bound<'_, PyAny>,
        at: Option<&Bound<'_, PyAny>>,
    ) -> Result<VerifiedWebhook, BindingError> {
        let py = peer.py();
        let peer: &PeerIdentity = noun("peer", "a PeerIdentity", peer)?;
        let tenant = peer.0.get(Peer::tenant, |fields| fields["tenant"].as_str());
        let certificate =
            peer.0.get(Peer::x5t_s256, |fields| json::text(&fields["x5t_s256"]).to_owned());
        let headers = header_pairs("headers", headers)?;
        let body = arguments::body(body)?;
        let at = at.map_or_else(|| Ok(SystemTime::now()), |value| instant("at", value))?;
        let verify = || self.verifier.verify_webhook_of(tenant, &certificate, headers, &body, at);
        Ok(VerifiedWebhook(py.detach(verify)?.to_json()))
    }

    /// Asks the store, if there is one and the webhook has an id.
    fn ask<'py>(
        &self,
        py: Python<'py>,
        webhook: &VerifiedWebhook,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (Some(seen), Some(id)) = (&self.seen, webhook.id()) else { return Ok(None) };
        let keep_until = json::instant(&webhook.0["keep_until_ms"]);
        let keep_until = arguments::datetime(py, keep_until)?;
        seen.bind(py).call1((webhook.tenant(), id, keep_until)).map(Some)
    }
}

impl SetOption for WebhookVerifierOptions {
    const NOUN: &'static str = "webhook_verifier";

    fn with_option(self, name: &str, value: &Bound<'_, PyAny>) -> Result<Self, BindingError> {
        match name {
            "secrets" => match by_tenant(name, value)? {
                None => Ok(self.secrets(texts(name, value)?)?),
                Some(tenants) => tenants.into_iter().try_fold(self, |options, (tenant, value)| {
                    Ok(options.secrets_of(tenant, texts(name, &value)?)?)
                }),
            },
            "keys" => match by_tenant(name, value)? {
                None => Ok(self.keys(keys(name, value)?)),
                Some(tenants) => tenants.into_iter().try_fold(self, |options, (tenant, value)| {
                    Ok(options.keys_of(tenant, keys(name, &value)?)?)
                }),
            },
            _ => Ok(self.set(name, options::setting(Self::NOUN, name, value)?)?),
        }
    }
}

fn keys(
    name: &str,
    value: &Bound<'_, PyAny>,
) -> Result<webhook_mtls::webhook::JwtKeys, BindingError> {
    let keys: &JwtKeys = noun(name, "JwtKeys, or a dict of them by tenant", value)?;
    Ok(keys.0.clone())
}

/// Values by tenant.
type ByTenant<'py> = Vec<(String, Bound<'py, PyAny>)>;

/// Reads a mapping by tenant; `None` if the value is no mapping.
fn by_tenant<'py>(
    name: &str,
    value: &Bound<'py, PyAny>,
) -> Result<Option<ByTenant<'py>>, BindingError> {
    let Ok(mapping) = value.cast::<PyMapping>() else { return Ok(None) };
    let mut tenants = Vec::new();
    for item in mapping.call_method0("items")?.try_iter()? {
        let (tenant, value): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item?.extract()?;
        tenants.push((text(name, &tenant)?, value));
    }
    if tenants.is_empty() {
        return Err(Error::wrong_type(name, "at least one tenant", "an empty mapping").into());
    }
    Ok(Some(tenants))
}

/// A verified webhook. Only a verification makes it. It can be copied and pickled.
#[pyclass(frozen, eq, weakref, module = "webhook_mtls")]
#[derive(PartialEq)]
pub struct VerifiedWebhook(Value);

impl VerifiedWebhook {
    /// Returns the webhook with the answer of the store.
    fn marked(&self, answer: &Bound<'_, PyAny>) -> Result<Self, BindingError> {
        let expected = "a function that returns a bool";
        let answer = answer.cast::<PyBool>().map_err(|_| wrong_type("seen", expected, answer))?;
        let mut fields = self.0.clone();
        fields["duplicate"] = answer.is_true().into();
        Ok(Self(fields))
    }
}

#[pymethods]
impl VerifiedWebhook {
    /// The tenant of the peer, the signature and the token.
    #[getter]
    fn tenant(&self) -> &str {
        json::text(&self.0["tenant"])
    }

    /// The `webhook-id`; else the `jti` of the token; else None.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.0["id"].as_str()
    }

    /// The time of the attempt, an aware datetime: the signed timestamp, or the `iat` of the token.
    #[getter]
    fn timestamp<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let millis = &self.0["timestamp_ms"];
        (!millis.is_null()).then(|| arguments::datetime(py, json::instant(millis))).transpose()
    }

    /// The scheme of the signature: `v1` or `v1a`; None if only a token was checked.
    #[getter]
    fn scheme(&self) -> Option<&str> {
        self.0["scheme"].as_str()
    }

    /// The number of the tenant's secret that made the signature; the first is 1.
    #[getter]
    fn secret(&self) -> Option<u64> {
        self.0["secret"].as_u64()
    }

    /// The algorithm of the token: `ES256`, `EdDSA` or `RS256`; None if only a signature was checked.
    #[getter]
    fn algorithm(&self) -> Option<&str> {
        self.0["algorithm"].as_str()
    }

    /// The key id of the key that signed the token.
    #[getter]
    fn key_id(&self) -> Option<&str> {
        self.0["key_id"].as_str()
    }

    /// The claims of the token; empty if only a signature was checked.
    #[getter]
    fn claims<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.0["claims"])
    }

    /// Whether the store had seen the id. Answer a duplicate with 2xx.
    #[getter]
    fn duplicate(&self) -> bool {
        self.0["duplicate"].as_bool().unwrap_or_default()
    }

    /// Returns the webhook as a dict that can be serialized as JSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.0)
    }

    fn _marked(&self, answer: &Bound<'_, PyAny>) -> Result<Self, BindingError> {
        guard(|| self.marked(answer))
    }

    fn __hash__(&self) -> u64 {
        recipe::hash(&self.0)
    }

    fn __repr__(&self) -> String {
        let quoted = |text: Option<&str>| text.map_or("None".to_owned(), |it| format!("'{it}'"));
        let duplicate = if self.duplicate() { "True" } else { "False" };
        format!(
            "VerifiedWebhook(tenant={}, id={}, duplicate={duplicate})",
            quoted(Some(self.tenant())),
            quoted(self.id()),
        )
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    /// Rebuilds a pickled webhook from `to_dict`.
    #[classmethod]
    fn _rebuilt(_cls: &Bound<'_, PyType>, fields: &Bound<'_, PyAny>) -> PyResult<Self> {
        match recipe::Made::<()>::rebuilt(fields)? {
            recipe::Made::Rebuilt(fields) => Ok(Self(fields)),
            recipe::Made::Live(()) => Ok(Self(Value::Null)),
        }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> recipe::Reduced<'py> {
        recipe::reduce_fields(&slf.get_type(), &slf.get().0)
    }
}
