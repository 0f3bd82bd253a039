//! The circuit of an endpoint, with an adjustable clock. The clock belongs to the whole process, so these
//! tests run one at a time. Run with `--features testing`.
#![cfg(feature = "testing")]

use std::future::Future;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use webhook_mtls::bindings::runtime;
use webhook_mtls::endpoint::CircuitState;
use webhook_mtls::error::{Blame, Stage};
use webhook_mtls::event::EventName;
use webhook_mtls::testing::{Answer, Consumer, Lab, Leaf, Misbehavior, set_clock};
use webhook_mtls::{
    CancelToken, DeliverOptions, Dispatcher, DispatcherOptions, Endpoint, EndpointOptions, Error,
    Event, EventQueue, Identity, Kind, Pins, ProbeOptions, Receipt, Retry, RetryPolicy, Sent,
};

const OTHER: &str = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
/// Beyond the first pause of 30 s with its jitter of a tenth.
const PAUSE: Duration = Duration::from_secs(34);

fn wait<F: Future>(future: F) -> F::Output {
    runtime::drive(future, || false).expect("nothing interrupts")
}

/// The clock of the process, in the hands of one test. It shows the true time afterwards.
struct Clock {
    ahead: AtomicU64,
    _alone: MutexGuard<'static, ()>,
}

impl Clock {
    fn take() -> Self {
        static CLOCK: Mutex<()> = Mutex::new(());
        let alone = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
        Self { ahead: AtomicU64::new(0), _alone: alone }
    }

    fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap();
        let ahead = self.ahead.fetch_add(by, Ordering::Relaxed) + by;
        set_clock(Some(SystemTime::now() + Duration::from_millis(ahead)));
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        set_clock(None);
    }
}

struct Scene {
    clock: Clock,
    lab: Lab,
    acme: Consumer,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
    events: EventQueue,
}

impl Scene {
    fn new() -> Self {
        Self::with(|options| options)
    }

    fn with(change: impl FnOnce(DispatcherOptions) -> DispatcherOptions) -> Self {
        let (clock, lab) = (Clock::take(), Lab::start().unwrap());
        let acme = lab.consumer("acme").unwrap();
        let dispatcher = Dispatcher::new(change(lab.dispatcher_options())).unwrap();
        let endpoint = endpoint(&dispatcher, &acme);
        let events = dispatcher.events();
        Self { clock, lab, acme, dispatcher, endpoint, events }
    }

    fn deliver(&self) -> Result<Receipt, Error> {
        deliver(&self.dispatcher, &self.endpoint)
    }

    /// Delivers, and returns the kind of the failure.
    fn fail(&self) -> Kind {
        self.deliver().unwrap_err().kind()
    }

    fn fail_times(&self, kind: Kind, times: usize) {
        for _ in 0..times {
            assert_eq!(self.fail(), kind);
        }
    }

    fn state(&self) -> CircuitState {
        self.endpoint.status().circuit
    }

    fn events(&self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_next()).collect()
    }

    fn event_names(&self) -> Vec<EventName> {
        self.events().iter().map(Event::name).collect()
    }
}

fn endpoint(dispatcher: &Dispatcher, consumer: &Consumer) -> Endpoint {
    let pins = Pins::new([consumer.pin()]).unwrap();
    let options = EndpointOptions::new(Some(pins));
    dispatcher.endpoint(consumer.name(), &consumer.url(), options).unwrap()
}

fn deliver(dispatcher: &Dispatcher, endpoint: &Endpoint) -> Result<Receipt, Error> {
    wait(dispatcher.deliver(endpoint, "{}", DeliverOptions::new()))
}

#[test]
fn five_failures_in_a_row_open_the_circuit_and_a_handshake_closes_it() {
    let scene = Scene::new();
    scene.acme.misbehave(Misbehavior::NeverAsk, 100);
    scene.fail_times(Kind::ClientAuthNotRequested, 4);
    assert_eq!(scene.state(), CircuitState::Closed);
    scene.fail_times(Kind::ClientAuthNotRequested, 1);
    assert_eq!(scene.state(), CircuitState::Open);
    let opened = scene.events();
    assert_eq!(opened.len(), 1);
    let (event, fields) = (&opened[0], opened[0].fields());
    assert_eq!((event.name(), event.consumer()), (EventName::CircuitOpened, Some("acme")));
    assert_eq!(
        (&fields["kind"], &fields["failures"]),
        (&"client_auth_not_requested".into(), &5.into())
    );
    assert!(fields["remedy"].as_str().unwrap().contains("certificate"), "{fields:?}");

    let connections = scene.acme.connections();
    let error = scene.deliver().unwrap_err();
    assert_eq!((error.kind(), error.stage()), (Kind::CircuitOpen, Stage::Admit));
    assert_eq!((error.blame(), error.sent()), (Blame::Theirs, Sent::Nothing));
    assert_eq!(error.context()["last_kind"], "client_auth_not_requested");
    assert!((26..=33).contains(&error.retry_after().unwrap().as_secs()), "{error:?}");
    assert_eq!(error.retry(), Retry::Later);
    let decision = RetryPolicy::default().decide(&error, 60).unwrap();
    assert!(!decision.counts && decision.delay >= Duration::from_secs(26));
    assert_eq!(scene.acme.connections(), connections, "nothing is sent, not even a connection");

    scene.clock.advance(PAUSE);
    assert_eq!(scene.state(), CircuitState::HalfOpen);
    scene.acme.behave();
    scene.deliver().unwrap();
    assert_eq!(scene.state(), CircuitState::Closed);
    assert_eq!(scene.event_names(), [EventName::CircuitClosed]);
}

#[test]
fn a_failed_trial_doubles_the_pause_up_to_the_ceiling() {
    let scene = Scene::with(|options| {
        let second = Duration::from_secs(1);
        let options = options.circuit_failures(1).unwrap();
        options.circuit_open(10 * second).unwrap().circuit_ceiling(30 * second).unwrap()
    });
    scene.acme.misbehave(Misbehavior::Expired, 100);
    for whole in [10.0, 20.0, 30.0, 30.0] {
        scene.fail_times(Kind::CertificateExpired, 1);
        let refused = scene.deliver().unwrap_err();
        assert_eq!(refused.kind(), Kind::CircuitOpen);
        let pause = refused.retry_after().unwrap().as_secs_f64();
        assert!((whole * 0.85..=whole * 1.1).contains(&pause), "{pause} of {whole}");
        scene.clock.advance(Duration::from_secs_f64(whole * 1.11));
    }
}

#[test]
fn one_success_in_between_starts_the_count_again() {
    let scene = Scene::new();
    for _ in 0..3 {
        scene.acme.misbehave(Misbehavior::Expired, 4);
        scene.fail_times(Kind::CertificateExpired, 4);
        scene.deliver().unwrap();
        // It does not count, and the next delivery makes a handshake again.
        scene.acme.misbehave(Misbehavior::ResetAfterBody, 1);
        scene.fail_times(Kind::ConnectionLost, 1);
    }
    assert_eq!(scene.event_names(), []);
}

#[test]
fn answers_and_canceled_deliveries_do_not_count() {
    let scene = Scene::with(|options| options.circuit_failures(1).unwrap());
    scene.acme.respond(Answer::status(503), 3);
    scene.fail_times(Kind::HttpStatus, 3);
    scene.acme.misbehave(Misbehavior::ResetAfterBody, 2);
    scene.fail_times(Kind::ConnectionLost, 2);
    let cancel = CancelToken::new();
    cancel.cancel();
    let options = DeliverOptions::new().cancel(cancel);
    let error = wait(scene.dispatcher.deliver(&scene.endpoint, "{}", options)).unwrap_err();
    assert_eq!(error.kind(), Kind::Canceled);
    assert_eq!(scene.state(), CircuitState::Closed);
    scene.deliver().unwrap();
}

#[test]
fn our_expired_certificate_opens_no_circuit() {
    let clock = Clock::take();
    let lab = Lab::start().unwrap();
    let issued = lab.authority().issue(Leaf::client("short")).unwrap();
    let identity =
        Identity::from_pem(issued.chain_pem.as_bytes(), issued.key_pem.as_bytes(), None).unwrap();
    let options = lab.dispatcher_options().identity(identity).circuit_failures(1).unwrap();
    let dispatcher = Dispatcher::new(options).unwrap();
    let acme = lab.consumer("acme").unwrap();
    let endpoint = endpoint(&dispatcher, &acme);
    clock.advance(Duration::from_secs(3 * 24 * 3600));
    for _ in 0..3 {
        let error = deliver(&dispatcher, &endpoint).unwrap_err();
        assert_eq!(error.kind(), Kind::ClientCertificateUnusable);
    }
    assert_eq!(endpoint.status().circuit, CircuitState::Closed);
}

#[test]
fn a_half_open_circuit_admits_one_delivery_at_a_time() {
    let scene = Scene::with(|options| options.circuit_failures(1).unwrap());
    scene.acme.misbehave(Misbehavior::Expired, 1);
    scene.fail_times(Kind::CertificateExpired, 1);
    scene.clock.advance(PAUSE);
    // The trial opens a connection to a listener that does not answer.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let pins = Pins::new([scene.acme.pin()]).unwrap();
    scene.dispatcher.endpoint("acme", &url, EndpointOptions::new(Some(pins))).unwrap();
    assert_eq!(scene.state(), CircuitState::HalfOpen, "a new generation keeps it half open");
    let cancel = CancelToken::new();
    let options = DeliverOptions::new().cancel(cancel.clone());
    let (done, trial) = std::sync::mpsc::channel();
    let report = move |outcome| done.send(outcome).unwrap();
    scene.dispatcher.start(&scene.endpoint, "{}", options, report).unwrap();
    let (connection, _) = silent.accept().unwrap();

    let error = scene.deliver().unwrap_err();
    assert_eq!(error.kind(), Kind::CircuitOpen);
    assert!(error.message().contains("half open"), "{error}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));

    // A canceled trial shows nothing: the next delivery is the trial.
    cancel.cancel();
    let outcome: Result<Receipt, Error> = trial.recv().unwrap();
    assert_eq!(outcome.unwrap_err().kind(), Kind::Canceled);
    drop(connection);
    endpoint(&scene.dispatcher, &scene.acme);
    scene.deliver().unwrap();
    assert_eq!(scene.state(), CircuitState::Closed);
}

#[test]
fn what_was_repaired_is_tried_at_once() {
    let scene = Scene::with(|options| options.circuit_failures(1).unwrap());
    let open = || {
        scene.acme.misbehave(Misbehavior::Expired, 1);
        scene.dispatcher.endpoint("acme", &scene.acme.url(), EndpointOptions::new(None)).unwrap();
        endpoint(&scene.dispatcher, &scene.acme);
        scene.fail_times(Kind::CertificateExpired, 1);
        assert_eq!(scene.fail(), Kind::CircuitOpen);
    };
    open();
    scene.endpoint.reset_circuit();
    assert_eq!(scene.state(), CircuitState::HalfOpen);
    scene.deliver().unwrap();
    open();
    wait(scene.dispatcher.reload()).unwrap();
    scene.deliver().unwrap();
    open();
    let pins = Pins::new([scene.acme.pin().as_str(), OTHER]).unwrap();
    let options = EndpointOptions::new(Some(pins));
    scene.dispatcher.endpoint("acme", &scene.acme.url(), options).unwrap();
    scene.deliver().unwrap();
    assert_eq!(scene.state(), CircuitState::Closed);
}

#[test]
fn a_probe_is_admitted_and_closes_the_circuit() {
    let scene = Scene::with(|options| options.circuit_failures(1).unwrap());
    scene.acme.misbehave(Misbehavior::WrongName, 2);
    scene.fail_times(Kind::NameMismatch, 1);
    let probe = || wait(scene.dispatcher.probe(&scene.endpoint, ProbeOptions::new()));
    assert_eq!(probe().unwrap_err().kind(), Kind::NameMismatch);
    assert_eq!(scene.fail(), Kind::CircuitOpen);
    probe().unwrap();
    scene.deliver().unwrap();
}

#[test]
fn after_a_refusal_by_close_only_an_answer_closes_the_circuit() {
    let scene = Scene::with(|options| options.circuit_failures(2).unwrap());
    scene.acme.misbehave(Misbehavior::RejectByClose, 100);
    scene.fail_times(Kind::ClientCertificateRejected, 2);
    assert_eq!(scene.fail(), Kind::CircuitOpen);
    scene.clock.advance(PAUSE);
    let received = scene.acme.received().len();
    let error = scene.deliver().unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::ClientCertificateRejected, Sent::Nothing));
    assert_eq!(scene.fail(), Kind::CircuitOpen, "the trial failed");
    assert_eq!(scene.acme.received().len(), received, "the trial carried no payload");
    scene.clock.advance(2 * PAUSE);
    scene.acme.behave();
    scene.deliver().unwrap();
    assert_eq!(scene.state(), CircuitState::Closed);
}

#[test]
fn a_hint_of_another_process_opens_the_circuit_for_its_time() {
    let scene = Scene::new();
    let refused = scene.endpoint.open_circuit(Duration::ZERO).unwrap_err();
    assert_eq!(refused.kind(), Kind::OptionInvalid);
    scene.endpoint.open_circuit(Duration::from_secs(60)).unwrap();
    scene.endpoint.open_circuit(Duration::from_secs(5)).unwrap();
    let error = scene.deliver().unwrap_err();
    assert_eq!(error.kind(), Kind::CircuitOpen);
    assert!(error.message().contains("the application opened it"), "{error}");
    assert!(error.retry_after().unwrap() > Duration::from_secs(55));
    let until = scene.endpoint.status().circuit_open_until.unwrap();
    assert!(until > SystemTime::now() + Duration::from_secs(55));
    scene.clock.advance(Duration::from_secs(61));
    scene.deliver().unwrap();
    assert_eq!(scene.state(), CircuitState::Closed);
}

#[test]
fn no_count_opens_no_circuit() {
    let scene = Scene::with(|options| options.circuit_failures(0).unwrap());
    scene.acme.misbehave(Misbehavior::Expired, 10);
    scene.fail_times(Kind::CertificateExpired, 10);
    assert_eq!(scene.event_names(), []);
}

#[test]
fn a_clock_that_was_set_back_does_not_keep_a_circuit_open() {
    let scene = Scene::with(|options| options.circuit_failures(1).unwrap());
    scene.clock.advance(Duration::from_secs(3600));
    scene.acme.misbehave(Misbehavior::Expired, 1);
    scene.fail_times(Kind::CertificateExpired, 1);
    set_clock(None);
    scene.deliver().unwrap();
}

#[test]
fn when_most_endpoints_cannot_be_reached_the_way_is_ours() {
    let scene = Scene::with(|options| options.circuit_failures(2).unwrap());
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", refusing.local_addr().unwrap());
    drop(refusing);
    let unreachable: Vec<Endpoint> = (0..6)
        .map(|number| {
            let options = EndpointOptions::new(None);
            scene.dispatcher.endpoint(&format!("away-{number}"), &url, options).unwrap()
        })
        .collect();
    scene.deliver().unwrap();
    for _ in 0..4 {
        for endpoint in &unreachable {
            let error = deliver(&scene.dispatcher, endpoint).unwrap_err();
            assert_eq!(error.kind(), Kind::ConnectFailed);
        }
    }
    let events = scene.events();
    let names: Vec<EventName> = events.iter().map(Event::name).collect();
    assert_eq!(names, [EventName::NetworkFailing]);
    assert_eq!(events[0].fields()["kind"], "connect_failed");

    // Once the others are well, one that stays away opens its circuit.
    for number in 1..6 {
        let well = scene.lab.consumer(&format!("well-{number}")).unwrap();
        let pins = Pins::new([well.pin()]).unwrap();
        let options = EndpointOptions::new(Some(pins));
        let name = format!("away-{number}");
        let endpoint = scene.dispatcher.endpoint(&name, &well.url(), options).unwrap();
        deliver(&scene.dispatcher, &endpoint).unwrap();
    }
    scene.clock.advance(Duration::from_secs(2));
    for _ in 0..2 {
        deliver(&scene.dispatcher, &unreachable[0]).unwrap_err();
    }
    assert_eq!(unreachable[0].status().circuit, CircuitState::Open);
    assert_eq!(scene.event_names(), [EventName::CircuitOpened]);
}

#[test]
fn the_way_is_judged_ours_with_the_first_failure_that_makes_a_majority() {
    let scene = Scene::new();
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("https://{}/", refusing.local_addr().unwrap());
    drop(refusing);
    for number in 0..7 {
        let well = scene.lab.consumer(&format!("c-{number}")).unwrap();
        deliver(&scene.dispatcher, &endpoint(&scene.dispatcher, &well)).unwrap();
    }
    for failing in 1..=4 {
        let options = EndpointOptions::new(None);
        let moved = scene.dispatcher.endpoint(&format!("c-{failing}"), &away, options).unwrap();
        assert_eq!(deliver(&scene.dispatcher, &moved).unwrap_err().kind(), Kind::ConnectFailed);
        let events = scene.events();
        assert_eq!(events.len(), usize::from(failing == 4), "{failing}");
        if let Some(event) = events.first() {
            assert_eq!(
                (&event.fields()["failing"], &event.fields()["tried"]),
                (&4.into(), &7.into())
            );
        }
    }
}
