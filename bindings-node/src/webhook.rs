//! Verifiers of webhooks, and the keys of tokens.

use napi_derive::napi;
use webhook_mtls::webhook::{JwtKeys, WebhookVerifier, WebhookVerifierOptions};

use crate::convert::{CallResult, Handle, guarded};
use crate::options::{Settings, set_all};
use crate::verifier::instant;

#[napi]
pub fn jwt_keys(keys: &[u8], key_id: Option<String>) -> CallResult<Handle<JwtKeys>> {
    guarded(|| JwtKeys::new(keys, key_id.as_deref()).map(Handle))
}

#[napi]
pub fn jwt_keys_from_file(path: String, key_id: Option<String>) -> CallResult<Handle<JwtKeys>> {
    guarded(|| JwtKeys::from_file(path, key_id.as_deref()).map(Handle))
}

#[napi]
pub fn jwt_keys_ids(keys: Handle<JwtKeys>) -> Vec<String> {
    keys.0.key_ids()
}

/// The secrets of one tenant; of all others if it has no name.
#[napi(object, object_to_js = false)]
pub struct TenantSecrets {
    pub tenant: Option<String>,
    pub secrets: Vec<String>,
}

/// The keys of one tenant; of all others if it has no name.
#[napi(object, object_to_js = false)]
pub struct TenantKeys {
    pub tenant: Option<String>,
    pub keys: Handle<JwtKeys>,
}

/// The options of a verifier of webhooks.
#[napi(object, object_to_js = false)]
pub struct WebhookVerifierArguments {
    pub secrets: Vec<TenantSecrets>,
    pub keys: Vec<TenantKeys>,
    pub settings: Option<Settings>,
}

#[napi]
pub fn webhook_verifier(
    arguments: WebhookVerifierArguments,
) -> CallResult<Handle<WebhookVerifier>> {
    guarded(|| {
        let mut options = WebhookVerifierOptions::new();
        for TenantSecrets { tenant, secrets } in arguments.secrets {
            options = match tenant {
                Some(tenant) => options.secrets_of(tenant, secrets)?,
                None => options.secrets(secrets)?,
            };
        }
        for TenantKeys { tenant, keys } in arguments.keys {
            options = match tenant {
                Some(tenant) => options.keys_of(tenant, keys.0)?,
                None => options.keys(keys.0),
            };
        }
        WebhookVerifier::new(set_all(arguments.settings, options)?).map(Handle)
    })
}

/// Verifies a webhook and returns its JSON.
///
/// * `tenant`, `certificate`: the tenant and the `x5t#S256` of the verified peer.
/// * `at_ms`: the time of verification in Unix milliseconds; by default now.
#[napi]
pub fn verify_webhook(
    verifier: Handle<WebhookVerifier>,
    tenant: Option<String>,
    certificate: String,
    headers: Vec<(String, String)>,
    body: &[u8],
    at_ms: Option<f64>,
) -> CallResult<String> {
    guarded(|| {
        let at = instant(at_ms)?;
        let webhook =
            verifier.0.verify_webhook_of(tenant.as_deref(), &certificate, headers, body, at)?;
        Ok(webhook.to_json().to_string())
    })
}
