//! What a dispatcher counts and logs of its operations, and the snapshot of its metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::operation::{Operation, Success, noun};
use super::{Dispatcher, DispatcherOptions, Inner, Probe, Receipt};
use crate::admission::CircuitState;
use crate::clock;
use crate::connection::observer::{Observer, OperationKind};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::event::Event;
use crate::log::{self, LogRecord};
use crate::material::expiry::{Expiring, Expiry, expiries};
use crate::metrics::{HandshakeEnd, MAX_VALUES, Metrics, add_expiries, add_process_wide, row};
use crate::options;
use crate::process;

impl Success for Receipt {
    fn log_record(&self) -> LogRecord {
        self.log_record()
    }

    fn elapsed(&self) -> Duration {
        self.elapsed()
    }
}

impl Success for Probe {
    fn log_record(&self) -> LogRecord {
        self.log_record()
    }

    fn elapsed(&self) -> Duration {
        self.elapsed()
    }
}

impl Operation {
    /// Counts the attempt that has ended, once.
    ///
    /// * `error`: the failure, if it failed.
    pub(super) fn count_attempt(&self, error: Option<&Error>) {
        let attempts = self.progress.attempts();
        if self.counted.load(Relaxed) == attempts {
            return;
        }
        self.counted.store(attempts, Relaxed);
        let cells = self.dispatcher.metrics.get();
        let phases = self.progress.counted_phases();
        cells.value.phases(&phases);
        if self.progress.is_reusing() {
            cells.value.reused();
        } else if let Some(nanos) = phases[2]
            && let Some(connection) = self.progress.connection_facts()
        {
            let (is_completed, tls_version) = connection.version();
            let took = Duration::from_nanos(nanos);
            cells.value.handshake(&HandshakeEnd { took, is_completed, error, tls_version });
            if let Some((took, has_ended)) = connection.signature() {
                cells.value.signature(took, has_ended, error);
            }
        }
    }

    /// Counts and logs a success.
    pub(super) fn account_for_success(&self, success: &impl Success) {
        self.ended.store(true, Relaxed);
        self.count_attempt(None);
        let cells = self.dispatcher.metrics.get();
        match self.kind {
            OperationKind::Delivery => cells.value.delivered(success.elapsed()),
            OperationKind::Probe => cells.value.probed(None),
        }
        self.endpoint.count_end(true);
        self.span.within(|| self.dispatcher.log(|| success.log_record()));
    }

    /// Counts and logs a failure.
    pub(super) fn account_for_failure(&self, error: &Error) {
        self.ended.store(true, Relaxed);
        self.count_attempt(Some(error));
        let cells = self.dispatcher.metrics.get();
        match self.kind {
            OperationKind::Delivery => {
                cells.value.failed(error, self.progress.elapsed());
                self.endpoint.count_end(false);
            }
            OperationKind::Probe => cells.value.probed(Some(error)),
        }
        self.span.within(|| self.dispatcher.log(|| error.log_record_of(noun(self.kind))));
    }

    /// Counts and logs that the caller dropped the operation, unless it has ended.
    pub(super) fn account_for_drop(&self) {
        // The parent of a forked child makes the delivery.
        if self.ended.load(Relaxed) || self.process != process::id() {
            return;
        }
        self.count_attempt(None);
        let (cells, stage) = (self.dispatcher.metrics.get(), self.progress.stage());
        match self.kind {
            OperationKind::Delivery => {
                cells.value.abandoned(stage, self.progress.elapsed());
                self.endpoint.count_end(false);
            }
            OperationKind::Probe => cells.value.probe_abandoned(stage),
        }
        let record = || log::abandoned(noun(self.kind), self.endpoint.consumer(), stage);
        self.span.within(|| self.dispatcher.log(record));
    }
}

impl Inner {
    /// Passes a record to the sinks of the log.
    fn log(&self, record: impl FnOnce() -> LogRecord) {
        self.options.log.write(record);
    }

    /// Counts and logs an event, and emits it to the listeners.
    pub(super) fn emit_one(&self, event: &Event) {
        self.metrics.get().value.events.count(event);
        self.log(|| event.log_record());
        self.reload.listeners.emit(event);
    }
}

impl Dispatcher {
    /// Returns the metrics of this dispatcher in this process. A forked child starts at zero. Looks at
    /// every endpoint: for a scrape, not for each delivery.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::default();
        let inner = &self.inner;
        inner.metrics.get().value.show(&mut metrics);
        inner.show_gauges(&mut metrics);
        metrics.count(row::EVENTS_LOST, &[], inner.reload.listeners.lost());
        add_process_wide(&mut metrics);
        metrics
    }
}

impl Inner {
    fn show_gauges(&self, metrics: &mut Metrics) {
        let count = |count: usize| count as u64;
        let endpoints = self.all_endpoints();
        let idle: usize =
            endpoints.iter().map(|endpoint| endpoint.generation().pool.idle_count()).sum();
        let open = self.connection_limit.open_count();
        metrics.count(row::CONNECTIONS, &["idle"], count(idle));
        metrics.count(row::CONNECTIONS, &["active"], count(open.saturating_sub(idle)));
        metrics.count(row::IN_FLIGHT, &[], self.admission.in_flight().count());
        metrics.count(row::WAITING, &[], count(self.admission.waiting()));
        metrics.count(row::ENDPOINTS, &[], count(endpoints.len()));
        let now = clock::now_millis();
        let is_open =
            |endpoint: &Endpoint| endpoint.access().circuit().state(now).0 != CircuitState::Closed;
        let circuits = endpoints.iter().filter(|endpoint| is_open(endpoint)).count();
        metrics.count(row::CIRCUITS_OPEN, &[], count(circuits));
        let behind: Vec<&Endpoint> =
            endpoints.iter().filter(|endpoint| endpoint.rollout().is_behind()).collect();
        for endpoint in behind.iter().take(MAX_VALUES) {
            metrics.count(row::UNDISTRIBUTED, &[endpoint.consumer()], 1);
        }
        if behind.len() > MAX_VALUES {
            metrics.count(row::UNDISTRIBUTED, &["other"], count(behind.len() - MAX_VALUES));
        }
        self.show_named(metrics, &endpoints, is_open);
        // Without a plausible clock, nothing can be said about a remaining lifetime.
        if let Ok(now) = clock::now() {
            self.show_expiries(metrics, expiries(self.lifetimes(), now));
        }
    }

    /// Adds the metrics of the endpoints that `metrics_endpoints` names.
    fn show_named(
        &self,
        metrics: &mut Metrics,
        endpoints: &[Endpoint],
        is_open: impl Fn(&Endpoint) -> bool,
    ) {
        if self.options.metrics_endpoints == 0 {
            return;
        }
        let (mut succeeded, mut failed) = self.metrics.get().value.ended();
        for endpoint in endpoints {
            let Some((well, ill)) = endpoint.ends() else { continue };
            let consumer = endpoint.consumer();
            metrics.count(row::ENDPOINT_DELIVERIES, &[consumer, "succeeded"], well);
            metrics.count(row::ENDPOINT_DELIVERIES, &[consumer, "failed"], ill);
            metrics.count(row::ENDPOINT_CIRCUIT, &[consumer], is_open(endpoint).into());
            (succeeded, failed) = (succeeded.saturating_sub(well), failed.saturating_sub(ill));
        }
        metrics.count(row::ENDPOINT_DELIVERIES, &["other", "succeeded"], succeeded);
        metrics.count(row::ENDPOINT_DELIVERIES, &["other", "failed"], failed);
    }

    fn show_expiries(&self, metrics: &mut Metrics, all: Vec<Expiry>) {
        let names_consumers = self.options.metrics_endpoints > 0;
        add_expiries(
            metrics,
            all.into_iter().map(|mut expiry| {
                if expiry.what == Expiring::Consumer && !names_consumers {
                    expiry.name.clear();
                }
                expiry.into_gauge()
            }),
        );
    }
}

impl DispatcherOptions {
    /// Adds an observer of the deliveries and probes. Each call adds one; they are called in this order.
    /// For the parts of this library that watch deliveries, and for tests: no compatibility is promised.
    #[doc(hidden)]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.add(observer);
        self
    }

    /// Makes every delivery and probe panic when this stage begins, so that tests see how a panic ends.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn panic_at(mut self, stage: crate::error::Stage) -> Self {
        self.observers.panic_at(stage);
        self
    }

    /// Adds a sink of the log. It gets a record of each delivery and probe that ends, and of each event.
    /// Each call adds one; they are called in this order, on the thread that drives the delivery or raises
    /// the event. No lock of the library is held. A sink must not block. A panic in it is caught and has
    /// no effect.
    ///
    /// A failure before a dispatcher has the delivery (invalid options, an unknown endpoint) is not logged.
    pub fn log_to(mut self, sink: impl Fn(&LogRecord) + Send + Sync + 'static) -> Self {
        self.log.add(Arc::new(sink));
        self
    }

    /// Sets how many endpoints have metrics of their own, by consumer id, by default 0: those that were
    /// made first. The others share the value `other`.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the count is above 1 000 000.
    pub fn metrics_endpoints(mut self, count: usize) -> Result<Self, Error> {
        self.metrics_endpoints = options::count_from(0, "metrics_endpoints", count)?;
        Ok(self)
    }
}
