//! Delivers until the consumer has the event, as `RetryPolicy` decides.
//!
//! Needs tls.crt, tls.key and ca.pem in this directory, `WMTLS_URL` and `WMTLS_PIN`.

use std::time::Duration;

use webhook_mtls::retry::Action;
use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Identity, Pins,
    RetryPolicy, Trust,
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
    // The defaults take more than a day: 60 attempts, from 5 seconds to an hour apart.
    let policy = RetryPolicy::default().attempts(8)?.first(Duration::from_millis(200))?;

    let mut attempt = 1;
    let receipt = loop {
        let options = DeliverOptions::new().id("evt_1");
        let error = match dispatcher.deliver(&acme, r#"{"event":"invoice.paid"}"#, options).await {
            Ok(receipt) => break receipt,
            Err(error) => error,
        };
        let decision = policy.decide(&error, attempt)?;
        let (kind, sent) = (error.kind().name(), error.sent().name());
        println!("attempt {attempt}: {kind}, sent {sent}: {}", decision.action.name());
        match decision.action {
            Action::Retry => {
                // A queue schedules the next attempt instead.
                tokio::time::sleep(decision.delay).await;
                attempt += u32::from(decision.counts);
            }
            Action::Park => return Err(format!("hold the deliveries: {}", error.remedy()).into()),
            Action::Drop => return Err(format!("give up the event: {}", decision.reason).into()),
        }
    };
    println!("delivered with attempt {attempt}, answered with {}", receipt.status());
    Ok(())
}
