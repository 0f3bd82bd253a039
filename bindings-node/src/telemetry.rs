//! The records of traced deliveries, for the instruments in `ts/`.

use std::sync::Arc;

use napi_derive::napi;
use webhook_mtls::bindings::trace::TraceQueue;
use webhook_mtls::dispatcher::Metrics;
use webhook_mtls::{DeliverOptions, Dispatcher, Endpoint};

use crate::convert::{CallResult, Handle, guarded};
use crate::event::{Listener, forward_log_to};

/// A delivery that is to be traced.
#[derive(Clone)]
pub(crate) struct TraceRequest {
    queue: Arc<TraceQueue>,
    number: u64,
    headers: Vec<(String, String)>,
}

impl TraceRequest {
    pub(crate) fn apply_to(
        request: Option<Handle<Self>>,
        endpoint: &Endpoint,
        options: DeliverOptions,
    ) -> DeliverOptions {
        let Some(Handle(Self { queue, number, headers })) = request else { return options };
        options.traced(queue.trace(number, endpoint), headers)
    }
}

/// Makes the queue of the records of a dispatcher.
#[napi]
pub fn trace_queue() -> Handle<Arc<TraceQueue>> {
    Handle(Arc::default())
}

/// Describes a delivery that is to be traced under `number`, with further headers.
#[napi]
pub fn trace_request(
    queue: Handle<Arc<TraceQueue>>,
    number: u32,
    headers: Vec<(String, String)>,
) -> Handle<TraceRequest> {
    Handle(TraceRequest { queue: queue.0, number: number.into(), headers })
}

/// Takes the records of ended deliveries, as a JSON array.
#[napi]
pub fn trace_records(queue: Handle<Arc<TraceQueue>>) -> String {
    serde_json::Value::Array(queue.0.take()).to_string()
}

/// Registers a callback for the log record of each later event, as JSON.
#[napi]
pub fn dispatcher_on_event_log(
    dispatcher: Handle<Dispatcher>,
    listener: Listener,
) -> CallResult<()> {
    guarded(|| {
        dispatcher.0.on_event(forward_log_to(listener));
        Ok(())
    })
}

/// Returns the metrics of dispatchers of this process as one JSON object.
#[napi]
pub fn merged_metrics(dispatchers: Vec<Handle<Dispatcher>>) -> CallResult<String> {
    guarded(|| {
        let all = dispatchers.iter().map(|dispatcher| dispatcher.0.metrics());
        Ok(all.reduce(Metrics::merged).unwrap_or_default().to_json().to_string())
    })
}
