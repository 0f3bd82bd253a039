//! Aging of certificates, with an adjustable clock. The clock belongs to the whole process, so
//! these tests have their own process and run one at a time.
#![cfg(feature = "testing")]

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use webhook_mtls::bindings::runtime;
use webhook_mtls::error::{Blame, Scope, Stage};
use webhook_mtls::event::EventName;
use webhook_mtls::material::Expiring;
use webhook_mtls::testing::{Consumer, Lab, Leaf, set_clock};
use webhook_mtls::{
    DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Event, EventQueue, Identity, Kind, Pins,
    ProbeOptions, Receipt, Retry, Role, Sent, Trust, Verifier, VerifierOptions,
};

const OTHER: &str = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn wait<F: Future>(future: F) -> F::Output {
    runtime::drive(future, || false).expect("nothing interrupts")
}

/// Reserves the clock for one test; afterwards it shows the true time again.
struct Clock(#[expect(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

impl Clock {
    fn take() -> Self {
        static CLOCK: Mutex<()> = Mutex::new(());
        Self(CLOCK.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn ahead(by: Duration) {
    set_clock(Some(SystemTime::now() + by));
}

impl Drop for Clock {
    fn drop(&mut self) {
        set_clock(None);
    }
}

struct Scene {
    lab: Lab,
    acme: Consumer,
    dispatcher: Dispatcher,
    events: EventQueue,
}

impl Scene {
    fn new(identity: Option<Identity>) -> Self {
        let lab = Lab::start().unwrap();
        let acme = lab.consumer("acme").unwrap();
        let mut options = lab.dispatcher_options();
        options = options.reload(None).unwrap();
        options = options.identity(identity.unwrap_or_else(|| lab.identity()));
        let dispatcher = Dispatcher::new(options).unwrap();
        let events = dispatcher.events();
        Self { lab, acme, dispatcher, events }
    }

    fn pinned(&self, current: &[&str], next: &[&str]) -> Endpoint {
        let pins = Pins::with_next(current, next).unwrap();
        let options = EndpointOptions::new(Some(pins));
        self.dispatcher.endpoint("acme", &self.acme.url(), options).unwrap()
    }

    fn deliver(&self, endpoint: &Endpoint) -> Receipt {
        wait(self.dispatcher.deliver(endpoint, "{}", DeliverOptions::new())).unwrap()
    }

    fn told(&self) -> Vec<Event> {
        wait(self.dispatcher.reload()).unwrap()
    }

    fn told_of(&self, name: EventName) -> usize {
        self.told().iter().filter(|event| event.name() == name).count()
    }
}

#[test]
fn every_lifetime_has_events_at_its_own_fraction() {
    let _clock = Clock::take();
    let scene = Scene::new(None);
    let endpoint = scene.pinned(&[&scene.acme.pin(), OTHER], &[]);
    scene.deliver(&endpoint);
    let told = |scene: &Scene| -> Vec<(String, f64)> {
        let mut told: Vec<_> = scene
            .told()
            .iter()
            .filter(|event| event.name() == EventName::Expiry)
            .map(|event| {
                let fields = event.fields();
                let what = fields["what"].as_str().unwrap().to_owned();
                (what, fields["threshold"].as_f64().unwrap())
            })
            .collect();
        told.sort_by(|one, other| one.0.cmp(&other.0));
        told
    };
    let both = |threshold| vec![("consumer".to_owned(), threshold), ("identity".into(), threshold)];
    // Leaves are valid for 24 hours that began five minutes ago, the intermediate for seven days.
    ahead(DAY * 78 / 100);
    assert_eq!(told(&scene), []);
    ahead(DAY * 81 / 100);
    assert_eq!(told(&scene), both(0.2));
    ahead(DAY * 91 / 100);
    assert_eq!(told(&scene), both(0.1));
    ahead(DAY * 96 / 100);
    assert_eq!(told(&scene), both(0.05));
    ahead(DAY);
    assert_eq!(told(&scene), both(0.0));
    ahead(DAY * 6);
    assert_eq!(told(&scene), [("identity".to_owned(), 0.2)], "the intermediate");
}

#[test]
fn our_expired_certificate_is_found_before_any_packet() {
    let _clock = Clock::take();
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    // The consumer uses the true time, so for it the certificate is valid until the end of this
    // test.
    let leaf = Leaf::client("dispatcher").between(None, Some(SystemTime::now() + HOUR));
    let issued = lab.authority().issue(leaf).unwrap();
    let identity =
        Identity::from_pem(issued.chain_pem.as_bytes(), issued.key_pem.as_bytes(), None).unwrap();
    let dispatcher = Dispatcher::new(lab.dispatcher_options().identity(identity)).unwrap();
    let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None)).unwrap();
    let deliver = || wait(dispatcher.deliver(&endpoint, "{}", DeliverOptions::new()));
    let later = |by| Some(SystemTime::now() + by);
    let earlier = |by| Some(SystemTime::now() - by);
    for (at, says) in [(later(2 * HOUR), "expired"), (earlier(HOUR), "becomes valid")] {
        set_clock(at);
        let error = deliver().unwrap_err();
        assert_eq!((error.kind(), error.stage()), (Kind::ClientCertificateUnusable, Stage::Admit));
        assert_eq!((error.sent(), error.retry()), (Sent::Nothing, Retry::AfterRepair));
        assert_eq!((error.blame(), error.scope()), (Blame::Ours, Scope::Identity));
        assert!(error.message().contains(says), "{error}");
        assert!(error.context()["not_after_ms"].is_i64(), "{error:?}");
        let probed = wait(dispatcher.probe(&endpoint, ProbeOptions::new())).unwrap_err();
        assert_eq!(probed.kind(), Kind::ClientCertificateUnusable);
    }
    assert_eq!(acme.connections(), 0);
    // Only the clock was the cause.
    set_clock(None);
    assert_eq!(deliver().unwrap().status(), 200);
    // The connection opened in the meantime carries no delivery after the expiry either.
    set_clock(later(2 * HOUR));
    assert_eq!(deliver().unwrap_err().kind(), Kind::ClientCertificateUnusable);
    assert_eq!((acme.connections(), acme.received().len()), (1, 1));
}

#[test]
fn an_expired_anchor_is_reported_and_skipped() {
    let _clock = Clock::take();
    let scene = Scene::new(None);
    ahead(DAY * 3650);
    let told = scene.told();
    let anchor: Vec<&Event> =
        told.iter().filter(|event| event.name() == EventName::AnchorExpired).collect();
    assert_eq!(anchor.len(), 1);
    assert!(anchor[0].fields()["name"].as_str().unwrap().contains("root"));
    // The bundle loads for verifiers of an earlier instant; an endpoint refuses it.
    let trust = Trust::from_pem(scene.lab.trust_pem().as_bytes(), None, &[]).unwrap();
    let options = EndpointOptions::new(None).trust(trust);
    let refused = scene.dispatcher.endpoint("late", "https://a.test/", options).unwrap_err();
    assert_eq!(refused.kind(), Kind::TrustInvalid);
}

#[test]
fn a_clock_of_1970_is_reported() {
    let _clock = Clock::take();
    let scene = Scene::new(None);
    set_clock(Some(SystemTime::UNIX_EPOCH + HOUR));
    let told = scene.told();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].name(), EventName::ClockImplausible);
    assert_eq!(scene.told().len(), 0);
    assert_eq!(scene.dispatcher.expiries().unwrap_err().kind(), Kind::ClockImplausible);
}

#[test]
fn a_verifier_lists_what_expires() {
    let _clock = Clock::take();
    let scene = Scene::new(None);
    let options = VerifierOptions::new(Role::Server, scene.lab.trust());
    let verifier = Verifier::new(options).unwrap();
    ahead(HOUR);
    let listed = verifier.expiries().unwrap();
    assert_eq!((listed.len(), listed[0].what), (1, Expiring::Anchor));
    assert!(listed[0].name.contains("root") && listed[0].fraction_left > 0.9, "{listed:?}");
    set_clock(Some(SystemTime::UNIX_EPOCH + HOUR));
    assert_eq!(verifier.expiries().unwrap_err().kind(), Kind::ClockImplausible);
}

#[test]
fn missing_pins_are_reported_near_the_expiry_of_the_consumers_certificate() {
    let _clock = Clock::take();
    let scene = Scene::new(None);
    let endpoint = scene.pinned(&[&scene.acme.pin()], &[]);
    scene.deliver(&endpoint);
    assert_eq!(scene.told_of(EventName::PinSingle), 0);
    ahead(20 * HOUR);
    assert_eq!(scene.told_of(EventName::PinSingle), 1);
    assert_eq!(scene.told_of(EventName::PinSingle), 0);
    let endpoint = scene.pinned(&[&scene.acme.pin()], &[OTHER]);
    scene.acme.renew(false).unwrap();
    scene.deliver(&endpoint);
    ahead(22 * HOUR);
    assert_eq!(scene.told_of(EventName::PinNextUnseen), 1);
}

#[test]
fn a_return_to_the_former_key_is_reported_once() {
    let _clock = Clock::take();
    let scene = Scene::new(None);
    let former = scene.acme.issued();
    let (one, authority) = (scene.acme.pin(), scene.lab.authority());
    let next = authority.renew(&former, true).unwrap();
    let endpoint = scene.pinned(&[&one], &[&next.pin]);
    let show = |issued: &webhook_mtls::testing::Issued| {
        scene.acme.show(issued.clone());
        scene.deliver(&endpoint)
    };
    show(&next);
    assert!(scene.events.try_next().is_none());
    show(&former);
    let event = scene.events.try_next().unwrap();
    assert_eq!((event.name(), event.consumer()), (EventName::PinPreviousUsed, Some("acme")));
    assert_eq!(event.fields()["pin"], one);
    show(&former);
    assert!(scene.events.try_next().is_none());
    let status = &scene.dispatcher.rotation_status().consumers["acme"];
    assert_eq!(status.pin.as_ref().unwrap().0, one);
}

#[test]
fn a_consumer_with_a_new_key_at_each_renewal_is_reported() {
    let _clock = Clock::take();
    let scene = Scene::new(None);
    let options = EndpointOptions::new(None);
    let endpoint = scene.dispatcher.endpoint("acme", &scene.acme.url(), options).unwrap();
    let now = SystemTime::now();
    let mut told = Vec::new();
    for minutes in 1..=4 {
        let from = now - HOUR + Duration::from_secs(minutes * 60);
        let leaf = Leaf::server("acme").between(Some(from), None);
        scene.acme.show(scene.lab.authority().issue(leaf).unwrap());
        scene.deliver(&endpoint);
        told.extend(std::iter::from_fn(|| scene.events.try_next()));
    }
    let names: Vec<EventName> = told.iter().map(Event::name).collect();
    assert_eq!(names, [EventName::ConsumerRekeys]);
}
