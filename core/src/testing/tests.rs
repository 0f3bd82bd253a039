//! The kit seen from the other end of a real socket: a small rustls client that believes nothing.

use std::future::Future;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream as StdTcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, HandshakeKind, RootCertStore,
    SignatureScheme, SupportedProtocolVersion,
};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use webpki::EndEntityCert;

use super::*;

/// Longer than anything here takes; a test that needs it has failed.
const LONG: Duration = Duration::from_secs(20);
const OK: &str = "{\"ok\":true}";

#[test]
fn a_request_is_answered_and_recorded_whole() {
    let (lab, acme) = lab();
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        let answer = client.post("webhook-id: evt_1\r\nX-Twice: a\r\nX-Twice: b\r\n", b"{}").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("content-type: application/json\r\n"));
        assert!(answer.ends_with(OK));
    });
    let [received] = &acme.received()[..] else { panic!("{:?}", acme.received()) };
    assert_eq!(received.id.as_deref(), Some("evt_1"));
    assert_eq!((&*received.method, &*received.path), ("POST", "/webhooks/acme"));
    assert_eq!(received.body, b"{}");
    assert_eq!(received.tenant.as_deref(), Some("dispatcher"));
    let twice = received.headers.iter().filter(|header| header.0 == "x-twice");
    assert_eq!(twice.map(|header| &*header.1).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((acme.connections(), acme.handshakes()), (1, 1));
}

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
fn nothing_is_resumed() {
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
fn a_connection_is_kept_for_the_next_request() {
    let (lab, acme) = lab();
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        for _ in 0..3 {
            assert!(client.post("", b"{}").await.ends_with(OK));
        }
    });
    assert_eq!((acme.received().len(), acme.connections()), (3, 1));
}

#[test]
fn a_large_body_arrives_whole() {
    let (lab, acme) = lab();
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        assert!(client.post("", &body).await.ends_with(OK));
    });
    assert!(acme.received()[0].body == body);
}

#[test]
fn a_chunked_body_is_put_together() {
    let (lab, acme) = lab();
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        // In single bytes, so that every state of the parser sees an end of input.
        let text = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
                    3;name=value\r\nabc\r\nA\r\n0123456789\r\n0\r\ntrailer: 1\r\n\r\n";
        for byte in text.as_bytes() {
            client.stream.write_all(&[*byte]).await.unwrap();
            client.stream.flush().await.unwrap();
        }
        assert!(client.answer().await.ends_with(OK));
        assert!(client.post("", b"after").await.ends_with(OK));
    });
    let bodies: Vec<_> = acme.received().into_iter().map(|received| received.body).collect();
    assert_eq!(bodies, [&b"abc0123456789"[..], b"after"]);
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let (lab, acme) = lab();
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        client.write("POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n").await;
        assert_eq!(client.answer().await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.write("{}").await;
        assert!(client.answer().await.ends_with(OK));
    });
    assert_eq!(acme.received()[0].body, b"{}");
}

#[test]
fn what_is_no_request_is_refused_and_not_recorded() {
    let (lab, acme) = lab();
    let head = "POST / HTTP/1.1\r\n";
    let many = "a: b\r\n".repeat(129);
    for (request, status) in [
        ("garbage\r\n\r\n".to_owned(), 400),
        (format!("{head}content-length: 1\r\ncontent-length: 1\r\n\r\n"), 400),
        (format!("{head}content-length: +1\r\n\r\n"), 400),
        (format!("{head}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n"), 400),
        (format!("{head}transfer-encoding: gzip, chunked\r\n\r\n"), 400),
        (format!("{head}transfer-encoding: chunked\r\n\r\nxyz\r\n"), 400),
        (format!("{head}transfer-encoding: chunked\r\n\r\n1\r\nab\r\n"), 400),
        (format!("{head}transfer-encoding: chunked\r\n\r\nfffffffffffffff\r\n"), 413),
        (format!("{head}content-length: 67108865\r\n\r\n"), 413),
        (format!("{head}content-length: 99999999999999999999999\r\n\r\n"), 413),
        (format!("{head}{many}\r\n"), 431),
        (format!("{head}a: {}", "b".repeat(70_000)), 431),
    ] {
        run(async {
            let mut client = Client::connect(&lab, &acme).await.unwrap();
            client.write(&request).await;
            let answer = client.answer().await;
            let shown = &request[..request.len().min(100)];
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}: {answer}");
            assert!(answer.contains("connection: close\r\n"));
            assert_eq!(client.rest().await.unwrap(), b"");
        });
    }
    assert_eq!(acme.received(), []);
}

#[test]
fn answers_are_given_in_order_and_as_often_as_said() {
    let (lab, acme) = lab();
    let made = Answer {
        status: 418,
        retry_after: None,
        headers: vec![("x-pot".into(), "tea".into())],
        body: b"short".to_vec(),
    };
    acme.respond(Answer { retry_after: Some(7), ..Answer::status(503) }, 2);
    acme.respond(made, 0);
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        for _ in 0..2 {
            let answer = client.post("", b"{}").await;
            assert_eq!(answer, "HTTP/1.1 503 \r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n");
        }
        for _ in 0..3 {
            let answer = client.post("", b"{}").await;
            assert_eq!(answer, "HTTP/1.1 418 \r\nx-pot: tea\r\ncontent-length: 5\r\n\r\nshort");
        }
        acme.respond(Answer::status(204), 1);
        assert_eq!(client.post("", b"{}").await, "HTTP/1.1 204 \r\n\r\n");
        assert!(client.post("", b"{}").await.ends_with(OK));
        acme.respond(Answer::status(500), 0);
        acme.behave();
        assert!(client.post("", b"{}").await.ends_with(OK));
    });
}

#[test]
fn an_answer_that_closes_closes() {
    let (lab, acme) = lab();
    let headers = vec![("Connection".into(), "close".into())];
    acme.respond(Answer { headers, ..Answer::default() }, 1);
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        assert!(client.post("", b"{}").await.ends_with(OK));
        assert_eq!(client.rest().await.unwrap(), b"");
    });
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let (lab, acme) = lab();
    let error = run(refusal(&acme, config(&lab, None, &TLS13)));
    assert_eq!(alert(&error), Some(AlertDescription::CertificateRequired));
    assert_eq!((acme.connections(), acme.handshakes()), (1, 0));
}

#[test]
fn a_client_certificate_that_is_wrong_is_refused() {
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
fn a_client_certificate_without_a_purpose_is_taken() {
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
    acme.misbehave(Misbehaviour::NeverAsk, 1);
    let asked = Asked::with(&lab.issued);
    let mut config = Arc::unwrap_or_clone(config(&lab, None, &TLS13));
    config.client_auth_cert_resolver = Arc::clone(&asked) as Arc<dyn ResolvesClientCert>;
    let config = Arc::new(config);
    run(async {
        let mut client = Client::with(&acme, Arc::clone(&config)).await.unwrap();
        assert!(client.post("", b"{}").await.ends_with(OK));
        assert_eq!(asked.times.load(Ordering::Relaxed), 0);
        // Once was said, so the next connection is as it should be.
        let mut client = Client::with(&acme, config).await.unwrap();
        assert!(client.post("", b"{}").await.ends_with(OK));
        assert_eq!(asked.times.load(Ordering::Relaxed), 1);
    });
    let tenants: Vec<_> = acme.received().into_iter().map(|received| received.tenant).collect();
    assert_eq!(tenants, [None, Some("dispatcher".to_owned())]);
}

#[test]
fn reject_certificate_is_an_alert_after_the_handshake_of_tls_1_3() {
    let (lab, acme) = lab();
    acme.misbehave(Misbehaviour::RejectCertificate, 0);
    run(async {
        for _ in 0..10 {
            let mut client = Client::connect(&lab, &acme).await.unwrap();
            // Written into a connection that is refused already. The receiver takes it and closes
            // in order: a reset could overtake the alert.
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
    acme.misbehave(Misbehaviour::RejectCertificate, 1);
    let config = config(&lab, Some(&lab.issued), &TLS12);
    let error = run(Client::with(&acme, config)).err().unwrap();
    assert_eq!(alert(&error), Some(AlertDescription::UnknownCA), "{error}");
}

#[test]
fn a_wrong_certificate_is_wrong_in_one_way() {
    let (lab, acme) = lab();
    for (how, is_it) in [
        (
            Misbehaviour::Expired,
            (|e| matches!(e, CertificateError::ExpiredContext { .. })) as fn(&_) -> _,
        ),
        (Misbehaviour::WrongName, |e| {
            let CertificateError::NotValidForNameContext { presented, .. } = e else {
                return false;
            };
            presented.iter().any(|name| name.contains("wrong.lab.test"))
        }),
        (Misbehaviour::OtherCa, |e| matches!(e, CertificateError::UnknownIssuer)),
    ] {
        acme.misbehave(how, 1);
        let error = run(Client::connect(&lab, &acme)).err().unwrap();
        let Some(rustls::Error::InvalidCertificate(reason)) = tls_error(&error) else {
            panic!("{how:?}: {error}")
        };
        assert!(is_it(reason), "{how:?}: {reason}");
        assert!(run(Client::connect(&lab, &acme)).is_ok(), "{how:?} was to happen once");
    }
}

#[test]
fn reset_after_body_records_and_resets() {
    let (lab, acme) = lab();
    acme.misbehave(Misbehaviour::ResetAfterBody, 1);
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        client.send("", b"{}").await;
        assert_eq!(client.rest().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        assert!(client.post("", b"{}").await.ends_with(OK));
    });
    assert_eq!(acme.received().len(), 2);
}

#[test]
fn stall_records_and_never_answers() {
    let (lab, acme) = lab();
    acme.misbehave(Misbehaviour::Stall, 1);
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        client.send("", b"{}").await;
        let stalled = acme.clone();
        assert!(spawn_blocking(move || stalled.wait(1, LONG)).await.unwrap());
        // A second request shows that the first was passed over, not merely slow.
        client.send("", b"{}").await;
        client.stream.shutdown().await.unwrap();
        assert_eq!(client.raw_rest().await, b"");
    });
    assert_eq!(acme.received().len(), 1);
}

#[test]
fn a_misbehaviour_of_the_handshake_closes_what_was_kept_alive() {
    let (lab, acme) = lab();
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        client.post("", b"{}").await;
        let told = acme.clone();
        let telling = spawn_blocking(move || told.misbehave(Misbehaviour::Expired, 1));
        assert_eq!(client.rest().await.unwrap(), b"");
        drop(client);
        telling.await.unwrap();
        assert!(Client::connect(&lab, &acme).await.is_err());
    });
}

#[test]
fn misbehaviours_have_names() {
    for how in Misbehaviour::ALL {
        assert_eq!(Misbehaviour::from_name(how.name()), Some(*how));
    }
    assert_eq!(Misbehaviour::ALL.len(), 7);
    assert_eq!(Misbehaviour::from_name("NeverAsk"), None);
}

#[test]
fn renew_keeps_or_changes_the_key_and_is_seen_at_once() {
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
        // The connection is at work, so nobody has to be waited for.
        acme.renew(true).unwrap();
        client.write("{}").await;
        let answer = client.answer().await;
        assert!(answer.contains("connection: close\r\n") && answer.ends_with(OK), "{answer}");
        assert_eq!(client.rest().await.unwrap(), b"");
    });
    assert_eq!(acme.received().len(), 2);
}

#[test]
fn renew_does_not_wait_for_ever_for_a_client_that_is_stuck() {
    let (lab, acme) = lab();
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        client.post("", b"{}").await;
        // This very thread is the client's.
        acme.renew(true).unwrap();
        assert_eq!(client.rest().await.unwrap(), b"");
    });
}

#[test]
fn garbage_and_clients_that_vanish_disturb_nobody() {
    let (lab, acme) = lab();
    acme.misbehave(Misbehaviour::Expired, 1);

    let mut garbage = plain(&acme);
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut heard = Vec::new();
    // An alert, then the end; the reset that may follow it is as good an end.
    let _ = garbage.read_to_end(&mut heard);
    assert_eq!(heard.first(), Some(&21), "a TLS alert record");

    let mut silent = plain(&acme);
    silent.shutdown(Shutdown::Write).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    let _held_open = plain(&acme);

    assert!(run(Client::connect(&lab, &acme)).is_err(), "nobody used the misbehaviour up");
    run(async {
        let mut vanishing = Client::connect(&lab, &acme).await.unwrap();
        vanishing.write("POST / HTTP/1.1\r\ncontent-length: 100\r\n\r\nhalf").await;
        drop(vanishing);
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        assert!(client.post("", b"{}").await.ends_with(OK));
    });
    assert_eq!(acme.received().len(), 1);
}

#[test]
fn dropping_the_lab_leaves_nothing() {
    let (lab, acme) = lab();
    let remaining = Arc::downgrade(&acme.receiver);
    acme.misbehave(Misbehaviour::Stall, 1);
    let address = address(&acme);
    let mut unspoken = plain(&acme);
    run(async {
        let mut stalled = Client::connect(&lab, &acme).await.unwrap();
        stalled.send("", b"{}").await;
        let idle = Client::connect(&lab, &acme).await.unwrap();
        assert!(acme.wait(1, LONG));
        drop(lab);
        for mut client in [stalled, idle] {
            let end = client.rest().await.unwrap_err().kind();
            let ends = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset];
            assert!(ends.contains(&end), "closed without a goodbye: {end}");
        }
    });
    assert_eq!(unspoken.read(&mut [0]).unwrap(), 0);
    let refused = StdTcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);

    assert_eq!(acme.received().len(), 1, "what was recorded stays");
    acme.renew(true).unwrap();
    drop(acme);
    assert_eq!(remaining.strong_count(), 0, "no task holds the receiver");
}

#[test]
fn a_lab_can_be_dropped_from_anywhere() {
    fn shared<T: Send + Sync>(_: &T) {}
    let (lab, acme) = lab();
    shared(&lab);
    shared(&acme);
    run(async move { drop(lab) });
}

#[test]
fn a_name_is_one_consumer() {
    let (lab, acme) = lab();
    assert_eq!(lab.consumer("acme").unwrap().url(), acme.url());
    assert_ne!(lab.consumer("beta").unwrap().url(), acme.url());
    for name in ["", "a/b", "ä", "a b", &"a".repeat(65)] {
        assert_eq!(lab.consumer(name).unwrap_err().kind(), Kind::OptionInvalid, "{name}");
    }
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
fn the_pin_is_of_the_key_that_is_shown() {
    let (lab, acme) = lab();
    let client = run(Client::connect(&lab, &acme)).unwrap();
    let leaf = CertificateDer::from(client.leaf());
    let leaf = EndEntityCert::try_from(&leaf).unwrap();
    let digest = Sha256::digest(leaf.subject_public_key_info());
    assert_eq!(acme.pin(), format!("sha256/{}", STANDARD.encode(digest)));
}

#[test]
fn files_are_written_and_the_key_is_private() {
    let lab = Lab::start().unwrap();
    let dir = std::env::temp_dir().join(format!("lab-files-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("tls.key"), "of somebody else, and longer than a key ".repeat(100)).unwrap();
    fs::set_permissions(dir.join("tls.key"), Permissions::from_mode(0o644)).unwrap();
    lab.write_files(&dir).unwrap();

    let read = |name| fs::read_to_string(dir.join(name)).unwrap();
    assert_eq!((read("tls.crt"), read("tls.key")), lab.identity_pem());
    assert_eq!(read("ca.pem"), lab.trust_pem());
    let mode = fs::metadata(dir.join("tls.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let inside_a_file = dir.join("ca.pem").join("below");
    assert_eq!(lab.write_files(inside_a_file).unwrap_err().kind(), Kind::OptionInvalid);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn an_error_of_any_kind_can_be_had() {
    assert_eq!(error(Kind::HttpStatus).kind(), Kind::HttpStatus);
}

#[test]
fn no_secret_is_printed() {
    let (lab, acme) = lab();
    let issued = lab.authority().issue(Leaf::client("a").key_of(&lab.issued)).unwrap();
    let text = format!("{lab:?} {acme:?} {issued:?} {:?}", Leaf::client("a").key_of(&issued));
    assert!(!text.contains("PRIVATE KEY") && !text.contains(&issued.key_pem[40..60]), "{text}");
}

fn lab() -> (Lab, Consumer) {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    (lab, acme)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, future).await.expect("it never ended") })
}

fn address(consumer: &Consumer) -> SocketAddr {
    let url = consumer.url();
    url.split('/').nth(2).unwrap().parse().unwrap()
}

fn plain(consumer: &Consumer) -> StdTcpStream {
    let stream = StdTcpStream::connect(address(consumer)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn config(
    lab: &Lab,
    identity: Option<&Issued>,
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(lab.trust_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(issued) => {
            let (chain, key) = der(issued);
            builder.with_client_auth_cert(chain, key.into()).unwrap()
        }
    })
}

fn der(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivatePkcs8KeyDer<'static>) {
    let chain = issued.chain_der.iter().cloned().map(CertificateDer::from).collect();
    (chain, issued.key_der.clone().into())
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn alert(error: &io::Error) -> Option<AlertDescription> {
    match tls_error(error)? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// What a client gets to read that the server will not have, when its own handshake was complete.
async fn refusal(consumer: &Consumer, config: Arc<ClientConfig>) -> io::Error {
    let mut client = Client::with(consumer, config).await.unwrap();
    client.rest().await.unwrap_err()
}

struct Client {
    stream: TlsStream<TcpStream>,
    path: String,
}

impl Client {
    async fn connect(lab: &Lab, consumer: &Consumer) -> io::Result<Self> {
        Self::with(consumer, config(lab, Some(&lab.issued), &TLS13)).await
    }

    async fn with(consumer: &Consumer, config: Arc<ClientConfig>) -> io::Result<Self> {
        let address = address(consumer);
        let tcp = TcpStream::connect(address).await?;
        let name = ServerName::from(address.ip());
        let stream = TlsConnector::from(config).connect(name, tcp).await?;
        Ok(Self { stream, path: format!("/webhooks/{}", consumer.name()) })
    }

    async fn post(&mut self, headers: &str, body: &[u8]) -> String {
        self.send(headers, body).await;
        self.answer().await
    }

    async fn send(&mut self, headers: &str, body: &[u8]) {
        let head = format!("POST {} HTTP/1.1\r\nhost: localhost\r\n", self.path);
        self.write(&format!("{head}{headers}content-length: {}\r\n\r\n", body.len())).await;
        self.stream.write_all(body).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// One answer: its head, and as much body as the head announces.
    async fn answer(&mut self) -> String {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            text.push(self.stream.read_u8().await.unwrap().into());
        }
        let length = text
            .split("content-length: ")
            .nth(1)
            .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.unwrap();
        text + std::str::from_utf8(&body).unwrap()
    }

    /// Everything up to a proper goodbye.
    async fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await?;
        Ok(rest)
    }

    /// Everything up to the end, proper or not.
    async fn raw_rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest).await;
        rest
    }

    fn leaf(&self) -> Vec<u8> {
        self.stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }
}

/// Counts how often a server asks for the certificate it would give.
#[derive(Debug)]
struct Asked {
    key: Arc<CertifiedKey>,
    times: AtomicUsize,
}

impl Asked {
    fn with(issued: &Issued) -> Arc<Self> {
        let (chain, key) = der(issued);
        let provider = aws_lc_rs::default_provider();
        let key = CertifiedKey::from_der(chain, key.into(), &provider).unwrap();
        Arc::new(Self { key: Arc::new(key), times: AtomicUsize::new(0) })
    }
}

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.times.fetch_add(1, Ordering::Relaxed);
        Some(Arc::clone(&self.key))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
