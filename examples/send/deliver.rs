//! Delivers one event and reads its receipt, or its error.
//!
//! Needs tls.crt, tls.key and ca.pem in this directory, `WMTLS_URL` and `WMTLS_PIN`.

use std::time::Duration;

use webhook_mtls::material::PinSlot;
use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Identity, Pins, Sent,
    Trust,
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

    let options = DeliverOptions::new()
        .id("evt_1")
        .headers(vec![("x-event".into(), "invoice.paid".into())])
        .timeout(Duration::from_secs(10))?;
    match dispatcher.deliver(&acme, r#"{"event":"invoice.paid"}"#, options).await {
        Ok(receipt) => {
            let id = receipt.id().unwrap_or_default();
            println!("{id} was answered with {} in {:?}", receipt.status(), receipt.elapsed());
            let (peer, tls) = (receipt.peer(), receipt.tls());
            let pin = receipt.pin().map_or("none", PinSlot::name);
            println!("by {} over {} with the pin {pin}", peer.subject(), tls.version);
            let excerpt = String::from_utf8_lossy(&receipt.response().excerpt);
            println!("attempts: {} response: {excerpt}", receipt.attempts());
            Ok(())
        }
        Err(error) => {
            eprintln!("{error}\n{}\n{}", error.remedy(), error.help());
            if error.sent() == Sent::Nothing {
                Err("the consumer does not have the event".into())
            } else {
                Err("the consumer may have the event: send it again with the same id".into())
            }
        }
    }
}
