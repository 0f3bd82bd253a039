//! A failure names the command line that shows more, with the values of its endpoint and no secret.
#![cfg(feature = "testing")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use webhook_mtls::bindings::runtime;
use webhook_mtls::testing::{Answer, Consumer, Lab, Misbehavior};
use webhook_mtls::verify::CrlPolicy;
use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Error, Identity, Kind,
    MinTls, Pins, Proxy, StandardWebhooks, Trust,
};

const NEXT_PIN: &str = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn failure(dispatcher: &Dispatcher, url: &str, options: EndpointOptions) -> Error {
    let endpoint = dispatcher.endpoint("acme", url, options).unwrap();
    let delivery = dispatcher.deliver(&endpoint, "{}", DeliverOptions::new().id("evt_1"));
    runtime::drive(delivery, || false).unwrap().unwrap_err()
}

fn line(error: &Error) -> String {
    error.context().get("diagnose").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The files of a lab below a directory whose name a shell must see quoted.
struct Files(PathBuf);

impl Files {
    fn of(lab: &Lab, name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("it's {name} {}", std::process::id()));
        lab.write_files(&path).unwrap();
        Self(path)
    }

    fn quoted(&self, name: &str) -> String {
        format!("'{}'", self.0.join(name).display().to_string().replace('\'', r"'\''"))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn encrypted(lab: &Lab, at: &Path) {
    let key = lab.identity_pem().1;
    let mut openssl = std::process::Command::new("openssl")
        .args(["pkcs8", "-topk8", "-v2", "aes256", "-passout", "pass:hunter2 hunter2", "-out"])
        .arg(at)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("openssl");
    std::io::Write::write_all(openssl.stdin.as_mut().unwrap(), key.as_bytes()).unwrap();
    assert!(openssl.wait().unwrap().success());
}

#[test]
fn the_line_has_every_value_of_the_endpoint_and_no_secret() {
    let lab = Lab::start().unwrap();
    let files = Files::of(&lab, "leads");
    let file = |name: &str| files.0.join(name);
    encrypted(&lab, &file("locked.key"));
    let identity =
        Identity::from_files(file("tls.crt"), file("locked.key"), Some(b"hunter2 hunter2"));
    let trust = Trust::from_files(file("ca.pem"), None, None).unwrap();
    let acme = lab.consumer("acme").unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://svc:s3cret@{}", silent.local_addr().unwrap());
    drop(silent);
    let shown = proxy.replace("svc:s3cret@", "");
    let egress = Egress::private().allow(["127.0.0.0/8"]).unwrap().deny(["10.9.0.0/16"]).unwrap();
    let options = DispatcherOptions::new()
        .identity(identity.unwrap())
        .trust(trust)
        .proxy(Proxy::new(&proxy).unwrap())
        .egress(egress);
    let dispatcher = Dispatcher::new(options).unwrap();
    let pins = Pins::with_next([acme.pin()], [NEXT_PIN]).unwrap();
    let options = EndpointOptions::new(Some(pins))
        .server_name("hooks.acme.test")
        .unwrap()
        .server_uri("spiffe://acme.test/hooks")
        .unwrap()
        .min_tls(MinTls::V1_2)
        .crl_policy(CrlPolicy::Require)
        .post_quantum(false)
        .signing(StandardWebhooks::new(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]).unwrap());
    let origin = acme.url().strip_suffix("/webhooks/acme").unwrap().to_owned();
    let error = failure(&dispatcher, &format!("{origin}/hook/t0ken?key=t0ken"), options);
    assert_eq!(error.kind(), Kind::ConnectFailed, "{error}");
    let expected = format!(
        "webhook-mtls diagnose {origin}/ --cert {} --key {} --ca {} --pin {} --next-pin {NEXT_PIN} \
         --server-name hooks.acme.test --server-uri spiffe://acme.test/hooks --min-tls 1.2 \
         --crl-policy require --no-post-quantum --proxy {shown} \
         --proxy-credentials-file USER-AND-PASSWORD.txt --egress private --allow 127.0.0.0/8 \
         --deny 10.9.0.0/16",
        files.quoted("tls.crt"),
        files.quoted("locked.key"),
        files.quoted("ca.pem"),
        acme.pin(),
    );
    assert_eq!(line(&error), expected);
    assert!(error.remedy().ends_with(&format!(". This shows more: {expected}")));
    let json = error.to_json().to_string();
    for secret in ["hunter2", "s3cret", "t0ken", "whsec_", "MfKQ9r8"] {
        assert!(!json.contains(secret), "{secret}: {json}");
    }
    // Neither the consumer nor a log of bounded records gets the line.
    let public = error.public().to_string();
    assert!(!public.contains("diagnose") && !public.contains("tls.crt"), "{public}");
    let logged = error.log_record().fields()["remedy"].as_str().unwrap().to_owned();
    assert!(error.remedy().starts_with(&logged) && !logged.contains("This shows"), "{logged}");
    assert_eq!(Error::from_json(&error.to_json()).unwrap().log_record().fields()["remedy"], logged);
}

fn misbehaving(lab: &Lab, how: &str) -> (Dispatcher, Consumer) {
    let acme = lab.consumer("acme").unwrap();
    acme.misbehave(Misbehavior::from_name(how).unwrap(), 1);
    (lab.dispatcher(), acme)
}

#[test]
fn the_shared_case_has_its_line() {
    let cases: Value =
        serde_json::from_str(include_str!("../../tests/diagnosis/cases.json")).unwrap();
    let leads = &cases["leads"];
    let lab = Lab::start().unwrap();
    let (dispatcher, acme) = misbehaving(&lab, leads["how"].as_str().unwrap());
    let pins = Pins::new([acme.pin()]).unwrap();
    let error = failure(&dispatcher, &acme.url(), EndpointOptions::new(Some(pins)));
    let line = leads["line"].as_str().unwrap();
    let url = acme.url();
    let origin = url.strip_suffix("/webhooks/acme").unwrap();
    let expected = line.replace("{origin}", origin).replace("{pin}", &acme.pin());
    assert_eq!(error.context()["diagnose"], expected);
    assert!(error.remedy().ends_with(&format!(" This shows more: {expected}")));
}

#[test]
fn only_failures_that_a_diagnosis_examines_lead_to_one() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let said = |error: Error| (error.kind(), line(&error));
    for (status, leads) in [(403, true), (495, true), (404, false), (503, false)] {
        acme.respond(Answer::status(status), 1);
        let (_, line) = said(failure(&dispatcher, &acme.url(), EndpointOptions::new(None)));
        assert_eq!(line.ends_with(" --request options"), leads, "{status}: {line}");
        assert_eq!(line.is_empty(), !leads, "{status}: {line}");
    }
    let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None)).unwrap();
    assert!(dispatcher.remove("acme"));
    let delivery = dispatcher.deliver(&endpoint, "{}", DeliverOptions::new());
    let error = runtime::drive(delivery, || false).unwrap().unwrap_err();
    assert_eq!(said(error), (Kind::HandleClosed, String::new()));
}

#[test]
fn an_open_circuit_leads_to_what_opened_it() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    acme.misbehave(Misbehavior::Expired, 9);
    let dispatcher =
        Dispatcher::new(lab.dispatcher_options().circuit_failures(1).unwrap()).unwrap();
    let first = failure(&dispatcher, &acme.url(), EndpointOptions::new(None));
    let second = failure(&dispatcher, &acme.url(), EndpointOptions::new(None));
    assert_eq!((first.kind(), second.kind()), (Kind::CertificateExpired, Kind::CircuitOpen));
    assert_eq!(line(&first), line(&second));
    // The line stands in the remedy once.
    assert_eq!(second.remedy().matches("This shows more").count(), 1, "{}", second.remedy());
}
