//! Dispatchers: create, deliver, remove an endpoint, close.

use std::time::Duration;

use napi::bindgen_prelude::{Env, Object};
use napi_derive::napi;
use webhook_mtls::bindings::limits::Limit;
use webhook_mtls::{
    CancelToken, Dispatcher, DispatcherOptions, Egress, Endpoint, Error, Identity, Trust,
};

use crate::completions::{self, CompletionSlot};
use crate::convert::{BorrowedBytes, CallResult, Handle, error_json, guarded, promise};
use crate::endpoint::EndpointArguments;
use crate::options::{Settings, deliver_options, set_all};
use crate::outcome_buffer::SingleReceipt;
use crate::telemetry::TraceRequest;

/// The options of a dispatcher.
#[napi(object, object_to_js = false)]
pub struct DispatcherArguments {
    pub identity: Option<Handle<Identity>>,
    pub trust: Option<Handle<Trust>>,
    pub egress: Option<Handle<Egress>>,
    pub settings: Option<Settings>,
}

impl DispatcherArguments {
    /// Applies these arguments to options, which may have values already.
    pub(crate) fn apply_to(
        self,
        mut options: DispatcherOptions,
    ) -> Result<DispatcherOptions, Error> {
        if let Some(identity) = self.identity {
            options = options.identity(identity.0);
        }
        if let Some(trust) = self.trust {
            options = options.trust(trust.0);
        }
        if let Some(egress) = self.egress {
            options = options.egress(egress.0);
        }
        set_all(self.settings, options)
    }
}

#[napi]
pub fn dispatcher(arguments: DispatcherArguments) -> CallResult<Handle<Dispatcher>> {
    guarded(|| Dispatcher::new(arguments.apply_to(DispatcherOptions::new())?).map(Handle))
}

#[napi]
pub fn dispatcher_endpoint(
    dispatcher: Handle<Dispatcher>,
    consumer: String,
    url: String,
    arguments: EndpointArguments,
) -> CallResult<Handle<Endpoint>> {
    guarded(|| dispatcher.0.endpoint(&consumer, &url, arguments.into_options()?).map(Handle))
}

#[napi]
pub fn dispatcher_remove(dispatcher: Handle<Dispatcher>, consumer: String) -> CallResult<bool> {
    guarded(|| Ok(dispatcher.0.remove(&consumer)))
}

#[napi]
pub fn dispatcher_close(
    env: &Env,
    dispatcher: Handle<Dispatcher>,
    drain_ms: f64,
) -> napi::Result<Object<'_>> {
    promise(env, || {
        let drain = Duration::try_from_secs_f64(drain_ms / 1000.0)
            .map_err(|_| Error::wrong_type("drain", "a duration of 0 or more", "another number"))?;
        let closing = dispatcher.0.close(drain);
        Ok(async {
            closing.await;
            Ok(())
        })
    })
}

/// Starts a delivery. Its outcome is reported under `ticket`.
///
/// Returns the error's JSON if the delivery cannot be started. In that case `internal` is reported
/// under the ticket, and the caller must ignore it. The body is copied before this function
/// returns: JavaScript may change its array during the delivery.
#[napi]
pub fn dispatcher_deliver(
    dispatcher: Handle<Dispatcher>,
    endpoint: Handle<Endpoint>,
    body: BorrowedBytes,
    settings: Option<Settings>,
    cancel: Option<Handle<CancelToken>>,
    ticket: f64,
    trace: Option<Handle<TraceRequest>>,
) -> Option<String> {
    error_json(|| {
        // First, so that every path reports the ticket and JavaScript can reuse it.
        let slot = CompletionSlot::new(ticket)?;
        let options = deliver_options(settings, cancel)?;
        let body = Limit::body().copied(body.bytes())?;
        let options = TraceRequest::apply_to(trace, &endpoint.0, options);
        dispatcher.0.start(&endpoint.0, body, options, move |outcome| slot.fill(outcome))?;
        completions::started();
        Ok(())
    })
}

/// Returns a promise of the receipt of a delivery over its own connection.
#[napi]
pub fn deliver_once<'env>(
    env: &'env Env,
    url: String,
    body: &[u8],
    dispatcher: DispatcherArguments,
    endpoint: EndpointArguments,
    settings: Option<Settings>,
    cancel: Option<Handle<CancelToken>>,
) -> napi::Result<Object<'env>> {
    promise(env, || {
        let dispatcher = dispatcher.apply_to(DispatcherOptions::new())?;
        let endpoint = endpoint.into_options()?;
        let options = deliver_options(settings, cancel)?;
        let body = Limit::body().copied(body)?;
        Ok(async move {
            let delivery = webhook_mtls::deliver(&url, body, dispatcher, endpoint, options);
            delivery.await.map(SingleReceipt)
        })
    })
}
