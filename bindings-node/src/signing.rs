//! What signs deliveries.

use napi_derive::napi;
use webhook_mtls::{JwtBearer, StandardWebhooks};

use crate::convert::{CallResult, Handle, guarded};
use crate::options::{Settings, set_all};

#[napi]
pub fn standard_webhooks(secrets: Vec<String>) -> CallResult<Handle<StandardWebhooks>> {
    guarded(|| StandardWebhooks::new(secrets).map(Handle))
}

#[napi]
pub fn jwt_bearer(key: &[u8], settings: Option<Settings>) -> CallResult<Handle<JwtBearer>> {
    guarded(|| set_all(settings, JwtBearer::from_pem(key)?).map(Handle))
}

#[napi]
pub fn jwt_bearer_from_file(
    path: String,
    settings: Option<Settings>,
) -> CallResult<Handle<JwtBearer>> {
    guarded(|| set_all(settings, JwtBearer::from_file(path)?).map(Handle))
}

#[napi]
pub fn jwt_bearer_algorithm(token: Handle<JwtBearer>) -> String {
    token.0.algorithm().to_owned()
}

#[napi]
pub fn jwt_bearer_public_jwk(token: Handle<JwtBearer>) -> String {
    token.0.public_jwk().to_string()
}
