//! A consumer of the packed crate: delivers to a receiver of the testing kit, and verifies a
//! certificate of its CA. `xtask/src/packages/rust.rs` builds it outside the workspace.

use std::time::SystemTime;

use webhook_mtls::testing::{Lab, Leaf};
use webhook_mtls::verify::verify_peer;
use webhook_mtls::{
    DeliverOptions, EndpointOptions, Kind, Pins, Role, TenantRule, VerifierOptions,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lab = Lab::start()?;
    let acme = lab.consumer("acme")?;
    let dispatcher = lab.dispatcher();
    let pinned = EndpointOptions::new(Some(Pins::new([acme.pin()])?));
    let endpoint = dispatcher.endpoint("acme", &acme.url(), pinned)?;
    let options = DeliverOptions::new().id("evt_1");
    let receipt =
        dispatcher.deliver_blocking(&endpoint, "{}", options, None).ok_or("interrupted")??;
    assert_eq!(receipt.status(), 200);
    assert_eq!(acme.received()[0].body, b"{}");

    let issued = lab.authority().issue(Leaf::client("acme"))?;
    let rule = TenantRule::san_uri("spiffe://lab.test/tenant/{tenant}")?;
    let verify = |chain: &str| {
        let options = VerifierOptions::new(Role::Client, lab.trust()).tenant(rule.clone());
        verify_peer(options, chain.as_bytes(), None, SystemTime::now())
    };
    assert_eq!(verify(&issued.chain_pem)?.tenant(), Some("acme"));
    let expired = lab.authority().issue(Leaf::client("acme").expired())?;
    assert_eq!(verify(&expired.chain_pem).unwrap_err().kind(), Kind::CertificateExpired);
    Ok(())
}
