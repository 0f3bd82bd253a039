//! Delivers to a real server while the identity is replaced by one that the server refuses. Prints
//! one JSON line: the numbers of deliveries and attempts, the failures, and how the server refused
//! the new identity, by each event `rotated_but_undistributed`.
//!
//! The environment is that of `tests/clients/deliver.rs`, with `WMTLS_NEXT_CERT` and `WMTLS_NEXT_KEY`.

use std::collections::BTreeMap;
use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use webhook_mtls::bindings::runtime;
use webhook_mtls::event::EventName;
use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Error, Identity, Pins,
    Trust,
};

const WORKERS: usize = 8;
const DELIVERIES: usize = 800;
/// The number of deliveries before the identity is replaced.
const BEFORE: usize = 200;
/// More than a handshake and a head, so that a count of bytes shows whether it left. With its head
/// it is one TLS record, so that nginx cannot answer before it has arrived.
const BODY: usize = 8192;

fn main() -> Result<(), Error> {
    let text = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is needed"));
    let identity = |cert: &str, key: &str| Identity::from_files(text(cert), text(key), None);
    let mut options = DispatcherOptions::new()
        .trust(Trust::from_files(text("WMTLS_CA"), None, None)?)
        .egress(Egress::public().allow(["127.0.0.0/8"])?);
    // Tries the new identity often.
    options = options.reload(Some(Duration::from_millis(50)))?;
    let dispatcher = Dispatcher::new(options)?;
    let events = dispatcher.events();
    let upsert = |identity: Identity| {
        let options = EndpointOptions::new(Some(Pins::new([text("WMTLS_PIN")])?));
        dispatcher.endpoint("consumer", &text("WMTLS_URL"), options.identity(identity))
    };
    let endpoint = upsert(identity("WMTLS_CERT", "WMTLS_KEY")?)?;
    let next = identity("WMTLS_NEXT_CERT", "WMTLS_NEXT_KEY")?;
    let (started, delivered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let attempts = Mutex::new(BTreeMap::<String, usize>::new());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let number = started.fetch_add(1, Ordering::Relaxed);
                    if number >= DELIVERIES {
                        return;
                    }
                    let options = DeliverOptions::new().id(format!("rotated-{number}"));
                    let body = vec![b'x'; BODY];
                    let outcome = dispatcher.deliver_blocking(&endpoint, body, options, None);
                    match outcome.expect("nothing interrupts it") {
                        Ok(receipt) => {
                            let mut attempts = attempts.lock().expect("no panic");
                            *attempts.entry(receipt.attempts().to_string()).or_default() += 1;
                        }
                        Err(error) => failed.lock().expect("no panic").push(error.to_json()),
                    }
                    delivered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while delivered.load(Ordering::Relaxed) < BEFORE {
            thread::sleep(Duration::from_millis(1));
        }
        upsert(next).expect("an endpoint");
    });
    runtime::drive(dispatcher.close(Duration::ZERO), || false);
    let (attempts, failed) = (attempts.into_inner(), failed.into_inner());
    let undistributed: Vec<_> = std::iter::from_fn(|| events.try_next())
        .filter(|event| event.name() == EventName::RotatedButUndistributed)
        .map(|event| event.fields()["via"].clone())
        .collect();
    println!(
        "{}",
        json!({
            "deliveries": DELIVERIES,
            "body_bytes": BODY,
            "attempts": attempts.expect("no panic"),
            "undistributed": undistributed,
            "failed": failed.expect("no panic"),
        })
    );
    Ok(())
}
