//! `listen` as a program: who came, who was refused and why, and peers that do not behave.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use webhook_mtls::testing::{Authority, Lab, Leaf};
use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Error, Identity, Kind,
    Receipt, Trust,
};

/// A receiver in a process of its own, which ends with this value.
struct Mirror {
    process: Child,
    output: BufReader<ChildStdout>,
    address: String,
    lab: Lab,
    files: PathBuf,
}

impl Mirror {
    /// Starts a receiver for clients of the lab's CA.
    fn start(name: &str, more: &[&str]) -> Self {
        let lab = Lab::start().expect("a lab");
        let files =
            std::env::temp_dir().join(format!("wmtls-listen-{}-{name}", std::process::id()));
        lab.write_files(&files).expect("files");
        let server = lab.authority().issue(Leaf::server("mirror")).expect("a certificate");
        std::fs::write(files.join("server.crt"), &server.chain_pem).expect("written");
        std::fs::write(files.join("server.key"), &server.key_pem).expect("written");
        let mut process = Command::new(env!("CARGO_BIN_EXE_webhook-mtls"))
            .current_dir(&files)
            .args(["listen", "--json", "--cert", "server.crt", "--key", "server.key"])
            .args(["--ca", "ca.pem", "--address", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let mut mirror = Self { process, output, address: String::new(), lab, files };
        let first = mirror.next();
        assert_eq!(first["event"], "listening", "{first}");
        first["address"].as_str().expect("an address").clone_into(&mut mirror.address);
        mirror
    }

    /// Waits for the next report.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("JSON: {line:?}"))
    }

    fn deliver_as(&self, identity: Identity, body: &str) -> Result<Receipt, Error> {
        let options = DispatcherOptions::new()
            .identity(identity)
            .trust(Trust::from_pem(self.lab.trust_pem().as_bytes(), None, &[])?)
            .egress(Egress::public().allow(["127.0.0.0/8"])?);
        let dispatcher = Dispatcher::new(options)?;
        let url = format!("https://{}/in", self.address);
        let endpoint = dispatcher.endpoint("mirror", &url, EndpointOptions::new(None))?;
        dispatcher
            .deliver_blocking(&endpoint, body.to_owned(), DeliverOptions::new(), None)
            .expect("not interrupted")
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).expect("a connection")
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.files);
    }
}

fn identity_of(authority: &Authority, leaf: Leaf) -> Identity {
    let issued = authority.issue(leaf).expect("a certificate");
    Identity::from_pem(issued.chain_pem.as_bytes(), issued.key_pem.as_bytes(), None)
        .expect("an identity")
}

#[test]
fn a_request_is_shown_with_the_client_that_sent_it() {
    let mut mirror = Mirror::start(
        "well",
        &["--tenant", "spiffe://lab.test/tenant/{tenant}", "--status", "202"],
    );
    let receipt = mirror.deliver_as(mirror.lab.identity(), "{\"n\":1}").expect("delivered");
    assert_eq!(receipt.status(), 202);
    let report = mirror.next();
    assert_eq!(report["event"], "request", "{report}");
    assert_eq!(report["peer"]["tenant"], "dispatcher");
    assert_eq!(report["request"]["method"], "POST");
    assert_eq!(report["request"]["path"], "/in");
    assert_eq!(report["request"]["body_base64"], "eyJuIjoxfQ==");
    assert_eq!(report["tls"]["version"], "TLSv1.3");
    assert_eq!(report["certificates"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["error"], Value::Null);
}

#[test]
fn a_refused_client_is_shown_with_the_reason_and_its_chain() {
    let mut mirror = Mirror::start("refused", &[]);
    let other = Authority::new("other").expect("a CA");
    let error = mirror.deliver_as(identity_of(&other, Leaf::client("x")), "{}").unwrap_err();
    assert_eq!(error.kind(), Kind::ClientCertificateRejected, "{error}");
    let report = mirror.next();
    assert_eq!(report["event"], "refused", "{report}");
    assert_eq!(report["error"]["kind"], "issuer_unknown");
    assert_eq!(report["certificates"][0]["cn"], "x");
    assert_eq!(report["peer"], Value::Null);
    assert_eq!(report["request"], Value::Null);
}

#[test]
fn the_first_client_of_once_decides_the_exit_code() {
    for (is_good, code) in [(true, 0), (false, 1)] {
        let mut mirror = Mirror::start(&format!("once-{is_good}"), &["--once"]);
        if is_good {
            mirror.deliver_as(mirror.lab.identity(), "{}").expect("delivered");
        } else {
            let other = Authority::new("other").expect("a CA");
            mirror.deliver_as(identity_of(&other, Leaf::client("x")), "{}").unwrap_err();
        }
        mirror.next();
        let status = mirror.process.wait().expect("an end");
        assert_eq!(status.code(), Some(code));
    }
    let mut mirror = Mirror::start("nobody", &["--once", "--timeout", "0.2"]);
    assert_eq!(mirror.process.wait().expect("an end").code(), Some(1));
}

#[test]
fn what_is_no_tls_is_named() {
    let mut mirror = Mirror::start("plain", &[]);
    let mut stream = mirror.connect();
    stream.write_all(b"POST /in HTTP/1.1\r\nhost: a\r\n\r\n").expect("written");
    let report = mirror.next();
    assert_eq!(report["event"], "refused");
    assert!(report["reason"].as_str().expect("a reason").contains("HTTP without TLS"), "{report}");
    let mut stream = mirror.connect();
    stream.write_all(&[0xff; 512]).expect("written");
    let report = mirror.next();
    assert!(report["reason"].as_str().expect("a reason").contains("TLS"), "{report}");
    drop(mirror.connect());
    assert_eq!(mirror.next()["event"], "refused");
}

#[test]
fn silent_and_endless_peers_hold_up_nobody() {
    let mut mirror = Mirror::start("hostile", &[]);
    let silent: Vec<TcpStream> = (0..40).map(|_| mirror.connect()).collect();
    let mut endless = mirror.connect();
    // The start of a record that never ends.
    endless.write_all(&[0x16, 0x03, 0x01, 0x40, 0x00]).expect("written");
    // It would fail after five seconds, and the handshakes of the others have ten.
    let receipt = mirror.deliver_as(mirror.lab.identity(), "{}").expect("delivered");
    assert_eq!(receipt.status(), 200);
    assert_eq!(mirror.next()["event"], "request");
    drop((silent, endless));
}

#[test]
fn a_person_sees_the_same_and_no_credential() {
    let lab = Lab::start().expect("a lab");
    let files = std::env::temp_dir().join(format!("wmtls-listen-{}-text", std::process::id()));
    lab.write_files(&files).expect("files");
    let server = lab.authority().issue(Leaf::server("mirror")).expect("a certificate");
    std::fs::write(files.join("server.pem"), server.chain_pem + &server.key_pem).expect("written");
    std::fs::write(files.join("headers"), "authorization: Bearer hush\n").expect("written");
    let program = || {
        let mut program = Command::new(env!("CARGO_BIN_EXE_webhook-mtls"));
        program.current_dir(&files);
        program
    };
    let mut mirror = program()
        .args([
            "listen",
            "--once",
            "--cert",
            "server.pem",
            "--ca",
            "ca.pem",
            "--address",
            "127.0.0.1:0",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut output = BufReader::new(mirror.stdout.take().expect("its output"));
    let mut first = String::new();
    output.read_line(&mut first).expect("a line");
    let url = first.trim().strip_prefix("Listening on ").expect("an address").to_owned();
    let done = program()
        .args(["deliver", &url, "--cert", "tls.crt", "--key", "tls.key", "--ca", "ca.pem"])
        .args(["--allow", "127.0.0.0/8", "--data", "hello", "--header-file", "headers"])
        .output()
        .expect("delivered");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    let mut seen = String::new();
    output.read_to_string(&mut seen).expect("text");
    assert!(mirror.wait().expect("an end").success(), "{seen}");
    std::fs::remove_dir_all(&files).expect("removed");
    for word in [
        "✓ ok        POST / from 127.0.0.1:",
        "client      CN=dispatcher",
        "5 bytes: hello",
        "(not shown)",
    ] {
        assert!(seen.contains(word), "{word}: {seen}");
    }
    assert!(!seen.contains("hush"), "{seen}");
}
