//! `deliver` against the receivers of the testing kit: exit codes, words, and no secret in an argument.

use std::ffi::OsString;
use std::io::Write as _;

use serde_json::Value;
use webhook_mtls::testing::{Answer, Authority, Misbehavior};
use webhook_mtls_command::{Console, run};

mod place;

use place::{OTHER_PIN, Place};

impl Place {
    /// Delivers with the lab's identity and trust, and further arguments.
    fn deliver(&self, more: &[&str]) -> Ran {
        let (url, cert, key, ca) =
            (self.acme.url(), self.file("tls.crt"), self.file("tls.key"), self.file("ca.pem"));
        let usual = ["deliver", &url, "--cert", &cert, "--key", &key, "--ca", &ca];
        let usual = usual.iter().chain(["--allow", "127.0.0.0/8"].iter()).chain(more);
        ran(usual.copied(), b"", |_| None)
    }
}

/// What a run has left.
struct Ran {
    code: u8,
    output: String,
    errors: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.output).expect("one JSON value")
    }
}

fn ran<'a>(
    arguments: impl IntoIterator<Item = &'a str>,
    input: &[u8],
    environment: impl Fn(&str) -> Option<OsString>,
) -> Ran {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut console = Console::new(input, &mut output, &mut errors, environment);
    let arguments = std::iter::once("webhook-mtls").chain(arguments).map(Into::into);
    let code = run(arguments, &mut console);
    drop(console);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { code, output: text(output), errors: text(errors) }
}

#[test]
fn a_delivery_is_shown_with_the_peer_and_its_pin() {
    let place = Place::new("well");
    place.acme.respond(Answer::status(202), 1);
    let pin = place.acme.issued().pin;
    let done =
        place.deliver(&["--data", r#"{"a":1}"#, "--id", "evt_1", "-H", "x-a: b", "--pin", &pin]);
    assert_eq!(done.code, 0, "{}{}", done.output, done.errors);
    for word in ["✓ ok", ": 202 in ", "CN=acme", &format!("{pin} (current)"), "TLSv1.3"] {
        assert!(done.output.contains(word), "{word}: {}", done.output);
    }
    let received = &place.acme.received()[0];
    assert_eq!(received.body, br#"{"a":1}"#);
    let header = |name| received.headers.iter().find(|header| header.0 == name).map(|it| &*it.1);
    assert_eq!(header("webhook-id"), Some("evt_1"));
    assert_eq!(header("x-a"), Some("b"));
    assert_eq!(header("content-type"), Some("application/json"));
}

#[test]
fn the_exit_code_says_whose_fault_it_is() {
    let place = Place::new("codes");
    let data = ["--data", "{}"];
    let pinned = place.deliver(&["--data", "{}", "--pin", OTHER_PIN]);
    assert_eq!(pinned.code, 1, "{}", pinned.output);
    assert!(pinned.output.contains("pin_mismatch"), "{}", pinned.output);
    assert!(pinned.output.contains(&place.acme.issued().pin), "{}", pinned.output);
    // It can be copied.
    let line = pinned.output.lines().find(|line| line.contains("webhook-mtls diagnose"));
    let line = line.unwrap_or_else(|| panic!("{}", pinned.output));
    assert!(line.trim_start().starts_with("webhook-mtls diagnose https://"), "{line}");
    assert!(line.ends_with("--allow 127.0.0.0/8"), "{line}");

    place.acme.accept_only(&Authority::new("other").expect("a CA"));
    let refused = place.deliver(&data);
    assert_ne!(refused.code, 0, "{}", refused.output);
    assert!(refused.output.contains("client_certificate_rejected"), "{}", refused.output);
    place.acme.accept_only(place.lab.authority());

    place.acme.misbehave(Misbehavior::NeverAsk, 0);
    assert_eq!(place.deliver(&data).code, 1);
    place.acme.behave();

    let missing = place.file("nothing.crt");
    let ours = place.deliver(&["--data", "{}", "--cert", &missing]);
    assert_eq!(ours.code, 2, "twice --cert: {}", ours.errors);
    let ca = place.file("ca.pem");
    let ours = ran(
        ["deliver", "https://127.0.0.1:1/", "--cert", &missing, "--ca", &ca, "--data", ""],
        b"",
        |_| None,
    );
    assert_eq!(ours.code, 3, "{}", ours.errors);
    assert!(ours.errors.contains("✗ fault     --cert, --key: "), "{}", ours.errors);
    for usage in [&["--data", "{}", "--timeout", "-1"][..], &["--data", "{}", "--pin", "x"], &[]] {
        assert_eq!(place.deliver(usage).code, 2, "{usage:?}");
    }
}

#[test]
fn a_delivery_by_default_reaches_no_private_address() {
    let place = Place::new("egress");
    let (url, cert, key, ca) =
        (place.acme.url(), place.file("tls.crt"), place.file("tls.key"), place.file("ca.pem"));
    let done = ran(
        ["deliver", &url, "--cert", &cert, "--key", &key, "--ca", &ca, "--data", "{}"],
        b"",
        |_| None,
    );
    assert!(done.output.contains("egress_denied"), "{}", done.output);
    assert_eq!(place.acme.connections(), 0);
}

#[test]
fn secrets_come_from_files_and_variables_only() {
    let place = Place::new("secrets");
    for argument in ["authorization: Bearer abcdefgh", "Cookie: a=b"] {
        let done = place.deliver(&["--data", "{}", "--header", argument]);
        assert_eq!(done.code, 2, "{}", done.output);
        assert!(!done.errors.contains("abcdefgh"), "{}", done.errors);
    }
    let proxy = place.deliver(&["--data", "{}", "--proxy", "http://me:abcdefgh@127.0.0.1:9"]);
    assert_eq!(proxy.code, 2, "{}", proxy.output);
    assert!(!proxy.errors.contains("abcdefgh"), "{}", proxy.errors);

    let headers = place.files.join("headers");
    let mut file = std::fs::File::create(&headers).expect("a file");
    file.write_all(b"authorization: Bearer abcdefgh\n").expect("written");
    let done = place.deliver(&["--data", "{}", "--header-file", &headers.display().to_string()]);
    assert_eq!(done.code, 0, "{}", done.output);
    let received = &place.acme.received()[0];
    assert!(
        received
            .headers
            .iter()
            .any(|(name, value)| name == "authorization" && value.ends_with("abcdefgh"))
    );
}

#[test]
fn a_payload_comes_from_a_file_or_the_standard_input() {
    let place = Place::new("payload");
    let file = place.files.join("event.json");
    std::fs::write(&file, "from a file").expect("written");
    let done = place.deliver(&["--data", &format!("@{}", file.display())]);
    assert_eq!(done.code, 0, "{}", done.output);
    let (url, cert, key, ca) =
        (place.acme.url(), place.file("tls.crt"), place.file("tls.key"), place.file("ca.pem"));
    let arguments = ["deliver", &url, "--cert", &cert, "--key", &key, "--ca", &ca];
    let done = ran(
        arguments.into_iter().chain(["--allow", "127.0.0.0/8", "--data", "@-"]),
        b"from the input",
        |_| None,
    );
    assert_eq!(done.code, 0, "{}", done.output);
    let bodies: Vec<_> = place.acme.received().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [&b"from a file"[..], b"from the input"]);
}

#[test]
fn json_holds_the_receipt_or_the_error() {
    let place = Place::new("json");
    let done = place.deliver(&["--data", "{}", "--json"]).json();
    assert_eq!(done["ok"], true);
    assert_eq!(done["receipt"]["status"], 200);
    assert_eq!(done["error"], Value::Null);
    place.acme.respond(Answer::status(503), 1);
    let failed = place.deliver(&["--data", "{}", "--json"]).json();
    assert_eq!(failed["ok"], false);
    assert_eq!(failed["exit"], 1);
    assert_eq!(failed["error"]["kind"], "http_status");
}
