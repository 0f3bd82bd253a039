//! Delivers a hundred events, eight at a time, and takes the outcomes as they come.
//!
//! Needs tls.crt, tls.key and ca.pem in this directory, `WMTLS_URL` and `WMTLS_PIN`.

use webhook_mtls::{
    DeliverOptions, Delivery, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Identity,
    Pins, Trust,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dispatcher = Dispatcher::new(
        DispatcherOptions::new()
            .identity(Identity::from_files("tls.crt", "tls.key", None)?)
            .trust(Trust::from_files("ca.pem", None, None)?)
            .egress(Egress::public().allow(["127.0.0.0/8"])?), // a receiver on this machine
    )?;
    let pins = Pins::new([std::env::var("WMTLS_PIN")?])?;
    let url = std::env::var("WMTLS_URL")?;
    let acme = dispatcher.endpoint("acme", &url, EndpointOptions::new(Some(pins)))?;

    // The rows of a table, or the messages of a queue: the run takes each when it has room for it.
    let deliveries = (0..100).map(|row| {
        let options = DeliverOptions::new().id(format!("evt_{row}"));
        Delivery::new(&acme, r#"{"event":"invoice.paid"}"#, options)
    });
    let (mut delivered, mut failed) = (0, Vec::new());
    let mut outcomes = dispatcher.deliver_many(deliveries, Some(8))?;
    while let Some((_delivery, result)) = outcomes.next().await {
        match result {
            Ok(_receipt) => delivered += 1,
            Err(error) => failed.push(error), // for RetryPolicy; `id` says which
        }
    }
    println!("{delivered} delivered, {} failed", failed.len());
    failed.into_iter().next().map_or(Ok(()), |error| Err(error.into()))
}
