//! Diagnosis: every fault is found, our certificate is not presented after one, and the text for the
//! consumer names nothing of ours. Run with `--features testing`.
#![cfg(feature = "testing")]

mod calm;
mod closed;
mod raw;
mod schema;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use calm::patiently;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use schema::check_schema;
use serde_json::Value;
use webhook_mtls::bindings::runtime;
use webhook_mtls::diagnosis::{
    self, Addressee, Check, CheckStatus, DiagnosisOptions, DiagnosisRequest, Group, Layout, Report,
};
use webhook_mtls::testing::{Answer, Authority, Issued, Lab, Leaf, Misbehavior};
use webhook_mtls::{
    CancelToken, DeliverOptions, Delivery, Dispatcher, Egress, Endpoint, EndpointOptions, Error,
    Fanout, Identity, Kind, Pins, Receipt, Trust,
};

const OTHER_PIN: &str = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn endpoint(dispatcher: &Dispatcher, url: &str, pin: Option<&str>) -> Endpoint {
    let pins = pin.map(|pin| Pins::new([pin]).unwrap());
    dispatcher.endpoint("acme", url, EndpointOptions::new(pins)).unwrap()
}

fn diagnosed(dispatcher: &Dispatcher, endpoint: &Endpoint) -> Report {
    diagnosed_with(dispatcher, endpoint, DiagnosisOptions::new()).unwrap()
}

fn diagnosed_with(
    dispatcher: &Dispatcher,
    endpoint: &Endpoint,
    options: DiagnosisOptions,
) -> Result<Report, Error> {
    runtime::drive(dispatcher.diagnose(endpoint, options), || false).unwrap()
}

fn kinds(report: &Report) -> Vec<Kind> {
    report.findings().iter().map(|finding| finding.error.kind()).collect()
}

fn status(report: &Report, check: Check) -> CheckStatus {
    report.check(check).unwrap().status()
}

/// Accepts every client certificate, and counts them.
#[derive(Debug)]
struct CountingVerifier(Arc<dyn ClientCertVerifier>, Arc<AtomicUsize>);

impl ClientCertVerifier for CountingVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.verify_client_cert(leaf, others, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Serves this certificate, requires ours, and counts the client certificates that arrive.
fn counting(lab: &Lab, issued: &Issued) -> (String, Arc<AtomicUsize>) {
    let provider = Arc::new(default_provider());
    let roots = raw::roots(&lab.trust_pem());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let verifier = Arc::new(CountingVerifier(verifier, count.clone()));
    let chain = issued.chain_der.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let key = PrivateKeyDer::try_from(issued.key_der.clone()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    let url = raw::serve(config, |mut conversation| {
        if conversation.shake_hands().is_some() {
            conversation.rest();
        }
    });
    (url, count)
}

#[test]
fn a_sound_consumer_passes_every_check_and_gets_no_payload() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let report = diagnosed(&dispatcher, &endpoint(&dispatcher, &acme.url(), Some(&acme.pin())));
    assert!(report.ok() && report.findings().is_empty(), "{report}");
    assert_eq!(report.warnings().count(), 0, "{report}");
    assert_eq!(report.verdict().tell(), Addressee::Nobody);
    assert_eq!(report.message_to_consumer(), None);
    for result in report.checks() {
        assert_ne!(result.status(), CheckStatus::NotReached, "{}: {report}", result.check().name());
        assert!(!result.summary().is_empty());
    }
    assert!(report.check(Check::HandshakeTls).unwrap().summary().contains("TLSv1.3"));
    assert!(report.check(Check::HandshakeAuthorities).unwrap().summary().contains("ours is among"));
    assert_eq!((acme.handshakes(), acme.received().len()), (1, 0));
}

#[test]
fn three_faults_of_one_consumer_are_three_findings_and_our_certificate_stays_here() {
    let lab = Lab::start().unwrap();
    let leaf = Leaf::server("acme").expired().names(["wrong.lab.test"]);
    let issued = lab.authority().issue(leaf).unwrap();
    let (url, certificates) = counting(&lab, &issued);
    let dispatcher = lab.dispatcher();
    let report = diagnosed(&dispatcher, &endpoint(&dispatcher, &url, Some(OTHER_PIN)));
    let found = kinds(&report);
    for kind in [Kind::CertificateExpired, Kind::NameMismatch, Kind::PinMismatch] {
        assert!(found.contains(&kind), "{report}");
    }
    assert_eq!(found.len(), 3, "{report}");
    assert_eq!(report.verdict().kind(), Some(Kind::CertificateExpired));
    assert_eq!(report.verdict().tell(), Addressee::Consumer);
    let verdict = report.check(Check::VerdictCertificate).unwrap();
    assert_eq!(verdict.status(), CheckStatus::NotReached);
    assert!(verdict.summary().contains("not reached"), "{report}");
    assert_eq!(certificates.load(Ordering::SeqCst), 0);
    // The parts of the handshake that are well are known all the same.
    assert_eq!(status(&report, Check::HandshakeRequested), CheckStatus::Passed);
    assert_eq!(status(&report, Check::HandshakeChain), CheckStatus::Passed);
    let message = report.message_to_consumer().unwrap();
    for word in ["expired", "wrong.lab.test", &issued.pin] {
        assert!(message.contains(word), "{message}");
    }
    assert!(!message.contains(OTHER_PIN) && !message.contains("CN=dispatcher"), "{message}");

    // The same server accepts us if it is right, so the count can be one.
    let sound = lab.authority().issue(Leaf::server("acme")).unwrap();
    let (url, certificates) = counting(&lab, &sound);
    assert!(diagnosed(&dispatcher, &endpoint(&dispatcher, &url, None)).ok());
    assert_eq!(certificates.load(Ordering::SeqCst), 1);
}

#[test]
fn of_several_faults_of_a_certificate_the_verdict_is_that_of_a_delivery() {
    let lab = Lab::start().unwrap();
    let stranger = Authority::new("Another CA").unwrap();
    for (issuer, leaf, findings) in [
        (
            &stranger,
            Leaf::server("acme").other_purpose(),
            [Kind::IssuerUnknown, Kind::PurposeNotAllowed],
        ),
        (
            &stranger,
            Leaf::server("acme").self_signed(true),
            [Kind::IssuerUnknown, Kind::CertificateInvalid],
        ),
    ] {
        let (url, _) = counting(&lab, &issuer.issue(leaf).unwrap());
        let dispatcher = lab.dispatcher();
        let endpoint = endpoint(&dispatcher, &url, None);
        let report = diagnosed(&dispatcher, &endpoint);
        assert_eq!(kinds(&report), findings, "{report}");
        assert_eq!(report.verdict().kind(), Some(findings[0]), "{report}");
        let outcome = dispatcher.deliver_blocking(&endpoint, "{}", DeliverOptions::new(), None);
        assert_eq!(outcome.unwrap().unwrap_err().kind(), findings[0]);
    }
}

#[test]
fn each_fault_is_found_by_its_check() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let endpoint = endpoint(&dispatcher, &acme.url(), Some(&acme.pin()));
    for (how, check, kind) in [
        (Misbehavior::NeverAsk, Check::HandshakeRequested, Kind::ClientAuthNotRequested),
        (Misbehavior::Expired, Check::HandshakeDates, Kind::CertificateExpired),
        (Misbehavior::WrongName, Check::HandshakeName, Kind::NameMismatch),
        (Misbehavior::OtherCa, Check::HandshakeChain, Kind::IssuerUnknown),
        (Misbehavior::Tls12, Check::HandshakeTls, Kind::TlsFailed),
        (
            Misbehavior::RejectCertificate,
            Check::VerdictCertificate,
            Kind::ClientCertificateRejected,
        ),
        (Misbehavior::RejectByClose, Check::VerdictCertificate, Kind::ClientCertificateRejected),
        (Misbehavior::CloseAfterHandshake, Check::VerdictCertificate, Kind::ConnectionLost),
    ] {
        acme.misbehave(how, 1);
        let report = diagnosed(&dispatcher, &endpoint);
        assert_eq!(report.verdict().kind(), Some(kind), "{how:?}\n{report}");
        assert_eq!(report.verdict().check(), Some(check), "{how:?}\n{report}");
        assert!(report.message_to_consumer().is_some(), "{how:?}");
        acme.behave();
    }
    assert!(diagnosed(&dispatcher, &endpoint).ok());
    assert!(acme.received().is_empty());
}

/// The cases that Python and Node read, and the table of C.
#[test]
fn the_shared_cases_hold() {
    let text = include_str!("../../tests/diagnosis/cases.json");
    let c = include_str!("../../tests/c/deliver.c");
    let cases: Value = serde_json::from_str(text).unwrap();
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let endpoint = endpoint(&dispatcher, &acme.url(), Some(&acme.pin()));
    for case in cases["cases"].as_array().unwrap() {
        if let Some(how) = case["how"].as_str() {
            acme.misbehave(Misbehavior::from_name(how).unwrap(), 1);
            let (check, kind) = (&case["check"], case["kind"].as_str().unwrap().to_uppercase());
            let rows = c.split_once("DIAGNOSES[] = {").unwrap().1;
            let row = rows.split_once(&format!("{{\"{how}\", {check}, ")).expect(how).1;
            assert!(row.starts_with(&format!("WMTLS_{kind},")), "{how}");
        }
        let report = diagnosed(&dispatcher, &endpoint).to_json();
        let verdict = &report["verdict"];
        assert_eq!(verdict["kind"], case["kind"], "{report}");
        assert_eq!(verdict["tell"], case["tell"], "{report}");
        assert_eq!(report["message_to_consumer"].is_string(), case["message"] == true);
        if case["check"].is_string() {
            assert_eq!(verdict["check"], case["check"], "{report}");
        }
        acme.behave();
    }
}

#[test]
fn the_verdict_of_an_http_server_is_asked_for_without_a_payload() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let endpoint = endpoint(&dispatcher, &acme.url(), None);
    let ask = |request| {
        diagnosed_with(&dispatcher, &endpoint, DiagnosisOptions::new().request(request)).unwrap()
    };
    for request in [DiagnosisRequest::Head, DiagnosisRequest::Options] {
        acme.respond(Answer::status(405), 1);
        let report = ask(request);
        assert!(report.ok(), "{report}");
        assert_eq!(status(&report, Check::VerdictHttp), CheckStatus::Passed, "{report}");
        acme.respond(Answer::status(403), 1);
        let report = ask(request);
        assert_eq!(status(&report, Check::VerdictHttp), CheckStatus::Warning, "{report}");
        acme.respond(Answer::status(495), 1);
        let report = ask(request);
        assert_eq!(report.verdict().kind(), Some(Kind::ClientCertificateRejected), "{report}");
        assert_eq!(report.verdict().check(), Some(Check::VerdictHttp));
    }
    let bodies = acme.received().iter().map(|request| request.body.len()).sum::<usize>();
    assert_eq!(bodies, 0);
}

#[test]
fn a_silent_consumer_ends_with_the_deadline_and_a_report() {
    patiently(|patience| {
        let lab = Lab::start().unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/", silent.local_addr().unwrap());
        let dispatcher = lab.dispatcher();
        let endpoint = endpoint(&dispatcher, &url, None);
        let options = DiagnosisOptions::new().timeout(Duration::from_secs(1) * patience).unwrap();
        let started = Instant::now();
        let report = diagnosed_with(&dispatcher, &endpoint, options).unwrap();
        // The deadline is the point; the dispatcher's own is 30 s.
        assert!(started.elapsed() < Duration::from_secs(3) * patience);
        assert_eq!(report.verdict().kind(), Some(Kind::DeadlineExceeded), "{report}");
        assert_eq!(report.verdict().check(), Some(Check::HandshakeTls), "{report}");
        assert_eq!(status(&report, Check::WayAddresses), CheckStatus::Passed);
    });
}

#[test]
fn the_way_is_diagnosed_and_its_addresses_stay_here() {
    let lab = Lab::start().unwrap();
    let (_socket, closed) = closed::port();
    let dispatcher = lab.dispatcher();
    let refused = endpoint(&dispatcher, &format!("https://{closed}/token"), None);
    let report = diagnosed(&dispatcher, &refused);
    assert_eq!(report.verdict().kind(), Some(Kind::ConnectFailed), "{report}");
    assert_eq!(report.verdict().check(), Some(Check::WayTcp));
    assert!(!report.to_json().to_string().contains("token"));

    let options = lab.dispatcher_options().egress(Egress::public());
    let strict = Dispatcher::new(options).unwrap();
    // Only the sender can correct its URL or its policy; the address of the metadata service is a trap.
    for (host, address, tell) in [
        ("localhost", "127.0.0.1", Addressee::Us),
        ("169.254.169.254", "169.254.169.254", Addressee::Consumer),
    ] {
        let denied = endpoint(&strict, &format!("https://{host}:9/in"), None);
        let report = diagnosed(&strict, &denied);
        assert_eq!(report.verdict().kind(), Some(Kind::EgressDenied), "{report}");
        assert_eq!(report.verdict().check(), Some(Check::WayAddresses));
        assert_eq!(report.verdict().tell(), tell, "{report}");
        assert!(report.check(Check::WayAddresses).unwrap().summary().contains(address));
        let message = report.message_to_consumer();
        assert_eq!(message.is_some(), tell == Addressee::Consumer, "{report}");
        assert!(!message.unwrap_or_default().contains("egress"), "{report}");
    }
}

#[test]
fn a_configuration_that_cannot_be_used_has_a_report_too() {
    let lab = Lab::start().unwrap();
    let (cert, _) = lab.identity_pem();
    let (_, other) = (0, lab.authority().issue(Leaf::client("other")).unwrap().key_pem);
    let mismatch = Identity::from_pem(cert.as_bytes(), other.as_bytes(), None).unwrap_err();
    let untrusted = Trust::from_pem(other.as_bytes(), None, &[]).unwrap_err();
    let faults = [(Group::Identity, mismatch), (Group::Trust, untrusted)];
    let report = diagnosis::unusable("acme", "https://hooks.acme.test/secret", &faults);
    assert!(!report.ok());
    assert_eq!(report.origin(), "https://hooks.acme.test");
    assert_eq!(report.verdict().check(), Some(Check::IdentityKey));
    assert_eq!(status(&report, Check::TrustReadable), CheckStatus::Failed, "{report}");
    assert_eq!((report.findings().len(), report.verdict().tell()), (2, Addressee::Us));
    assert_eq!(report.message_to_consumer(), None);
}

#[test]
fn a_diagnosis_that_cannot_be_made_is_an_error() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let endpoint = endpoint(&dispatcher, &acme.url(), None);
    let token = CancelToken::new();
    token.cancel();
    let canceled = DiagnosisOptions::new().cancel(token);
    let error = diagnosed_with(&dispatcher, &endpoint, canceled).unwrap_err();
    assert_eq!((error.kind(), error.consumer()), (Kind::Canceled, Some("acme")));
    runtime::drive(dispatcher.close(Duration::ZERO), || false).unwrap();
    let error = diagnosed_with(&dispatcher, &endpoint, DiagnosisOptions::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::HandleClosed);
}

#[test]
fn the_json_of_a_report_follows_its_schema() {
    let schema: Value =
        serde_json::from_str(include_str!("../../docs/diagnosis.schema.json")).unwrap();
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let endpoint = endpoint(&dispatcher, &acme.url(), Some(OTHER_PIN));
    check_schema(&schema, &schema, &diagnosed(&dispatcher, &endpoint).to_json(), "report");
    let well = self::endpoint(&dispatcher, &acme.url(), None);
    check_schema(&schema, &schema, &diagnosed(&dispatcher, &well).to_json(), "report");
    // The lists of the schema are those of the tables.
    let names: Vec<Value> = Check::ALL.iter().map(|check| check.name().into()).collect();
    assert_eq!(schema["$defs"]["check_id"]["enum"], Value::from(names));
}

#[test]
fn the_text_fits_its_width_and_has_color_only_on_demand() {
    let lab = Lab::start().unwrap();
    let other = Authority::new("other").unwrap();
    let issued = other.issue(Leaf::server("acme").expired()).unwrap();
    let acme = lab.consumer("acme").unwrap();
    acme.show(issued);
    let dispatcher = lab.dispatcher();
    let report = diagnosed(&dispatcher, &endpoint(&dispatcher, &acme.url(), Some(OTHER_PIN)));
    for width in [40, 80, 120] {
        let plain = report.to_text(Layout { width, color: false, verbose: true });
        assert!(!plain.contains('\u{1b}'));
        let colored = report.to_text(Layout { width, color: true, verbose: true });
        assert!(colored.contains("\u{1b}[31m"));
        for line in plain.lines().filter(|line| line.trim().contains(' ')) {
            let longest = line.split_whitespace().map(str::len).max().unwrap_or(0);
            assert!(line.chars().count() <= width.max(longest + 12), "{width}: {line:?}");
        }
    }
    let short = report.to_text(Layout { width: 80, color: false, verbose: false });
    assert!(short.lines().count() < report.to_string().lines().count());
}

#[test]
fn a_run_takes_diagnoses_beside_deliveries() {
    #[derive(Debug)]
    enum Ended {
        Delivered,
        Diagnosed(Report),
    }
    impl From<Receipt> for Ended {
        fn from(_: Receipt) -> Self {
            Self::Delivered
        }
    }
    impl From<Report> for Ended {
        fn from(report: Report) -> Self {
            Self::Diagnosed(report)
        }
    }
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let endpoint = endpoint(&dispatcher, &acme.url(), None);
    let run = Fanout::<&str, Ended>::with_operations_in_line(&dispatcher);
    run.submit_diagnosis(&endpoint, DiagnosisOptions::new(), "diagnosis").unwrap();
    run.submit(Delivery::new(&endpoint, "{}", DeliverOptions::new()), "delivery");
    let mut seen = Vec::new();
    while let Some((tag, outcome)) = run.next_within(None).unwrap() {
        match outcome.unwrap() {
            Ended::Diagnosed(report) => assert!(tag == "diagnosis" && report.ok(), "{report}"),
            Ended::Delivered => assert_eq!(tag, "delivery"),
        }
        seen.push(tag);
    }
    seen.sort_unstable();
    assert_eq!(seen, ["delivery", "diagnosis"]);
}
