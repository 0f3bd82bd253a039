//! A removal, a replacement, a retirement or a new limit takes effect when the call returns, also
//! for waiting deliveries. Run with `--features testing`.
#![cfg(feature = "testing")]

mod calm;
mod raw;
mod started;

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use calm::patiently;
use raw::{Conversation, listen};
use started::Outcome;
use webhook_mtls::bindings::SetByName as _;
use webhook_mtls::bindings::{Setting, runtime};
use webhook_mtls::error::Stage;
use webhook_mtls::testing::{Lab, Leaf};
use webhook_mtls::{
    DeliverOptions, Delivery, Dispatcher, Endpoint, EndpointOptions, Error, Identity, Kind, Pins,
    ProbeOptions, Receipt, Sent,
};

const SOON: Duration = Duration::from_secs(10);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const CLOSING: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const PAGE: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 38\r\nconnection: close\r\n\r\n\
                    <html>The SSL certificate error</html>";
const OTHER: &str = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

/// Blocks callers of `pass` while it is shut.
#[derive(Clone, Default)]
struct Barrier(Arc<(Mutex<bool>, Condvar)>);

impl Barrier {
    fn shut(&self) {
        *self.0.0.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = false;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let shut = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(shut, |shut| *shut).unwrap());
    }
}

/// An event at a consumer.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    /// A connection was accepted.
    Connected,
    /// A request arrived.
    Requested,
    /// The client closed without a further request.
    Left,
}

/// A consumer that delays handshakes and responses while its barriers are shut.
struct Consumer {
    url: String,
    handshakes: Barrier,
    answers: Barrier,
    events: Receiver<Event>,
}

impl Consumer {
    fn start(lab: &Lab) -> Self {
        let (handshakes, answers) = (Barrier::default(), Barrier::default());
        let (record, events) = mpsc::channel();
        let held = (handshakes.clone(), answers.clone());
        let url = listen(lab, move |mut conversation| {
            let _ = record.send(Event::Connected);
            held.0.pass();
            while request(&mut conversation).is_some() {
                let _ = record.send(Event::Requested);
                held.1.pass();
                conversation.say(OK);
            }
            let _ = record.send(Event::Left);
        });
        Self { url, handshakes, answers, events }
    }

    fn saw(&self, expected: &[Event]) {
        for event in expected {
            assert_eq!(self.events.recv_timeout(SOON).as_ref(), Ok(event));
        }
    }

    fn saw_no_more(&self) {
        assert_eq!(self.events.try_recv().ok(), None);
    }
}

/// Reads a request whose payload is `{}`.
fn request(conversation: &mut Conversation) -> Option<()> {
    conversation.head()?;
    conversation.bytes(2).map(drop)
}

fn dispatcher(lab: &Lab, limits: &[(&str, f64)]) -> Dispatcher {
    let mut options = lab.dispatcher_options();
    for (name, limit) in limits {
        options = options.set(name, Setting::Number(*limit)).unwrap();
    }
    Dispatcher::new(options).unwrap()
}

fn options(concurrency: usize) -> EndpointOptions {
    let mut options = EndpointOptions::new(None);
    options = options.concurrency(concurrency).unwrap();
    options
}

fn start(dispatcher: &Dispatcher, endpoint: &Endpoint) -> Outcome {
    started::start(dispatcher, endpoint, DeliverOptions::new())
}

fn end(outcome: &Outcome) -> Result<Receipt, Error> {
    outcome.recv_timeout(SOON).unwrap()
}

fn wait<F: Future>(future: F) -> F::Output {
    runtime::drive(future, || false).expect("nothing interrupts")
}

fn closed(outcome: &Outcome) {
    let error = end(outcome).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::HandleClosed, Sent::Nothing), "{error}");
}

#[test]
fn a_delivery_waiting_for_a_turn_ends_with_the_endpoint() {
    let lab = Lab::start().unwrap();
    let consumer = Consumer::start(&lab);
    let dispatcher = dispatcher(&lab, &[]);
    let endpoint = dispatcher.endpoint("acme", &consumer.url, options(1)).unwrap();
    consumer.answers.shut();
    let running = start(&dispatcher, &endpoint);
    consumer.saw(&[Event::Connected, Event::Requested]);
    let waiting: Vec<Outcome> = (0..5).map(|_| start(&dispatcher, &endpoint)).collect();
    let many = (0..3).map(|_| Delivery::new(&endpoint, "{}", DeliverOptions::new()));
    let mut many = dispatcher.deliver_many(many, None).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(many.next()).poll(&mut context).is_pending());
    assert!(dispatcher.remove("acme"));
    // A new consumer with the same id must not get deliveries for the former one.
    let other = Consumer::start(&lab);
    let anew = dispatcher.endpoint("acme", &other.url, options(1)).unwrap();
    waiting.iter().for_each(closed);
    for _ in 0..3 {
        let (_, outcome) = wait(many.next()).unwrap();
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), error.consumer()), (Kind::HandleClosed, Some("acme")));
    }
    // A request that has left finishes, and its connection is not reused.
    consumer.answers.open();
    assert_eq!(end(&running).unwrap().status(), 200);
    consumer.saw(&[Event::Left]);
    consumer.saw_no_more();
    assert_eq!(end(&start(&dispatcher, &anew)).unwrap().status(), 200);
    other.saw(&[Event::Connected, Event::Requested]);
}

#[test]
fn a_delivery_waiting_for_a_handshake_or_a_permit_ends_with_the_endpoint() {
    let lab = Lab::start().unwrap();
    let consumer = Consumer::start(&lab);
    let dispatcher = dispatcher(&lab, &[("max_connections", 2.0)]);
    let endpoint = dispatcher.endpoint("acme", &consumer.url, options(8)).unwrap();
    consumer.handshakes.shut();
    let waiting: Vec<Outcome> = (0..4).map(|_| start(&dispatcher, &endpoint)).collect();
    consumer.saw(&[Event::Connected, Event::Connected]);
    let probe = dispatcher.probe(&endpoint, ProbeOptions::new());
    let (sender, probed) = mpsc::channel();
    runtime::spawn(probe, move |outcome| sender.send(outcome).unwrap()).unwrap();
    assert!(dispatcher.remove("acme"));
    // At once, not when the handshake's deadline passes.
    waiting.iter().for_each(closed);
    let error = probed.recv_timeout(SOON).unwrap().unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::HandleClosed, Sent::Nothing));
    consumer.handshakes.open();
    consumer.saw(&[Event::Left, Event::Left]);
    consumer.saw_no_more();
}

#[test]
fn a_delivery_before_its_first_byte_uses_new_values() {
    let lab = Lab::start().unwrap();
    let (former, present) = (Consumer::start(&lab), Consumer::start(&lab));
    let dispatcher = dispatcher(&lab, &[]);
    let endpoint = dispatcher.endpoint("acme", &former.url, options(1)).unwrap();
    former.handshakes.shut();
    let outcomes: Vec<Outcome> = (0..3).map(|_| start(&dispatcher, &endpoint)).collect();
    former.saw(&[Event::Connected]);
    dispatcher.endpoint("acme", &present.url, options(1)).unwrap();
    let mut attempts: Vec<u32> =
        outcomes.iter().map(|outcome| end(outcome).unwrap().attempts()).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 1, 2]);
    former.handshakes.open();
    former.saw(&[Event::Left]);
    former.saw_no_more();

    // The current pins apply.
    present.handshakes.shut();
    let pins = EndpointOptions::new(Some(Pins::new([OTHER]).unwrap()));
    dispatcher.endpoint("acme", &former.url, pins).unwrap();
    let refused = end(&start(&dispatcher, &endpoint)).unwrap_err();
    assert_eq!((refused.kind(), refused.sent()), (Kind::PinMismatch, Sent::Nothing));
}

#[test]
fn a_delivery_does_not_restart_forever() {
    let lab = Lab::start().unwrap();
    let consumer = Consumer::start(&lab);
    let dispatcher = dispatcher(&lab, &[]);
    consumer.handshakes.shut();
    let values = [options(8), options(8).pins(Pins::new([OTHER]).unwrap())];
    let upsert = |number: usize| {
        dispatcher.endpoint("acme", &consumer.url, values[number % 2].clone()).unwrap()
    };
    let outcome = start(&dispatcher, &upsert(0));
    for number in 1..=9 {
        consumer.saw(&[Event::Connected]);
        upsert(number);
    }
    let error = end(&outcome).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::Overloaded, Sent::Nothing));
    assert_eq!(error.context()["attempts"], 9);
    consumer.saw_no_more();
    consumer.handshakes.open();
}

/// Refuses the client with one certificate by a page, and answers others while its barrier is open.
fn refusing(
    lab: &Lab,
    refused: Vec<u8>,
    barrier: &Barrier,
    record: Sender<&'static str>,
) -> String {
    let barrier = barrier.clone();
    listen(lab, move |mut conversation| {
        let _ = record.send("connected");
        barrier.pass();
        let Some(_) = conversation.head() else { return };
        if conversation.shown() == refused {
            let _ = record.send("new");
            return conversation.say(PAGE);
        }
        let _ = record.send("former");
        let _ = conversation.bytes(2);
        conversation.say(CLOSING);
    })
}

#[test]
fn a_retired_identity_sends_nothing_on_a_connection_being_opened() {
    patiently(|_| {
        let lab = Lab::start().unwrap();
        let issued = lab.authority().issue(Leaf::client("new")).unwrap();
        let new = Identity::from_pem(issued.chain_pem.as_bytes(), issued.key_pem.as_bytes(), None);
        let barrier = Barrier::default();
        let (record, events) = mpsc::channel();
        let url = refusing(&lab, issued.chain_der[0].clone(), &barrier, record);
        let saw = |expected: &[&str]| {
            for event in expected {
                assert_eq!(events.recv_timeout(SOON).as_ref(), Ok(event));
            }
        };
        let dispatcher = dispatcher(&lab, &[]);
        let endpoint = dispatcher.endpoint("acme", &url, options(1)).unwrap();
        end(&start(&dispatcher, &endpoint)).unwrap();
        dispatcher.endpoint("acme", &url, options(1).identity(new.unwrap())).unwrap();
        assert_eq!(end(&start(&dispatcher, &endpoint)).unwrap().attempts(), 2);
        saw(&["connected", "former", "connected", "new", "connected", "former"]);

        barrier.shut();
        let outcome = start(&dispatcher, &endpoint);
        saw(&["connected"]);
        assert_eq!(dispatcher.retire(&lab.identity(), true).unwrap(), ["acme"]);
        // The delivery tries the remaining identity.
        saw(&["connected"]);
        barrier.open();
        let refused = end(&outcome).unwrap_err();
        assert_eq!(refused.kind(), Kind::ClientCertificateRejected, "{refused}");
        assert_eq!(refused.context()["payload_sent"], false);
        assert_eq!(refused.context()["attempts"], 2);
        saw(&["new"]);
        assert_eq!(events.try_recv().ok(), None);
    });
}

/// Counts unanswered requests, and reports the count as each request arrives. Answers one request
/// per received value.
fn counting(lab: &Lab) -> (String, Receiver<usize>, Sender<()>) {
    let (told, counts) = mpsc::channel();
    let (allow, allowed) = mpsc::channel();
    let (now, allowed) = (AtomicUsize::new(0), Mutex::new(allowed));
    let url = listen(lab, move |mut conversation| {
        while request(&mut conversation).is_some() {
            let _ = told.send(now.fetch_add(1, Ordering::SeqCst) + 1);
            let allowed: Result<(), _> = allowed.lock().unwrap().recv();
            now.fetch_sub(1, Ordering::SeqCst);
            if allowed.is_err() {
                return;
            }
            conversation.say(OK);
        }
    });
    (url, counts, allow)
}

#[test]
fn a_changed_limit_applies_to_waiting_deliveries() {
    let lab = Lab::start().unwrap();
    let (url, counts, allow) = counting(&lab);
    let dispatcher = dispatcher(&lab, &[]);
    let limited = |limit: usize| dispatcher.endpoint("acme", &url, options(limit)).unwrap();
    // Neither limit is above two, so at most two are in flight.
    let mut outcomes = Vec::new();
    for limit in [1, 2].into_iter().cycle().take(20) {
        outcomes.push(start(&dispatcher, &limited(limit)));
    }
    for _ in 0..20 {
        assert!(counts.recv_timeout(SOON).unwrap() <= 2);
        allow.send(()).unwrap();
    }
    for outcome in &outcomes {
        end(outcome).unwrap();
    }

    // Eight run when the limit is lowered to one. The next delivery starts when all eight have
    // ended.
    let endpoint = limited(8);
    let outcomes: Vec<Outcome> = (0..20).map(|_| start(&dispatcher, &endpoint)).collect();
    for _ in 0..8 {
        counts.recv_timeout(SOON).unwrap();
    }
    limited(1);
    (0..8).for_each(|_| allow.send(()).unwrap());
    for _ in 0..12 {
        assert_eq!(counts.recv_timeout(SOON), Ok(1));
        allow.send(()).unwrap();
    }
    for outcome in &outcomes {
        end(outcome).unwrap();
    }
}

#[test]
fn a_probe_takes_a_turn() {
    let lab = Lab::start().unwrap();
    let consumer = Consumer::start(&lab);
    let dispatcher = dispatcher(&lab, &[]);
    let endpoint = dispatcher.endpoint("acme", &consumer.url, options(1)).unwrap();
    consumer.answers.shut();
    let running = start(&dispatcher, &endpoint);
    consumer.saw(&[Event::Connected, Event::Requested]);
    let short = || ProbeOptions::new().timeout(Duration::from_millis(100)).unwrap();
    let late = wait(dispatcher.probe(&endpoint, short())).unwrap_err();
    assert_eq!((late.kind(), late.stage()), (Kind::Overloaded, Stage::Admit));
    consumer.saw_no_more();
    consumer.answers.open();
    end(&running).unwrap();
    wait(dispatcher.probe(&endpoint, ProbeOptions::new())).unwrap();
    // The probe has released its turn.
    assert!(end(&start(&dispatcher, &endpoint)).unwrap().is_reused());
}

#[test]
fn the_identity_in_use_is_not_retired_by_force() {
    let lab = Lab::start().unwrap();
    let dispatcher = dispatcher(&lab, &[]);
    dispatcher.endpoint("acme", "https://127.0.0.1/", options(1)).unwrap();
    for force in [false, true] {
        let error = dispatcher.retire(&lab.identity(), force).unwrap_err();
        assert_eq!(error.kind(), Kind::IdentityInUse);
        assert_eq!(error.context()["consumers"], serde_json::json!(["acme"]));
        assert!(!error.remedy().contains("force"), "{}", error.remedy());
    }
}
