//! The producer's side: dispatchers, their endpoints, deliveries.

use std::rc::Rc;
use std::time::Duration;

use napi::bindgen_prelude::{Env, Object};
use napi_derive::napi;
use webhook_mtls::limits::Limit;
use webhook_mtls::{CancelToken, Dispatcher, DispatcherOptions, Endpoint, Error, ProbeOptions};

use crate::border::{Handle, Lent, Outcome, fault, guarded, promised};
use crate::completions::{self, Slot};
use crate::ledger::{Alone, Page};
use crate::settings::{DispatcherGiven, EndpointGiven, Settings, deliver_options, set_all};

#[napi]
pub fn dispatcher(given: DispatcherGiven) -> Outcome<Handle<Dispatcher>> {
    guarded(|| Dispatcher::new(given.onto(DispatcherOptions::new())?).map(Handle))
}

#[napi]
pub fn dispatcher_endpoint(
    dispatcher: Handle<Dispatcher>,
    consumer: String,
    url: String,
    given: EndpointGiven,
) -> Outcome<Handle<Endpoint>> {
    guarded(|| dispatcher.0.endpoint(&consumer, &url, given.options()?).map(Handle))
}

#[napi]
pub fn dispatcher_remove(dispatcher: Handle<Dispatcher>, consumer: String) -> Outcome<bool> {
    guarded(|| Ok(dispatcher.0.remove(&consumer)))
}

#[napi]
pub fn dispatcher_close(
    env: &Env,
    dispatcher: Handle<Dispatcher>,
    drain_ms: f64,
) -> napi::Result<Object<'_>> {
    promised(env, || {
        let drain = Duration::try_from_secs_f64(drain_ms / 1000.0)
            .map_err(|_| Error::wrong_type("drain", "a duration of 0 or more", "another number"))?;
        let closing = dispatcher.0.close(drain);
        Ok(async {
            closing.await;
            Ok(())
        })
    })
}

#[napi]
pub fn endpoint_consumer(endpoint: Handle<Endpoint>) -> String {
    endpoint.0.consumer().to_owned()
}

#[napi]
pub fn endpoint_url(endpoint: Handle<Endpoint>) -> String {
    endpoint.0.url()
}

#[napi]
pub fn endpoint_is(endpoint: Handle<Endpoint>, other: Handle<Endpoint>) -> bool {
    endpoint.0 == other.0
}

#[napi]
pub fn endpoint_status(endpoint: Handle<Endpoint>) -> Outcome<String> {
    guarded(|| Ok(endpoint.0.status().to_json().to_string()))
}

#[napi]
pub fn cancel_token() -> Handle<CancelToken> {
    Handle(CancelToken::new())
}

#[napi]
pub fn cancel(token: Handle<CancelToken>) {
    token.0.cancel();
}

/// Starts a delivery, whose outcome is handed over under `number`; returns the error's JSON if it
/// cannot be started, and `internal` comes under the number then, which nobody waits for. The body is
/// copied before this returns: JavaScript may change it while it is being sent.
#[napi]
pub fn dispatcher_deliver(
    dispatcher: Handle<Dispatcher>,
    endpoint: Handle<Endpoint>,
    body: Lent,
    settings: Option<Settings>,
    cancel: Option<Handle<CancelToken>>,
    number: f64,
) -> Option<String> {
    fault(|| {
        // Before all else, so that the number is used up in any case.
        let slot = Slot::new(number)?;
        let options = deliver_options(settings, cancel)?;
        let body = Limit::body().copied(body.bytes())?;
        dispatcher.0.start(&endpoint.0, body, options, move |outcome| slot.fill(outcome))?;
        completions::started();
        Ok(())
    })
}

/// A promise of the receipt of a delivery over a connection of its own.
#[napi]
pub fn deliver_once<'env>(
    env: &'env Env,
    url: String,
    body: &[u8],
    dispatcher: DispatcherGiven,
    endpoint: EndpointGiven,
    settings: Option<Settings>,
    cancel: Option<Handle<CancelToken>>,
) -> napi::Result<Object<'env>> {
    promised(env, || {
        let dispatcher = dispatcher.onto(DispatcherOptions::new())?;
        let endpoint = endpoint.options()?;
        let options = deliver_options(settings, cancel)?;
        let body = Limit::body().copied(body)?;
        Ok(async move {
            webhook_mtls::deliver(&url, body, dispatcher, endpoint, options).await.map(Alone)
        })
    })
}

/// The JSON of the receipt at a place of a page.
#[napi]
pub fn receipt_json(page: Handle<Rc<Page>>, place: u32) -> Outcome<String> {
    guarded(|| {
        let receipt = page.0.receipt(place).ok_or_else(Error::caught_panic)?;
        Ok(receipt.to_json().to_string())
    })
}

/// A promise of the probe's JSON.
#[napi]
pub fn dispatcher_probe(
    env: &Env,
    dispatcher: Handle<Dispatcher>,
    endpoint: Handle<Endpoint>,
    settings: Option<Settings>,
    cancel: Option<Handle<CancelToken>>,
) -> napi::Result<Object<'_>> {
    promised(env, || {
        let mut options = ProbeOptions::new();
        if let Some(cancel) = cancel {
            options = options.cancel(cancel.0);
        }
        set_all(settings, |name, value| options.set(name, value))?;
        let probe = dispatcher.0.probe(&endpoint.0, options);
        Ok(async { Ok(probe.await?.to_json().to_string()) })
    })
}
