//! The webhook cases in Rust.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use webhook_mtls::Error;
use webhook_mtls::webhook::{JwtKeys, WebhookVerifier, WebhookVerifierOptions};

use crate::{Outcome, bytes, set, text, texts, trust, verifier};

pub(crate) fn run(case: &Value, fixtures: &Value) -> Outcome {
    let peer = &fixtures[text(&case["peer"])];
    let sender = verifier(peer, trust(&peer["trust"])?)?.verify(
        bytes(&peer["chain"]),
        None,
        instant(&peer["at"]),
    )?;
    let mut options = WebhookVerifierOptions::new();
    match case.get("secrets") {
        Some(Value::Object(tenants)) => {
            for (tenant, secrets) in tenants {
                options = options.secrets_of(tenant, texts(secrets))?;
            }
        }
        Some(secrets) => options = options.secrets(texts(secrets))?,
        None => {}
    }
    match case.get("keys") {
        Some(Value::Object(tenants)) => {
            for (tenant, keys) in tenants {
                options = options.keys_of(tenant, JwtKeys::new(bytes(keys), None)?)?;
            }
        }
        Some(keys) => options = options.keys(JwtKeys::new(bytes(keys), None)?),
        None => {}
    }
    let verifier = WebhookVerifier::new(set("webhook_verifier", case, options)?)?;
    let headers = case["headers"].as_array().expect("headers");
    let headers = headers.iter().map(|pair| (text(&pair[0]), text(&pair[1])));
    let seen = case.get("seen").is_some_and(|seen| *seen == true);
    let (body, at) = (bytes(&case["body"]), instant(&case["at"]));
    let store = |_: webhook_mtls::webhook::ReplayKey<'_>| Ok::<_, Error>(seen);
    let webhook = verifier.verify_webhook_once(&sender, headers, body, at, store)?;
    Ok(webhook.to_json())
}

fn instant(at: &Value) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(at.as_u64().expect("an instant"))
}
