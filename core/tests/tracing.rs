//! Deliveries as spans and events of `tracing`. Run with `--features testing,tracing`.
#![cfg(all(feature = "testing", feature = "tracing"))]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use webhook_mtls::testing::{Lab, Misbehavior};
use webhook_mtls::{DeliverOptions, EndpointOptions};

/// The fields of a span or an event.
#[derive(Clone, Debug, Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

/// What a subscriber saw: the spans, and each event with the span that it is in.
#[derive(Default)]
struct Seen {
    spans: Mutex<BTreeMap<u64, Fields>>,
    entered: Mutex<Vec<u64>>,
    events: Mutex<Vec<(Level, Fields, Option<u64>)>>,
    next: AtomicU64,
}

#[derive(Clone, Default)]
struct Recorder(Arc<Seen>);

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "webhook_mtls"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        let id = self.0.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.spans.lock().unwrap().insert(id, fields);
        Id::from_u64(id)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let within = self.0.entered.lock().unwrap().last().copied();
        self.0.events.lock().unwrap().push((*event.metadata().level(), fields, within));
    }

    fn enter(&self, span: &Id) {
        self.0.entered.lock().unwrap().push(span.into_u64());
    }

    fn exit(&self, _span: &Id) {
        self.0.entered.lock().unwrap().pop();
    }
}

#[test]
fn a_delivery_is_a_span_and_its_end_an_event_with_the_fields_of_a_log_record() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None)).unwrap();
    let deliver = || {
        let options = DeliverOptions::new().id("evt_1");
        dispatcher.deliver_blocking(&endpoint, "{}", options, None).expect("an outcome")
    };
    let recorder = Recorder::default();
    let (receipt, error) = tracing::subscriber::with_default(recorder.clone(), || {
        let receipt = deliver().unwrap();
        acme.misbehave(Misbehavior::ResetAfterBody, 1);
        (receipt, deliver().unwrap_err())
    });
    let events = recorder.0.events.lock().unwrap();
    let spans = recorder.0.spans.lock().unwrap();
    assert_eq!((events.len(), spans.len()), (2, 2), "{events:?}");
    let records = [(Level::INFO, receipt.log_record()), (Level::WARN, error.log_record())];
    for ((level, fields, within), (expected, record)) in events.iter().zip(records) {
        assert_eq!(*level, expected);
        let span = &spans[&within.expect("the event is in a span")].0;
        assert_eq!((&*span["event"], &*span["consumer"]), ("delivery", "acme"));
        assert_eq!(span["id"], "evt_1");
        let mut fields = fields.0.clone();
        assert_eq!(fields.remove("message").as_deref(), Some(record.message()));
        let names: Vec<&str> = fields.keys().copied().collect();
        let record = record.fields();
        assert_eq!(names, record.keys().collect::<Vec<_>>());
        for (name, value) in &record {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert_eq!(fields[name.as_str()], text, "{name}");
        }
    }
}
