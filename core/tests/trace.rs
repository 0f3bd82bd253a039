//! The record that a traced delivery leaves for the instruments of a binding. Run with
//! `--features testing`.
#![cfg(feature = "testing")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use webhook_mtls::bindings::trace::TraceQueue;
use webhook_mtls::testing::{Consumer, Lab, Misbehavior};
use webhook_mtls::{DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Pins};

struct Scene {
    _lab: Lab,
    acme: Consumer,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
    queue: Arc<TraceQueue>,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::start().unwrap();
        let acme = lab.consumer("acme").unwrap();
        let dispatcher = lab.dispatcher();
        let pins = Pins::new([acme.pin()]).unwrap();
        let endpoint =
            dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(Some(pins))).unwrap();
        Self { _lab: lab, acme, dispatcher, endpoint, queue: Arc::default() }
    }

    fn options(&self, number: u64) -> DeliverOptions {
        let trace = self.queue.trace(number, &self.endpoint);
        let headers = vec![("traceparent".to_owned(), "ours".to_owned())];
        DeliverOptions::new().traced(trace, headers)
    }

    fn deliver(&self, options: DeliverOptions) {
        let outcome = self.dispatcher.deliver_blocking(&self.endpoint, "{}", options, None);
        let _ = outcome.expect("nothing interrupts it");
    }

    fn record(&self) -> Value {
        let mut records = self.queue.take();
        assert_eq!(records.len(), 1, "{records:?}");
        records.remove(0)
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_success_has_its_attempt_its_handshake_and_its_log_record() {
    let scene = Scene::new();
    scene.deliver(scene.options(7));
    let record = scene.record();
    assert_eq!((&record["number"], &record["outcome"]), (&7.into(), &"succeeded".into()));
    assert_eq!((&record["consumer"], &record["server"]), (&"acme".into(), &"127.0.0.1".into()));
    assert_eq!((&record["status"], &record["kind"]), (&200.into(), &Value::Null));
    assert_eq!(record["log"]["message"], "delivered with status 200");
    let (attempt, handshake) = (&record["attempt_list"][0], &record["handshake_list"][0]);
    assert_eq!((&attempt["outcome"], &attempt["reused"]), (&"succeeded".into(), &false.into()));
    assert_eq!(
        (&handshake["outcome"], &handshake["tls_version"]),
        (&"completed".into(), &"TLSv1.3".into())
    );
    // Each lies within the one above it.
    for (inner, outer) in [(handshake, attempt), (attempt, &record)] {
        let end = |part: &Value| match part.get("ended_ms") {
            Some(end) => number(end),
            None => number(&part["began_ms"]) + number(&part["took_ms"]),
        };
        let begin = |part: &Value| part.get("began_ms").map_or(0.0, number);
        assert!(begin(outer) <= begin(inner) && end(inner) <= end(outer), "{record}");
    }
    let stages = attempt["stages_ms"].as_object().unwrap();
    let names: Vec<&str> = stages.keys().map(String::as_str).collect();
    assert_eq!(names, ["admit", "connect", "handshake", "request", "resolve", "response"]);

    scene.deliver(scene.options(8));
    let record = scene.record();
    assert_eq!(record["handshake_list"].as_array().unwrap().len(), 0);
    assert_eq!(record["reused"], true);
}

#[test]
fn a_failure_has_the_classes_of_its_error() {
    let scene = Scene::new();
    scene.acme.renew(true).unwrap();
    scene.deliver(scene.options(1));
    let record = scene.record();
    for part in [&record, &record["attempt_list"][0], &record["handshake_list"][0]] {
        assert_eq!((&part["outcome"], &part["kind"]), (&"failed".into(), &"pin_mismatch".into()));
        assert_eq!((&part["stage"], &part["blame"]), (&"handshake".into(), &"theirs".into()));
    }
    assert_eq!(record["log"]["level"], "warning");
}

#[test]
fn a_dropped_delivery_is_recorded_once() {
    let scene = Scene::new();
    scene.acme.misbehave(Misbehavior::Stall, 0);
    let acme = &scene.acme;
    let mut stop = || acme.wait(1, Duration::ZERO);
    let (endpoint, options) = (&scene.endpoint, scene.options(1));
    let outcome = scene.dispatcher.deliver_blocking(endpoint, "{}", options, Some(&mut stop));
    assert!(outcome.is_none(), "the consumer answered");
    let record = scene.record();
    assert_eq!((&record["outcome"], &record["kind"]), (&"abandoned".into(), &"canceled".into()));
    assert_eq!((&record["stage"], &record["sent"]), (&"response".into(), &"all".into()));
    assert_eq!(record["log"]["outcome"], "abandoned");

    drop(scene.queue.trace(2, &scene.endpoint));
    assert_eq!(scene.record()["outcome"], "abandoned");
}

#[test]
fn a_header_of_the_caller_is_sent_once() {
    let scene = Scene::new();
    scene.deliver(scene.options(1));
    let trace = scene.queue.trace(2, &scene.endpoint);
    let theirs = vec![("TraceParent".to_owned(), "theirs".to_owned())];
    let ours = vec![("traceparent".to_owned(), "ours".to_owned())];
    scene.deliver(DeliverOptions::new().headers(theirs).traced(trace, ours));
    let received = scene.acme.received();
    let parents = received.iter().flat_map(|request| &request.headers);
    let parents = parents.filter(|(name, _)| name == "traceparent").map(|(_, value)| value);
    assert_eq!(parents.collect::<Vec<_>>(), ["ours", "theirs"]);
}
