//! The results of probes. Run with `--features testing`.
#![cfg(feature = "testing")]

mod calm;

use std::time::Duration;

use calm::patiently;
use webhook_mtls::bindings::runtime;
use webhook_mtls::error::Stage;
use webhook_mtls::material::PinSlot;
use webhook_mtls::testing::{Consumer, Lab, Misbehavior};
use webhook_mtls::{
    CancelToken, Dispatcher, Endpoint, EndpointOptions, Error, Kind, Pins, Probe, ProbeOptions,
    Sent,
};

struct Scene {
    _lab: Lab,
    acme: Consumer,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
}

fn scene() -> Scene {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let pins = Pins::new([acme.pin()]).unwrap();
    let endpoint =
        dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(Some(pins))).unwrap();
    Scene { _lab: lab, acme, dispatcher, endpoint }
}

impl Scene {
    fn probe(&self, options: ProbeOptions) -> Result<Probe, Error> {
        runtime::drive(self.dispatcher.probe(&self.endpoint, options), || false).unwrap()
    }
}

#[test]
fn a_probe_shows_the_consumer_and_sends_nothing() {
    let scene = scene();
    let probe = scene.probe(ProbeOptions::new()).unwrap();
    assert_eq!((probe.consumer(), probe.pin()), ("acme", Some(PinSlot::Current)));
    assert_eq!(probe.tls().version, "TLSv1.3");
    assert_eq!(probe.peer().spki_pin(), scene.acme.pin());
    let status = scene.endpoint.status();
    assert_eq!(status.peer_not_after, Some(probe.peer().not_after()));
    assert_eq!(status.pin_seen, Some(scene.acme.pin()));
    assert!(scene.acme.url().contains(&probe.address().to_string()));
    assert_eq!((scene.acme.handshakes(), scene.acme.received().len()), (1, 0));
    let json = probe.to_json();
    assert_eq!(json["peer"]["not_after_ms"], probe.peer().to_json()["not_after_ms"]);
    assert_eq!(json["url"], scene.acme.url());
}

#[test]
fn a_probe_fails_as_a_delivery_would_and_remembers_the_pin() {
    let scene = scene();
    for (how, kind) in [
        (Misbehavior::NeverAsk, Kind::ClientAuthNotRequested),
        (Misbehavior::Expired, Kind::CertificateExpired),
        (Misbehavior::WrongName, Kind::NameMismatch),
        (Misbehavior::OtherCa, Kind::IssuerUnknown),
    ] {
        scene.acme.misbehave(how, 1);
        let error = scene.probe(ProbeOptions::new()).unwrap_err();
        assert_eq!((error.kind(), error.stage()), (kind, Stage::Handshake), "{error}");
        assert_eq!((error.sent(), error.consumer()), (Sent::Nothing, Some("acme")));
    }
    scene.acme.renew(true).unwrap();
    assert_eq!(scene.probe(ProbeOptions::new()).unwrap_err().kind(), Kind::PinMismatch);
    assert_eq!(scene.endpoint.status().pin_seen, Some(scene.acme.pin()));
}

#[test]
fn a_refusal_after_the_handshake_is_detected_ten_times_of_ten() {
    let scene = scene();
    for round in 0..10 {
        scene.acme.misbehave(Misbehavior::RejectCertificate, 1);
        let error = scene.probe(ProbeOptions::new()).unwrap_err();
        assert_eq!(error.kind(), Kind::ClientCertificateRejected, "round {round}: {error}");
        assert_eq!(error.context()["alert"], "unknown_ca");
        assert_eq!(error.sent(), Sent::Nothing);
    }
}

#[test]
fn a_probe_ends_with_its_token_its_timeout_and_its_dispatcher() {
    patiently(|patience| {
        let scene = scene();
        let token = CancelToken::new();
        token.cancel();
        let error = scene.probe(ProbeOptions::new().cancel(token)).unwrap_err();
        assert_eq!(error.kind(), Kind::Canceled);

        // Listens without making a handshake.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/", silent.local_addr().unwrap());
        let endpoint =
            scene.dispatcher.endpoint("silent", &url, EndpointOptions::new(None)).unwrap();
        let options = ProbeOptions::new().timeout(Duration::from_millis(100) * patience).unwrap();
        let error = runtime::drive(scene.dispatcher.probe(&endpoint, options), || false)
            .unwrap()
            .unwrap_err();
        assert_eq!((error.kind(), error.stage()), (Kind::DeadlineExceeded, Stage::Handshake));

        runtime::drive(scene.dispatcher.close(Duration::ZERO), || false).unwrap();
        assert_eq!(scene.probe(ProbeOptions::new()).unwrap_err().kind(), Kind::HandleClosed);
        assert_eq!(scene.acme.connections(), 0);
    });
}
