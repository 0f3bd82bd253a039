//! An identity that a consumer does not accept yet.

use webhook_mtls::event::EventName;
use webhook_mtls::testing::{Answer, Authority, Leaf};
use webhook_mtls::{Identity, Kind, Sent};

use crate::scene::Scene;

/// A scene whose files hold an identity of a CA that the consumer does not accept yet.
fn rotated_before_it_is_distributed(name: &str) -> (Scene, Authority) {
    let scene = Scene::new(name, false);
    assert_eq!(scene.deliver().unwrap().status(), 200);
    let next = Authority::new("next").unwrap();
    let issued = next.issue(Leaf::client("second")).unwrap();
    scene.write("tls.crt", &issued.chain_pem);
    scene.write("tls.key", &issued.key_pem);
    assert_eq!(scene.names(), ["rotated"]);
    (scene, next)
}

fn state(scene: &Scene) -> &'static str {
    scene.dispatcher.rotation_status().consumers["acme"].state
}

#[test]
fn a_consumer_without_the_new_ca_gets_the_previous_identity() {
    let (scene, next) = rotated_before_it_is_distributed("late");
    let events = scene.dispatcher.events();
    let former = Identity::from_pem(
        scene.lab.identity_pem().0.as_bytes(),
        scene.lab.identity_pem().1.as_bytes(),
        None,
    )
    .unwrap();
    assert_eq!(state(&scene), "previous");
    let receipt = scene.deliver().unwrap();
    assert_eq!((receipt.status(), receipt.attempts()), (200, 2));
    assert_eq!(scene.seen_as(), "dispatcher");
    let event = events.try_next().unwrap();
    assert_eq!(event.name(), EventName::RotatedButUndistributed);
    assert_eq!((event.consumer(), &event.fields()["via"]), (Some("acme"), &"alert".into()));
    // For a while the new identity is not tried again, and no event repeats.
    let receipt = scene.deliver().unwrap();
    assert!(receipt.is_reused() && receipt.attempts() == 1);
    assert!(events.try_next().is_none());
    assert_eq!(scene.acme.received().len(), 3, "no body arrived twice");

    let refused = scene.dispatcher.retire(&former, false).unwrap_err();
    assert_eq!(refused.kind(), Kind::IdentityInUse);
    assert_eq!(refused.context()["consumers"], serde_json::json!(["acme"]));

    // The consumer accepts only the new identity: the new one is tried at once.
    scene.acme.accept_only(&next);
    let receipt = scene.deliver().unwrap();
    assert_eq!((receipt.status(), receipt.attempts()), (200, 2));
    assert_eq!(scene.seen_as(), "second");
    assert_eq!(state(&scene), "current");
    assert!(scene.deliver().unwrap().is_reused());
    assert_eq!(scene.dispatcher.retire(&former, false).unwrap(), [""; 0]);
}

#[test]
fn a_retired_identity_is_never_presented() {
    let (scene, next) = rotated_before_it_is_distributed("retired");
    let (cert, key) = scene.lab.identity_pem();
    let former = Identity::from_pem(cert.as_bytes(), key.as_bytes(), None).unwrap();
    assert_eq!(scene.deliver().unwrap().attempts(), 2);
    assert_eq!(scene.dispatcher.retire(&former, true).unwrap(), ["acme"]);
    let refused = scene.deliver().unwrap_err();
    assert_eq!((refused.kind(), refused.sent()), (Kind::ClientCertificateRejected, Sent::Nothing));
    scene.acme.accept(&next);
    assert_eq!(scene.deliver().unwrap().status(), 200);
    assert_eq!(scene.seen_as(), "second");
    let current = Identity::from_files(scene.file("tls.crt"), scene.file("tls.key"), None).unwrap();
    let refused = scene.dispatcher.retire(&current, true).unwrap_err();
    assert_eq!(refused.kind(), Kind::IdentityInUse);
}

#[test]
fn if_both_identities_are_refused_the_error_is_that_of_the_new_one() {
    let (scene, _) = rotated_before_it_is_distributed("both");
    scene.acme.accept_only(&Authority::new("other").unwrap());
    let refused = scene.deliver().unwrap_err();
    assert_eq!((refused.kind(), refused.sent()), (Kind::ClientCertificateRejected, Sent::Nothing));
    assert_eq!(refused.context()["attempts"], 2);
    assert_eq!(refused.context()["identity"], "CN=second");
}

#[test]
fn the_error_of_the_first_refusal_reports_sent_of_the_second_attempt() {
    let (scene, _) = rotated_before_it_is_distributed("sent");
    let body = b"<center>The SSL certificate error</center>".to_vec();
    scene.acme.respond(Answer { body, ..Answer::status(400) }, 1);
    let refused = scene.deliver().unwrap_err();
    assert_eq!((refused.kind(), refused.sent()), (Kind::ClientCertificateRejected, Sent::All));
    assert_eq!(refused.context()["via"], "alert");
    assert_eq!(refused.context()["payload_sent"], true);
    assert_eq!(refused.context()["attempts"], 2);
    assert_eq!(scene.acme.received().len(), 2);
}
