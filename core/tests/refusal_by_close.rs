//! A consumer that refuses our certificate by closing, as Node does on TLS 1.3: it is told apart from a
//! lost connection before the request. Run with `--features testing`.
#![cfg(feature = "testing")]

mod calm;
mod raw;

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use calm::patiently;
use raw::{Conversation, config, config_with, roots, serve};
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use webhook_mtls::bindings::runtime;
use webhook_mtls::error::Stage;
use webhook_mtls::event::EventName;
use webhook_mtls::testing::{Authority, Lab, Leaf, Misbehavior};
use webhook_mtls::{
    DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Error, Identity, Kind, MinTls,
    ProbeOptions, Receipt, Sent,
};

const BODY: &str = r#"{"leaves":"once"}"#;
const SOON: Duration = Duration::from_secs(10);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

/// How long a slow handshake takes here, and the least time that a delivery with such a handshake takes
/// if it waits for a verdict to the end.
const SLOW: Duration = Duration::from_millis(400);
const SLOW_AND_WAITED: Duration = Duration::from_millis(1400);

fn wait<F: Future>(future: F) -> F::Output {
    runtime::drive(future, || false).expect("nothing interrupts")
}

/// When the consumer closes on the new certificate. It accepts the former one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    AfterTheHandshake,
    AfterTheHead,
}

/// An endpoint with a replaced identity, and its consumer.
struct Scene {
    dispatcher: Dispatcher,
    endpoint: Endpoint,
    /// Whether a request came under the new identity, and its payload.
    seen: Receiver<(bool, String)>,
    former: Identity,
}

impl Scene {
    fn rotated(manner: Manner) -> Self {
        let lab = Lab::start().unwrap();
        let issued = lab.authority().issue(Leaf::client("new")).unwrap();
        let new = Identity::from_pem(issued.chain_pem.as_bytes(), issued.key_pem.as_bytes(), None);
        let leaf = issued.chain_der[0].clone();
        let (record, seen) = mpsc::channel();
        let mut tls = config(&lab, &[&TLS13]);
        tls.session_storage = Arc::new(NoServerSessionStorage {});
        let url = serve(tls, move |conversation| {
            converse(conversation, &leaf, manner, &record);
        });
        let dispatcher = lab.dispatcher();
        let options = EndpointOptions::new(None);
        let endpoint = dispatcher.endpoint("acme", &url, options.clone()).unwrap();
        let scene = Self { dispatcher, endpoint, seen, former: lab.identity() };
        scene.deliver(BODY).unwrap();
        scene.saw(&[(false, BODY)]);
        scene.dispatcher.endpoint("acme", &url, options.identity(new.unwrap())).unwrap();
        scene
    }

    fn deliver(&self, body: &'static str) -> Result<Receipt, Error> {
        wait(self.dispatcher.deliver(&self.endpoint, body, DeliverOptions::new()))
    }

    /// Asserts that exactly these payloads arrived since the last check.
    fn saw(&self, expected: &[(bool, &str)]) {
        for (new, body) in expected {
            assert_eq!(self.seen.recv_timeout(SOON).unwrap(), (*new, (*body).to_owned()));
        }
        assert!(self.seen.try_recv().is_err());
    }
}

fn converse(
    mut conversation: Conversation,
    new: &[u8],
    manner: Manner,
    record: &Sender<(bool, String)>,
) -> Option<()> {
    // A slow handshake allows a long wait, so that the load of the machine does not matter.
    thread::sleep(SLOW);
    conversation.shake_hands()?;
    let new = conversation.shown() == new;
    if new && manner == Manner::AfterTheHandshake {
        return None;
    }
    loop {
        let head = String::from_utf8(conversation.head()?).unwrap();
        if new {
            return None;
        }
        let length = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
        if head.contains("\r\nexpect: 100-continue\r\n") {
            conversation.say(CONTINUE);
        }
        let body = conversation.bytes(length.parse().unwrap())?;
        record.send((new, String::from_utf8(body).unwrap())).ok()?;
        conversation.say(OK);
    }
}

#[test]
fn after_a_close_the_previous_identity_is_presented() {
    patiently(|_| {
        // An empty payload cannot be held.
        for body in [BODY, ""] {
            let scene = Scene::rotated(Manner::AfterTheHandshake);
            let events = scene.dispatcher.events();
            let receipt = scene.deliver(body).unwrap();
            assert_eq!((receipt.status(), receipt.attempts()), (200, 2));
            scene.saw(&[(false, body)]);
            let event = events.try_next().unwrap();
            assert_eq!(event.name(), EventName::RotatedButUndistributed);
            assert_eq!(event.fields()["via"], "close");
            assert_eq!(event.fields()["issuer"], event.fields()["previous_issuer"]);
            // For a while the previous identity is presented at once.
            assert_eq!(scene.deliver(body).unwrap().attempts(), 1);
            scene.saw(&[(false, body)]);
        }
    });
}

/// The consumer is slower than the wait, and closes while the payload is held.
#[test]
fn after_a_close_with_a_held_payload_the_previous_identity_is_presented() {
    patiently(|_| {
        let scene = Scene::rotated(Manner::AfterTheHead);
        let receipt = scene.deliver(BODY).unwrap();
        assert_eq!((receipt.status(), receipt.attempts()), (200, 2));
        scene.saw(&[(false, BODY)]);
        assert_eq!(scene.deliver(BODY).unwrap().attempts(), 1);
        scene.saw(&[(false, BODY)]);
    });
}

#[test]
fn a_close_is_a_refusal_if_the_previous_identity_was_accepted() {
    patiently(|_| {
        let scene = Scene::rotated(Manner::AfterTheHandshake);
        assert_eq!(scene.deliver(BODY).unwrap().attempts(), 2);
        scene.saw(&[(false, BODY)]);
        scene.dispatcher.retire(&scene.former, true).unwrap();
        let error = scene.deliver(BODY).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (Kind::ClientCertificateRejected, Sent::Nothing));
        assert_eq!((error.stage(), &error.context()["via"]), (Stage::Handshake, &"close".into()));
        assert!(error.remedy().contains("accepted our former certificate"), "{}", error.remedy());
        let probed =
            wait(scene.dispatcher.probe(&scene.endpoint, ProbeOptions::new())).unwrap_err();
        assert_eq!((probed.kind(), &probed.context()["via"]), (error.kind(), &"close".into()));
        scene.saw(&[]);
    });
}

/// Three deliveries to a consumer that closes each connection after the head of a request, and whose
/// handshake is slow.
fn lose_three(tickets: bool) -> [Error; 3] {
    let lab = Lab::start().unwrap();
    let mut tls = config(&lab, &[&TLS13]);
    if tickets {
        tls.session_storage = ServerSessionMemoryCache::new(8);
    } else {
        tls.session_storage = Arc::new(NoServerSessionStorage {});
    }
    let url = serve(tls, |mut conversation| {
        thread::sleep(SLOW);
        conversation.shake_hands().and_then(|()| conversation.head());
    });
    let dispatcher = lab.dispatcher();
    let endpoint = dispatcher.endpoint("acme", &url, EndpointOptions::new(None)).unwrap();
    [(); 3].map(|()| wait(dispatcher.deliver(&endpoint, BODY, DeliverOptions::new())).unwrap_err())
}

#[test]
fn after_a_loss_the_payload_is_held_and_a_silent_consumer_waited_for_once() {
    patiently(|_| {
        let [first, second, third] = lose_three(false);
        for error in [&first, &second, &third] {
            assert_eq!((error.kind(), error.sent() > Sent::Nothing), (Kind::ConnectionLost, true));
        }
        assert_eq!(second.context()["payload_sent"], false);
        assert_eq!(third.context()["payload_sent"], false);
        assert!(first.elapsed().unwrap() < SLOW_AND_WAITED, "no doubt yet: {:?}", first.elapsed());
        assert!(second.elapsed().unwrap() >= SLOW_AND_WAITED, "{:?}", second.elapsed());
        assert!(third.elapsed().unwrap() < SLOW_AND_WAITED, "{:?}", third.elapsed());
    });
}

#[test]
fn a_session_ticket_ends_the_wait() {
    patiently(|_| {
        let [_, second, third] = lose_three(true);
        for error in [second, third] {
            assert_eq!(error.context()["payload_sent"], false);
            assert!(error.elapsed().unwrap() < SLOW_AND_WAITED, "{:?}", error.elapsed());
        }
    });
}

#[test]
fn a_close_within_the_handshake_of_tls_1_2_is_judged_in_the_same_way() {
    let lab = Lab::start().unwrap();
    for (authority, kind) in [
        (lab.authority().clone(), Kind::ConnectionLost),
        (Authority::new("other").unwrap(), Kind::ClientCertificateRejected),
    ] {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let names =
            WebPkiClientVerifier::builder_with_provider(roots(authority.root_pem()), provider);
        let tls = config_with(&lab, names, &[&TLS12]);
        let url = serve(tls, Conversation::leave_in_handshake);
        let options = EndpointOptions::new(None).min_tls(MinTls::V1_2);
        let dispatcher = lab.dispatcher();
        let endpoint = dispatcher.endpoint("acme", &url, options).unwrap();
        let error = wait(dispatcher.deliver(&endpoint, BODY, DeliverOptions::new())).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (kind, Sent::Nothing), "{error}");
        assert_eq!(error.context()["hint"], "client_certificate_may_be_refused");
        assert_eq!(error.context()["issuer_listed"], kind == Kind::ConnectionLost);
    }
}

#[test]
fn the_error_compares_the_cas_of_the_consumer_with_ours_and_no_log_shows_them() {
    patiently(|_| {
        let lab = Lab::start().unwrap();
        let acme = lab.consumer("acme").unwrap();
        let dispatcher = lab.dispatcher();
        let endpoint =
            dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None)).unwrap();
        acme.misbehave(Misbehavior::RejectByClose, 1);
        let error = wait(dispatcher.deliver(&endpoint, BODY, DeliverOptions::new())).unwrap_err();
        assert_eq!(error.kind(), Kind::ClientCertificateRejected);
        let json = error.to_json();
        let accepted = json["tls"]["certificate_authorities"][0].as_str().unwrap();
        assert!(accepted.starts_with("CN=other "), "{accepted}");
        assert!(error.remedy().contains(accepted), "{}", error.remedy());
        let ours = "Ours (CN=dispatcher) leads to CN=lab ";
        assert!(error.remedy().contains(ours), "{}", error.remedy());
        assert!(!format!("{error} {error:?}").contains(accepted));
        assert!(!error.public().to_string().contains(accepted));

        let receipt = wait(dispatcher.deliver(&endpoint, BODY, DeliverOptions::new())).unwrap();
        let [ours] = &receipt.tls().certificate_authorities()[..] else { panic!("not one CA") };
        assert!(ours.starts_with("CN=lab ") && receipt.tls().is_issuer_listed() == Some(true));
        assert!(!format!("{:?}", receipt.tls()).contains(ours));
    });
}

#[test]
fn a_probe_shows_that_our_ca_is_not_among_those_of_the_consumer() {
    patiently(|_| {
        let lab = Lab::start().unwrap();
        let acme = lab.consumer("acme").unwrap();
        let dispatcher = lab.dispatcher();
        let endpoint =
            dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None)).unwrap();
        let probe = || wait(dispatcher.probe(&endpoint, ProbeOptions::new()));
        assert!(probe().unwrap().note().unwrap().ends_with("comes with the first answer."));
        acme.misbehave(Misbehavior::RejectByClose, 1);
        let refused = probe().unwrap_err();
        assert_eq!(
            (refused.kind(), &refused.context()["via"]),
            (Kind::ClientCertificateRejected, &"close".into())
        );
    });
}
