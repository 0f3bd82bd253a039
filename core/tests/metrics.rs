//! What a dispatcher and a verifier count and log: each end once, under its own labels. Run with `--features
//! testing`.
#![cfg(feature = "testing")]

mod calm;
mod closed;

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use calm::patiently;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use serde_json::{Value, json};
use webhook_mtls::bindings::{Handshake, runtime};
use webhook_mtls::dispatcher::{LogRecord, Metrics, MetricsFormat};
use webhook_mtls::forwarded::{Dialect, Hop, Remote};
use webhook_mtls::testing::{Answer, Authority, Consumer, Lab, Leaf, Misbehavior};
use webhook_mtls::{
    Authorization, CancelToken, DeliverOptions, Dispatcher, DispatcherOptions, Endpoint,
    EndpointOptions, Error, Kind, Pins, ProbeOptions, Receipt, Role, TenantRule, Trust, Verifier,
    VerifierOptions,
};

const OTHER: &str = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

/// Returns the samples of a metric by their labels: the value, or the count of a histogram.
fn samples(metrics: &Metrics, name: &str) -> BTreeMap<String, f64> {
    let json = metrics.to_json();
    let samples = json[format!("webhook_mtls_{name}")]["samples"].as_array().cloned();
    let sample = |sample: Value| {
        let labels = sample["labels"].as_object().expect("labels");
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))
            .collect();
        let value = sample.get("value").or(sample.get("count")).and_then(Value::as_f64);
        (labels.join(" "), value.expect("a number"))
    };
    samples.unwrap_or_default().into_iter().map(sample).collect()
}

fn counted(metrics: &Metrics, name: &str) -> Vec<(String, u64)> {
    let samples = samples(metrics, name).into_iter().filter(|(_, value)| *value > 0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts")]
    samples.map(|(labels, value)| (labels, value as u64)).collect()
}

fn total(metrics: &Metrics, name: &str) -> u64 {
    counted(metrics, name).iter().map(|(_, count)| count).sum()
}

fn row(labels: &str, count: u64) -> (String, u64) {
    (labels.to_owned(), count)
}

struct Scene {
    lab: Lab,
    acme: Consumer,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
}

impl Scene {
    fn new() -> Self {
        Self::with(|options| options)
    }

    fn with(set: impl FnOnce(DispatcherOptions) -> DispatcherOptions) -> Self {
        let lab = Lab::start().unwrap();
        let acme = lab.consumer("acme").unwrap();
        let options = set(lab.dispatcher_options().identity(lab.identity()));
        let dispatcher = Dispatcher::new(options).unwrap();
        let endpoint =
            dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None)).unwrap();
        Self { lab, acme, dispatcher, endpoint }
    }

    fn deliver(&self) -> Result<Receipt, Error> {
        self.deliver_with(DeliverOptions::new())
    }

    fn deliver_with(&self, options: DeliverOptions) -> Result<Receipt, Error> {
        self.dispatcher.deliver_blocking(&self.endpoint, "{}", options, None).expect("an outcome")
    }

    fn deliveries(&self) -> Vec<(String, u64)> {
        counted(&self.dispatcher.metrics(), "deliveries_total")
    }
}

#[test]
fn a_delivery_on_an_idle_connection_has_no_handshake() {
    let scene = Scene::new();
    for reused in [false, true, true] {
        assert_eq!(scene.deliver().unwrap().is_reused(), reused);
    }
    let metrics = scene.dispatcher.metrics();
    assert_eq!(scene.deliveries(), [row("blame= kind= stage= status_class=2xx", 3)]);
    assert_eq!(
        counted(&metrics, "delivery_duration_seconds"),
        [row("kind= stage= status_class=2xx", 3)]
    );
    assert_eq!(
        counted(&metrics, "phase_duration_seconds"),
        [
            row("phase=connect", 1),
            row("phase=handshake", 1),
            row("phase=request", 3),
            row("phase=resolve", 1),
            row("phase=response", 3)
        ]
    );
    assert_eq!(
        counted(&metrics, "handshakes_total"),
        [row("alert= kind= outcome=completed tls_version=TLSv1.3", 1)]
    );
    assert_eq!(total(&metrics, "connection_reuse_total"), 2);
    assert_eq!(counted(&metrics, "connections"), [row("state=idle", 1)]);
    assert_eq!((total(&metrics, "endpoints"), total(&metrics, "deliveries_in_flight")), (1, 0));
}

#[test]
fn each_failure_is_counted_once_under_its_own_labels() {
    patiently(|patience| {
        let scene = Scene::new();
        let mut expected = Vec::new();
        let mut fails = |labels: &str, delivered: Result<Receipt, Error>| {
            let kind = delivered.unwrap_err().kind().name();
            expected.push(row(labels, 1));
            expected.sort();
            assert!(labels.contains(&format!("kind={kind} ")), "{kind}, not {labels}");
            assert_eq!(scene.deliveries(), expected);
            scene.endpoint.reset_circuit();
        };
        scene.acme.respond(Answer::status(503), 1);
        let delivered = scene.deliver();
        fails("blame=theirs kind=http_status stage=response status_class=5xx", delivered);
        scene.acme.respond(Answer { body: vec![b'x'; 1 << 20], ..Answer::status(404) }, 1);
        let delivered = scene.deliver();
        fails("blame=theirs kind=http_status stage=response status_class=4xx", delivered);
        let canceled = CancelToken::new();
        canceled.cancel();
        let delivered = scene.deliver_with(DeliverOptions::new().cancel(canceled));
        fails("blame=caller kind=canceled stage=admit status_class=", delivered);
        scene.acme.misbehave(Misbehavior::ResetAfterBody, 1);
        let delivered = scene.deliver();
        fails("blame=unknown kind=connection_lost stage=response status_class=", delivered);
        for (how, labels) in [
            (
                Misbehavior::NeverAsk,
                "blame=theirs kind=client_auth_not_requested stage=handshake status_class=",
            ),
            (
                Misbehavior::Expired,
                "blame=theirs kind=certificate_expired stage=handshake status_class=",
            ),
            (
                Misbehavior::OtherCa,
                "blame=theirs kind=issuer_unknown stage=handshake status_class=",
            ),
            (
                Misbehavior::WrongName,
                "blame=theirs kind=name_mismatch stage=handshake status_class=",
            ),
        ] {
            scene.acme.misbehave(how, 1);
            let delivered = scene.deliver();
            fails(labels, delivered);
        }
        let timeout = Duration::from_millis(200) * patience;
        scene.acme.misbehave(Misbehavior::Stall, 1);
        let delivered = scene.deliver_with(DeliverOptions::new().timeout(timeout).unwrap());
        fails("blame=unknown kind=deadline_exceeded stage=response status_class=", delivered);
    });
}

#[test]
fn failed_handshakes_are_counted_by_kind_alert_and_version() {
    let scene = Scene::new();
    for how in [Misbehavior::Expired, Misbehavior::NeverAsk, Misbehavior::RejectCertificate] {
        scene.acme.misbehave(how, 1);
        scene.deliver().unwrap_err();
        scene.endpoint.reset_circuit();
    }
    scene.acme.misbehave(Misbehavior::Tls12, 1);
    scene.deliver().unwrap_err();
    let metrics = scene.dispatcher.metrics();
    let handshakes = counted(&metrics, "handshakes_total");
    let of = |labels: &str| handshakes.iter().filter(|(found, _)| found.contains(labels)).count();
    assert_eq!(of("kind=certificate_expired outcome=failed tls_version=TLSv1.3"), 1);
    assert_eq!(of("kind=client_auth_not_requested outcome=failed tls_version=TLSv1.3"), 1);
    let rejected = "alert=unknown_ca kind=client_certificate_rejected outcome=rejected";
    assert_eq!(of(rejected), 1, "{handshakes:?}");
    assert_eq!(of("alert=protocol_version kind=tls_failed"), 1, "{handshakes:?}");
    assert_eq!(total(&metrics, "handshakes_total"), 4);
    assert_eq!(total(&metrics, "handshake_duration_seconds"), 4);
}

#[test]
fn a_pin_mismatch_a_refused_port_and_an_open_circuit_are_seen() {
    let scene = Scene::with(|options| options.circuit_failures(1).unwrap());
    let pinned = EndpointOptions::new(Some(Pins::new([OTHER]).unwrap()));
    let endpoint = scene.dispatcher.endpoint("acme", &scene.acme.url(), pinned).unwrap();
    let (_closed, refused) = closed::port();
    let refusing = format!("https://{refused}/");
    let deaf = scene.dispatcher.endpoint("deaf", &refusing, EndpointOptions::new(None)).unwrap();
    for endpoint in [&endpoint, &deaf, &endpoint] {
        let options = DeliverOptions::new();
        let outcome = scene.dispatcher.deliver_blocking(endpoint, "{}", options, None);
        outcome.expect("an outcome").unwrap_err();
    }
    let metrics = scene.dispatcher.metrics();
    assert_eq!(
        scene.deliveries(),
        [
            row("blame=theirs kind=circuit_open stage=admit status_class=", 1),
            row("blame=theirs kind=connect_failed stage=connect status_class=", 1),
            row("blame=theirs kind=pin_mismatch stage=handshake status_class=", 1),
        ]
    );
    assert_eq!(total(&metrics, "circuits_open"), 2);
    assert_eq!(counted(&metrics, "circuit_transitions_total"), [row("to=open", 2)]);
    assert_eq!(counted(&metrics, "events_total"), [row("event=circuit_opened", 2)]);
}

#[test]
fn a_dropped_delivery_is_counted_as_canceled_by_the_caller() {
    let scene = Scene::new();
    scene.acme.misbehave(Misbehavior::Stall, 1);
    let mut delivery =
        Box::pin(scene.dispatcher.deliver(&scene.endpoint, "{}", DeliverOptions::new()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(delivery.as_mut().poll(&mut context), Poll::Pending));
    assert!(scene.acme.wait(1, Duration::from_secs(30)), "the request arrives");
    assert_eq!(total(&scene.dispatcher.metrics(), "deliveries_in_flight"), 1);
    assert_eq!(counted(&scene.dispatcher.metrics(), "connections"), [row("state=active", 1)]);
    drop(delivery);
    runtime::drive(scene.dispatcher.close(Duration::ZERO), || false).expect("it closes");
    let expected = row("blame=caller kind=canceled stage=response status_class=", 1);
    assert_eq!(scene.deliveries(), [expected]);
    let phases = counted(&scene.dispatcher.metrics(), "phase_duration_seconds");
    assert!(phases.contains(&row("phase=response", 1)), "{phases:?}");
}

#[test]
fn probes_are_counted_apart_from_deliveries() {
    let scene = Scene::new();
    let probe = || {
        let probe = scene.dispatcher.probe(&scene.endpoint, ProbeOptions::new());
        runtime::drive(probe, || false).expect("nothing interrupts it")
    };
    probe().unwrap();
    scene.acme.misbehave(Misbehavior::Expired, 1);
    probe().unwrap_err();
    let metrics = scene.dispatcher.metrics();
    assert_eq!(
        counted(&metrics, "probes_total"),
        [
            row("blame= kind= stage=", 1),
            row("blame=theirs kind=certificate_expired stage=handshake", 1)
        ]
    );
    assert_eq!(total(&metrics, "deliveries_total"), 0);
    assert_eq!(total(&metrics, "handshakes_total"), 2);
}

#[test]
fn a_forked_child_starts_at_zero() {
    let scene = Scene::with(|options| options.metrics_endpoints(1).unwrap());
    scene.deliver().unwrap();
    let verifier = client_verifier(&scene.lab.trust());
    let now = SystemTime::now();
    verifier.verify(scene.lab.identity_pem().0.as_bytes(), None, now).unwrap();
    #[expect(unsafe_code, reason = "the standard library cannot fork")]
    // SAFETY: the child only reads metrics and exits.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let (dispatcher, verifier) = (scene.dispatcher.metrics(), verifier.metrics());
            let counts: u64 = ["deliveries_total", "handshakes_total", "phase_duration_seconds"]
                .into_iter()
                .chain([
                    "endpoint_deliveries_total",
                    "signature_cache_lookups_total",
                    "connections",
                ])
                .map(|name| total(&dispatcher, name))
                .sum();
            let zero = counts == 0 && total(&verifier, "verifications_total") == 0;
            let delivered = scene.deliver().is_ok() && scene.deliveries().len() == 1;
            std::process::exit(i32::from(!(zero && delivered)));
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
        }
    }
    assert_eq!(total(&scene.dispatcher.metrics(), "deliveries_total"), 1);
}

fn client_verifier(trust: &Trust) -> Verifier {
    let rule = TenantRule::san_uri("spiffe://lab.test/tenant/{tenant}").unwrap();
    Verifier::new(VerifierOptions::new(Role::Client, trust.clone()).tenant(rule)).unwrap()
}

#[test]
fn verifications_are_counted_in_the_words_of_ssl_client_verify() {
    let lab = Lab::start().unwrap();
    let verifier = client_verifier(&lab.trust());
    let of = |leaf: Leaf| lab.authority().issue(leaf).unwrap().chain_der;
    let now = SystemTime::now();
    verifier.verify_chain(&of(Leaf::client("acme")), None, now).unwrap();
    verifier.verify_chain(&of(Leaf::client("acme").expired()), None, now).unwrap_err();
    verifier.verify_chain(&of(Leaf::server("acme")), None, now).unwrap_err();
    verifier.verify_chain::<&[u8]>(&[], None, now).unwrap_err();
    verifier.verify(b"no certificate", None, now).unwrap_err();
    let stranger = Authority::new("stranger").unwrap();
    let chain = stranger.issue(Leaf::client("acme")).unwrap().chain_der;
    verifier.verify_chain(&chain, None, now).unwrap_err();
    let metrics = verifier.metrics();
    assert_eq!(
        counted(&metrics, "verifications_total"),
        [
            row("kind= reason= result=SUCCESS", 1),
            row("kind=certificate_expired reason=certificate has expired result=FAILED", 1),
            row("kind=evidence_missing reason= result=NONE", 1),
            row(
                "kind=issuer_unknown reason=unable to get local issuer certificate result=FAILED",
                1
            ),
            row(
                "kind=pem_invalid reason=unspecified certificate verification error result=FAILED",
                1
            ),
            row("kind=purpose_not_allowed reason=unsuitable certificate purpose result=FAILED", 1),
        ]
    );
    assert_eq!(total(&metrics, "deliveries_total"), 0);
    let expiries = samples(&metrics, "certificate_lifetime_left_ratio");
    assert!(expiries.iter().any(|(labels, left)| labels.contains("owner=anchor") && *left > 0.5));
}

#[test]
fn what_a_hop_does_not_prove_is_counted_and_logged() {
    let lab = Lab::start().unwrap();
    let rule = TenantRule::san_uri("spiffe://lab.test/tenant/{tenant}").unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&seen);
    let options = VerifierOptions::new(Role::Client, lab.trust())
        .tenant(rule)
        .log_to(move |record| lines.lock().unwrap().push(record.fields()["kind"].clone()));
    let verifier = Verifier::new(options).unwrap();
    let hop = Hop::address("edge", ["127.0.0.1"]).unwrap();
    let verify = |headers: &[(&str, &str)], remote: &str| {
        let remote = Some(Remote::parse(remote).unwrap());
        let now = SystemTime::now();
        verifier.verify_forwarded(headers, Dialect::Rfc9440, &hop, remote, now).unwrap_err().kind()
    };
    assert_eq!(verify(&[], "192.0.2.1"), Kind::HopUntrusted);
    assert_eq!(
        verify(&[("client-cert", "x"), ("client_cert", "x")], "127.0.0.1"),
        Kind::HopUntrusted
    );
    assert_eq!(verify(&[], "127.0.0.1"), Kind::EvidenceMissing);
    verifier.check_forwarding().unwrap();
    let handshake = Handshake {
        complete: false,
        peer: Role::Client,
        chain: Vec::new(),
        chain_is_whole: true,
        server_name: None,
    };
    assert_eq!(verifier.verify_handshake(&handshake).unwrap_err().kind(), Kind::EvidenceMissing);
    verifier.count_refused_request(Kind::SignatureInvalid);
    let metrics = verifier.metrics();
    assert_eq!(
        counted(&metrics, "verifications_total"),
        [
            row("kind=evidence_missing reason= result=NONE", 2),
            row("kind=hop_untrusted reason=certificate rejected result=FAILED", 2),
        ]
    );
    assert_eq!(counted(&metrics, "refused_requests_total"), [row("kind=signature_invalid", 1)]);
    let seen = seen.lock().unwrap();
    assert_eq!(*seen, ["hop_untrusted", "hop_untrusted", "evidence_missing", "evidence_missing"]);
}

#[test]
fn refused_peers_of_a_distrusted_ca_are_counted_by_its_pin() {
    let lab = Lab::start().unwrap();
    let intermediate = lab.authority().intermediate_pem();
    let pin = webhook_mtls::material::pin_of(intermediate.as_bytes()).unwrap();
    let trust = lab.trust().distrusting([&*pin]).unwrap();
    let verifier = client_verifier(&trust);
    let chain = lab.authority().issue(Leaf::client("acme")).unwrap().chain_der;
    for _ in 0..3 {
        let error = verifier.verify_chain(&chain, None, SystemTime::now()).unwrap_err();
        assert_eq!(error.kind(), Kind::IssuerDistrusted);
    }
    let counts = counted(&verifier.metrics(), "distrusted_issuer_refusals_total");
    assert_eq!(counts, [row(&format!("issuer={pin}"), 3)]);
}

#[test]
fn endpoints_are_named_by_choice_and_in_a_bounded_number() {
    let scene = Scene::with(|options| options.metrics_endpoints(1).unwrap());
    let other = scene.lab.consumer("other-one").unwrap();
    let options = EndpointOptions::new(None);
    let unnamed = scene.dispatcher.endpoint("other-one", &other.url(), options).unwrap();
    scene.deliver().unwrap();
    scene.acme.respond(Answer::status(500), 1);
    scene.deliver().unwrap_err();
    for _ in 0..2 {
        let options = DeliverOptions::new();
        let outcome = scene.dispatcher.deliver_blocking(&unnamed, "{}", options, None);
        outcome.expect("an outcome").unwrap();
    }
    let metrics = scene.dispatcher.metrics();
    assert_eq!(
        counted(&metrics, "endpoint_deliveries_total"),
        [
            row("endpoint=acme outcome=failed", 1),
            row("endpoint=acme outcome=succeeded", 1),
            row("endpoint=other outcome=succeeded", 2)
        ]
    );
    assert_eq!(samples(&metrics, "endpoint_circuit_open"), [("endpoint=acme".into(), 0.0)].into());
    let named = samples(&metrics, "certificate_expiration_timestamp_seconds");
    assert!(named.contains_key("name=acme owner=consumer"), "{named:?}");
    let text = Scene::new();
    text.deliver().unwrap();
    let text = text.dispatcher.metrics().text(MetricsFormat::Prometheus);
    assert!(!text.contains("acme"), "a consumer id is a label by choice: {text}");
    assert!(text.contains("owner=\"consumer\",name=\"\""), "{text}");
}

#[test]
fn failed_rotations_are_counted() {
    let lab = Lab::start().unwrap();
    let files = std::env::temp_dir().join(format!("metrics-{}", std::process::id()));
    lab.write_files(&files).unwrap();
    let identity =
        webhook_mtls::Identity::from_files(files.join("tls.crt"), files.join("tls.key"), None);
    let options = lab.dispatcher_options().identity(identity.unwrap()).reload(None).unwrap();
    let dispatcher = Dispatcher::new(options).unwrap();
    let reload = || runtime::drive(dispatcher.reload(), || false).expect("an outcome").unwrap();
    fs::write(files.join("tls.crt"), "half a file").unwrap();
    let emitted = reload().len() as u64;
    let metrics = dispatcher.metrics();
    assert_eq!(counted(&metrics, "rotations_total"), [row("outcome=failed what=identity", 1)]);
    assert_eq!(
        (total(&metrics, "events_total"), total(&metrics, "events_lost_total")),
        (emitted, 0)
    );
    fs::remove_dir_all(&files).unwrap();
}

#[test]
fn the_versions_are_those_of_the_lock_file() {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let lock = fs::read_to_string(lock).unwrap();
    let build = samples(&Scene::new().dispatcher.metrics(), "build_info");
    let labels = build.keys().next().expect("one sample");
    for (label, name) in [("rustls", "rustls"), ("aws_lc_rs", "aws-lc-rs")] {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).unwrap();
        let version = rest.split('"').next().unwrap();
        assert!(labels.contains(&format!("{label}={version}")), "{labels}, {name} {version}");
    }
}

#[test]
fn a_sink_gets_a_record_of_each_end_and_each_event() {
    let records = Arc::new(Mutex::new(Vec::new()));
    let sink = {
        let records = records.clone();
        move |record: &LogRecord| {
            records.lock().unwrap().push(record.to_json());
            panic!("asked for by a test");
        }
    };
    let scene = Scene::with(|options| options.circuit_failures(1).unwrap().log_to(sink.clone()));
    scene.deliver_with(DeliverOptions::new().id("evt_1")).unwrap();
    scene.acme.misbehave(Misbehavior::Expired, 1);
    let url = scene.acme.url();
    let pinned = EndpointOptions::new(Some(Pins::new([OTHER]).unwrap()));
    scene.dispatcher.endpoint("acme", &url, pinned).unwrap();
    scene.deliver().unwrap_err();
    let records = records.lock().unwrap();
    let told: Vec<[&str; 3]> = records
        .iter()
        .map(|record| ["level", "event", "outcome"].map(|name| record[name].as_str().unwrap_or("")))
        .collect();
    assert_eq!(
        told,
        [
            ["info", "delivery", "succeeded"],
            ["warning", "circuit_opened", ""],
            ["warning", "delivery", "failed"]
        ]
    );
    assert_eq!((&records[0]["id"], &records[0]["status"]), (&json!("evt_1"), &json!(200)));
    assert_eq!(records[2]["kind"], records[1]["kind"]);
    let options = VerifierOptions::new(Role::Client, scene.lab.trust())
        .authorization(Authorization::ca_members())
        .log_to(sink);
    drop(records);
    let verifier = Verifier::new(options).unwrap();
    verifier.verify(b"no certificate", None, SystemTime::now()).unwrap_err();
}

#[test]
fn a_receipt_of_the_longest_answer_is_a_line_below_one_kib() {
    let scene = Scene::new();
    let url = format!("{}/{}", scene.acme.url(), "p".repeat(3000));
    let consumer = "c".repeat(256);
    let endpoint = scene.dispatcher.endpoint(&consumer, &url, EndpointOptions::new(None)).unwrap();
    let headers = vec![("x-long".to_owned(), "h".repeat(8000))];
    scene.acme.respond(Answer { headers, body: vec![b'b'; 30_000], ..Answer::status(200) }, 1);
    scene.acme.respond(Answer { body: vec![b'b'; 30_000], ..Answer::status(500) }, 1);
    let deliver = || {
        let options = DeliverOptions::new().id("i".repeat(255));
        scene.dispatcher.deliver_blocking(&endpoint, "{}", options, None).expect("an outcome")
    };
    let (receipt, error) = (deliver().unwrap(), deliver().unwrap_err());
    assert!(receipt.to_json().to_string().len() > 10_000);
    for record in [receipt.log_record(), error.log_record()] {
        let line = record.to_json().to_string();
        assert!(line.len() < 1024, "{} bytes: {line}", line.len());
        assert!(!line.contains("ppp") && !line.contains("bbb") && !line.contains("hhh"), "{line}");
    }
}
