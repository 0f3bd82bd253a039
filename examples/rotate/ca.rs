//! Lets a consumer change its CA: the trust has two anchors meanwhile.
//!
//! Needs tls.crt, tls.key and ca.pem in this directory, the root of the consumer's new CA in
//! new-ca.pem, `WMTLS_URL` and `WMTLS_PIN` of a consumer whose certificate is of the new CA.

use std::fs;

use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Identity, Pins, Trust,
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
    let id = || DeliverOptions::new().id("evt_1");
    let Err(error) = dispatcher.deliver(&acme, r#"{"event":"ping"}"#, id()).await else {
        return Err("the consumer still has a certificate of the former CA".into());
    };
    println!("{}, sent {}: {}", error.kind().name(), error.sent().name(), error.remedy());

    // Both anchors, in one file that is replaced at once. Do this before the consumer changes.
    fs::write("both.pem", fs::read_to_string("ca.pem")? + &fs::read_to_string("new-ca.pem")?)?;
    fs::rename("both.pem", "ca.pem")?;
    dispatcher.reload().await?;

    let receipt = dispatcher.deliver(&acme, r#"{"event":"ping"}"#, id()).await?;
    println!("delivered, verified by {}", receipt.peer().anchor());
    for expiry in dispatcher.expiries()? {
        let left = expiry.fraction_left * 100.0;
        println!("{} {}: {left:.0}% of its lifetime left", expiry.what.name(), expiry.name);
    }
    Ok(())
}
