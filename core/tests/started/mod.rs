//! Deliveries that run while the test goes on.

use std::sync::mpsc::{self, Receiver};

use webhook_mtls::bindings::runtime;
use webhook_mtls::{DeliverOptions, Dispatcher, Endpoint, Error, Receipt};

/// Receives the outcome of one delivery.
pub(crate) type Outcome = Receiver<Result<Receipt, Error>>;

/// Starts a delivery of the body `{}`.
pub(crate) fn start(
    dispatcher: &Dispatcher,
    endpoint: &Endpoint,
    options: DeliverOptions,
) -> Outcome {
    let (sender, receiver) = mpsc::channel();
    let delivery = dispatcher.deliver(endpoint, "{}", options);
    runtime::spawn(delivery, move |outcome| sender.send(outcome).unwrap()).unwrap();
    receiver
}
