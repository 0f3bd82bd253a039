//! What the instruments of a dispatcher are told of each delivery.
//!
//! The threads of the runtime never enter the interpreter: they put the record of a delivery into a
//! queue. The thread that hands its outcome to Python takes the records and calls the instruments.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyo3::prelude::*;
use serde_json::Value;
use webhook_mtls::DeliverOptions;
use webhook_mtls::bindings::process::Once;
use webhook_mtls::bindings::trace::TraceQueue;

use crate::dispatcher::Dispatcher;
use crate::json;

/// The instruments of a dispatcher. It costs one branch per delivery until there is one.
#[derive(Clone, Default)]
pub struct Telemetry(Arc<Shared>);

struct Shared {
    /// A `webhook_mtls._telemetry.Hub`.
    hub: Once<Py<PyAny>>,
    queue: Arc<TraceQueue>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { hub: Once::new(), queue: Arc::default() }
    }
}

impl Telemetry {
    /// Returns the hub of the instruments. The first call makes it.
    pub fn hub(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let make = || -> PyResult<Py<PyAny>> {
            Ok(py.import("webhook_mtls._telemetry")?.getattr("Hub")?.call0()?.unbind())
        };
        Ok(self.0.hub.get_or_try_init(make)?.clone_ref(py))
    }

    /// Returns whether there is an instrument.
    pub fn is_used(&self) -> bool {
        self.0.hub.get().is_some()
    }

    /// Tells the instruments that a delivery begins, and traces it.
    pub fn begin(
        &self,
        py: Python<'_>,
        endpoint: &webhook_mtls::Endpoint,
        options: DeliverOptions,
    ) -> DeliverOptions {
        match self.0.hub.get() {
            None => options,
            Some(hub) => self.begin_traced(hub.bind(py), endpoint, options),
        }
    }

    #[cold]
    fn begin_traced(
        &self,
        hub: &Bound<'_, PyAny>,
        endpoint: &webhook_mtls::Endpoint,
        options: DeliverOptions,
    ) -> DeliverOptions {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let number = NUMBERS.fetch_add(1, Relaxed);
        let trace = self.0.queue.trace(number, endpoint);
        let (server, port) = trace.server();
        let begun = hub.call_method1("begin", (number, endpoint.consumer(), server, port));
        let headers = begun.and_then(|headers| headers.extract());
        options.traced(trace, headers.unwrap_or_else(|raised| reported(raised, hub)))
    }

    /// Tells the instruments of the deliveries that have ended.
    pub fn flush(&self, py: Python<'_>) {
        let Some(hub) = self.0.hub.get() else { return };
        let records = self.0.queue.take();
        if records.is_empty() {
            return;
        }
        let hub = hub.bind(py);
        let ended = json::to_python(py, &Value::Array(records))
            .and_then(|records| hub.call_method1("end", (records,)));
        if let Err(raised) = ended {
            reported::<()>(raised, hub);
        }
    }
}

/// An exception of an instrument must not change the outcome of a delivery.
fn reported<T: Default>(raised: PyErr, hub: &Bound<'_, PyAny>) -> T {
    raised.write_unraisable(hub.py(), Some(hub));
    T::default()
}

/// Returns the metrics of dispatchers of this process as one dict.
#[pyfunction(name = "_merged_metrics")]
pub fn merged_metrics<'py>(
    py: Python<'py>,
    dispatchers: Vec<PyRef<'py, Dispatcher>>,
) -> PyResult<Bound<'py, PyAny>> {
    let all = dispatchers.iter().map(|dispatcher| dispatcher.0.metrics());
    let merged = all.reduce(webhook_mtls::dispatcher::Metrics::merged).unwrap_or_default();
    json::to_python(py, &merged.to_json())
}
