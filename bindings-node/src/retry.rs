//! Retry policies.

use napi_derive::napi;
use serde_json::json;
use webhook_mtls::RetryPolicy;

use crate::convert::{CallResult, Handle, guarded};
use crate::error::parse_error;
use crate::options::{Settings, set_all};

#[napi]
pub fn retry_policy(settings: Option<Settings>) -> CallResult<Handle<RetryPolicy>> {
    guarded(|| set_all(settings, RetryPolicy::default()).map(Handle))
}

#[napi]
pub fn retry_decide(
    policy: Handle<RetryPolicy>,
    error: String,
    attempt: u32,
) -> CallResult<String> {
    guarded(|| {
        let decision = policy.0.decide(&parse_error(&error)?, attempt)?;
        let json = json!({
            "action": decision.action.name(),
            "delay_ms": u64::try_from(decision.delay.as_millis()).unwrap_or(u64::MAX),
            "counts": decision.counts,
            "reason": decision.reason,
        });
        Ok(json.to_string())
    })
}
