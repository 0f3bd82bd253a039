//! Each way to deliver adds the same facts to its errors. Run with `--features testing`.
#![cfg(feature = "testing")]

use serde_json::Value;
use webhook_mtls::testing::{Answer, Consumer, Lab, Misbehavior};
use webhook_mtls::{
    CancelToken, DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Error, ProbeOptions,
};

mod closed;
mod ways;
use ways::WAYS;

struct Scene {
    lab: Lab,
    acme: Consumer,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
}

fn scene() -> Scene {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    // Every way to deliver fails in turn.
    let options = lab.dispatcher_options().circuit_failures(0).unwrap();
    let dispatcher = Dispatcher::new(options).unwrap();
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
        let error = deliver(&scene.dispatcher, &scene.endpoint, options()).unwrap_err();
        check(way, &error, 0, &[]);
    }
}

#[test]
fn a_canceled_delivery_has_no_attempt() {
    let scene = scene();
    let token = CancelToken::new();
    token.cancel();
    for (way, deliver) in WAYS {
        let options = options().cancel(token.clone());
        let error = deliver(&scene.dispatcher, &scene.endpoint, options).unwrap_err();
        check(way, &error, 0, &[]);
    }
}

#[test]
fn a_refused_connection_has_the_first_timings() {
    let scene = scene();
    let (_closed, free) = closed::port();
    let url = format!("https://{free}/");
    let endpoint = scene.dispatcher.endpoint("acme", &url, EndpointOptions::new(None)).unwrap();
    for (way, deliver) in WAYS {
        let error = deliver(&scene.dispatcher, &endpoint, options()).unwrap_err();
        check(way, &error, 1, &["resolve_ms", "connect_ms"]);
    }
}

#[test]
fn a_failed_handshake_has_the_address_and_the_choices_of_the_peer() {
    let scene = scene();
    for (way, deliver) in WAYS {
        scene.acme.misbehave(Misbehavior::Expired, 1);
        let error = deliver(&scene.dispatcher, &scene.endpoint, options()).unwrap_err();
        let json = check(way, &error, 1, &[&OPENED[..], &["connection", "tls"]].concat());
        let address = json["connection"]["address"].as_str().unwrap();
        assert!(scene.acme.url().contains(address), "{way}: {json}");
        assert_eq!(json["connection"]["reused"], false, "{way}: {json}");
        assert_eq!(json["tls"]["version"], "TLSv1.3", "{way}: {json}");
    }
}

#[test]
fn a_refusal_has_what_a_receipt_has() {
    let scene = scene();
    for (way, deliver) in WAYS {
        scene.acme.respond(Answer::status(503), 1);
        let error = deliver(&scene.dispatcher, &scene.endpoint, options()).unwrap_err();
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
    let probed = ways::probe(&scene.dispatcher, &scene.endpoint, ProbeOptions::new());
    let error = probed.unwrap_err().to_json();
    assert_eq!((&error["consumer"], &error["attempts"]), (&"acme".into(), &1.into()), "{error}");
    assert!(error["connection"].is_object() && error["timings"]["handshake_ms"].is_number());

    scene.acme.respond(Answer::status(503), 1);
    let single =
        |url: String, dispatcher| ways::once(&url, dispatcher, options()).unwrap_err().to_json();
    let error = single(scene.acme.url(), scene.lab.dispatcher_options());
    assert_eq!((&error["id"], &error["attempts"]), (&"evt-1".into(), &1.into()), "{error}");
    assert!(error["tls"].is_object() && error["peer"].is_object(), "{error}");
    let error = single("http://plain.example/".to_owned(), scene.lab.dispatcher_options());
    assert_eq!((&error["id"], &error["attempts"]), (&"evt-1".into(), &0.into()), "{error}");
}
