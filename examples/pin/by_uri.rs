//! Identifies a consumer by its CA and a URI, not by its key, because its key changes often.
//!
//! Needs tls.crt, tls.key and ca.pem in this directory, `WMTLS_URL` and `WMTLS_SERVER_URI`.

use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Identity, Trust,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dispatcher = Dispatcher::new(
        DispatcherOptions::new()
            .identity(Identity::from_files("tls.crt", "tls.key", None)?)
            .egress(Egress::public().allow(["127.0.0.0/8"])?), // a receiver on this machine
    )?;
    let acme = dispatcher.endpoint(
        "acme",
        &std::env::var("WMTLS_URL")?,
        EndpointOptions::new(None) // a decision: each renewal brings a new key
            .trust(Trust::from_files("ca.pem", None, None)?) // the consumer's CA, and no other
            .server_uri(std::env::var("WMTLS_SERVER_URI")?)?, // spiffe://acme.example/webhooks
    )?;
    let options = DeliverOptions::new().id("evt_1");
    let receipt = dispatcher.deliver(&acme, r#"{"event":"ping"}"#, options).await?;
    let peer = receipt.peer();
    println!("{} from {:?} with the key {}", receipt.status(), peer.san_uri(), peer.spki_pin());
    Ok(())
}
