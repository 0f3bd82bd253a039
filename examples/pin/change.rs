//! Shows the two halves of a change of key: the refusal of an unknown key, and an announced key.
//!
//! Needs tls.crt, tls.key and ca.pem in this directory, `WMTLS_URL` and `WMTLS_PIN`: the pin that
//! the consumer announced.

use webhook_mtls::material::PinSlot;
use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Identity, Pins, Trust,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (url, announced) = (std::env::var("WMTLS_URL")?, std::env::var("WMTLS_PIN")?);
    // The pin of the key that the consumer had before.
    let former = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let id = || DeliverOptions::new().id("evt_1");

    let dispatcher = Dispatcher::new(
        DispatcherOptions::new()
            .identity(Identity::from_files("tls.crt", "tls.key", None)?)
            .trust(Trust::from_files("ca.pem", None, None)?)
            .egress(Egress::public().allow(["127.0.0.0/8"])?), // a receiver on this machine
    )?;
    let strict = EndpointOptions::new(Some(Pins::new([former])?));
    let acme = dispatcher.endpoint("acme", &url, strict)?;
    let Err(error) = dispatcher.deliver(&acme, r#"{"event":"ping"}"#, id()).await else {
        return Err("the consumer still has its former key".into());
    };
    let (kind, sent, retry) = (error.kind(), error.sent(), error.retry());
    println!("{}, sent {}, retry {}", kind.name(), sent.name(), retry.name());
    println!("expected {}", error.context()["expected_pins"]);
    println!("observed {}", error.context()["observed_pin"]);

    // Before the change: the announced key is accepted beside the former one.
    let both = EndpointOptions::new(Some(Pins::with_next([former], [&announced])?));
    let acme = dispatcher.endpoint("acme", &url, both)?;
    let receipt = dispatcher.deliver(&acme, r#"{"event":"ping"}"#, id()).await?;
    println!("delivered, with the pin {}", receipt.pin().map_or("none", PinSlot::name));
    if receipt.pin() == Some(PinSlot::Next) {
        // The change has happened: the announced key is the current one from now on.
        let new = EndpointOptions::new(Some(Pins::new([&announced])?));
        dispatcher.endpoint("acme", &url, new)?;
    }
    Ok(())
}
