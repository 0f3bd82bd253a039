//! Probes: a handshake without a request.

use napi::bindgen_prelude::{Env, Object};
use napi_derive::napi;
use webhook_mtls::{CancelToken, Dispatcher, Endpoint, ProbeOptions};

use crate::convert::{Handle, promise};
use crate::options::{Settings, set_all};

/// Returns a promise of the probe's JSON.
#[napi]
pub fn dispatcher_probe(
    env: &Env,
    dispatcher: Handle<Dispatcher>,
    endpoint: Handle<Endpoint>,
    settings: Option<Settings>,
    cancel: Option<Handle<CancelToken>>,
) -> napi::Result<Object<'_>> {
    promise(env, || {
        let mut options = ProbeOptions::new();
        if let Some(cancel) = cancel {
            options = options.cancel(cancel.0);
        }
        let probe = dispatcher.0.probe(&endpoint.0, set_all(settings, options)?);
        Ok(async { Ok(probe.await?.to_json().to_string()) })
    })
}
