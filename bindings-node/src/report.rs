//! Diagnosis: what is wrong with an endpoint.

use napi::bindgen_prelude::{Env, Object};
use napi_derive::napi;
use serde_json::json;
use webhook_mtls::diagnosis::DiagnosisOptions;
use webhook_mtls::{CancelToken, Dispatcher, Endpoint};

use crate::convert::{Handle, promise};
use crate::options::{Settings, set_all};

/// Returns a promise of the report as JSON and as text.
#[napi]
pub fn dispatcher_diagnose(
    env: &Env,
    dispatcher: Handle<Dispatcher>,
    endpoint: Handle<Endpoint>,
    settings: Option<Settings>,
    cancel: Option<Handle<CancelToken>>,
) -> napi::Result<Object<'_>> {
    promise(env, || {
        let mut options = DiagnosisOptions::new();
        if let Some(cancel) = cancel {
            options = options.cancel(cancel.0);
        }
        let diagnosis = dispatcher.0.diagnose(&endpoint.0, set_all(settings, options)?);
        Ok(async {
            let report = diagnosis.await?;
            Ok(json!({ "report": report.to_json(), "text": report.to_string() }).to_string())
        })
    })
}
