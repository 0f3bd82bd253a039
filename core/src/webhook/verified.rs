//! The result of a verification: one webhook of one tenant.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::secrets::Signed;
use super::token::Token;
use crate::clock::{system_time, unix_seconds};

/// The time for which a store must keep an id: longer than a sender with the default retry policy
/// repeats a webhook.
const KEEP: Duration = Duration::from_secs(72 * 3600);

/// A verified webhook. Only verification makes this value.
#[derive(Clone, Debug)]
pub struct VerifiedWebhook {
    tenant: String,
    id: Option<String>,
    timestamp: Option<i64>,
    signature: Option<(&'static str, usize)>,
    token: Option<(&'static str, String)>,
    claims: Map<String, Value>,
    keep_until: i64,
    duplicate: bool,
}

/// What a store for ids is asked. Ids of two tenants may be equal, so the tenant is a part of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayKey<'a> {
    /// The tenant that sent the webhook.
    pub tenant: &'a str,
    /// The id of the webhook.
    pub id: &'a str,
    /// The instant until which the store must keep the id.
    pub keep_until: SystemTime,
}

impl VerifiedWebhook {
    pub(super) fn new(
        tenant: &str,
        header_id: Option<&str>,
        signed: Option<Signed>,
        token: Option<Token>,
        at: i64,
    ) -> Self {
        let claim = |name: &str| token.as_ref().and_then(|token| token.claims.get(name));
        let signed_at = signed.as_ref().map(|signed| signed.timestamp);
        #[allow(clippy::cast_possible_truncation, reason = "the dates were checked against now")]
        let issued_at = claim("iat").and_then(Value::as_f64).map(|seconds| seconds as i64);
        let jti = || claim("jti").and_then(Value::as_str).map(str::to_owned);
        let id = header_id.map(str::to_owned).or_else(jti);
        let keep_until = at.saturating_add(i64::try_from(KEEP.as_secs()).unwrap_or(0));
        let (mut claims, mut key) = (Map::new(), None);
        if let Some(token) = token {
            key = Some((token.algorithm, token.key_id));
            claims = token.claims;
        }
        Self {
            tenant: tenant.to_owned(),
            id,
            timestamp: signed_at.or(issued_at),
            signature: signed.map(|signed| (signed.scheme, signed.secret)),
            token: key,
            claims,
            keep_until,
            duplicate: false,
        }
    }

    /// The tenant of the peer, the signature and the token.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The `webhook-id`; else the `jti` of the token. It is covered by the signature, or by the token if
    /// the sender put it there.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The instant of the attempt: the signed timestamp, or the `iat` of the token.
    pub fn timestamp(&self) -> Option<SystemTime> {
        self.timestamp.map(system_time)
    }

    /// The scheme of the signature that was valid: `v1` or `v1a`. `None` if only a token was checked.
    pub fn scheme(&self) -> Option<&'static str> {
        self.signature.map(|(scheme, _)| scheme)
    }

    /// The number of the tenant's secret that made the signature; the first is 1.
    pub fn secret(&self) -> Option<usize> {
        self.signature.map(|(_, secret)| secret)
    }

    /// The algorithm of the token: `ES256`, `EdDSA` or `RS256`. `None` if only a signature was checked.
    pub fn algorithm(&self) -> Option<&'static str> {
        self.token.as_ref().map(|(algorithm, _)| *algorithm)
    }

    /// The key id of the key that signed the token.
    pub fn key_id(&self) -> Option<&str> {
        self.token.as_ref().map(|(_, key_id)| key_id.as_str())
    }

    /// The claims of the token; empty if only a signature was checked.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Whether the store had seen the id. Answer a duplicate with 2xx: the sender repeats a webhook whose
    /// answer it did not get.
    pub fn is_duplicate(&self) -> bool {
        self.duplicate
    }

    /// Returns what to ask a store for ids, or `None` if the webhook has no id.
    pub fn replay_key(&self) -> Option<ReplayKey<'_>> {
        let keep_until = system_time(self.keep_until);
        self.id.as_deref().map(|id| ReplayKey { tenant: &self.tenant, id, keep_until })
    }

    /// Records the answer of the store.
    #[doc(hidden)]
    pub fn marked(mut self, duplicate: bool) -> Self {
        self.duplicate = duplicate;
        self
    }

    /// Returns the JSON form that every language shows. Instants are milliseconds since 1970.
    pub fn to_json(&self) -> Value {
        let millis = |seconds: i64| seconds.saturating_mul(1000);
        json!({
            "tenant": self.tenant,
            "id": self.id,
            "timestamp_ms": self.timestamp.map(millis),
            "scheme": self.scheme(),
            "secret": self.secret(),
            "algorithm": self.algorithm(),
            "key_id": self.key_id(),
            "claims": self.claims,
            "duplicate": self.duplicate,
            "keep_until_ms": millis(self.keep_until),
        })
    }
}

impl ReplayKey<'_> {
    /// The instant until which the store must keep the id, in Unix seconds.
    #[doc(hidden)]
    pub fn keep_until_seconds(&self) -> i64 {
        unix_seconds(self.keep_until)
    }
}
