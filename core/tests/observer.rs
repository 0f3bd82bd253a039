//! What an observer sees of a delivery: each fact once and in order, in each way to deliver and however
//! it ends. Run with `--features testing`.
#![cfg(feature = "testing")]

mod calm;
mod closed;

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use calm::patiently;
use webhook_mtls::bindings::observer::{
    AttemptEnd, AttemptOutcome, End, HandshakeEnd, Observer, Outcome, Subject,
};
use webhook_mtls::bindings::runtime;
use webhook_mtls::bindings::trace::TraceQueue;
use webhook_mtls::error::Stage;
use webhook_mtls::testing::{Answer, Consumer, Lab, Misbehavior};
use webhook_mtls::{
    CancelToken, DeliverOptions, Delivery, Dispatcher, Endpoint, EndpointOptions, Fanout, Kind,
    ProbeOptions, Retry,
};

mod ways;
use ways::WAYS;

/// Writes down every call. Runs `amid` when a delivery enters a stage.
#[derive(Default)]
struct Recorder {
    calls: Mutex<Vec<(Subject, String)>>,
    /// The time spent at stages, and the whole.
    spent: Mutex<(Duration, Duration)>,
    #[expect(clippy::type_complexity, reason = "used once")]
    amid: Mutex<Option<(Stage, Box<dyn Fn() + Send>)>>,
}

impl Recorder {
    fn note(&self, subject: &Subject, call: impl Into<String>) {
        self.calls.lock().unwrap().push((subject.clone(), call.into()));
    }

    /// Returns the calls about the only delivery since the last call, and forgets them.
    fn take(&self) -> String {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        let first = calls.first().map(|(subject, _)| subject.number);
        assert!(calls.iter().all(|(subject, _)| Some(subject.number) == first), "{calls:?}");
        assert!(calls.iter().all(|(subject, _)| &*subject.consumer == "acme"), "{calls:?}");
        let (stages, whole) = std::mem::take(&mut *self.spent.lock().unwrap());
        assert!(stages <= whole, "{stages:?} of {whole:?}: {calls:?}");
        calls.into_iter().map(|(_, call)| call).collect::<Vec<_>>().join(" ")
    }

    fn amid(&self, stage: Stage, work: impl Fn() + Send + 'static) {
        *self.amid.lock().unwrap() = Some((stage, Box::new(work)));
    }
}

impl Observer for Recorder {
    fn began(&self, subject: &Subject) {
        self.note(subject, format!("{:?}", subject.operation));
    }

    fn stage_entered(&self, subject: &Subject, stage: Stage) {
        self.note(subject, format!("+{}", stage.name()));
        let amid = self.amid.lock().unwrap().take_if(|(at, _)| *at == stage);
        if let Some((_, work)) = amid {
            work();
        }
    }

    fn stage_left(&self, subject: &Subject, stage: Stage, took: Duration) {
        self.spent.lock().unwrap().0 += took;
        self.note(subject, format!("-{}", stage.name()));
    }

    fn handshake_ended(&self, subject: &Subject, handshake: &HandshakeEnd<'_>) {
        let HandshakeEnd { address, tls, peer, error, .. } = handshake;
        assert!(address.ip().is_loopback());
        let version = tls.map(|tls| tls.version);
        let how = match (peer, error) {
            (Some(_), None) => version.unwrap(),
            (None, Some(error)) => {
                // Its certificate follows its ServerHello.
                let verified = error.kind() == Kind::CertificateExpired;
                assert!(!verified || version == Some("TLSv1.3"), "{version:?}");
                error.kind().name()
            }
            _ => "abandoned",
        };
        self.note(subject, format!("handshake:{how}"));
    }

    fn attempt_ended(&self, subject: &Subject, attempt: &AttemptEnd<'_>) {
        let AttemptEnd { number, reused, sent, outcome, .. } = attempt;
        let how = match outcome {
            AttemptOutcome::Succeeded(status) => status.map_or("ok".into(), |it| it.to_string()),
            AttemptOutcome::Failed(error) => error.kind().name().into(),
            AttemptOutcome::Repeated(why) => format!("{why:?}"),
            AttemptOutcome::Abandoned => "abandoned".into(),
        };
        let reused = if *reused { ":reused" } else { "" };
        self.note(subject, format!("attempt-{number}:{how}:{}{reused}", sent.name()));
    }

    fn ended(&self, subject: &Subject, end: &End<'_>) {
        self.spent.lock().unwrap().1 = end.elapsed;
        let how = match end.outcome {
            Outcome::Succeeded => "ok",
            Outcome::Failed(error) => {
                // The caller gets this error, with all its facts.
                assert_eq!(error.attempts(), Some(end.attempts));
                assert_eq!((error.sent(), error.consumer()), (end.sent, Some("acme")));
                error.kind().name()
            }
            Outcome::Abandoned => "abandoned",
        };
        self.note(subject, format!("end:{how}:{}:{}", end.sent.name(), end.attempts));
    }
}

struct Scene {
    lab: Lab,
    acme: Consumer,
    recorder: Arc<Recorder>,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::start().unwrap();
        let acme = lab.consumer("acme").unwrap();
        let recorder = Arc::<Recorder>::default();
        let options = lab.dispatcher_options().observed_by(recorder.clone());
        // Every way to deliver fails in turn.
        let dispatcher = Dispatcher::new(options.circuit_failures(0).unwrap()).unwrap();
        let endpoint = endpoint(&dispatcher, &acme.url(), 1);
        Self { lab, acme, recorder, dispatcher, endpoint }
    }

    /// Closes the idle connections: the next delivery opens one.
    fn cool(&self) {
        assert!(self.dispatcher.remove("acme"));
    }

    /// Runs each way, after `prepare`, and compares the calls with `expected`.
    fn check(&mut self, expected: &str, prepare: impl Fn(&Self, DeliverOptions) -> DeliverOptions) {
        let expected = words(expected);
        for (way, deliver) in WAYS {
            self.cool();
            self.endpoint = endpoint(&self.dispatcher, &self.acme.url(), 1);
            let options = prepare(self, DeliverOptions::new().id("evt-1"));
            let outcome = deliver(&self.dispatcher, &self.endpoint, options);
            assert_eq!(self.recorder.take(), expected, "{way}: {outcome:?}");
        }
    }
}

fn endpoint(dispatcher: &Dispatcher, url: &str, concurrency: usize) -> Endpoint {
    let options = EndpointOptions::new(None).concurrency(concurrency).unwrap();
    dispatcher.endpoint("acme", url, options).unwrap()
}

/// The calls, with the stages of a new connection written shortly.
fn words(expected: &str) -> String {
    let opened = "+admit -admit +resolve -resolve +connect -connect +handshake -handshake";
    expected.replace("OPENED", opened)
}

#[test]
fn a_success_is_seen_once() {
    let mut scene = Scene::new();
    let cold = "Delivery OPENED handshake:TLSv1.3 +request -request +response -response \
                attempt-1:200:all end:ok:all:1";
    scene.check(cold, |_, options| options);
    for (way, deliver) in WAYS {
        deliver(&scene.dispatcher, &scene.endpoint, DeliverOptions::new()).unwrap();
        let warm = "Delivery +admit -admit +request -request +response -response \
                    attempt-1:200:all:reused end:ok:all:1";
        assert_eq!(scene.recorder.take(), warm, "{way}");
    }
    ways::probe(&scene.dispatcher, &scene.endpoint, ProbeOptions::new()).unwrap();
    let probe = "Probe OPENED handshake:TLSv1.3 attempt-1:ok:nothing end:ok:nothing:1";
    assert_eq!(scene.recorder.take(), words(probe));
}

#[test]
fn a_failure_of_the_consumer_is_seen_once() {
    let mut scene = Scene::new();
    let refused = "Delivery OPENED handshake:TLSv1.3 +request -request +response -response \
                   attempt-1:http_status:all end:http_status:all:1";
    scene.check(refused, |scene, options| {
        scene.acme.respond(Answer::status(503), 1);
        options
    });
    let expired = "Delivery OPENED handshake:certificate_expired \
                   attempt-1:certificate_expired:nothing end:certificate_expired:nothing:1";
    scene.check(expired, |scene, options| {
        scene.acme.misbehave(Misbehavior::Expired, 1);
        options
    });
    scene.acme.misbehave(Misbehavior::Expired, 1);
    let options = ProbeOptions::new();
    ways::probe(&scene.dispatcher, &scene.endpoint, options).unwrap_err();
    assert_eq!(scene.recorder.take(), words(expired).replace("Delivery", "Probe"));
    let lost = "Delivery OPENED handshake:TLSv1.3 +request -request +response -response \
                attempt-1:connection_lost:all end:connection_lost:all:1";
    scene.check(lost, |scene, options| {
        scene.acme.misbehave(Misbehavior::ResetAfterBody, 1);
        options
    });
}

#[test]
fn a_delivery_without_a_connection_is_seen_once() {
    let scene = Scene::new();
    let (_socket, free) = closed::port();
    let closed = endpoint(&scene.dispatcher, &format!("https://{free}/"), 1);
    for (way, deliver) in WAYS {
        deliver(&scene.dispatcher, &closed, DeliverOptions::new()).unwrap_err();
        let expected = "Delivery +admit -admit +resolve -resolve +connect -connect \
                        attempt-1:connect_failed:nothing end:connect_failed:nothing:1";
        assert_eq!(scene.recorder.take(), expected, "{way}");
    }
}

#[test]
fn a_delivery_that_is_not_admitted_is_seen_once() {
    let mut scene = Scene::new();
    let refused = |kind| format!("Delivery +admit -admit end:{kind}:nothing:0");
    scene.check(&refused("canceled"), |_, options| {
        let token = CancelToken::new();
        token.cancel();
        options.cancel(token)
    });
    scene.check(&refused("header_invalid"), |_, options| {
        options.headers(vec![("host".into(), "a.example".into())])
    });
    scene.check(&refused("handle_closed"), |scene, options| {
        // Leaves a handle of the removed endpoint, and an endpoint for the next way to remove.
        scene.cool();
        endpoint(&scene.dispatcher, &scene.acme.url(), 1);
        options
    });
    runtime::drive(scene.dispatcher.close(Duration::ZERO), || false).unwrap();
    for (way, deliver) in WAYS {
        deliver(&scene.dispatcher, &scene.endpoint, DeliverOptions::new()).unwrap_err();
        assert_eq!(scene.recorder.take(), refused("handle_closed"), "{way}");
    }
    let probe = ways::probe(&scene.dispatcher, &scene.endpoint, ProbeOptions::new());
    probe.unwrap_err();
    assert_eq!(scene.recorder.take(), refused("handle_closed").replace("Delivery", "Probe"));
}

/// Runs each way with a consumer that never answers, which `prepare` ends.
///
/// * `expected`: what may be seen, one or the other.
fn ended_amid(expected: &[&str], prepare: impl Fn(&Scene, DeliverOptions) -> DeliverOptions) {
    for (way, deliver) in WAYS {
        let scene = Scene::new();
        scene.acme.misbehave(Misbehavior::Stall, 1);
        let options = prepare(&scene, DeliverOptions::new());
        let error = deliver(&scene.dispatcher, &scene.endpoint, options).unwrap_err();
        let seen = scene.recorder.take();
        assert!(expected.iter().any(|one| seen == words(one)), "{way}: {error}: {seen}");
    }
}

const STALLED: &str = "Delivery OPENED handshake:TLSv1.3 +request -request +response -response \
     attempt-1:KIND:all end:KIND:all:1";

#[test]
fn a_cancellation_is_seen_once_at_each_stage() {
    let in_connect = "Delivery +admit -admit +resolve -resolve +connect -connect \
                      attempt-1:canceled:nothing end:canceled:nothing:1";
    let in_handshake =
        "Delivery OPENED handshake:canceled attempt-1:canceled:nothing end:canceled:nothing:1";
    let in_response = STALLED.replace("KIND", "canceled");
    let stages: [(Stage, &[&str]); 3] = [
        // A connection on this machine may be there before the cancellation is seen.
        (Stage::Connect, &[in_connect, in_handshake]),
        (Stage::Handshake, &[in_handshake]),
        (Stage::Response, &[&in_response]),
    ];
    // The kernel accepts its connections, and nothing answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("https://{}/", listener.local_addr().unwrap());
    for (stage, expected) in stages {
        ended_amid(expected, |scene, options| {
            let token = CancelToken::new();
            let canceled = token.clone();
            scene.recorder.amid(stage, move || canceled.cancel());
            if stage == Stage::Handshake {
                // A handshake with an answer may end in the same poll, before the cancellation is seen.
                endpoint(&scene.dispatcher, &silent, 1);
            }
            options.cancel(token)
        });
    }
}

#[test]
fn the_end_by_close_and_by_the_deadline_is_seen_once() {
    ended_amid(&[&STALLED.replace("KIND", "canceled")], |scene, options| {
        let dispatcher = scene.dispatcher.clone();
        // The closing goes on without this future.
        scene.recorder.amid(Stage::Response, move || drop(dispatcher.close(Duration::ZERO)));
        options
    });
    patiently(|patience| {
        ended_amid(&[&STALLED.replace("KIND", "deadline_exceeded")], |_, options| {
            options.timeout(Duration::from_millis(300) * patience).unwrap()
        });
    });
}

#[test]
fn a_panic_is_seen_once() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref() != Some(&"a planted panic") {
            others(panic);
        }
    }));
    for (way, deliver) in WAYS {
        let lab = Lab::start().unwrap();
        let acme = lab.consumer("acme").unwrap();
        let recorder = Arc::<Recorder>::default();
        let options = lab.dispatcher_options().observed_by(recorder.clone());
        let dispatcher = Dispatcher::new(options.panic_at(Stage::Connect)).unwrap();
        let endpoint = endpoint(&dispatcher, &acme.url(), 1);
        deliver(&dispatcher, &endpoint, DeliverOptions::new()).unwrap_err();
        let expected = "Delivery +admit -admit +resolve -resolve \
                        attempt-1:internal:nothing end:internal:nothing:1";
        assert_eq!(recorder.take(), expected, "{way}");
    }
}

#[test]
fn an_abandoned_delivery_is_seen_once() {
    type Abandon = fn(&Scene, &mut dyn FnMut() -> bool);
    let ways: [(&str, Abandon); 4] = [
        ("blocking", |scene, stop| {
            let options = DeliverOptions::new();
            let outcome =
                scene.dispatcher.deliver_blocking(&scene.endpoint, "{}", options, Some(stop));
            assert!(outcome.is_none());
        }),
        ("async", |scene, stop| {
            let options = DeliverOptions::new();
            let delivering = scene.dispatcher.deliver(&scene.endpoint, "{}", options);
            assert!(runtime::drive(delivering, stop).is_none());
        }),
        ("many", |scene, stop| {
            let run = Fanout::new(&scene.dispatcher, None).unwrap().waited_for();
            run.submit(Delivery::new(&scene.endpoint, "{}", DeliverOptions::new()), ());
            assert!(!run.wait(false, stop).unwrap());
        }),
        ("submit", |scene, stop| {
            let run = Fanout::unbounded(&scene.dispatcher);
            run.submit(Delivery::new(&scene.endpoint, "{}", DeliverOptions::new()), ());
            assert!(!run.wait(false, stop).unwrap());
        }),
    ];
    for (way, abandon) in ways {
        let scene = Scene::new();
        scene.acme.misbehave(Misbehavior::Stall, 1);
        let reached = Arc::new(AtomicBool::new(false));
        let amid = reached.clone();
        scene.recorder.amid(Stage::Response, move || amid.store(true, Ordering::SeqCst));
        abandon(&scene, &mut || reached.load(Ordering::SeqCst));
        // `close` returns after every end was seen.
        runtime::drive(scene.dispatcher.close(Duration::from_secs(60)), || false).unwrap();
        assert_eq!(scene.recorder.take(), words(&STALLED.replace("KIND", "abandoned")), "{way}");
    }
}

#[test]
fn an_overloaded_delivery_is_seen_once() {
    let scene = Scene::new();
    scene.acme.misbehave(Misbehavior::Stall, 1);
    let mut refused = Vec::new();
    // The only turn belongs to the delivery that this thread holds up.
    let mut amid = || {
        let reached = scene.recorder.calls.lock().unwrap().len() >= 13;
        for (way, deliver) in WAYS.iter().filter(|_| reached) {
            if way.starts_with("blocking") || *way == "many" {
                let before = std::mem::take(&mut *scene.recorder.calls.lock().unwrap());
                assert!(before.len() < 20, "{before:?}");
                *scene.recorder.spent.lock().unwrap() = Default::default();
                deliver(&scene.dispatcher, &scene.endpoint, DeliverOptions::new()).unwrap_err();
                refused.push((*way, scene.recorder.take()));
            }
        }
        reached
    };
    let options = DeliverOptions::new();
    let outcome =
        scene.dispatcher.deliver_blocking(&scene.endpoint, "{}", options, Some(&mut amid));
    assert!(outcome.is_none());
    assert_eq!(refused.len(), 4);
    for (way, calls) in refused {
        assert_eq!(calls, "Delivery +admit -admit end:overloaded:nothing:0", "{way}");
    }
}

/// Changes the endpoint when its next request starts. A change waits for starting requests: it would wait
/// here without end if the library held a lock or were already starting.
fn change_amid_request(scene: &Scene) {
    let (dispatcher, url) = (scene.dispatcher.clone(), scene.acme.url());
    scene.recorder.amid(Stage::Request, move || {
        let changed = EndpointOptions::new(None).status_retry([("409", Retry::Never)]).unwrap();
        dispatcher.endpoint("acme", &url, changed).unwrap();
    });
}

#[test]
fn a_trace_says_why_an_attempt_is_repeated() {
    let scene = Scene::new();
    change_amid_request(&scene);
    let queue = Arc::new(TraceQueue::default());
    let options = DeliverOptions::new().traced(queue.trace(1, &scene.endpoint), Vec::new());
    let outcome = scene.dispatcher.deliver_blocking(&scene.endpoint, "{}", options, None);
    assert_eq!(outcome.unwrap().unwrap().status(), 200);
    let attempts = &queue.take()[0]["attempt_list"];
    assert_eq!(attempts[0]["outcome"], "repeated");
    assert_eq!(attempts[0]["repeat"], "settings_changed");
    assert_eq!(attempts[1]["repeat"], serde_json::Value::Null);
}

#[test]
fn a_repeated_attempt_is_seen() {
    for (way, deliver) in WAYS {
        let scene = Scene::new();
        change_amid_request(&scene);
        deliver(&scene.dispatcher, &scene.endpoint, DeliverOptions::new()).unwrap();
        let opened = "+resolve -resolve +connect -connect +handshake -handshake handshake:TLSv1.3";
        let expected = format!(
            "Delivery +admit -admit {opened} +request -request \
             attempt-1:SettingsChanged:nothing +admit -admit {opened} +request -request +response \
             -response attempt-2:200:all end:ok:all:2"
        );
        assert_eq!(scene.recorder.take(), expected, "{way}");
    }
}

#[test]
fn a_single_delivery_is_seen_once() {
    let scene = Scene::new();
    let recorder = Arc::<Recorder>::default();
    let options = scene.lab.dispatcher_options().observed_by(recorder.clone());
    ways::once(&scene.acme.url(), options, DeliverOptions::new()).unwrap();
    let calls = recorder.calls.lock().unwrap();
    let ends = calls.iter().filter(|(_, call)| call.starts_with("end:ok"));
    assert_eq!((ends.count(), calls[0].1.as_str()), (1, "Delivery"), "{calls:?}");
}

#[test]
fn a_panic_in_an_observer_changes_nothing_and_the_next_observer_is_called() {
    struct Panics;
    impl Observer for Panics {
        fn stage_entered(&self, _: &Subject, _: Stage) {
            std::panic::resume_unwind(Box::new("an observer fails"));
        }

        fn ended(&self, _: &Subject, _: &End<'_>) {
            std::panic::resume_unwind(Box::new("an observer fails"));
        }
    }
    let (lab, recorder) = (Lab::start().unwrap(), Arc::<Recorder>::default());
    let acme = lab.consumer("acme").unwrap();
    let options = lab.dispatcher_options();
    let options = options.observed_by(Arc::new(Panics)).observed_by(recorder.clone());
    let dispatcher = Dispatcher::new(options).unwrap();
    let endpoint = endpoint(&dispatcher, &acme.url(), 1);
    for (way, deliver) in WAYS {
        deliver(&dispatcher, &endpoint, DeliverOptions::new()).unwrap();
        assert!(recorder.take().ends_with("end:ok:all:1"), "{way}");
    }
}
