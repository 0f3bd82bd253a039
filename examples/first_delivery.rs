//! Delivers one webhook over mutual TLS. Run it in the directory of tls.crt, tls.key and ca.pem.

use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Identity, Pins, Trust,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("WMTLS_URL")?; // https://hooks.acme.example/in
    let pin = std::env::var("WMTLS_PIN")?; // sha256/…, the consumer's key

    let dispatcher = Dispatcher::new(
        DispatcherOptions::new()
            .identity(Identity::from_files("tls.crt", "tls.key", None)?)
            .trust(Trust::from_files("ca.pem", None, None)?)
            // Allows a receiver on this machine. By default only public addresses are allowed.
            .egress(Egress::public().allow(["127.0.0.0/8"])?),
    )?;
    let acme = dispatcher.endpoint("acme", &url, EndpointOptions::new(Some(Pins::new([pin])?)))?;

    let options = DeliverOptions::new().id("evt_1");
    match dispatcher.deliver(&acme, r#"{"event":"ping"}"#, options).await {
        Ok(receipt) => println!("{} from {}", receipt.status(), receipt.peer().subject()),
        Err(error) => {
            eprintln!("{error}\nsent: {}, retry: {}", error.sent().name(), error.retry().name());
            eprintln!("{}", error.remedy());
            std::process::exit(1);
        }
    }
    Ok(())
}
