//! Delivers one webhook over mutual TLS. Run it in the directory of tls.crt, tls.key and ca.pem.

use std::env;

use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Error, Identity, Pins,
    Receipt, Trust,
};

#[tokio::main]
async fn main() {
    let url = env::var("WMTLS_URL").unwrap_or_default(); // https://hooks.acme.example/in
    let pin = env::var("WMTLS_PIN").unwrap_or_default(); // sha256/…, the consumer's key
    match deliver(&url, &pin).await {
        Ok(receipt) => println!("{} from {}", receipt.status(), receipt.peer().subject()),
        Err(error) => {
            let (blame, sent) = (error.blame().name(), error.sent().name());
            eprintln!("{error}\nblame: {blame}, sent: {sent}, retry: {}", error.retry().name());
            eprintln!("{}", error.remedy());
            std::process::exit(1);
        }
    }
}

async fn deliver(url: &str, pin: &str) -> Result<Receipt, Error> {
    let dispatcher = Dispatcher::new(
        DispatcherOptions::new()
            .identity(Identity::from_files("tls.crt", "tls.key", None)?)
            .trust(Trust::from_files("ca.pem", None, None)?)
            // Allows a receiver on this machine. By default only public addresses are allowed.
            .egress(Egress::public().allow(["127.0.0.0/8"])?),
    )?;
    let acme = dispatcher.endpoint("acme", url, EndpointOptions::new(Some(Pins::new([pin])?)))?;
    dispatcher.deliver(&acme, r#"{"event":"ping"}"#, DeliverOptions::new().id("evt_1")).await
}
