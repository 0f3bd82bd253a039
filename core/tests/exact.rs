//! Consumers with a self-signed certificate, trusted exactly. Run with `--features testing`.
#![cfg(feature = "testing")]

use std::fs;
use std::path::PathBuf;

use webhook_mtls::bindings::runtime::drive;
use webhook_mtls::event::EventName;
use webhook_mtls::testing::{Consumer, Lab, Leaf};
use webhook_mtls::{
    DeliverOptions, Dispatcher, EndpointOptions, Error, Event, Kind, MinTls, Pins, Receipt, Sent,
    Trust,
};

struct Scene {
    lab: Lab,
    acme: Consumer,
    dispatcher: Dispatcher,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::start().unwrap();
        let acme = lab.consumer("acme").unwrap();
        let dispatcher = lab.dispatcher();
        Self { lab, acme, dispatcher }
    }

    /// Makes the consumer present a new self-signed certificate. Returns it as PEM.
    fn show(&self, leaf: Leaf) -> String {
        let issued = self.lab.authority().issue(leaf).unwrap();
        self.acme.show(issued.clone());
        issued.chain_pem
    }

    fn reload(&self) -> Vec<Event> {
        drive(self.dispatcher.reload(), || false).unwrap().unwrap()
    }

    fn deliver(&self, options: EndpointOptions) -> Result<Receipt, Error> {
        let endpoint = self.dispatcher.endpoint("acme", &self.acme.url(), options)?;
        self.dispatcher.deliver_blocking(&endpoint, "{}", DeliverOptions::new(), None).unwrap()
    }
}

fn trusting(certificate: &str) -> EndpointOptions {
    EndpointOptions::new(None).trust(Trust::exact(certificate.as_bytes()).unwrap())
}

#[test]
fn a_self_signed_consumer_is_verified_and_receives() {
    let scene = Scene::new();
    for is_ca in [true, false] {
        let own = scene.show(Leaf::server("acme").self_signed(is_ca));
        for version in [MinTls::V1_2, MinTls::V1_3] {
            let pins = Pins::new([scene.acme.pin()]).unwrap();
            let options = trusting(&own).pins(pins).min_tls(version);
            let receipt = scene.deliver(options).unwrap();
            assert_eq!(receipt.peer().path(), [receipt.peer().subject()], "CA:{is_ca}");
        }
        // It cannot be trusted as a CA.
        let as_a_ca = Trust::from_pem(own.as_bytes(), None, &[])
            .and_then(|trust| scene.deliver(EndpointOptions::new(None).trust(trust)));
        assert_eq!(as_a_ca.unwrap_err().sent(), Sent::Nothing);
    }
    assert_eq!(scene.acme.received().len(), 4);
}

#[test]
fn nothing_is_sent_to_another_certificate_or_beyond_its_dates_and_names() {
    let scene = Scene::new();
    let own = scene.show(Leaf::server("acme").self_signed(true));
    let cases = [
        (Leaf::server("acme").self_signed(true), None, Kind::IssuerUnknown),
        (Leaf::server("acme"), None, Kind::IssuerUnknown),
        (Leaf::server("acme").self_signed(true).expired(), Some(()), Kind::TrustInvalid),
        (
            Leaf::server("acme").self_signed(true).not_yet_valid(),
            Some(()),
            Kind::CertificateNotYetValid,
        ),
        (Leaf::server("acme").self_signed(true).names(["a.test"]), Some(()), Kind::NameMismatch),
        (Leaf::client("acme").self_signed(false), Some(()), Kind::PurposeNotAllowed),
    ];
    for (shown, is_trusted, expected) in cases {
        let what = format!("{shown:?}");
        let shown = scene.show(shown);
        let trusted = if is_trusted.is_some() { &shown } else { &own };
        let error = scene.deliver(trusting(trusted)).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (expected, Sent::Nothing), "{what}: {error}");
    }
    assert!(scene.acme.received().is_empty());
}

#[test]
fn a_watched_certificate_is_replaced() {
    let scene = Scene::new();
    let file = File(std::env::temp_dir().join(format!("exact-{}.pem", std::process::id())));
    file.write(&scene.show(Leaf::server("acme").self_signed(true)));
    let trust = || Trust::exact_from_file(&file.0).unwrap();
    let options = EndpointOptions::new(None).trust(trust());
    scene.deliver(options.clone()).unwrap();

    let renewed = scene.show(Leaf::server("acme").self_signed(false));
    let error = scene.deliver(options.clone()).unwrap_err();
    assert_eq!(error.kind(), Kind::IssuerUnknown, "{error}");
    file.write(&renewed);
    scene.reload();
    scene.deliver(options.clone()).unwrap();

    // Neither two certificates nor an expired one replace it.
    let expired = scene.lab.authority().issue(Leaf::server("acme").self_signed(true).expired());
    for unusable in [renewed.repeat(2), expired.unwrap().chain_pem] {
        file.write(&unusable);
        let events = scene.reload();
        let failed = events.iter().any(|event| event.name() == EventName::RotationFailed);
        assert!(failed, "{events:?}");
        scene.deliver(options.clone()).unwrap();
    }
    assert_eq!(scene.acme.received().len(), 4);
}

/// A file that is removed at the end.
struct File(PathBuf);

impl File {
    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
