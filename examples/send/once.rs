//! Delivers one event over a connection of its own, for scripts.
//!
//! Needs tls.crt, tls.key and ca.pem in this directory, `WMTLS_URL` and `WMTLS_PIN`.

use webhook_mtls::{
    DeliverOptions, DispatcherOptions, Egress, EndpointOptions, Identity, Pins, Trust, deliver,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let receipt = deliver(
        &std::env::var("WMTLS_URL")?,
        r#"{"event":"ping"}"#,
        DispatcherOptions::new()
            .identity(Identity::from_files("tls.crt", "tls.key", None)?)
            .trust(Trust::from_files("ca.pem", None, None)?)
            .egress(Egress::public().allow(["127.0.0.0/8"])?), // a receiver on this machine
        EndpointOptions::new(Some(Pins::new([std::env::var("WMTLS_PIN")?])?)),
        DeliverOptions::new(),
    )
    .await?;
    println!("{} from {}", receipt.status(), receipt.consumer());
    Ok(())
}
