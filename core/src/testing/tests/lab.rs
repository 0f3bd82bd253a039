//! The lab itself: its names, its files and its end.

use std::fs::{self, Permissions};
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream as StdTcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use super::client::{Client, address, plain};
use super::{LONG, OK, lab, run};
use crate::error::Kind;
use crate::testing::{Lab, Leaf, Misbehavior, error};

#[test]
fn misbehaviors_have_names() {
    for how in Misbehavior::ALL {
        assert_eq!(Misbehavior::from_name(how.name()), Some(*how));
    }
    assert_eq!(Misbehavior::ALL.len(), 10);
    assert_eq!(Misbehavior::from_name("NeverAsk"), None);
}

#[test]
fn garbage_and_vanishing_clients_affect_no_other_connection() {
    let (lab, acme) = lab();
    acme.misbehave(Misbehavior::Expired, 1);

    let mut garbage = plain(&acme);
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut heard = Vec::new();
    // An alert, then the end of the stream or a reset.
    let _ = garbage.read_to_end(&mut heard);
    assert_eq!(heard.first(), Some(&21), "a TLS alert record");

    let mut silent = plain(&acme);
    silent.shutdown(Shutdown::Write).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    let _held_open = plain(&acme);

    assert!(
        run(Client::connect(&lab, &acme)).is_err(),
        "no earlier connection used the misbehavior up"
    );
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
fn dropping_the_lab_closes_its_sockets_and_ends_its_tasks() {
    let (lab, acme) = lab();
    let remaining = Arc::downgrade(&acme.receiver);
    acme.misbehave(Misbehavior::Stall, 1);
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
            assert!(ends.contains(&end), "closed without close_notify: {end}");
        }
    });
    assert_eq!(unspoken.read(&mut [0]).unwrap(), 0);
    let refused = StdTcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);

    assert_eq!(acme.received().len(), 1, "recorded requests stay");
    acme.renew(true).unwrap();
    drop(acme);
    assert_eq!(remaining.strong_count(), 0, "no task holds the receiver");
}

#[test]
fn a_lab_can_be_dropped_on_any_thread() {
    fn shared<T: Send + Sync>(_: &T) {}
    let (lab, acme) = lab();
    shared(&lab);
    shared(&acme);
    run(async move { drop(lab) });
}

#[test]
fn each_name_has_one_consumer() {
    let (lab, acme) = lab();
    assert_eq!(lab.consumer("acme").unwrap().url(), acme.url());
    assert_ne!(lab.consumer("beta").unwrap().url(), acme.url());
    for name in ["", "a/b", "ä", "a b", &"a".repeat(65)] {
        assert_eq!(lab.consumer(name).unwrap_err().kind(), Kind::OptionInvalid, "{name}");
    }
}

#[test]
fn files_are_written_and_the_key_is_private() {
    let lab = Lab::start().unwrap();
    let dir = std::env::temp_dir().join(format!("lab-files-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("tls.key"), "former content, longer than a key ".repeat(100)).unwrap();
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
fn error_makes_an_error_of_a_kind() {
    assert_eq!(error(Kind::HttpStatus).kind(), Kind::HttpStatus);
}

#[test]
fn no_secret_is_printed() {
    let (lab, acme) = lab();
    let issued = lab.authority().issue(Leaf::client("a").key_of(&lab.issued)).unwrap();
    let text = format!("{lab:?} {acme:?} {issued:?} {:?}", Leaf::client("a").key_of(&issued));
    assert!(!text.contains("PRIVATE KEY") && !text.contains(&issued.key_pem[40..60]), "{text}");
}
