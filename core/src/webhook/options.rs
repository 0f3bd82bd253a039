//! The options of a verifier of webhooks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::secrets::Secrets;
use crate::error::{Error, certain_secret};
use crate::material::JwtKeys;
use crate::options::{self, SetByName, Setting, Unchecked};

/// The conditions that a [`WebhookVerifier`](super::WebhookVerifier) checks.
///
/// ```
/// use webhook_mtls::webhook::{WebhookVerifier, WebhookVerifierOptions};
///
/// let options = WebhookVerifierOptions::new()
///     .secrets(["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"])?
///     .secrets_of("globex", ["whsec_Z2xvYmV4Z2xvYmV4Z2xvYmV4Z2xvYmV4"])?;
/// let verifier = WebhookVerifier::new(options)?;
/// # Ok::<(), webhook_mtls::Error>(())
/// ```
#[derive(Clone)]
pub struct WebhookVerifierOptions {
    pub(super) secrets: ByTenant<Secrets>,
    pub(super) keys: ByTenant<JwtKeys>,
    pub(super) token: TokenRules,
    pub(super) require_signature: bool,
    pub(super) require_token: bool,
    pub(super) timestamp_tolerance: Duration,
    pub(super) reload: Option<Duration>,
}

/// What a token must say.
#[derive(Clone)]
pub(super) struct TokenRules {
    pub(super) audience: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) tenant_claim: Option<String>,
    pub(super) content_digest: bool,
    /// In seconds.
    pub(super) tolerance: i64,
}

/// Values of single tenants, and one for all others.
#[derive(Clone)]
pub(super) struct ByTenant<T> {
    others: Option<T>,
    tenants: BTreeMap<String, T>,
}

impl<T> ByTenant<T> {
    fn new() -> Self {
        Self { others: None, tenants: BTreeMap::new() }
    }

    /// Returns the value of a tenant: its own, or that of all others.
    pub(super) fn of(&self, tenant: &str) -> Option<&T> {
        self.tenants.get(tenant).or(self.others.as_ref())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.others.is_none() && self.tenants.is_empty()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.others.iter().chain(self.tenants.values())
    }

    pub(super) fn map(&self, mut change: impl FnMut(&T) -> T) -> Self {
        let tenants = self.tenants.iter().map(|(tenant, value)| (tenant.clone(), change(value)));
        let tenants = tenants.collect();
        Self { others: self.others.as_ref().map(change), tenants }
    }
}

impl Default for WebhookVerifierOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl WebhookVerifierOptions {
    /// Makes options without secrets and keys, which
    /// [`WebhookVerifier::new`](super::WebhookVerifier::new) refuses.
    pub fn new() -> Self {
        Self {
            secrets: ByTenant::new(),
            keys: ByTenant::new(),
            token: TokenRules {
                audience: None,
                issuer: None,
                tenant_claim: None,
                content_digest: false,
                tolerance: 30,
            },
            require_signature: true,
            require_token: true,
            timestamp_tolerance: Duration::from_secs(300),
            reload: Some(Duration::from_secs(10)),
        }
    }

    /// Sets the secrets of Standard Webhooks for every tenant without secrets of its own. They prove
    /// no tenant: the peer's certificate alone does.
    ///
    /// * `secrets`: 1 to 8, each `whsec_` and the base64 of 24 to 64 bytes, or `whpk_` and the base64 of an
    ///   Ed25519 public key.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`. The message has the position of the secret and never its value.
    pub fn secrets<S: AsRef<str>>(
        mut self,
        secrets: impl IntoIterator<Item = S>,
    ) -> Result<Self, Error> {
        self.secrets.others = Some(Secrets::read(secrets)?);
        Ok(self)
    }

    /// Sets the secrets of Standard Webhooks of one tenant.
    ///
    /// # Errors
    ///
    /// Fails as [`secrets`](Self::secrets) does, or if the tenant is no text of 1 to 256 bytes.
    pub fn secrets_of<S: AsRef<str>>(
        mut self,
        tenant: impl Into<String>,
        secrets: impl IntoIterator<Item = S>,
    ) -> Result<Self, Error> {
        let tenant = checked("secrets", tenant.into())?;
        self.secrets.tenants.insert(tenant, Secrets::read(secrets)?);
        Ok(self)
    }

    /// Sets the keys of tokens for every tenant without keys of its own. Set a
    /// [`tenant_claim`](Self::tenant_claim) as well, if the tokens name their tenant.
    pub fn keys(mut self, keys: JwtKeys) -> Self {
        self.keys.others = Some(keys);
        self
    }

    /// Sets the keys of tokens of one tenant.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the tenant is no text of 1 to 256 bytes.
    pub fn keys_of(mut self, tenant: impl Into<String>, keys: JwtKeys) -> Result<Self, Error> {
        self.keys.tenants.insert(checked("keys", tenant.into())?, keys);
        Ok(self)
    }

    /// Sets the audience (`aud`) that a token must have, by default none. Without it, a token with an
    /// audience is refused.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the text has 1 to 256 bytes without control characters.
    pub fn audience(mut self, audience: impl Into<String>) -> Result<Self, Error> {
        self.token.audience = Some(checked("audience", audience.into())?);
        Ok(self)
    }

    /// Sets the issuer (`iss`) that a token must have, by default any.
    ///
    /// # Errors
    ///
    /// Fails as [`audience`](Self::audience) does.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Result<Self, Error> {
        self.token.issuer = Some(checked("issuer", issuer.into())?);
        Ok(self)
    }

    /// Sets the claim that must have the tenant of the peer's certificate, by default none.
    ///
    /// # Errors
    ///
    /// Fails as [`audience`](Self::audience) does.
    pub fn tenant_claim(mut self, claim: impl Into<String>) -> Result<Self, Error> {
        self.token.tenant_claim = Some(checked("tenant_claim", claim.into())?);
        Ok(self)
    }

    /// Sets whether a webhook of a tenant with secrets must have a signature, by default `true`. A webhook
    /// must always have a signature or a token, and each that it has must be valid.
    pub fn require_signature(mut self, require: bool) -> Self {
        self.require_signature = require;
        self
    }

    /// Sets whether a webhook of a tenant with keys must have a token, by default `true`.
    pub fn require_token(mut self, require: bool) -> Self {
        self.require_token = require;
        self
    }

    /// Sets whether a token must have a digest of the body, by default `false`. A digest that a token has is
    /// always checked.
    pub fn content_digest(mut self, require: bool) -> Self {
        self.token.content_digest = require;
        self
    }

    /// Sets the most time between the timestamp of a signature and now, by default 5 min.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn timestamp_tolerance(mut self, tolerance: Duration) -> Result<Self, Error> {
        self.timestamp_tolerance = options::duration("timestamp_tolerance", tolerance)?;
        Ok(self)
    }

    /// Sets the most time by which the clocks of sender and receiver differ, for the dates of a token; by
    /// default 30 s. Parts of a second are dropped.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn token_tolerance(mut self, tolerance: Duration) -> Result<Self, Error> {
        let tolerance = options::duration("token_tolerance", tolerance)?;
        self.token.tolerance = i64::try_from(tolerance.as_secs()).unwrap_or(0);
        Ok(self)
    }

    /// Sets the interval at which the files of keys are checked for changes, by default 10 s. With
    /// `None`, only [`WebhookVerifier::reload`](super::WebhookVerifier::reload) checks them.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn reload(mut self, interval: Option<Duration>) -> Result<Self, Error> {
        self.reload = interval.map(|interval| options::duration("reload", interval)).transpose()?;
        Ok(self)
    }
}

impl SetByName for WebhookVerifierOptions {
    fn set(self, name: &str, value: Setting) -> Result<Self, Error> {
        let value = Unchecked { of: "webhook_verifier", name, value };
        match name {
            "audience" => self.audience(value.text()?),
            "issuer" => self.issuer(value.text()?),
            "tenant_claim" => self.tenant_claim(value.text()?),
            "require_signature" => Ok(self.require_signature(value.flag()?)),
            "require_token" => Ok(self.require_token(value.flag()?)),
            "content_digest" => Ok(self.content_digest(value.flag()?)),
            "timestamp_tolerance" => self.timestamp_tolerance(value.duration()?),
            "token_tolerance" => self.token_tolerance(value.duration()?),
            "reload" => self.reload(value.interval()?),
            _ => Err(options::mistyped("webhook_verifier", name)),
        }
    }
}

/// Errors show these texts, so a secret is refused.
fn checked(name: &str, text: String) -> Result<String, Error> {
    let is_text = (1..=256).contains(&text.len()) && !text.chars().any(char::is_control);
    if is_text && certain_secret(&text).is_none() {
        return Ok(text);
    }
    Err(options::fault(name, "must have texts of 1 to 256 bytes without control characters"))
}

impl std::fmt::Debug for WebhookVerifierOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookVerifierOptions")
            .field("secrets", &!self.secrets.is_empty())
            .field("keys", &self.keys.values().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl options::current::Current for WebhookVerifierOptions {
    fn current(&self, name: &str) -> String {
        use crate::options::current::{millis, or_unset};
        match name {
            "secrets" => or_unset((!self.secrets.is_empty()).then_some(&()), "none"),
            "keys" => or_unset((!self.keys.is_empty()).then_some(&()), "none"),
            "audience" => or_unset(self.token.audience.as_ref(), "none"),
            "issuer" => or_unset(self.token.issuer.as_ref(), "none"),
            "tenant_claim" => or_unset(self.token.tenant_claim.as_ref(), "none"),
            "require_signature" => self.require_signature.to_string(),
            "require_token" => self.require_token.to_string(),
            "content_digest" => self.token.content_digest.to_string(),
            "timestamp_tolerance" => millis(self.timestamp_tolerance),
            "token_tolerance" => (self.token.tolerance * 1000).to_string(),
            "reload" => self.reload.map_or("0".to_owned(), millis),
            other => panic!("a verifier of webhooks has no option {other}"),
        }
    }
}
