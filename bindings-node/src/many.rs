//! `deliverMany`: the native side of its iterator.

use std::iter;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use napi::bindgen_prelude::Either;
use napi_derive::napi;
use webhook_mtls::bindings::limits::Limit;
use webhook_mtls::bindings::process::Lock;
use webhook_mtls::{CancelToken, Delivery, Dispatcher, Endpoint, Fanout};

use crate::completions::{self, RunWaker};
use crate::convert::{BorrowedBytes, CallResult, Handle, error_json, guarded};
use crate::options::{Settings, deliver_options};
use crate::telemetry::TraceRequest;

/// One run of `deliverMany`. Clones are cheap; the run ends when the last one is dropped.
#[derive(Clone)]
pub(crate) struct Run {
    fanout: Arc<Fanout<f64>>,
    /// The previous body. A run that repeats a body holds it once.
    body: Arc<Lock<Bytes>>,
    waker: Arc<RunWaker>,
}

#[napi(object, object_from_js = false)]
pub struct Progress {
    pub done: f64,
    pub failed: f64,
    pub in_flight: u32,
    pub waiting: u32,
}

/// Starts a run. Its progress is reported under `ticket`.
#[napi]
pub fn run(
    dispatcher: Handle<Dispatcher>,
    concurrency: Option<f64>,
    ticket: f64,
) -> CallResult<Handle<Run>> {
    guarded(|| {
        // A fraction becomes 0, which core refuses.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        let whole = |number: f64| if number.fract() == 0.0 { number as usize } else { 0 };
        let fanout = Fanout::new(&dispatcher.0, concurrency.map(whole))?;
        let waker = RunWaker::new(ticket)?;
        fanout.watch(Waker::from(waker.clone()));
        Ok(Handle(Run { fanout: Arc::new(fanout), body: Arc::default(), waker }))
    })
}

/// Returns whether the run can take another delivery.
#[napi]
pub fn run_has_room(run: Handle<Run>) -> bool {
    run.0.fanout.has_room()
}

/// Starts a delivery. Returns whether the run can take another, or the error's JSON if the delivery
/// is invalid.
///
/// The body is copied unless it equals the previous one: JavaScript may change its array during the
/// delivery.
#[napi]
pub fn run_submit(
    run: Handle<Run>,
    endpoint: Handle<Endpoint>,
    body: BorrowedBytes,
    settings: Option<Settings>,
    cancel: Option<Handle<CancelToken>>,
    ticket: f64,
    trace: Option<Handle<TraceRequest>>,
) -> Either<bool, String> {
    let error = error_json(|| {
        let options = deliver_options(settings, cancel)?;
        let (mut shared, body) = (run.0.body.lock().clone(), body.bytes());
        if shared != body {
            shared = Bytes::from(Limit::body().copied(body)?);
            *run.0.body.lock() = shared.clone();
        }
        let options = TraceRequest::apply_to(trace, &endpoint.0, options);
        let delivery = Delivery::new(&endpoint.0, shared, options);
        run.0.fanout.submit(delivery, ticket);
        completions::started();
        Ok(())
    });
    match error {
        None => Either::A(run.0.fanout.has_room()),
        Some(error) => Either::B(error),
    }
}

/// Writes available outcomes into the outcome buffer, each under its ticket; returns their number.
#[napi]
pub fn run_take(run: Handle<Run>) -> u32 {
    let fanout = &run.0.fanout;
    completions::write(iter::from_fn(|| fanout.try_next())).unwrap_or(0)
}

/// Keeps the loop alive until the run progresses. Returns `false` if no delivery is left.
#[napi]
pub fn run_wait(run: Handle<Run>) -> bool {
    let waits = !run.0.fanout.is_idle();
    if waits {
        run.0.waker.wait();
    }
    waits
}

#[napi]
pub fn run_cancel(run: Handle<Run>) {
    run.0.fanout.cancel();
}

#[napi]
#[allow(clippy::cast_precision_loss, reason = "a run has fewer than 2^53 deliveries")]
pub fn run_progress(run: Handle<Run>) -> Progress {
    let progress = run.0.fanout.progress();
    Progress {
        done: progress.done as f64,
        failed: progress.failed as f64,
        in_flight: u32::try_from(progress.in_flight).unwrap_or(u32::MAX),
        waiting: u32::try_from(progress.waiting).unwrap_or(u32::MAX),
    }
}
