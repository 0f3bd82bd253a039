//! Tests what happens when certificates grow old.
//!
//! The process has one clock, and cargo runs the tests of a file in one process. So this test has a
//! file of its own. Needs the crate with the feature `testing`, and tokio (features rt and
//! macros), in `dev-dependencies`.

use std::time::{Duration, SystemTime};

use webhook_mtls::error::Blame;
use webhook_mtls::event::EventName;
use webhook_mtls::testing::{Lab, set_clock};
use webhook_mtls::{DeliverOptions, EndpointOptions, Error, Kind, Pins};

#[tokio::test]
async fn certificates_grow_old() -> Result<(), Error> {
    let hours = |count: u64| Some(SystemTime::now() + Duration::from_secs(count * 3600));
    let lab = Lab::start()?;
    let acme = lab.consumer("acme")?; // certificates of a lab are valid for a day
    let dispatcher = lab.dispatcher();
    let pinned = EndpointOptions::new(Some(Pins::new([acme.pin()])?));
    let endpoint = dispatcher.endpoint("acme", &acme.url(), pinned)?;
    dispatcher.deliver(&endpoint, "{}", DeliverOptions::new()).await?;

    set_clock(hours(22)); // the clock of the library; SystemTime stays
    let events = dispatcher.reload().await?;
    assert!(events.iter().any(|event| event.name() == EventName::Expiry));
    assert!(dispatcher.expiries()?[0].fraction_left < 0.1);

    set_clock(hours(48));
    let outcome = dispatcher.deliver(&endpoint, "{}", DeliverOptions::new()).await;
    set_clock(None);
    let error = outcome.expect_err("our certificate has expired");
    assert_eq!((error.kind(), error.blame()), (Kind::ClientCertificateUnusable, Blame::Ours));
    Ok(())
}
