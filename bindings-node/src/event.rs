//! Events, reload and expiries.

use napi::Status;
use napi::bindgen_prelude::{Env, Object};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use serde_json::Value;
use webhook_mtls::material::Expiry;
use webhook_mtls::webhook::WebhookVerifier;
use webhook_mtls::{Dispatcher, Event, Verifier};

use crate::convert::{CallResult, Handle, guarded, promise};

/// Receives an event's JSON on the loop of the environment that registered it. It does not keep
/// that loop alive.
///
/// Its queue is short. Further events wait in the core, which counts those that it drops.
pub(crate) type Listener = ThreadsafeFunction<String, (), String, Status, false, true, 64>;

fn forward_to(listener: Listener) -> impl Fn(&Event) + Send + Sync + 'static {
    move |event| {
        // The call has no effect if the listener's environment is gone.
        listener.call(event.to_json().to_string(), ThreadsafeFunctionCallMode::Blocking);
    }
}

/// As [`forward_to`], with the log record of the event.
pub(crate) fn forward_log_to(listener: Listener) -> impl Fn(&Event) + Send + Sync + 'static {
    move |event| {
        let record = event.log_record().to_json().to_string();
        listener.call(record, ThreadsafeFunctionCallMode::Blocking);
    }
}

#[napi]
pub fn dispatcher_on_event(dispatcher: Handle<Dispatcher>, listener: Listener) -> CallResult<()> {
    guarded(|| {
        dispatcher.0.on_event(forward_to(listener));
        Ok(())
    })
}

#[napi]
pub fn dispatcher_reload(env: &Env, dispatcher: Handle<Dispatcher>) -> napi::Result<Object<'_>> {
    promise(env, || {
        let reloading = dispatcher.0.reload();
        Ok(async { Ok(list(reloading.await?.iter().map(Event::to_json))) })
    })
}

#[napi]
pub fn dispatcher_expiries(dispatcher: Handle<Dispatcher>) -> CallResult<String> {
    guarded(|| Ok(list(dispatcher.0.expiries()?.iter().map(Expiry::to_json))))
}

#[napi]
pub fn verifier_on_event(verifier: Handle<Verifier>, listener: Listener) -> CallResult<()> {
    guarded(|| {
        verifier.0.on_event(forward_to(listener));
        Ok(())
    })
}

#[napi]
pub fn verifier_reload(verifier: Handle<Verifier>) -> CallResult<String> {
    guarded(|| Ok(list(verifier.0.reload().iter().map(Event::to_json))))
}

#[napi]
pub fn webhook_verifier_on_event(
    verifier: Handle<WebhookVerifier>,
    listener: Listener,
) -> CallResult<()> {
    guarded(|| {
        verifier.0.on_event(forward_to(listener));
        Ok(())
    })
}

#[napi]
pub fn webhook_verifier_reload(verifier: Handle<WebhookVerifier>) -> CallResult<String> {
    guarded(|| Ok(list(verifier.0.reload().iter().map(Event::to_json))))
}

#[napi]
pub fn verifier_expiries(verifier: Handle<Verifier>) -> CallResult<String> {
    guarded(|| Ok(list(verifier.0.expiries()?.iter().map(Expiry::to_json))))
}

fn list(rows: impl Iterator<Item = Value>) -> String {
    rows.collect::<Value>().to_string()
}
