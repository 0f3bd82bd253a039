//! Many deliveries at once: what the iterator of `ts/` is made of.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use napi::bindgen_prelude::{Env, Object};
use napi_derive::napi;
use webhook_mtls::{CancelToken, Delivery, Dispatcher, Endpoint, Error, Fanout};

use crate::border::{Handle, Outcome, guarded, promised};
use crate::settings::{Given, deliver_options};

/// A run, cheap to clone. It ends when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Run {
    fanout: Arc<Fanout<f64>>,
    /// The payload before: a fan-out that repeats it holds it once.
    body: Arc<Mutex<Bytes>>,
}

/// An outcome with the ticket of its delivery: a receipt or an error, as JSON text.
#[napi(object, object_from_js = false)]
pub struct Finished {
    pub ticket: f64,
    pub receipt: Option<String>,
    pub error: Option<String>,
}

#[napi(object, object_from_js = false)]
pub struct Progress {
    pub done: f64,
    pub failed: f64,
    pub in_flight: u32,
    pub waiting: u32,
}

#[napi]
pub fn run(dispatcher: Handle<Dispatcher>, concurrency: Option<f64>) -> Outcome<Handle<Run>> {
    guarded(|| {
        // What is no whole number is no bound that core takes.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        let whole = |number: f64| if number.fract() == 0.0 { number as usize } else { 0 };
        let fanout = Fanout::new(&dispatcher.0, concurrency.map(whole))?;
        Ok(Handle(Run { fanout: Arc::new(fanout), body: Arc::default() }))
    })
}

#[napi]
pub fn run_has_room(run: Handle<Run>) -> bool {
    run.0.fanout.has_room()
}

/// Starts a delivery. The body is copied, unless it is the one before: JavaScript may change it
/// while it is being sent.
#[napi]
pub fn run_submit(
    run: Handle<Run>,
    endpoint: Handle<Endpoint>,
    body: &[u8],
    settings: Vec<Given>,
    cancel: Handle<CancelToken>,
    ticket: f64,
) -> Outcome<()> {
    guarded(|| {
        let options = deliver_options(settings)?.cancel(cancel.0);
        let mut before = run.0.body.lock().unwrap_or_else(PoisonError::into_inner);
        if *before != body {
            *before = Bytes::copy_from_slice(body);
        }
        let delivery = Delivery::new(&endpoint.0, before.clone(), options);
        drop(before);
        run.0.fanout.submit(delivery, ticket);
        Ok(())
    })
}

#[napi]
pub fn run_take(run: Handle<Run>) -> Vec<Finished> {
    let finished = run.0.fanout.take_finished().into_iter();
    finished
        .map(|(ticket, outcome)| match outcome {
            Ok(receipt) => {
                let receipt = Some(receipt.to_json().to_string());
                Finished { ticket, receipt, error: None }
            }
            Err(error) => {
                let error = Some(error.to_json().to_string());
                Finished { ticket, receipt: None, error }
            }
        })
        .collect()
}

#[napi]
pub fn run_is_idle(run: Handle<Run>) -> bool {
    run.0.fanout.is_idle()
}

/// A promise that is kept when there are outcomes, or nothing is under way.
#[napi]
pub fn run_changed(env: &Env, run: Handle<Run>) -> napi::Result<Object<'_>> {
    promised(env, || {
        Ok(async move {
            poll_fn(|context| run.0.fanout.poll_changed(false, context)).await;
            Ok::<(), Error>(())
        })
    })
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
