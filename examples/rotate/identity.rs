//! Renews our certificate while a dispatcher runs, and retires the previous one.
//!
//! Needs tls.crt, tls.key and ca.pem in this directory, the renewed files tls.crt.new and
//! tls.key.new, `WMTLS_URL` and `WMTLS_PIN`.

use std::fs::rename;

use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Identity, Pins, Trust,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let previous = Identity::from_files("tls.crt", "tls.key", None)?;
    let dispatcher = Dispatcher::new(
        DispatcherOptions::new()
            .identity(previous.clone())
            .trust(Trust::from_files("ca.pem", None, None)?)
            .egress(Egress::public().allow(["127.0.0.0/8"])?), // a receiver on this machine
    )?;
    let pins = Pins::new([std::env::var("WMTLS_PIN")?])?;
    let url = std::env::var("WMTLS_URL")?;
    let acme = dispatcher.endpoint("acme", &url, EndpointOptions::new(Some(pins)))?;
    let state = || dispatcher.rotation_status().consumers["acme"].state;

    let options = DeliverOptions::new().id("evt_1");
    dispatcher.deliver(&acme, r#"{"event":"ping"}"#, options).await?;
    println!("before: {}", state());

    // What cert-manager or a script of your CA does. A rename never shows half a file.
    rename("tls.key.new", "tls.key")?;
    rename("tls.crt.new", "tls.crt")?;
    // Without this call, the dispatcher sees the files within the option `reload`, 10 seconds.
    for event in dispatcher.reload().await? {
        println!("{} {}", event.name().name(), event.fields()["message"]);
    }
    println!("renewed: {}", state());

    let options = DeliverOptions::new().id("evt_2");
    dispatcher.deliver(&acme, r#"{"event":"ping"}"#, options).await?;
    println!("delivered: {}", state());
    if state() != "current" {
        return Err(
            "the consumer does not accept the new certificate yet: keep the previous".into()
        );
    }
    // Every consumer has accepted the new one. From now on the previous is never presented.
    dispatcher.retire(&previous, false)?;
    Ok(())
}
