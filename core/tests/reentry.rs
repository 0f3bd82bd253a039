//! Calls during a delivery on its own thread: in the interrupt of `deliver_blocking`, and in the
//! callback of `start`. No call waits for its own thread. Run with `--features testing`.
#![cfg(feature = "testing")]

mod calm;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use calm::patiently;
use webhook_mtls::bindings::runtime;
use webhook_mtls::testing::{Consumer, Lab, Misbehavior};
use webhook_mtls::{
    DeliverOptions, Delivery, Dispatcher, Endpoint, EndpointOptions, Error, Kind, Receipt, Sent,
};

const LONG: Duration = Duration::from_secs(30);

/// Much longer than a call takes that does not wait.
const AT_ONCE: Duration = Duration::from_secs(10);

struct Scene {
    lab: Lab,
    consumer: Consumer,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
}

impl Scene {
    /// A consumer that holds the next delivery.
    fn new(max_connections: usize, concurrency: usize) -> Self {
        let lab = Lab::start().unwrap();
        let consumer = lab.consumer("acme").unwrap();
        consumer.misbehave(Misbehavior::Stall, 1);
        let mut options = lab.dispatcher_options();
        options = options.max_connections(max_connections).unwrap();
        let dispatcher = Dispatcher::new(options).unwrap();
        let mut options = EndpointOptions::new(None);
        options = options.concurrency(concurrency).unwrap();
        let endpoint = dispatcher.endpoint("acme", &consumer.url(), options).unwrap();
        Self { lab, consumer, dispatcher, endpoint }
    }

    fn deliver(
        &self,
        timeout: Duration,
        interrupt: Option<&mut dyn FnMut() -> bool>,
    ) -> Option<Result<Receipt, Error>> {
        let options = DeliverOptions::new().timeout(timeout).unwrap();
        self.dispatcher.deliver_blocking(&self.endpoint, "{}", options, interrupt)
    }

    /// Delivers, and calls `amid` once while the consumer holds the delivery. The watchdog fails
    /// the test if a call waits for its own thread.
    fn amid(&self, timeout: Duration, mut amid: impl FnMut()) -> Result<Receipt, Error> {
        let watchdog = Watchdog::new();
        let mut called = false;
        let mut interrupt = || {
            if !called && !self.consumer.received().is_empty() {
                called = true;
                amid();
            }
            false
        };
        let outcome = self.deliver(timeout, Some(&mut interrupt)).expect("nothing interrupts it");
        assert!(called);
        watchdog.call_off();
        outcome
    }

    fn close(&self, drain: Duration) {
        runtime::drive(self.dispatcher.close(drain), || false).expect("closing comes to an end");
    }
}

/// Ends the process unless it is canceled in time: a thread that waits for itself cannot end it.
struct Watchdog {
    off: mpsc::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Watchdog {
    fn new() -> Self {
        let (off, called_off) = mpsc::channel();
        let thread = thread::spawn(move || {
            if called_off.recv_timeout(2 * LONG) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("a call waits for itself");
                std::process::abort();
            }
        });
        Self { off, thread }
    }

    fn call_off(self) {
        drop(self.off);
        self.thread.join().unwrap();
    }
}

#[test]
fn close_in_an_interrupt_cancels_the_delivery_and_does_not_wait_for_it() {
    for drain in [Duration::ZERO, Duration::from_millis(200)] {
        let scene = Scene::new(8, 8);
        let error = scene.amid(LONG, || scene.close(drain)).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (Kind::Canceled, Sent::All));
        assert_eq!(scene.deliver(LONG, None).unwrap().unwrap_err().kind(), Kind::HandleClosed);
    }
}

#[test]
fn the_interrupted_delivery_keeps_its_drain() {
    patiently(|patience| {
        let scene = Scene::new(8, 8);
        let error =
            scene.amid(Duration::from_millis(800) * patience, || scene.close(LONG)).unwrap_err();
        assert_eq!(error.kind(), Kind::DeadlineExceeded);
    });
}

#[test]
fn close_in_an_interrupt_waits_for_the_other_deliveries() {
    let scene = Scene::new(8, 8);
    let (tell, told) = mpsc::channel();
    let error = scene.amid(LONG, || {
        scene.consumer.misbehave(Misbehavior::Stall, 1);
        let tell = tell.clone();
        let done = move |outcome: Result<Receipt, Error>| tell.send(outcome).unwrap();
        let options = DeliverOptions::new();
        scene.dispatcher.start(&scene.endpoint, "{}", options, done).unwrap();
        assert!(scene.consumer.wait(2, LONG));
        scene.close(Duration::ZERO);
        // The delivery has ended; its callback may be about to run.
        let other = told.recv_timeout(AT_ONCE).expect("it has ended");
        assert_eq!(other.unwrap_err().kind(), Kind::Canceled);
    });
    assert_eq!(error.unwrap_err().kind(), Kind::Canceled);
}

#[test]
fn reload_retire_upserts_and_other_deliveries_go_on_in_an_interrupt() {
    patiently(|patience| {
        let scene = Scene::new(8, 8);
        let error = scene.amid(Duration::from_secs(2) * patience, || {
            let reloaded = runtime::drive(scene.dispatcher.reload(), || false).unwrap();
            assert!(reloaded.unwrap().is_empty());
            let identity = scene.lab.identity();
            let refused = scene.dispatcher.retire(&identity, false).unwrap_err();
            assert_eq!(refused.kind(), Kind::IdentityInUse);
            // Another turn and another permit are free.
            assert_eq!(scene.deliver(LONG, None).unwrap().unwrap().status(), 200);
            let delivery = Delivery::new(&scene.endpoint, "{}", DeliverOptions::new());
            let many = scene.dispatcher.deliver_many(vec![delivery; 3], None).unwrap();
            assert!(many.blocking().all(|(_, outcome)| outcome.is_ok()));
            let other = EndpointOptions::new(None);
            scene.dispatcher.endpoint("other", &scene.consumer.url(), other).unwrap();
            assert!(scene.dispatcher.remove("other"));
            assert!(scene.dispatcher.remove("acme"));
        });
        assert!(error.is_err());
    });
}

#[test]
fn a_delivery_that_would_wait_for_the_interrupted_one_fails_at_once() {
    patiently(|patience| {
        for (max_connections, concurrency) in [(8, 1), (1, 8)] {
            let scene = Scene::new(max_connections, concurrency);
            let error = scene.amid(Duration::from_secs(2) * patience, || {
                let nested = scene.deliver(LONG, None).unwrap().unwrap_err();
                assert_eq!((nested.kind(), nested.sent()), (Kind::Overloaded, Sent::Nothing));
                assert!(nested.message().contains("signal handler"), "{}", nested.message());
                let delivery = Delivery::new(&scene.endpoint, "{}", DeliverOptions::new());
                let many = scene.dispatcher.deliver_many([delivery], None).unwrap();
                let (_, outcome) = many.blocking().next().unwrap();
                assert_eq!(outcome.unwrap_err().kind(), Kind::Overloaded);
            });
            assert_eq!(error.unwrap_err().kind(), Kind::DeadlineExceeded);
            // The thread holds no delivery up any more.
            assert_eq!(scene.deliver(LONG, None).unwrap().unwrap().status(), 200);
        }
    });
}

/// Calls `work` in the callback of a delivery, on the thread that runs deliveries.
fn in_a_callback<T: Send + 'static>(
    work: impl FnOnce(&Dispatcher, &Endpoint) -> T + Send + 'static,
) -> T {
    let scene = Scene::new(8, 8);
    scene.consumer.behave();
    let (tell, told) = mpsc::channel();
    let (dispatcher, endpoint) = (scene.dispatcher.clone(), scene.endpoint.clone());
    let done = move |outcome: Result<Receipt, Error>| {
        outcome.unwrap();
        tell.send(work(&dispatcher, &endpoint)).unwrap();
    };
    scene.dispatcher.start(&scene.endpoint, "{}", DeliverOptions::new(), done).unwrap();
    told.recv_timeout(AT_ONCE).expect("the callback has returned")
}

#[test]
fn close_in_a_callback_returns_and_goes_on_by_itself() {
    let dispatcher = in_a_callback(|dispatcher, _| {
        runtime::drive(dispatcher.close(LONG), || false).expect("it returns");
        dispatcher.clone()
    });
    let late = dispatcher.endpoint("late", "https://127.0.0.1/", EndpointOptions::new(None));
    assert_eq!(late.unwrap_err().kind(), Kind::HandleClosed);
    // Outside the callback, close waits until everything is closed.
    runtime::drive(dispatcher.close(LONG), || false).expect("it closes");
}

#[test]
fn blocking_calls_in_a_callback_fail_at_once() {
    let kinds = in_a_callback(|dispatcher, endpoint| {
        let options = DeliverOptions::new();
        let delivered = dispatcher.deliver_blocking(endpoint, "{}", options, None).unwrap();
        let reloaded = runtime::drive(dispatcher.reload(), || false);
        let reloaded = reloaded.ok_or_else(runtime::undriven).map(drop);
        [delivered.map(drop), reloaded].map(|outcome| outcome.map_err(|error| error.kind()))
    });
    assert_eq!(kinds, [Err(Kind::Overloaded), Err(Kind::Overloaded)]);
}
