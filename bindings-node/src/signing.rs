//! Secrets that sign deliveries.

use napi_derive::napi;
use webhook_mtls::StandardWebhooks;

use crate::convert::{CallResult, Handle, guarded};

#[napi]
pub fn standard_webhooks(secrets: Vec<String>) -> CallResult<Handle<StandardWebhooks>> {
    guarded(|| StandardWebhooks::new(secrets).map(Handle))
}
