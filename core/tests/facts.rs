//! Each way to deliver adds the same facts to its errors. Run with `--features testing`.
#![cfg(feature = "testing")]

use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use webhook_mtls::bindings::runtime;
use webhook_mtls::testing::{Answer, Consumer, Lab, Misbehavior};
use webhook_mtls::{
    CancelToken, DeliverOptions, Delivery, Dispatcher, Endpoint, EndpointOptions, Error,
    ProbeOptions,
};

/// The ways to deliver, by a dispatcher and for one endpoint.
type Way = fn(&Dispatcher, &Endpoint, DeliverOptions) -> Error;

const WAYS: [(&str, Way); 5] = [
    ("blocking", |dispatcher, endpoint, options| {
        dispatcher.deliver_blocking(endpoint, "{}", options, None).unwrap().unwrap_err()
    }),
    ("async", |dispatcher, endpoint, options| {
        runtime::drive(dispatcher.deliver(endpoint, "{}", options), || false).unwrap().unwrap_err()
    }),
    ("start", |dispatcher, endpoint, options| {
        let (tell, told) = mpsc::channel();
        let done = move |outcome| tell.send(outcome).unwrap();
        match dispatcher.start(endpoint, "{}", options, done) {
            Ok(()) => told.recv_timeout(Duration::from_secs(20)).unwrap().unwrap_err(),
            Err(error) => error,
        }
    }),
    ("many", |dispatcher, endpoint, options| {
        let delivery = Delivery::new(endpoint, "{}", options);
        let mut outcomes = dispatcher.deliver_many([delivery], None).unwrap().blocking();
        outcomes.next().unwrap().1.unwrap_err()
    }),
    ("submit", |dispatcher, endpoint, options| {
        let run = webhook_mtls::Fanout::unbounded(dispatcher);
        run.submit(Delivery::new(endpoint, "{}", options), ());
        run.next_within(Some(Duration::from_secs(20))).unwrap().unwrap().1.unwrap_err()
    }),
];

struct Scene {
    lab: Lab,
    acme: Consumer,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
}

fn scene() -> Scene {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None)).unwrap();
    Scene { lab, acme, dispatcher, endpoint }
}

fn options() -> DeliverOptions {
    DeliverOptions::new().id("evt-1")
}

/// Fails unless the error has the facts of every stage, and survives a queue.
///
/// * `known`: the fields that are not `null`, beside those that every delivery has.
fn check(way: &str, error: &Error, attempts: u32, known: &[&str]) -> Value {
    let json = error.to_json();
    let shown = format!("{way}: {json}");
    assert_eq!(json["consumer"], "acme", "{shown}");
    assert_eq!(json["id"], "evt-1", "{shown}");
    assert_eq!(json["attempts"], attempts, "{shown}");
    assert!(json["elapsed_ms"].as_f64().is_some_and(|millis| millis >= 0.0), "{shown}");
    assert!(json["timings"].is_object(), "{shown}");
    for field in ["connection", "tls", "peer"] {
        assert_eq!(json[field].is_object(), known.contains(&field), "{field} of {shown}");
    }
    for phase in ["resolve_ms", "connect_ms", "handshake_ms", "response_ms"] {
        let phase_known = json["timings"][phase].is_number();
        assert_eq!(phase_known, known.contains(&phase), "{phase} of {shown}");
    }
    assert_eq!(Error::from_json(&json).unwrap().to_json(), json);
    let public = error.public().to_string();
    for private in ["127.0.0.1", "elapsed", "timings", "\"connection\":", "\"peer\":", "\"tls\":"] {
        assert!(!public.contains(private), "{public}");
    }
    json
}

const OPENED: [&str; 3] = ["resolve_ms", "connect_ms", "handshake_ms"];
const ANSWERED: [&str; 7] =
    ["resolve_ms", "connect_ms", "handshake_ms", "response_ms", "connection", "tls", "peer"];

#[test]
fn a_delivery_that_is_not_admitted_has_no_attempt() {
    let scene = scene();
    scene.dispatcher.remove("acme");
    for (way, deliver) in WAYS {
        check(way, &deliver(&scene.dispatcher, &scene.endpoint, options()), 0, &[]);
    }
}

#[test]
fn a_canceled_delivery_has_no_attempt() {
    let scene = scene();
    let token = CancelToken::new();
    token.cancel();
    for (way, deliver) in WAYS {
        let options = options().cancel(token.clone());
        check(way, &deliver(&scene.dispatcher, &scene.endpoint, options), 0, &[]);
    }
}

#[test]
fn a_refused_connection_has_the_first_timings() {
    let scene = scene();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("https://{free}/");
    let endpoint = scene.dispatcher.endpoint("acme", &url, EndpointOptions::new(None)).unwrap();
    for (way, deliver) in WAYS {
        let error = deliver(&scene.dispatcher, &endpoint, options());
        check(way, &error, 1, &["resolve_ms", "connect_ms"]);
    }
}

#[test]
fn a_failed_handshake_has_the_address() {
    let scene = scene();
    for (way, deliver) in WAYS {
        scene.acme.misbehave(Misbehavior::Expired, 1);
        let error = deliver(&scene.dispatcher, &scene.endpoint, options());
        let json = check(way, &error, 1, &[&OPENED[..], &["connection"]].concat());
        let address = json["connection"]["address"].as_str().unwrap();
        assert!(scene.acme.url().contains(address), "{way}: {json}");
        assert_eq!(json["connection"]["reused"], false, "{way}: {json}");
    }
}

#[test]
fn a_refusal_has_what_a_receipt_has() {
    let scene = scene();
    for (way, deliver) in WAYS {
        scene.acme.respond(Answer::status(503), 1);
        let error = deliver(&scene.dispatcher, &scene.endpoint, options());
        let json = check(way, &error, 1, &ANSWERED);
        let receipt =
            scene.dispatcher.deliver_blocking(&scene.endpoint, "{}", options(), None).unwrap();
        let receipt = receipt.unwrap().to_json();
        for field in ["consumer", "id", "attempts", "tls", "peer"] {
            if field != "peer" {
                assert_eq!(json[field], receipt[field], "{way}: {field}");
            }
            let keys = |value: &Value| -> Vec<String> {
                value.as_object().map(|it| it.keys().cloned().collect()).unwrap_or_default()
            };
            assert_eq!(keys(&json[field]), keys(&receipt[field]), "{way}: {field}");
        }
        assert_eq!(json["peer"]["spki_pin"], receipt["peer"]["spki_pin"], "{way}");
        assert_eq!(json["connection"]["address"], receipt["connection"]["address"], "{way}");
    }
}

#[test]
fn a_probe_and_a_single_delivery_have_the_same_facts() {
    let scene = scene();
    scene.acme.misbehave(Misbehavior::Expired, 1);
    let probing = scene.dispatcher.probe(&scene.endpoint, ProbeOptions::new());
    let error = runtime::drive(probing, || false).unwrap().unwrap_err().to_json();
    assert_eq!((&error["consumer"], &error["attempts"]), (&"acme".into(), &1.into()), "{error}");
    assert!(error["connection"].is_object() && error["timings"]["handshake_ms"].is_number());

    scene.acme.respond(Answer::status(503), 1);
    let single = |url: String, dispatcher| {
        let endpoint = EndpointOptions::new(None);
        let delivering =
            async move { webhook_mtls::deliver(&url, "{}", dispatcher, endpoint, options()).await };
        runtime::drive(delivering, || false).unwrap().unwrap_err().to_json()
    };
    let error = single(scene.acme.url(), scene.lab.dispatcher_options());
    assert_eq!((&error["id"], &error["attempts"]), (&"evt-1".into(), &1.into()), "{error}");
    assert!(error["tls"].is_object() && error["peer"].is_object(), "{error}");
    let error = single("http://plain.example/".to_owned(), scene.lab.dispatcher_options());
    assert_eq!((&error["id"], &error["attempts"]), (&"evt-1".into(), &0.into()), "{error}");
}
