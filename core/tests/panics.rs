//! A panic in the library ends a delivery as `internal`, with its facts, in each way to deliver. Run with
//! `--features testing`.
#![cfg(feature = "testing")]

use std::time::Duration;

use webhook_mtls::bindings::runtime;
use webhook_mtls::error::Stage;
use webhook_mtls::testing::{Consumer, Lab};
use webhook_mtls::{
    DeliverOptions, Delivery, Dispatcher, Endpoint, EndpointOptions, Error, Kind, ProbeOptions,
    Sent,
};

mod ways;
use ways::WAYS;

/// The stages at which a delivery can panic, and what may have left then.
const STAGES: [(Stage, Sent); 6] = [
    (Stage::Admit, Sent::Nothing),
    (Stage::Resolve, Sent::Nothing),
    (Stage::Connect, Sent::Nothing),
    (Stage::Handshake, Sent::Nothing),
    (Stage::Request, Sent::Maybe),
    (Stage::Response, Sent::Maybe),
];

struct Scene {
    lab: Lab,
    acme: Consumer,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
}

impl Scene {
    /// A dispatcher whose deliveries panic when this stage begins.
    fn new(stage: Stage) -> Self {
        let lab = Lab::start().unwrap();
        let acme = lab.consumer("acme").unwrap();
        let dispatcher = Dispatcher::new(lab.dispatcher_options().panic_at(stage)).unwrap();
        let options = EndpointOptions::new(None).concurrency(1).unwrap();
        let endpoint = dispatcher.endpoint("acme", &acme.url(), options).unwrap();
        Self { lab, acme, dispatcher, endpoint }
    }
}

fn check(way: &str, error: &Error, stage: Stage, sent: Sent) {
    let json = error.to_json();
    let shown = format!("{way}, {}: {json}", stage.name());
    assert_eq!((error.kind(), error.sent()), (Kind::Internal, sent), "{shown}");
    assert_eq!(json["stage"], stage.name(), "{shown}");
    assert_eq!((error.attempts(), error.consumer().is_some()), (Some(1), true), "{shown}");
    // The payload may have left in a write that was not recorded.
    let payload = json["context"]["payload_sent"].as_bool();
    assert_eq!(payload, (sent == Sent::Maybe).then_some(true), "{shown}");
    assert_eq!(json["connection"].is_object(), stage >= Stage::Request, "{shown}");
    assert!(!json.to_string().contains("planted"), "{shown}");
}

#[test]
fn a_panic_ends_each_way_to_deliver_with_its_facts() {
    silence_planted_panics();
    for (stage, sent) in STAGES {
        let scene = Scene::new(stage);
        // With one turn, each delivery shows as well that the former one has released it.
        for (way, deliver) in WAYS {
            let error = deliver(&scene.dispatcher, &scene.endpoint, options()).unwrap_err();
            check(way, &error, stage, sent);
            assert_eq!(error.id(), Some("evt-1"), "{way}");
        }
        let once = scene.lab.dispatcher_options().panic_at(stage);
        check("once", &ways::once(&scene.acme.url(), once, options()).unwrap_err(), stage, sent);
        if stage < Stage::Request {
            let error = ways::probe(&scene.dispatcher, &scene.endpoint, ProbeOptions::new());
            check("probe", &error.unwrap_err(), stage, sent);
        }
        // No delivery counts as in flight any more.
        runtime::drive(scene.dispatcher.close(Duration::from_secs(60)), || false).unwrap();
    }
}

#[test]
fn a_panic_in_a_run_ends_one_delivery_only() {
    silence_planted_panics();
    let scene = Scene::new(Stage::Request);
    let deliveries = (0..20).map(|_| Delivery::new(&scene.endpoint, "{}", options()));
    let outcomes = scene.dispatcher.deliver_many(deliveries, Some(4)).unwrap().blocking();
    let errors: Vec<Error> = outcomes.map(|(_, outcome)| outcome.unwrap_err()).collect();
    assert_eq!(errors.len(), 20);
    for error in &errors {
        check("many", error, Stage::Request, Sent::Maybe);
    }
}

fn options() -> DeliverOptions {
    DeliverOptions::new().id("evt-1")
}

/// Keeps the planted panics out of the output of the tests.
fn silence_planted_panics() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref() != Some(&"a planted panic") {
            others(panic);
        }
    }));
}
