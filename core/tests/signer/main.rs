//! Identities whose key is elsewhere: what a signer may do, and what waits for it. Run with `--features
//! testing`.
#![cfg(feature = "testing")]

mod forked;
mod scene;

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use std::{env, fs, thread};

use webhook_mtls::event::EventName;
use webhook_mtls::material::{SignatureRequest, SignatureScheme, Signer, SignerError};
use webhook_mtls::testing::{Authority, Leaf};
use webhook_mtls::{
    CancelToken, DeliverOptions, Dispatcher, EndpointOptions, Error, Identity, Kind, MinTls, Pins,
    Retry, Sent,
};

use self::scene::{Door, LONG, Owner, Scene, Slow, wait};

/// A deadline of handshakes for a signer that does not answer. All steps of a handshake share it: it is
/// far longer than those before the signer take, so that the signer uses it up.
const DEADLINE: Duration = Duration::from_secs(3);

fn facts(error: &Error) -> (Kind, &str, &str, Retry, Sent) {
    (error.kind(), error.blame().name(), error.scope().name(), error.retry(), error.sent())
}

#[test]
fn a_signature_is_made_in_both_versions_and_its_duration_is_reported() {
    let scene = Scene::new();
    let owner = Arc::new(scene.owner());
    let sender = scene.of(move |request: &SignatureRequest<'_>| {
        assert_eq!(request.scheme, SignatureScheme::EcdsaSecp256r1Sha256);
        assert_eq!(request.digest.map(<[u8]>::len), Some(32));
        assert!(request.deadline <= LONG && request.deadline > LONG / 2);
        thread::sleep(Duration::from_millis(20));
        Ok(owner.sign(request))
    });
    for version in [MinTls::V1_3, MinTls::V1_2] {
        let options = EndpointOptions::new(None).min_tls(version);
        sender.dispatcher.endpoint("acme", &scene.acme.url(), options).unwrap();
        let receipt = sender.deliver().unwrap();
        assert!(!receipt.is_reused());
        assert!(receipt.tls().signature.unwrap() >= Duration::from_millis(20));
        assert!(receipt.to_json()["tls"]["signature_ms"].as_f64().unwrap() >= 20.0);
    }
    assert_eq!(sender.signatures("made"), 2);
    assert_eq!(scene.acme.received().last().unwrap().tenant.as_deref(), Some("dispatcher"));
    let in_memory = scene.lab.dispatcher();
    let options = EndpointOptions::new(None);
    let endpoint = in_memory.endpoint("acme", &scene.acme.url(), options).unwrap();
    let receipt = wait(in_memory.deliver(&endpoint, "{}", DeliverOptions::new())).unwrap();
    assert_eq!(receipt.tls().signature, None);
}

/// Takes r and s out of DER.
fn raw(der: &[u8]) -> Vec<u8> {
    let first = usize::from(der[3]);
    let (r, s) = (&der[4..4 + first], &der[4 + first + 2..]);
    let half = |number: &[u8]| {
        let digits = number.strip_prefix(&[0]).unwrap_or(number);
        [&vec![0; 32 - digits.len()][..], digits].concat()
    };
    [half(r), half(s)].concat()
}

#[test]
fn the_raw_form_of_ecdsa_is_accepted() {
    let scene = Scene::new();
    let owner = scene.owner();
    let sender = scene.of(move |request: &SignatureRequest<'_>| {
        let raw = raw(&owner.sign(request));
        assert_eq!(raw.len(), 64);
        Ok(raw)
    });
    for _ in 0..20 {
        sender.probe().unwrap();
    }
}

type Answer = Box<dyn Fn(&SignatureRequest<'_>) -> Vec<u8> + Send + Sync>;

#[test]
fn a_wrong_signature_does_not_leave() {
    let scene = Scene::new();
    let stranger = Authority::new("stranger").unwrap().issue(Leaf::client("other")).unwrap();
    let other = Owner::new(&stranger.key_pem);
    let answers: [Answer; 4] = [
        Box::new(move |request| other.sign(request)),
        Box::new(|_| vec![]),
        Box::new(|_| vec![0; 64]),
        Box::new(|_| vec![0x30; 100_000]),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let sender = scene.of(move |request: &SignatureRequest<'_>| Ok(answer(request)));
        let error = sender.deliver().unwrap_err();
        let expected = (Kind::SignerFailed, "ours", "identity", Retry::Later, Sent::Nothing);
        assert_eq!(facts(&error), expected, "{number}");
        assert_eq!(error.context()["cause"], "signature_wrong");
        assert_eq!(error.context()["scheme"], "ecdsa_secp256r1_sha256");
        assert!(error.to_json()["tls"]["signature_ms"].is_number(), "{}", error.to_json());
        assert_eq!(sender.signatures("wrong"), 1);
    }
    assert!(scene.acme.received().is_empty());
}

#[test]
fn an_error_of_a_signer_is_named_and_its_text_is_not_shown() {
    let scene = Scene::new();
    let sender =
        scene.of(|_: &SignatureRequest<'_>| Err(io::Error::other("pin 123456 was refused").into()));
    let error = sender.deliver().unwrap_err();
    let expected = (Kind::SignerFailed, "ours", "identity", Retry::Later, Sent::Nothing);
    assert_eq!(facts(&error), expected);
    assert_eq!(error.context()["signer_error"], "std::io::error::Error");
    assert!(error.message().ends_with("failed with std::io::error::Error"), "{error}");
    assert!(error.source().unwrap().to_string().contains("123456"));
    let shown = format!("{error} {error:?} {} {}", error.to_json(), error.public());
    assert!(!shown.contains("123456"), "{shown}");
    assert_eq!(sender.signatures("failed"), 1);
}

#[test]
fn a_signer_that_panics_fails_its_handshake_only() {
    let scene = Scene::new();
    let (owner, calls) = (scene.owner(), AtomicUsize::new(0));
    let sender = scene.of(move |request: &SignatureRequest<'_>| {
        assert!(calls.fetch_add(1, SeqCst) > 0, "the first call panics");
        Ok(owner.sign(request))
    });
    let error = sender.deliver().unwrap_err();
    assert_eq!(
        (error.kind(), &error.context()["signer_error"]),
        (Kind::SignerFailed, &"panic".into())
    );
    assert_eq!(sender.deliver().unwrap().status(), 200);
}

#[test]
fn a_call_that_does_not_return_keeps_its_place_and_holds_up_no_close() {
    let scene = Scene::new();
    let door = Door::default();
    let sender = scene.within(DEADLINE, Slow::new(&scene, &door, 1));
    let error = sender.deliver().unwrap_err();
    let expected = (Kind::SignerTimeout, "ours", "identity", Retry::Later, Sent::Nothing);
    assert_eq!(facts(&error), expected);
    assert_eq!(error.context()["deadline"], "handshake");
    assert_eq!(error.context()["allowed_ms"], 3000);
    assert!(error.context().get("cause").is_none());
    let error = sender.deliver().unwrap_err();
    assert_eq!(facts(&error), expected);
    assert_eq!(error.context()["cause"], "signer_busy");
    assert_eq!(sender.signatures("timeout"), 2);
    // The caller's own limit of the delivery may be earlier.
    let earlier = DeliverOptions::new().timeout(DEADLINE / 2).unwrap();
    let error = sender.deliver_with(earlier).unwrap_err();
    assert_eq!(
        (error.kind(), &error.context()["deadline"]),
        (Kind::SignerTimeout, &"total".into())
    );
    let other = scene.of(scene_signer(&scene));
    assert_eq!(other.deliver().unwrap().status(), 200, "another identity has places of its own");
    wait(sender.dispatcher.close(Duration::ZERO));
    door.open();
    door.await_passed(1);
    assert_eq!(scene.acme.received().len(), 1);
}

fn scene_signer(scene: &Scene) -> impl Signer + use<> {
    let owner = scene.owner();
    move |request: &SignatureRequest<'_>| Ok(owner.sign(request))
}

#[test]
fn an_answer_that_comes_too_late_is_dropped_and_the_place_is_free_again() {
    let scene = Scene::new();
    let door = Door::default();
    let sender = scene.within(DEADLINE, Slow::new(&scene, &door, 1));
    assert_eq!(sender.deliver().unwrap_err().kind(), Kind::SignerTimeout);
    door.open();
    door.await_passed(1);
    assert_eq!(sender.deliver().unwrap().status(), 200);
    assert_eq!(scene.acme.received().len(), 1);
}

#[test]
fn a_signer_that_gives_up_at_the_deadline_is_late() {
    let scene = Scene::new();
    let sender = scene.within(DEADLINE, |request: &SignatureRequest<'_>| {
        thread::sleep(request.deadline);
        Err(io::Error::from(io::ErrorKind::TimedOut).into())
    });
    let error = sender.deliver().unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::SignerTimeout, Sent::Nothing));
    assert_eq!(sender.signatures("timeout"), 1);
}

/// Sixteen endpoints are on every lane. A signer that was called on a lane would block it.
#[test]
fn deliveries_of_the_same_lane_do_not_wait_for_a_signer() {
    let scene = Scene::new();
    let door = Door::default();
    let sender = scene.of(Slow::new(&scene, &door, 8));
    let slow: Vec<_> = (0..8)
        .map(|number| {
            let url = scene.acme.url();
            let options = EndpointOptions::new(None);
            let endpoint = sender.dispatcher.endpoint(&format!("slow-{number}"), &url, options);
            scene::Sender { endpoint: endpoint.unwrap(), ..sender.clone() }.start()
        })
        .collect();
    door.await_waiting(8);
    for number in 0..16 {
        let options = EndpointOptions::new(None).identity(scene.lab.identity());
        let fast =
            sender.dispatcher.endpoint(&format!("fast-{number}"), &scene.acme.url(), options);
        let (endpoint, dispatcher) = (fast.unwrap(), sender.dispatcher.clone());
        for _ in 0..2 {
            let receipt = wait(dispatcher.deliver(&endpoint, "{}", DeliverOptions::new()));
            assert_eq!(receipt.unwrap().status(), 200);
        }
    }
    assert_eq!(scene.acme.received().len(), 32);
    door.open();
    for delivery in slow {
        assert_eq!(delivery.join().unwrap().unwrap().status(), 200);
    }
}

#[test]
fn no_more_calls_run_at_once_than_the_signer_allows() {
    let scene = Scene::new();
    let door = Door::default();
    let signer = Slow::new(&scene, &door, 2);
    let most = signer.most.clone();
    let sender = scene.of(signer);
    let all: Vec<_> = (0..8).map(|_| sender.start()).collect();
    door.await_waiting(2);
    door.open();
    for delivery in all {
        assert_eq!(delivery.join().unwrap().unwrap().status(), 200);
    }
    assert_eq!(most.load(SeqCst), 2);
}

#[test]
fn a_canceled_delivery_ends_while_its_signer_is_busy() {
    let scene = Scene::new();
    let door = Door::default();
    let sender = scene.of(Slow::new(&scene, &door, 1));
    let token = CancelToken::new();
    let (other, cancel) = (sender.clone(), token.clone());
    let delivery = thread::spawn(move || other.deliver_with(DeliverOptions::new().cancel(cancel)));
    door.await_waiting(1);
    token.cancel();
    let error = delivery.join().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::Canceled, Sent::Nothing));
    assert_eq!(sender.signatures("abandoned"), 1);
    door.open();
    door.await_passed(1);
    assert_eq!(sender.deliver().unwrap().status(), 200);
}

#[test]
fn a_peer_that_is_refused_costs_no_signature() {
    let scene = Scene::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let (counted, owner) = (calls.clone(), scene.owner());
    let sender = scene.of(move |request: &SignatureRequest<'_>| {
        counted.fetch_add(1, SeqCst);
        Ok(owner.sign(request))
    });
    let pins = Pins::new(["sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]).unwrap();
    let options = EndpointOptions::new(Some(pins));
    sender.dispatcher.endpoint("acme", &scene.acme.url(), options).unwrap();
    for version in [MinTls::V1_3, MinTls::V1_2] {
        let error = sender.deliver().unwrap_err();
        assert_eq!(error.kind(), Kind::PinMismatch, "{version:?}");
    }
    assert_eq!(calls.load(SeqCst), 0);
}

#[test]
fn a_chain_in_a_file_rotates_with_its_signer() {
    let scene = Scene::new();
    let next = scene.lab.authority().issue(Leaf::client("second")).unwrap();
    let file = env::temp_dir().join(format!("signer-{}.pem", std::process::id()));
    fs::write(&file, scene.lab.identity_pem().0).unwrap();
    let keys = [scene.owner(), Owner::new(&next.key_pem)];
    let rekeyed = Arc::new(AtomicUsize::new(0));
    let current = rekeyed.clone();
    let signer = move |request: &SignatureRequest<'_>| -> Result<_, SignerError> {
        Ok(keys[current.load(SeqCst)].sign(request))
    };
    let identity = Identity::from_signer_file(&file, signer).unwrap();
    let options = scene.lab.dispatcher_options().identity(identity).reload(None).unwrap();
    let dispatcher = Dispatcher::new(options).unwrap();
    let endpoint =
        dispatcher.endpoint("acme", &scene.acme.url(), EndpointOptions::new(None)).unwrap();
    let sender = scene::Sender { dispatcher, endpoint };
    assert_eq!(sender.deliver().unwrap().status(), 200);
    fs::write(&file, "-----BEGIN CERTIFICATE-----").unwrap();
    let events = wait(sender.dispatcher.reload()).unwrap();
    assert!(events.iter().any(|event| event.name() == EventName::RotationFailed), "{events:?}");
    fs::write(&file, &next.chain_pem).unwrap();
    let events = wait(sender.dispatcher.reload()).unwrap();
    let rotated = events.iter().find(|event| event.name() == EventName::Rotated).unwrap();
    assert_eq!(rotated.fields()["what"], "identity");
    // The certificate has a new key, and the signer still uses the old one.
    assert_eq!(sender.deliver().unwrap_err().context()["cause"], "signature_wrong");
    rekeyed.store(1, SeqCst);
    let receipt = sender.deliver().unwrap();
    assert!(!receipt.is_reused());
    assert_eq!(scene.acme.received().last().unwrap().tenant.as_deref(), Some("second"));
    fs::remove_file(&file).unwrap();
}

/// A signer whose options are wrong.
struct Options(usize, Vec<SignatureScheme>);

impl Signer for Options {
    fn sign(&self, _: &SignatureRequest<'_>) -> Result<Vec<u8>, SignerError> {
        Err(SignerError::new("Unused"))
    }

    fn concurrency(&self) -> usize {
        self.0
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.1.clone()
    }
}

#[test]
fn options_that_cannot_be_used_are_refused() {
    let scene = Scene::new();
    let cert = scene.lab.identity_pem().0;
    let refused = |signer: Options| {
        let error = Identity::from_signer(cert.as_bytes(), signer).unwrap_err();
        assert_eq!(error.kind(), Kind::OptionInvalid);
        error.context()["option"].as_str().unwrap().to_owned()
    };
    assert_eq!(refused(Options(0, vec![])), "concurrency");
    assert_eq!(refused(Options(65, vec![])), "concurrency");
    assert_eq!(refused(Options(1, vec![SignatureScheme::Ed25519])), "schemes");
    let fits = Options(64, vec![SignatureScheme::Ed25519, SignatureScheme::EcdsaSecp256r1Sha256]);
    let identity = Identity::from_signer(cert.as_bytes(), fits).unwrap();
    assert_ne!(identity, scene.lab.identity());
    assert_eq!(identity, identity.clone());
    let error = Identity::from_signer(b"", Options(1, vec![])).unwrap_err();
    assert_eq!(error.kind(), Kind::PemInvalid);
    let missing = Identity::from_signer_file("/no/such.pem", Options(1, vec![])).unwrap_err();
    assert_eq!(missing.kind(), Kind::PemInvalid);
}

#[test]
fn a_thousand_handshakes_of_several_threads_leave_no_call() {
    const THREADS: usize = 8;
    let scene = Scene::new();
    let door = Door::default();
    door.open();
    let signer = Slow::new(&scene, &door, THREADS);
    let now = signer.now.clone();
    let sender = scene.of(signer);
    let probe_many = || {
        for _ in 0..1000 / THREADS {
            sender.probe().unwrap();
        }
    };
    thread::scope(|threads| {
        (0..THREADS).for_each(|_| drop(threads.spawn(probe_many)));
    });
    assert_eq!(sender.signatures("made"), 1000);
    assert_eq!(now.load(SeqCst), 0);
}
