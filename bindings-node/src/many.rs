//! Many deliveries at once: what the iterator of `ts/` is made of.

use std::iter;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use napi::bindgen_prelude::Either;
use napi_derive::napi;
use webhook_mtls::limits::Limit;
use webhook_mtls::process::Lock;
use webhook_mtls::{CancelToken, Delivery, Dispatcher, Endpoint, Fanout};

use crate::border::{Handle, Lent, Outcome, fault, guarded};
use crate::completions::{self, Stir};
use crate::settings::{Settings, deliver_options};

/// A run, cheap to clone. It ends when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Run {
    fanout: Arc<Fanout<f64>>,
    /// The payload before: a fan-out that repeats it holds it once.
    body: Arc<Lock<Bytes>>,
    stir: Arc<Stir>,
}

#[napi(object, object_from_js = false)]
pub struct Progress {
    pub done: f64,
    pub failed: f64,
    pub in_flight: u32,
    pub waiting: u32,
}

/// A run. It calls under `number` when it has stirred.
#[napi]
pub fn run(
    dispatcher: Handle<Dispatcher>,
    concurrency: Option<f64>,
    number: f64,
) -> Outcome<Handle<Run>> {
    guarded(|| {
        // What is no whole number is no bound that core takes.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        let whole = |number: f64| if number.fract() == 0.0 { number as usize } else { 0 };
        let fanout = Fanout::new(&dispatcher.0, concurrency.map(whole))?;
        let stir = Stir::new(number)?;
        fanout.watch(Waker::from(stir.clone()));
        Ok(Handle(Run { fanout: Arc::new(fanout), body: Arc::default(), stir }))
    })
}

/// Whether one more delivery is wanted.
#[napi]
pub fn run_has_room(run: Handle<Run>) -> bool {
    run.0.fanout.has_room()
}

/// Starts a delivery; returns whether one more is wanted, or the error's JSON if it cannot be read.
/// The body is copied, unless it is the one before: JavaScript may change it while it is being sent.
#[napi]
pub fn run_submit(
    run: Handle<Run>,
    endpoint: Handle<Endpoint>,
    body: Lent,
    settings: Option<Settings>,
    cancel: Option<Handle<CancelToken>>,
    ticket: f64,
) -> Either<bool, String> {
    let submitted = fault(|| {
        let options = deliver_options(settings, cancel)?;
        let (mut shared, body) = (run.0.body.lock().clone(), body.bytes());
        if shared != body {
            shared = Bytes::from(Limit::body().copied(body)?);
            *run.0.body.lock() = shared.clone();
        }
        let delivery = Delivery::new(&endpoint.0, shared, options);
        run.0.fanout.submit(delivery, ticket);
        completions::started();
        Ok(())
    });
    match submitted {
        None => Either::A(run.0.fanout.has_room()),
        Some(fault) => Either::B(fault),
    }
}

/// Enters outcomes that are there into the ledger, each under its ticket; says how many.
#[napi]
pub fn run_take(run: Handle<Run>) -> u32 {
    let fanout = &run.0.fanout;
    completions::enter(iter::from_fn(|| fanout.try_next())).unwrap_or(0)
}

/// Keeps the loop alive until the run has stirred; `false` if nothing is left that could.
#[napi]
pub fn run_wait(run: Handle<Run>) -> bool {
    let waits = !run.0.fanout.is_idle();
    if waits {
        run.0.stir.wait();
    }
    waits
}

#[napi]
pub fn run_cancel(run: Handle<Run>) {
    run.0.fanout.cancel();
}

#[napi]
#[allow(clippy::cast_precision_loss, reason = "nobody delivers as many as a double cannot count")]
pub fn run_progress(run: Handle<Run>) -> Progress {
    let progress = run.0.fanout.progress();
    Progress {
        done: progress.done as f64,
        failed: progress.failed as f64,
        in_flight: u32::try_from(progress.in_flight).unwrap_or(u32::MAX),
        waiting: u32::try_from(progress.waiting).unwrap_or(u32::MAX),
    }
}
