//! Runs the circuit cases of the shared vectors: the steps of each case with one endpoint.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use webhook_mtls::testing::{Answer, Consumer, Lab, Misbehavior, set_clock};
use webhook_mtls::{
    DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Error, EventQueue, Pins, ProbeOptions,
};

use crate::{UNUSED_PIN, number, set, subset, text, wait};

/// Returns the differences from what the case expects.
pub(crate) fn run(case: &Value) -> Vec<String> {
    let lab = Lab::start().expect("a lab");
    let acme = lab.consumer("acme").expect("a receiver");
    let options = set("dispatcher", case, lab.dispatcher_options()).expect("options");
    let dispatcher = Dispatcher::new(options).expect("a dispatcher");
    let mut scene = Scene::new(acme, dispatcher);
    let mut differences = Vec::new();
    for (at, step) in case["steps"].as_array().into_iter().flatten().enumerate() {
        let found = scene.take(step).into_iter();
        differences.extend(found.map(|found| format!("step {}: {found}", at + 1)));
    }
    set_clock(None);
    let events = std::iter::from_fn(|| scene.events.try_next());
    let events: Vec<&str> = events.map(|event| event.name().name()).collect();
    differences.extend(subset(&case["events"], &json!(events), "events"));
    differences
}

struct Scene {
    acme: Consumer,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
    events: EventQueue,
    /// How far the clock was set ahead, in milliseconds.
    ahead: i64,
}

impl Scene {
    fn new(acme: Consumer, dispatcher: Dispatcher) -> Self {
        let events = dispatcher.events();
        let endpoint = pinned(&dispatcher, &acme, "right");
        Self { acme, dispatcher, endpoint, events, ahead: 0 }
    }

    fn take(&mut self, step: &Value) -> Vec<String> {
        let (name, with) = step.as_object().and_then(|step| step.iter().next()).expect("a step");
        match name.as_str() {
            "misbehave" => {
                let how = Misbehavior::from_name(text(&with["how"])).expect("a misbehavior");
                self.acme.misbehave(how, number(&with["times"]));
            }
            "respond" => {
                let status = u16::try_from(number(&with["status"])).expect("a status");
                self.acme.respond(Answer::status(status), number(&with["times"]));
            }
            "advance_ms" => self.advance(with.as_i64().expect("milliseconds")),
            "reset_circuit" => self.endpoint.reset_circuit(),
            "reload" => drop(wait(self.dispatcher.reload()).expect("a reload")),
            "pins" => self.endpoint = pinned(&self.dispatcher, &self.acme, text(with)),
            "circuit" => {
                return subset(with, &json!(self.endpoint.status().circuit.name()), "circuit");
            }
            "deliver" => {
                let delivery = self.dispatcher.deliver(&self.endpoint, "{}", DeliverOptions::new());
                return compare(with, wait(delivery).map(drop));
            }
            "probe" => {
                let probe = self.dispatcher.probe(&self.endpoint, ProbeOptions::new());
                return compare(with, wait(probe).map(drop));
            }
            "open_circuit" => {
                let duration = Duration::from_millis(number(&with["duration_ms"]).into());
                return compare(with, self.endpoint.open_circuit(duration));
            }
            other => panic!("no step {other}"),
        }
        Vec::new()
    }

    fn advance(&mut self, millis: i64) {
        self.ahead += millis;
        let ahead = Duration::from_millis(u64::try_from(self.ahead).expect("not before now"));
        set_clock(Some(SystemTime::now() + ahead));
    }
}

fn pinned(dispatcher: &Dispatcher, acme: &Consumer, which: &str) -> Endpoint {
    let right = acme.pin();
    let pins = match which {
        "right" => Pins::new([right]),
        "wrong" => Pins::new([UNUSED_PIN]),
        _ => Pins::with_next([right], [UNUSED_PIN.to_owned()]),
    };
    let options = EndpointOptions::new(Some(pins.expect("pins")));
    dispatcher.endpoint("acme", &acme.url(), options).expect("an endpoint")
}

fn compare(expected: &Value, outcome: Result<(), Error>) -> Vec<String> {
    match outcome {
        Ok(()) if expected.get("ok").is_some() => Vec::new(),
        Ok(()) => vec![format!("succeeded, expected {expected}")],
        Err(error) => match expected.get("error") {
            Some(wanted) => subset(wanted, &error.to_json(), "error"),
            None => vec![format!("failed: {error}")],
        },
    }
}
