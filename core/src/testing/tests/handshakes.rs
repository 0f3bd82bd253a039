//! Handshakes, certificates, and the misbehaviors of a handshake.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, CertificateError, HandshakeKind};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::spawn_blocking;
use webpki::EndEntityCert;

use super::client::{Client, CountingResolver, alert, config, refusal, tls_error};
use super::{OK, lab, run};
use crate::testing::{Authority, Lab, Leaf, Misbehavior};

#[test]
fn tls_1_2_is_served_as_well() {
    let (lab, acme) = lab();
    run(async {
        let mut client =
            Client::with(&acme, config(&lab, Some(&lab.issued), &TLS12)).await.unwrap();
        assert!(client.post("", b"{}").await.ends_with(OK));
    });
}

#[test]
fn tls_1_2_alone_is_served_on_demand() {
    let (lab, acme) = lab();
    acme.misbehave(Misbehavior::Tls12, 2);
    run(async {
        let refused = Client::with(&acme, config(&lab, Some(&lab.issued), &TLS13)).await;
        assert_eq!(alert(&refused.err().unwrap()), Some(AlertDescription::ProtocolVersion));
        let mut client =
            Client::with(&acme, config(&lab, Some(&lab.issued), &TLS12)).await.unwrap();
        assert!(client.post("", b"{}").await.ends_with(OK));
    });
}

#[test]
fn no_session_is_resumed() {
    let (lab, acme) = lab();
    for version in [&TLS12, &TLS13] {
        let config = config(&lab, Some(&lab.issued), version);
        run(async {
            for _ in 0..2 {
                let mut client = Client::with(&acme, Arc::clone(&config)).await.unwrap();
                client.post("", b"{}").await;
                let tls = client.stream.get_ref().1;
                assert_ne!(tls.handshake_kind(), Some(HandshakeKind::Resumed));
                assert_eq!(tls.tls13_tickets_received(), 0);
            }
        });
    }
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let (lab, acme) = lab();
    let error = run(refusal(&acme, config(&lab, None, &TLS13)));
    assert_eq!(alert(&error), Some(AlertDescription::CertificateRequired));
    assert_eq!((acme.connections(), acme.handshakes()), (1, 0));
}

#[test]
fn a_faulty_client_certificate_is_refused() {
    let (lab, acme) = lab();
    let ca = lab.authority();
    let other = Authority::new("other").unwrap();
    for (issued, expected) in [
        (ca.issue(Leaf::client("a").expired()), AlertDescription::CertificateExpired),
        (ca.issue(Leaf::client("a").not_yet_valid()), AlertDescription::CertificateExpired),
        (ca.issue(Leaf::client("a").other_purpose()), AlertDescription::UnsupportedCertificate),
        (other.issue(Leaf::client("a")), AlertDescription::UnknownCA),
    ] {
        let config = config(&lab, Some(&issued.unwrap()), &TLS13);
        let error = run(refusal(&acme, config));
        assert_eq!(alert(&error), Some(expected), "{error}");
    }
    assert_eq!(acme.received(), []);
}

#[test]
fn a_client_certificate_without_a_purpose_is_accepted() {
    let (lab, acme) = lab();
    let issued = lab.authority().issue(Leaf::client("beta").no_purpose()).unwrap();
    run(async {
        let mut client = Client::with(&acme, config(&lab, Some(&issued), &TLS13)).await.unwrap();
        assert!(client.post("", b"{}").await.ends_with(OK));
    });
    assert_eq!(acme.received()[0].tenant.as_deref(), Some("beta"));
}

#[test]
fn never_ask_does_not_ask() {
    let (lab, acme) = lab();
    acme.misbehave(Misbehavior::NeverAsk, 1);
    let resolver = CountingResolver::with(&lab.issued);
    let mut config = Arc::unwrap_or_clone(config(&lab, None, &TLS13));
    config.client_auth_cert_resolver = Arc::clone(&resolver) as Arc<dyn ResolvesClientCert>;
    let config = Arc::new(config);
    run(async {
        let mut client = Client::with(&acme, Arc::clone(&config)).await.unwrap();
        assert!(client.post("", b"{}").await.ends_with(OK));
        assert_eq!(resolver.requests.load(Ordering::Relaxed), 0);
        // The misbehavior applied to one connection, so the next one is correct.
        let mut client = Client::with(&acme, config).await.unwrap();
        assert!(client.post("", b"{}").await.ends_with(OK));
        assert_eq!(resolver.requests.load(Ordering::Relaxed), 1);
    });
    let tenants: Vec<_> = acme.received().into_iter().map(|received| received.tenant).collect();
    assert_eq!(tenants, [None, Some("dispatcher".to_owned())]);
}

#[test]
fn reject_certificate_is_an_alert_after_the_handshake_of_tls_1_3() {
    let (lab, acme) = lab();
    acme.misbehave(Misbehavior::RejectCertificate, 0);
    run(async {
        for _ in 0..10 {
            let mut client = Client::connect(&lab, &acme).await.unwrap();
            // The receiver has already refused this connection. It reads these bytes and closes
            // gracefully, because a reset could overtake the alert.
            client.stream.write_all(&vec![b'x'; 100_000]).await.unwrap();
            client.stream.flush().await.unwrap();
            let error = client.rest().await.unwrap_err();
            assert_eq!(alert(&error), Some(AlertDescription::UnknownCA), "{error}");
            assert_eq!(client.stream.get_mut().0.read(&mut [0]).await.unwrap(), 0);
        }
    });
    assert_eq!((acme.received().len(), acme.handshakes()), (0, 0));
}

#[test]
fn reject_certificate_fails_the_handshake_of_tls_1_2() {
    let (lab, acme) = lab();
    acme.misbehave(Misbehavior::RejectCertificate, 1);
    let config = config(&lab, Some(&lab.issued), &TLS12);
    let error = run(Client::with(&acme, config)).err().unwrap();
    assert_eq!(alert(&error), Some(AlertDescription::UnknownCA), "{error}");
}

#[test]
fn a_misbehavior_makes_one_fault_in_the_certificate() {
    let (lab, acme) = lab();
    for (how, is_expected) in [
        (
            Misbehavior::Expired,
            (|e| matches!(e, CertificateError::ExpiredContext { .. })) as fn(&_) -> _,
        ),
        (Misbehavior::WrongName, |e| {
            let CertificateError::NotValidForNameContext { presented, .. } = e else {
                return false;
            };
            presented.iter().any(|name| name.contains("wrong.lab.test"))
        }),
        (Misbehavior::OtherCa, |e| matches!(e, CertificateError::UnknownIssuer)),
    ] {
        acme.misbehave(how, 1);
        let error = run(Client::connect(&lab, &acme)).err().unwrap();
        let Some(rustls::Error::InvalidCertificate(reason)) = tls_error(&error) else {
            panic!("{how:?}: {error}")
        };
        assert!(is_expected(reason), "{how:?}: {reason}");
        assert!(run(Client::connect(&lab, &acme)).is_ok(), "{how:?} must happen once");
    }
}

#[test]
fn a_misbehavior_of_the_handshake_closes_idle_connections() {
    let (lab, acme) = lab();
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        client.post("", b"{}").await;
        let misbehaving = acme.clone();
        let change = spawn_blocking(move || misbehaving.misbehave(Misbehavior::Expired, 1));
        assert_eq!(client.rest().await.unwrap(), b"");
        drop(client);
        change.await.unwrap();
        assert!(Client::connect(&lab, &acme).await.is_err());
    });
}

#[test]
fn renew_keeps_or_changes_the_key_at_once() {
    let (lab, acme) = lab();
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        client.post("", b"{}").await;
        let (first, pin) = (client.leaf(), acme.pin());
        assert_eq!(acme.previous_pin(), None);

        for new_key in [false, true] {
            let renewing = acme.clone();
            let renewing = spawn_blocking(move || renewing.renew(new_key));
            assert_eq!(client.rest().await.unwrap(), b"", "the idle connection is closed");
            drop(client);
            renewing.await.unwrap().unwrap();

            client = Client::connect(&lab, &acme).await.unwrap();
            assert!(client.post("", b"{}").await.ends_with(OK));
            assert_ne!(client.leaf(), first);
            assert_eq!(acme.pin() != pin, new_key);
            assert_eq!(acme.previous_pin(), new_key.then(|| pin.clone()));
        }
    });
    assert_eq!((acme.connections(), acme.received().len()), (3, 3));
}

#[test]
fn renew_lets_a_request_that_has_begun_finish() {
    let (lab, acme) = lab();
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        client.post("", b"{}").await;
        client.write("POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n").await;
        client.answer().await;
        // The connection is not idle, so `renew` does not wait for it.
        acme.renew(true).unwrap();
        client.write("{}").await;
        let answer = client.answer().await;
        assert!(answer.contains("connection: close\r\n") && answer.ends_with(OK), "{answer}");
        assert_eq!(client.rest().await.unwrap(), b"");
    });
    assert_eq!(acme.received().len(), 2);
}

#[test]
fn renew_does_not_wait_forever_for_a_stuck_client() {
    let (lab, acme) = lab();
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        client.post("", b"{}").await;
        // The client runs on this thread, so it cannot close its side while `renew` waits.
        acme.renew(true).unwrap();
        assert_eq!(client.rest().await.unwrap(), b"");
    });
}

#[test]
fn labs_do_not_trust_each_other() {
    let (lab, acme) = lab();
    let other = Lab::start().unwrap();
    let error = run(Client::with(&acme, config(&other, Some(&lab.issued), &TLS13))).err().unwrap();
    let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
    assert_eq!(tls_error(&error), Some(&unknown));
}

#[test]
fn the_pin_belongs_to_the_presented_key() {
    let (lab, acme) = lab();
    let client = run(Client::connect(&lab, &acme)).unwrap();
    let leaf = CertificateDer::from(client.leaf());
    let leaf = EndEntityCert::try_from(&leaf).unwrap();
    let digest = Sha256::digest(leaf.subject_public_key_info());
    assert_eq!(acme.pin(), format!("sha256/{}", STANDARD.encode(digest)));
}
