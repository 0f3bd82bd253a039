//! The metrics of dispatchers and verifiers.

use napi_derive::napi;
use webhook_mtls::dispatcher::{LogRecord, Metrics, MetricsFormat};
use webhook_mtls::{Dispatcher, Verifier};

use crate::convert::{CallResult, Handle, guarded};

#[napi]
pub fn dispatcher_metrics(dispatcher: Handle<Dispatcher>) -> CallResult<Handle<Metrics>> {
    guarded(|| Ok(Handle(dispatcher.0.metrics())))
}

#[napi]
pub fn verifier_metrics(verifier: Handle<Verifier>) -> CallResult<Handle<Metrics>> {
    guarded(|| Ok(Handle(verifier.0.metrics())))
}

#[napi]
pub fn metrics_json(metrics: Handle<Metrics>) -> CallResult<String> {
    guarded(|| Ok(metrics.0.to_json().to_string()))
}

/// Returns the text of all these metrics as one.
#[napi]
pub fn metrics_text(metrics: Vec<Handle<Metrics>>, format: String) -> CallResult<String> {
    guarded(|| {
        let format = MetricsFormat::of_argument(&format)?;
        let all = metrics.into_iter().map(|metrics| metrics.0).reduce(Metrics::merged);
        Ok(all.unwrap_or_default().text(format))
    })
}

#[napi]
pub fn metrics_content_type(format: String) -> CallResult<String> {
    guarded(|| Ok(MetricsFormat::of_argument(&format)?.content_type().to_owned()))
}

/// Returns the log record of a receipt, a probe or an error, from its JSON.
#[napi]
pub fn log_record(text: String) -> CallResult<String> {
    guarded(|| {
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let record = LogRecord::of_json(&json).map(|record| record.to_json());
        Ok(record.unwrap_or(json).to_string())
    })
}
