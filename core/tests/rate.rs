//! The rate of an endpoint. Run with `--features testing`.
//!
//! A rate of one delivery in a thousand seconds makes the order of events certain: no test waits for a token
//! of it.
#![cfg(feature = "testing")]

mod started;

use std::time::{Duration, Instant};

use started::{Outcome, start};
use webhook_mtls::bindings::runtime;
use webhook_mtls::error::{Blame, Scope, Stage};
use webhook_mtls::retry::Action;
use webhook_mtls::testing::{Consumer, Lab};
use webhook_mtls::{
    CancelToken, DeliverOptions, Delivery, Dispatcher, Endpoint, EndpointOptions, Error, Kind,
    ProbeOptions, Receipt, RetryPolicy, Sent,
};

const SOON: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A delivery in a thousand seconds.
const SELDOM: f64 = 0.001;

fn endpoint(dispatcher: &Dispatcher, consumer: &Consumer, rate: Option<f64>) -> Endpoint {
    let mut options = EndpointOptions::new(None);
    if let Some(rate) = rate {
        options = options.rate(rate).unwrap();
    }
    dispatcher.endpoint(consumer.name(), &consumer.url(), options).unwrap()
}

/// Options of a delivery whose deadline is after its token.
fn patient() -> DeliverOptions {
    DeliverOptions::new().timeout(DAY).unwrap()
}

fn deliver(dispatcher: &Dispatcher, endpoint: &Endpoint) -> Result<Receipt, Error> {
    start(dispatcher, endpoint, DeliverOptions::new()).recv_timeout(SOON).unwrap()
}

fn kind(outcome: &Outcome) -> Kind {
    outcome.recv_timeout(SOON).unwrap().unwrap_err().kind()
}

/// Waits until `count` deliveries of the dispatcher wait.
fn wait_for_waiting(dispatcher: &Dispatcher, count: usize) {
    let until = Instant::now() + SOON;
    while waiting(dispatcher) != count {
        assert!(Instant::now() < until, "{} wait", waiting(dispatcher));
        std::thread::yield_now();
    }
}

fn waiting(dispatcher: &Dispatcher) -> usize {
    let json = dispatcher.metrics().to_json();
    let shown = json["webhook_mtls_deliveries_waiting"]["samples"][0]["value"].to_string();
    shown.trim_end_matches(".0").parse().unwrap()
}

#[test]
fn a_delivery_that_would_start_after_its_deadline_is_refused_at_once() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let endpoint = endpoint(&dispatcher, &acme, Some(SELDOM));
    assert!(deliver(&dispatcher, &endpoint).is_ok());
    let late = deliver(&dispatcher, &endpoint).unwrap_err();
    assert_eq!((late.kind(), late.stage()), (Kind::Overloaded, Stage::Admit));
    assert_eq!((late.blame(), late.scope()), (Blame::Ours, Scope::Endpoint));
    assert_eq!(
        (late.sent(), late.context()["cause"].as_str()),
        (Sent::Nothing, Some("rate_awaited"))
    );
    assert!(late.remedy().contains("rate"), "{}", late.remedy());
    let again = late.retry_after().unwrap();
    assert!((Duration::from_secs(500)..=Duration::from_secs(1000)).contains(&again), "{again:?}");
    let decision = RetryPolicy::default().decide(&late, 1).unwrap();
    assert_eq!((decision.action, decision.delay, decision.counts), (Action::Retry, again, false));
    // A probe takes a token as well.
    let probed = runtime::drive(dispatcher.probe(&endpoint, ProbeOptions::new()), || false);
    assert_eq!(probed.unwrap().unwrap_err().kind(), Kind::Overloaded);
    assert_eq!(acme.received().len(), 1);
}

#[test]
fn a_waiting_delivery_is_counted_and_ends_when_it_is_canceled_or_its_endpoint_changes() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let slow = endpoint(&dispatcher, &acme, Some(SELDOM));
    assert!(deliver(&dispatcher, &slow).is_ok());
    let token = CancelToken::new();
    let first = start(&dispatcher, &slow, patient().cancel(token.clone()));
    wait_for_waiting(&dispatcher, 1);
    let second = start(&dispatcher, &slow, patient());
    wait_for_waiting(&dispatcher, 2);
    token.cancel();
    assert_eq!(kind(&first), Kind::Canceled);
    wait_for_waiting(&dispatcher, 1);
    // A higher rate applies to waiting deliveries.
    endpoint(&dispatcher, &acme, Some(1000.0));
    assert!(second.recv_timeout(SOON).unwrap().is_ok());
    endpoint(&dispatcher, &acme, Some(SELDOM));
    assert!(deliver(&dispatcher, &slow).is_ok(), "a token of the higher rate is left");
    let third = start(&dispatcher, &slow, patient());
    wait_for_waiting(&dispatcher, 1);
    endpoint(&dispatcher, &acme, None);
    assert!(third.recv_timeout(SOON).unwrap().is_ok());
    assert!(deliver(&dispatcher, &slow).is_ok(), "no rate, no limit");
    assert_eq!(waiting(&dispatcher), 0);
}

#[test]
fn a_removed_endpoint_and_a_closed_dispatcher_end_the_wait() {
    let lab = Lab::start().unwrap();
    let (acme, other) = (lab.consumer("acme").unwrap(), lab.consumer("other").unwrap());
    let dispatcher = lab.dispatcher();
    let [removed, kept] = [&acme, &other].map(|consumer| {
        let endpoint = endpoint(&dispatcher, consumer, Some(SELDOM));
        assert!(deliver(&dispatcher, &endpoint).is_ok());
        start(&dispatcher, &endpoint, patient())
    });
    wait_for_waiting(&dispatcher, 2);
    dispatcher.remove("acme");
    assert_eq!(kind(&removed), Kind::HandleClosed);
    runtime::drive(dispatcher.close(Duration::ZERO), || false);
    assert_eq!(kind(&kept), Kind::Canceled);
}

#[test]
fn waiting_deliveries_of_one_consumer_delay_no_other() {
    let lab = Lab::start().unwrap();
    let (slow, quick) = (lab.consumer("slow").unwrap(), lab.consumer("quick").unwrap());
    // One connection at most, and room in the run for one delivery in flight.
    let options = lab.dispatcher_options().max_connections(1).unwrap();
    let dispatcher = Dispatcher::new(options).unwrap();
    let limited = endpoint(&dispatcher, &slow, Some(SELDOM));
    let free = endpoint(&dispatcher, &quick, None);
    let to = |endpoint: &Endpoint| Delivery::new(endpoint, "{}", DeliverOptions::new());
    let mut deliveries: Vec<Delivery> = (0..50).map(|_| to(&limited)).collect();
    deliveries.extend((0..50).map(|_| to(&free)));
    let mut outcomes = dispatcher.deliver_many(deliveries, Some(1)).unwrap().blocking();
    for _ in 0..51 {
        let (_, outcome) = outcomes.next().unwrap();
        assert!(outcome.is_ok());
    }
    assert_eq!((slow.received().len(), quick.received().len()), (1, 50));
    // The rest of the run starts when the rate allows it, although its deadlines are shorter than that.
    endpoint(&dispatcher, &slow, None);
    assert_eq!(outcomes.filter(|(_, outcome)| outcome.is_ok()).count(), 49);
}

#[test]
fn tokens_that_fall_due_start_the_deliveries_that_wait() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let endpoint = endpoint(&dispatcher, &acme, Some(50.0));
    let started = Instant::now();
    let outcomes: Vec<Outcome> = (0..20)
        .map(|at| start(&dispatcher, &endpoint, patient().id(format!("evt_{at}"))))
        .collect();
    for outcome in outcomes {
        assert!(outcome.recv_timeout(SOON).unwrap().is_ok());
    }
    // Five at once, then one every 20 ms. A slow machine takes longer, never less.
    assert!(started.elapsed() >= Duration::from_millis(15 * 20), "{:?}", started.elapsed());
    assert_eq!(acme.received().len(), 20);
}

#[test]
fn a_delivery_that_an_open_circuit_refuses_leaves_its_token() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let endpoint = endpoint(&dispatcher, &acme, Some(SELDOM));
    assert!(deliver(&dispatcher, &endpoint).is_ok());
    let waiting: Vec<Outcome> = (0..3).map(|_| start(&dispatcher, &endpoint, patient())).collect();
    wait_for_waiting(&dispatcher, 3);
    endpoint.open_circuit(DAY).unwrap();
    // The token of the first refused delivery goes to the second, and so on.
    self::endpoint(&dispatcher, &acme, Some(10.0));
    self::endpoint(&dispatcher, &acme, Some(SELDOM));
    for outcome in &waiting {
        assert_eq!(kind(outcome), Kind::CircuitOpen);
    }
}
