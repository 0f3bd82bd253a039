//! The kit's means to test receivers: headers as a proxy writes them, forged ones, and nginx.
#![cfg(feature = "testing")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::SystemTime;

use webhook_mtls::forwarded::{Dialect, Hop, Remote};
use webhook_mtls::testing::{Forgery, Lab, Leaf};
use webhook_mtls::{
    Authorization, DeliverOptions, EndpointOptions, Kind, Pins, Role, Verifier, VerifierOptions,
};

fn verifier(lab: &Lab) -> Verifier {
    let intermediate = lab.authority().intermediate_pem();
    let root = lab.trust_pem();
    let trust =
        webhook_mtls::Trust::from_pem(root.as_bytes(), Some(intermediate.as_bytes()), &[]).unwrap();
    let options = VerifierOptions::new(Role::Client, trust);
    Verifier::new(options.authorization(Authorization::ca_members())).unwrap()
}

#[test]
fn every_dialect_passes_and_every_forgery_is_refused() {
    let lab = Lab::start().unwrap();
    let (verifier, hop) = (verifier(&lab), Hop::unix("edge").unwrap());
    let issued = lab.authority().issue(Leaf::client("acme")).unwrap();
    let mut without_verdict = 0;
    for &dialect in Dialect::ALL {
        let verify = |headers: &[(String, String)]| {
            let now = SystemTime::now();
            verifier.verify_forwarded(headers, dialect, &hop, Some(Remote::Unix), now)
        };
        let peer = verify(&issued.forwarded(dialect)).unwrap();
        assert_eq!((&*peer.subject(), peer.hop()), ("CN=acme", Some("edge")), "{dialect:?}");
        for &forgery in Forgery::ALL {
            let Ok(headers) = issued.forged(dialect, forgery) else {
                assert_eq!(forgery, Forgery::NotVerified, "{dialect:?}");
                without_verdict += 1;
                continue;
            };
            let kind = verify(&headers).unwrap_err().kind();
            let expected = [Kind::HopUntrusted, Kind::EvidenceMissing];
            assert!(expected.contains(&kind), "{dialect:?} {forgery:?}: {kind:?}");
        }
    }
    assert_eq!(without_verdict, 7);
}

#[test]
fn a_delivery_passes_nginx_to_an_application_that_verifies_it() {
    let lab = Lab::start().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = lab.nginx(&listener.local_addr().unwrap().to_string()).unwrap();
    let application = thread::spawn(move || {
        let (mut connection, remote) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            connection.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        connection.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
        (String::from_utf8(head).unwrap(), remote)
    });
    let dispatcher = lab.dispatcher();
    let pins = Pins::new([nginx.pin()]).unwrap();
    let options = EndpointOptions::new(Some(pins));
    let endpoint = dispatcher.endpoint("app", nginx.url(), options).unwrap();
    let outcome = dispatcher.deliver_blocking(&endpoint, "{}", DeliverOptions::new(), None);
    assert_eq!(outcome.expect("nothing interrupts it").unwrap().status(), 204);

    let (head, remote) = application.join().unwrap();
    let lines: Vec<(&str, &str)> =
        head.lines().skip(1).filter_map(|line| line.split_once(": ")).collect();
    let hop = Hop::address("nginx", ["127.0.0.1"]).unwrap();
    let (remote, now) = (Some(Remote::Address(remote.ip())), SystemTime::now());
    let peer = verifier(&lab).verify_forwarded(&lines, Dialect::Nginx, &hop, remote, now).unwrap();
    assert_eq!((&*peer.subject(), peer.hop()), ("CN=dispatcher", Some("nginx")));

    let url = nginx.url().to_owned();
    drop(lab);
    let address = url.trim_start_matches("https://").trim_end_matches('/');
    assert!(std::net::TcpStream::connect(address).is_err(), "nginx ends with the lab");
    nginx.close();
}

#[test]
fn nginx_needs_a_host_and_a_port() {
    let lab = Lab::start().unwrap();
    for wrong in ["", "localhost", "127.0.0.1:80; root /"] {
        assert_eq!(lab.nginx(wrong).unwrap_err().kind(), Kind::OptionInvalid, "{wrong}");
    }
}
