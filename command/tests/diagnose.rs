//! `diagnose` against the receivers of the testing kit: the exit code, the verdict, the text for the consumer.

use serde_json::Value;
use webhook_mtls::testing::{Authority, Misbehavior};
use webhook_mtls::{
    DeliverOptions, Dispatcher, EndpointOptions, Identity, Kind, MinTls, Pins, Trust,
};
use webhook_mtls_command::{Console, run};

mod place;

use place::{OTHER_PIN, Place};

impl Place {
    /// Diagnoses with the lab's files, of which one may be replaced by another name.
    fn diagnose(&self, replaced: (&str, &str), more: &[&str]) -> (u8, String) {
        let file = |name: &str| {
            let name = if name == replaced.0 { replaced.1 } else { name };
            self.file(name)
        };
        let (url, cert, key, ca) =
            (self.acme.url(), file("tls.crt"), file("tls.key"), file("ca.pem"));
        let usual = [
            "diagnose",
            &url,
            "--cert",
            &cert,
            "--key",
            &key,
            "--ca",
            &ca,
            "--allow",
            "127.0.0.0/8",
        ];
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let mut console = Console::new(std::io::empty(), &mut output, &mut errors, |_| None);
        let arguments = ["webhook-mtls"].iter().chain(usual.iter()).chain(more).map(Into::into);
        let code = run(arguments, &mut console);
        drop(console);
        output.append(&mut errors);
        (code, String::from_utf8(output).expect("UTF-8"))
    }

    fn verdict(&self, more: &[&str]) -> (u8, Value) {
        let (code, text) = self.diagnose(("", ""), &[more, &["--json"]].concat());
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("JSON: {text}"));
        assert_eq!(value["exit"], code);
        (code, value["report"].clone())
    }
}

const NONE: (&str, &str) = ("", "");

#[test]
fn a_consumer_that_is_well_is_said_to_be() {
    let place = Place::new("well");
    let pin = place.acme.issued().pin;
    let (code, report) = place.verdict(&["--pin", &pin]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["ok"], true, "{report}");
    let (code, text) = place.diagnose(NONE, &["--pin", &pin, "--verbose"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("Our identity") && text.contains("Their verdict on us"), "{text}");
    // Nothing was delivered.
    assert!(place.acme.received().is_empty());
}

#[test]
fn a_fault_of_the_consumer_ends_with_1_and_a_message_to_it() {
    let place = Place::new("theirs");
    place.acme.misbehave(Misbehavior::Expired, 0);
    let (code, report) = place.verdict(&[]);
    assert_eq!(code, 1, "{report}");
    assert_eq!(report["verdict"]["kind"], "certificate_expired");
    let (code, message) = place.diagnose(NONE, &["--message"]);
    assert_eq!(code, 1);
    assert!(message.contains("expired"), "{message}");
    for internal in [&place.files.display().to_string(), "tls.key", "--"] {
        assert!(!message.contains(internal), "{internal}: {message}");
    }
    place.acme.behave();
    place.acme.accept_only(&Authority::new("other").expect("a CA"));
    let (code, report) = place.verdict(&[]);
    assert_ne!(code, 0, "{report}");
    assert_eq!(report["verdict"]["kind"], "client_certificate_rejected");
    place.acme.accept_only(place.lab.authority());
}

#[test]
fn a_fault_of_ours_ends_with_3_and_names_the_file() {
    let place = Place::new("ours");
    for file in ["tls.crt", "tls.key", "ca.pem"] {
        let (code, text) = place.diagnose((file, "missing.pem"), &[]);
        assert_eq!(code, 3, "{file}: {text}");
        assert!(text.contains("missing.pem"), "{file}: {text}");
    }
    let (code, text) = place.diagnose(("tls.key", "ca.pem"), &["--json"]);
    assert_eq!(code, 3, "{text}");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["command"], "diagnose");
    assert_eq!(value["report"]["ok"], false);
    assert_eq!(place.acme.connections(), 0);
    assert_eq!(place.diagnose(NONE, &["--pin", "x"]).0, 2);
}

/// Splits a line into words as a shell does. The line has no quotes but single ones.
fn words(line: &str) -> Vec<String> {
    let shell = std::process::Command::new("sh")
        .args(["-c", &format!("printf '%s\\0' {line}")])
        .output()
        .expect("a shell");
    let text = String::from_utf8(shell.stdout).expect("UTF-8");
    text.split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn the_line_of_an_error_finds_the_same_fault() {
    let place = Place::new("it's a lead");
    place.acme.misbehave(Misbehavior::WrongName, 0);
    let (cert, key) = (place.file("tls.crt"), place.file("tls.key"));
    let options = place.lab.dispatcher_options();
    let trust = Trust::from_files(place.file("ca.pem"), None, None);
    let options = options
        .identity(Identity::from_files(cert, key, None).expect("an identity"))
        .trust(trust.expect("a trust"));
    let dispatcher = Dispatcher::new(options).expect("a dispatcher");
    let pins = Pins::with_next([place.acme.pin()], [OTHER_PIN]).expect("pins");
    let endpoint = EndpointOptions::new(Some(pins)).min_tls(MinTls::V1_2).post_quantum(false);
    let endpoint = dispatcher.endpoint("acme", &place.acme.url(), endpoint).expect("an endpoint");
    let outcome = dispatcher.deliver_blocking(&endpoint, "{}", DeliverOptions::new(), None);
    let error = outcome.expect("nothing interrupts it").expect_err("a fault");
    let line = error.context()["diagnose"].as_str().expect("a line").to_owned();
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut console = Console::new(std::io::empty(), &mut output, &mut errors, |_| None);
    let json = "--json".to_owned();
    let code = run(words(&line).into_iter().chain([json]).map(Into::into), &mut console);
    drop(console);
    let value: Value = serde_json::from_slice(&output).expect("JSON");
    assert_eq!((code, &value["report"]["verdict"]["kind"]), (1, &error.kind().name().into()));
    assert_eq!(error.kind(), Kind::NameMismatch);
}
