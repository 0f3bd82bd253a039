//! The remedy belongs to the cause: it names what was seen, and tells the right person what to do.

mod closed;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use webhook_mtls::bindings::runtime;
use webhook_mtls::error::{Blame, Scope};
use webhook_mtls::testing::{Answer, Lab};
use webhook_mtls::{
    DeliverOptions, Dispatcher, EndpointOptions, Error, Identity, Kind, Retry, Trust,
};

fn failure(dispatcher: &Dispatcher, url: &str) -> Error {
    // A large first message without an answer has a cause of its own.
    let options = EndpointOptions::new(None).post_quantum(false);
    let endpoint = dispatcher.endpoint("acme", url, options).unwrap();
    let delivery = dispatcher.deliver(&endpoint, "{\"a\":1}", DeliverOptions::new());
    runtime::drive(delivery, || false).unwrap().unwrap_err()
}

fn assert_says(error: &Error, cause: &str, words: &[&str]) {
    assert_eq!(error.context()["cause"], cause, "{error}");
    let said = format!("{}. {}", error.message(), error.remedy());
    for word in words {
        assert!(said.contains(word), "{cause}: {word:?} is not in: {said}");
    }
    assert!(!said.contains(['{', '}', '`']), "{said}");
    assert!(error.help().ends_with(&format!("/docs/errors/{}.md", error.kind().name())));
    assert_eq!(error.to_json()["help"], error.help());
}

#[test]
fn each_status_has_its_remedy() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let location = "https://hooks2.acme.test/in?token=s3cret";
    for (answer, cause, words) in [
        (Answer::status(401), "status_401", &["credential", "CN="][..]),
        (Answer::status(403), "status_403", &["allow our certificate", "CN="]),
        (Answer::status(404), "status_404", &["path"]),
        (Answer::status(410), "status_410", &["gone for good", "Disable"]),
        (Answer::status(413), "status_413", &["7 bytes", "client_max_body_size"]),
        (Answer::status(415), "status_415", &["content_type"]),
        (Answer::status(421), "status_421", &["host"]),
        (Answer::status(429), "status_429", &["rate"]),
        (Answer::status(502), "status_502", &["server in front", "nothing is to be done here"]),
        (Answer { retry_after: Some(30), ..Answer::status(503) }, "status_503", &["asks for 30 s"]),
        (Answer::status(504), "status_504", &["in time"]),
        (
            Answer {
                headers: vec![("location".to_owned(), location.to_owned())],
                ..Answer::status(301)
            },
            "redirect",
            &["https://hooks2.acme.test/in", "set that URL"],
        ),
        (Answer::status(302), "redirect_without_location", &["URL"]),
        (Answer::status(495), "page_not_accepted", &["client SSL certificate verify error"]),
        (Answer::status(496), "page_not_sent", &["none arrived"]),
    ] {
        acme.respond(answer, 1);
        let error = failure(&dispatcher, &acme.url());
        assert_says(&error, cause, words);
        assert!(!format!("{} {}", error.message(), error.remedy()).contains("s3cret"));
        if cause.starts_with("redirect") {
            assert_eq!((error.retry(), error.scope()), (Retry::AfterRepair, Scope::Endpoint));
        }
    }
}

#[test]
fn each_file_fault_names_its_file() {
    let lab = Lab::start().unwrap();
    let folder = std::env::temp_dir().join(format!("remedies-{}", std::process::id()));
    lab.write_files(&folder).unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    let (cert, key, ca) = (path("tls.crt"), path("tls.key"), path("ca.pem"));
    let half = path("half.pem");
    let text = fs::read_to_string(&cert).unwrap();
    fs::write(&half, &text[..text.len() / 2]).unwrap();
    let load = |cert: &str, key: &str| Identity::from_files(cert, key, None).unwrap_err();
    let trust = |path: &str| Trust::from_files(PathBuf::from(path), None, None).unwrap_err();
    let missing = path("missing.pem");
    for (error, cause, named) in [
        (load(&missing, &key), Some("file_missing"), &missing),
        (load(&cert, &missing), Some("file_missing"), &missing),
        (trust(&missing), Some("file_missing"), &missing),
        (trust(&folder.display().to_string()), Some("file_is_directory"), &path("")),
        (load(&key, &cert), Some("files_swapped"), &key),
        (load(&key, &key), Some("key_as_certificate"), &key),
        (load(&cert, &cert), Some("certificate_as_key"), &cert),
        (trust(&key), Some("key_as_certificate"), &key),
        (load(&half, &key), Some("file_cut_off"), &half),
        (load(&cert, &half), Some("file_cut_off"), &half),
        (trust(&half), Some("file_cut_off"), &half),
        (load(&ca, &key), None, &ca),
    ] {
        let named = named.trim_end_matches('/');
        assert!(error.message().contains(named), "{error} without {named}");
        match cause {
            Some(cause) => assert_says(&error, cause, &[]),
            None => assert!(error.context().get("cause").is_none(), "{error}"),
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_silent_peer_is_named_and_a_port_without_tls_is_not_retried() {
    let lab = Lab::start().unwrap();
    let options = lab.dispatcher_options().handshake_timeout(Duration::from_millis(200)).unwrap();
    let hurried = Dispatcher::new(options).unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let error = failure(&hurried, &format!("https://{address}/"));
    assert_says(&error, "silent_handshake", &[&address, "hung process", "TLS"]);
    assert_eq!(error.scope(), Scope::Endpoint);

    let dispatcher = lab.dispatcher();
    let (_closed, unused) = closed::port();
    let error = failure(&dispatcher, &format!("https://{unused}/"));
    assert_says(&error, "connection_refused", &[&unused.to_string(), "listens"]);
    assert_eq!((error.kind(), error.blame()), (Kind::ConnectFailed, Blame::Theirs));

    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let error = failure(&dispatcher, &format!("https://{address}/"));
    assert_says(&error, "not_tls", &["does not speak TLS"]);
    assert_eq!(error.retry(), Retry::AfterRepair);
    answering.join().unwrap();
}
