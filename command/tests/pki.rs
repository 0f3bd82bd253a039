//! `csr` and `lab`: files, modes, names, and that deliveries accept and refuse what the lab says.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use webhook_mtls::bindings::inspection::{Inspection, Item, Use};
use webhook_mtls::verify::CrlPolicy;
use webhook_mtls::{Authorization, Identity, Kind, Role, Trust, Verifier, VerifierOptions};
use webhook_mtls_command::{Console, run};

/// A directory that ends with this value.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wmtls-pki-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).expect(name)
    }

    fn mode(&self, name: &str) -> u32 {
        let metadata = std::fs::metadata(self.0.join(name)).expect(name);
        metadata.permissions().mode() & 0o777
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn ran(arguments: &[&str]) -> (u8, String) {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut console = Console::new(std::io::empty(), &mut output, &mut errors, |_| None);
    let arguments = ["webhook-mtls"].iter().chain(arguments).map(Into::into);
    let code = run(arguments, &mut console);
    drop(console);
    output.append(&mut errors);
    (code, String::from_utf8(output).expect("UTF-8"))
}

fn done(arguments: &[&str]) -> String {
    let (code, text) = ran(arguments);
    assert_eq!(code, 0, "{arguments:?}: {text}");
    text
}

#[test]
fn a_key_is_private_and_never_overwritten() {
    let place = Place::new("csr");
    let (key, out) = (place.file("tls.key"), place.file("tls.csr"));
    let arguments =
        ["csr", "sender", "--uri", "spiffe://corp/webhooks", "--key", &key, "--out", &out];
    let shown = done(&arguments);
    assert!(shown.contains("sha256/"), "{shown}");
    assert_eq!(place.mode("tls.key"), 0o600);
    let (before, request) = (place.read("tls.key"), place.read("tls.csr"));
    assert!(request.starts_with(b"-----BEGIN CERTIFICATE REQUEST-----"));
    assert!(!shown.contains("PRIVATE"), "{shown}");

    assert_eq!(ran(&arguments).0, 3);
    let other = place.file("other.csr");
    let (code, text) = ran(&["csr", "sender", "--key", &key, "--out", &other]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("exists and is not overwritten"), "{text}");
    assert!(!Path::new(&other).exists(), "a request without its key");
    // A request that cannot be written leaves no key behind.
    let fresh = place.file("fresh.key");
    for unwritable in [out.clone(), place.file("missing/tls.csr")] {
        assert_eq!(ran(&["csr", "sender", "--key", &fresh, "--out", &unwritable]).0, 3);
        assert!(!Path::new(&fresh).exists(), "{unwritable}");
    }
    assert_eq!(place.read("tls.key"), before);
    assert_eq!(place.read("tls.csr"), request);
}

#[test]
fn names_that_no_certificate_may_have_are_usage_errors() {
    let place = Place::new("names");
    let (key, out) = (place.file("k"), place.file("r"));
    let long = "a".repeat(65);
    for wrong in [
        &["csr", "x", "--uri", "no-scheme"][..],
        &["csr", "x", "--dns", "a b"],
        &["csr", "x", "--dns", "https://a/"],
        &["csr", "x", "--ip", "1.2.3"],
        &["csr", &long],
        &["csr", ""],
        &["csr"],
        &["csr", "x", "--key-type", "rsa512"],
    ] {
        let (code, text) = ran(&[wrong, &["--key", &key, "--out", &out]].concat());
        assert_eq!(code, 2, "{wrong:?}: {text}");
    }
    assert!(!Path::new(&key).exists());
}

#[test]
fn a_renewal_takes_the_names_and_may_keep_the_key() {
    let place = Place::new("renew");
    let lab = place.file("pki");
    done(&["lab", "init", &lab]);
    done(&["lab", "issue", &lab, "sender", "--uri", "spiffe://corp/webhooks", "--dns", "a.test"]);
    let (crt, key) = (place.file("pki/sender.crt"), place.file("pki/sender.key"));
    let out = place.file("again.csr");
    let kept = done(&["csr", "--renew", &crt, "--reuse-key", &key, "--out", &out]);
    let pin = webhook_mtls::material::pin_of(&place.read("pki/sender.crt")).expect("a pin");
    assert!(kept.contains(&pin), "{kept}");
    let (new_key, new_out) = (place.file("new.key"), place.file("new.csr"));
    let renewed = done(&["csr", "--renew", &crt, "--key", &new_key, "--out", &new_out]);
    assert!(!renewed.contains(&pin), "{renewed}");
    let (code, text) = ran(&["csr", "--renew", &new_out, "--out", &place.file("x")]);
    assert_eq!(code, 3, "{text}");
}

fn verifier(place: &Place, role: Role) -> Verifier {
    let crl = place.read("pki/crl.pem");
    let trust = Trust::from_pem(&place.read("pki/ca.pem"), None, &[&crl]).expect("a trust");
    let options = VerifierOptions::new(role, trust).crl_policy(CrlPolicy::RequireLeaf);
    let options = match role {
        Role::Client => options.authorization(Authorization::ca_members()),
        Role::Server => options,
    };
    Verifier::new(options).expect("a verifier")
}

#[test]
fn what_the_lab_issues_is_accepted_and_what_it_revokes_refused() {
    let place = Place::new("lab");
    let lab = place.file("pki");
    done(&["lab", "init", &lab, "--name", "acme"]);
    for key in ["pki/root.key", "pki/intermediate.key"] {
        assert_eq!(place.mode(key), 0o600, "{key}");
    }
    assert_eq!(ran(&["lab", "init", &lab]).0, 3, "a lab is not made twice");
    done(&["lab", "issue", &lab, "sender", "--uri", "spiffe://lab.test/x"]);
    done(&["lab", "issue", &lab, "receiver", "--server", "--key-type", "ed25519"]);
    done(&["lab", "issue", &lab, "late", "--expired"]);
    assert_eq!(place.mode("pki/sender.key"), 0o600);
    let now = std::time::SystemTime::now();
    let chain = place.read("pki/sender.crt");
    Identity::from_pem(&chain, &place.read("pki/sender.key"), None).expect("an identity");
    verifier(&place, Role::Client).verify(&chain, None, now).expect("accepted");
    let server = place.read("pki/receiver.crt");
    verifier(&place, Role::Server).verify(&server, Some("localhost"), now).expect("accepted");
    verifier(&place, Role::Server).verify(&server, Some("127.0.0.1"), now).expect("accepted");
    let late = verifier(&place, Role::Client).verify(&place.read("pki/late.crt"), None, now);
    assert_eq!(late.unwrap_err().kind(), Kind::CertificateExpired);

    done(&["lab", "revoke", &lab, "sender"]);
    let revoked = verifier(&place, Role::Client).verify(&chain, None, now);
    assert_eq!(revoked.unwrap_err().kind(), Kind::CertificateRevoked);
    done(&["lab", "crl", &lab]);
    let again = verifier(&place, Role::Client).verify(&chain, None, now);
    assert_eq!(again.unwrap_err().kind(), Kind::CertificateRevoked);
    assert_eq!(ran(&["lab", "revoke", &lab, "nobody"]).0, 2);
}

#[test]
fn a_lab_keeps_its_files_apart_from_names() {
    let place = Place::new("names-of-files");
    let lab = place.file("pki");
    assert_eq!(ran(&["lab", "issue", &lab, "x"]).0, 3, "there is no lab");
    done(&["lab", "init", &lab]);
    for name in ["../x", "a/b", "root", "ca", "intermediate", "", ".x", "-x", "a b"] {
        assert_eq!(ran(&["lab", "issue", &lab, "--", name]).0, 2, "{name}");
    }
    let inspection = Inspection::of(&place.read("pki/ca.pem"), None).expect("readable");
    let [Item::Certificate(root)] = &inspection.items[..] else { panic!("one certificate") };
    assert!(root.verdict(Use::Anchor).expect("a verdict").is_usable());
    std::fs::write(place.0.join("pki/lab.json"), "{}").expect("written");
    assert_eq!(ran(&["lab", "crl", &lab]).0, 3);
}
