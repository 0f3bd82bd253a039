//! What an operator should hear about, and what expires.

use napi::Status;
use napi::bindgen_prelude::{Env, Object};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use serde_json::Value;
use webhook_mtls::{Dispatcher, Event, Expiry, Identity, Verifier};

use crate::border::{Handle, Outcome, guarded, promised};

/// Takes an event's JSON on the loop of the environment that gave it, which it never keeps alive.
/// Its queue is short: what waits longer, waits in the core, which counts what it drops.
type Listener = ThreadsafeFunction<String, (), String, Status, false, true, 64>;

fn heard(listener: Listener) -> impl Fn(&Event) + Send + Sync + 'static {
    move |event| {
        // A listener whose environment is gone hears nothing more.
        listener.call(event.to_json().to_string(), ThreadsafeFunctionCallMode::Blocking);
    }
}

#[napi]
pub fn dispatcher_on_event(dispatcher: Handle<Dispatcher>, listener: Listener) -> Outcome<()> {
    guarded(|| {
        dispatcher.0.on_event(heard(listener));
        Ok(())
    })
}

#[napi]
pub fn dispatcher_reload(env: &Env, dispatcher: Handle<Dispatcher>) -> napi::Result<Object<'_>> {
    promised(env, || {
        let reloading = dispatcher.0.reload();
        Ok(async { Ok(list(reloading.await?.iter().map(Event::to_json))) })
    })
}

#[napi]
pub fn dispatcher_expiries(dispatcher: Handle<Dispatcher>) -> Outcome<String> {
    guarded(|| Ok(list(dispatcher.0.expiries()?.iter().map(Expiry::to_json))))
}

#[napi]
pub fn dispatcher_rotation_status(dispatcher: Handle<Dispatcher>) -> Outcome<String> {
    guarded(|| Ok(dispatcher.0.rotation_status().to_json().to_string()))
}

#[napi]
pub fn dispatcher_retire(
    dispatcher: Handle<Dispatcher>,
    identity: Handle<Identity>,
    force: bool,
) -> Outcome<Vec<String>> {
    guarded(|| dispatcher.0.retire(&identity.0, force))
}

#[napi]
pub fn verifier_on_event(verifier: Handle<Verifier>, listener: Listener) -> Outcome<()> {
    guarded(|| {
        verifier.0.on_event(heard(listener));
        Ok(())
    })
}

#[napi]
pub fn verifier_reload(verifier: Handle<Verifier>) -> Outcome<String> {
    guarded(|| Ok(list(verifier.0.reload().iter().map(Event::to_json))))
}

#[napi]
pub fn verifier_expiries(verifier: Handle<Verifier>) -> Outcome<String> {
    guarded(|| Ok(list(verifier.0.expiries()?.iter().map(Expiry::to_json))))
}

fn list(rows: impl Iterator<Item = Value>) -> String {
    rows.collect::<Value>().to_string()
}
