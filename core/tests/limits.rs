//! Limits on deliveries and connections, and the order of waiting. Run with `--features testing`.
#![cfg(feature = "testing")]

mod started;

use std::future::Future;
use std::time::{Duration, Instant};

use started::{Outcome, start};
use webhook_mtls::bindings::SetByName as _;
use webhook_mtls::bindings::{Setting, runtime};
use webhook_mtls::error::{Blame, Scope, Stage};
use webhook_mtls::testing::{Consumer, Lab, Misbehavior};
use webhook_mtls::{
    CancelToken, DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Error, Kind, Receipt,
    Retry, Sent,
};

/// Much longer than anything takes here: it only ends a test that would hang.
const SOON: Duration = Duration::from_secs(60);

fn dispatcher(lab: &Lab, limits: &[(&str, f64)]) -> Dispatcher {
    let mut options = lab.dispatcher_options();
    for (name, limit) in limits {
        options = options.set(name, Setting::Number(*limit)).unwrap();
    }
    Dispatcher::new(options).unwrap()
}

fn endpoint(dispatcher: &Dispatcher, consumer: &Consumer, concurrency: usize) -> Endpoint {
    let mut options = EndpointOptions::new(None);
    options = options.concurrency(concurrency).unwrap();
    dispatcher.endpoint(consumer.name(), &consumer.url(), options).unwrap()
}

fn deliver(dispatcher: &Dispatcher, endpoint: &Endpoint) -> Result<Receipt, Error> {
    start(dispatcher, endpoint, DeliverOptions::new()).recv_timeout(SOON).unwrap()
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    runtime::drive(work, || false).expect("never interrupted")
}

#[test]
fn a_delivery_beyond_the_limit_waits_without_a_connection() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = dispatcher(&lab, &[]);
    let endpoint = endpoint(&dispatcher, &acme, 1);
    acme.misbehave(Misbehavior::Stall, 1);
    let token = CancelToken::new();
    let slow = start(&dispatcher, &endpoint, DeliverOptions::new().cancel(token.clone()));
    assert!(acme.wait(1, SOON));
    let short = DeliverOptions::new().timeout(Duration::from_millis(200)).unwrap();
    let late = start(&dispatcher, &endpoint, short).recv_timeout(SOON).unwrap().unwrap_err();
    assert_eq!((late.kind(), late.stage()), (Kind::Overloaded, Stage::Admit));
    assert_eq!((late.blame(), late.scope()), (Blame::Ours, Scope::Endpoint));
    assert!(late.remedy().contains("concurrency"), "{}", late.remedy());
    assert_eq!((late.sent(), late.retry()), (Sent::Nothing, Retry::Later));
    assert_eq!(acme.connections(), 1);
    token.cancel();
    assert_eq!(slow.recv_timeout(SOON).unwrap().unwrap_err().kind(), Kind::Canceled);
    assert!(deliver(&dispatcher, &endpoint).is_ok());
}

#[test]
fn too_many_waiting_for_one_consumer_are_refused_without_delaying_others() {
    let lab = Lab::start().unwrap();
    let (slow, quick) = (lab.consumer("slow").unwrap(), lab.consumer("quick").unwrap());
    let dispatcher = dispatcher(&lab, &[("max_waiting", 8.0)]);
    let (stalled, well) = (endpoint(&dispatcher, &slow, 1), endpoint(&dispatcher, &quick, 1));
    slow.misbehave(Misbehavior::Stall, 1);
    let token = CancelToken::new();
    let options = || DeliverOptions::new().cancel(token.clone());
    let mut outcomes = vec![start(&dispatcher, &stalled, options())];
    assert!(slow.wait(1, SOON));
    // A quarter of eight may wait. Which two of the three wait depends on the runtime.
    outcomes.extend((0..3).map(|_| start(&dispatcher, &stalled, options())));
    let refused = loop {
        if let Some(outcome) = outcomes.iter().find_map(|outcome| outcome.try_recv().ok()) {
            break outcome.unwrap_err();
        }
        std::thread::yield_now();
    };
    assert_eq!((refused.kind(), refused.stage()), (Kind::Overloaded, Stage::Admit));
    assert_eq!((refused.sent(), refused.retry()), (Sent::Nothing, Retry::Later));
    assert_eq!(refused.scope(), Scope::Endpoint);
    assert_eq!(refused.consumer(), Some("slow"));
    for _ in 0..10 {
        assert!(deliver(&dispatcher, &well).is_ok());
    }
    wait(dispatcher.close(Duration::ZERO));
    assert_eq!(slow.connections(), 1);
}

#[test]
fn the_longest_idle_connection_makes_room() {
    let lab = Lab::start().unwrap();
    let dispatcher = dispatcher(&lab, &[("max_connections", 2.0)]);
    let consumers = ["a", "b", "c"].map(|name| lab.consumer(name).unwrap());
    let endpoints = consumers.each_ref().map(|consumer| endpoint(&dispatcher, consumer, 8));
    for endpoint in &endpoints {
        assert!(!deliver(&dispatcher, endpoint).unwrap().is_reused());
    }
    let reused = |place: usize| deliver(&dispatcher, &endpoints[place]).unwrap().is_reused();
    assert!(reused(2));
    assert!(reused(1));
    assert!(!reused(0), "it made room for c");
    assert!(!reused(2), "it was idle for longer than b");
}

#[test]
fn a_waiting_delivery_gets_the_next_idle_connection() {
    let lab = Lab::start().unwrap();
    let dispatcher = dispatcher(&lab, &[("max_connections", 3.0)]);
    let consumers = ["a", "b", "c", "d"].map(|name| lab.consumer(name).unwrap());
    let endpoints = consumers.each_ref().map(|consumer| endpoint(&dispatcher, consumer, 8));
    let outcomes: Vec<Outcome> = (0..400)
        .map(|number| start(&dispatcher, &endpoints[number % 4], DeliverOptions::new()))
        .collect();
    for outcome in outcomes {
        assert!(outcome.recv_timeout(SOON).unwrap().is_ok());
    }
    let received: usize = consumers.iter().map(|consumer| consumer.received().len()).sum();
    assert_eq!(received, 400);
}

#[test]
fn a_canceled_delivery_frees_its_connection_and_an_idle_one_still_makes_room() {
    let lab = Lab::start().unwrap();
    let dispatcher = dispatcher(&lab, &[("max_connections", 1.0)]);
    let (slow, quick) = (lab.consumer("slow").unwrap(), lab.consumer("quick").unwrap());
    let (stalled, well) = (endpoint(&dispatcher, &slow, 2), endpoint(&dispatcher, &quick, 2));
    for round in 1..=8 {
        // The idle connection of the round before makes room.
        slow.misbehave(Misbehavior::Stall, 1);
        let (running, waiting) = (CancelToken::new(), CancelToken::new());
        let by = |token: &CancelToken| DeliverOptions::new().cancel(token.clone());
        let stalls = start(&dispatcher, &stalled, by(&running));
        assert!(slow.wait(round, SOON));
        let waits = start(&dispatcher, &stalled, by(&waiting));
        waiting.cancel();
        running.cancel();
        for canceled in [stalls, waits] {
            let error = canceled.recv_timeout(SOON).unwrap().unwrap_err();
            assert_eq!(error.kind(), Kind::Canceled);
        }
        assert!(deliver(&dispatcher, &well).is_ok());
    }
    assert_eq!((slow.connections(), quick.connections()), (8, 8));
}

#[test]
fn connections_go_to_owners_in_round_robin() {
    let lab = Lab::start().unwrap();
    let dispatcher = dispatcher(&lab, &[("max_connections", 8.0)]);
    let stalling = ["a", "b", "c", "d"].map(|name| lab.consumer(name).unwrap());
    let endpoints = stalling.each_ref().map(|consumer| {
        consumer.misbehave(Misbehavior::Stall, 100);
        let options = EndpointOptions::new(None).owner("customer 17").unwrap();
        dispatcher.endpoint(consumer.name(), &consumer.url(), options).unwrap()
    });
    let tokens: Vec<CancelToken> = (0..16).map(|_| CancelToken::new()).collect();
    let delivery = |number: usize| {
        let options = DeliverOptions::new().cancel(tokens[number].clone());
        start(&dispatcher, &endpoints[number % 4], options)
    };
    // They hold all connections, because no other owner waits.
    let held: Vec<Outcome> = (0..8).map(delivery).collect();
    for consumer in &stalling {
        assert!(consumer.wait(2, SOON));
    }
    let waiting: Vec<Outcome> = (8..16).map(delivery).collect();
    // Another owner arrives last, and gets the first two closed connections.
    let honest = lab.consumer("honest").unwrap();
    let endpoint = endpoint(&dispatcher, &honest, 8);
    honest.misbehave(Misbehavior::Stall, 2);
    let token = CancelToken::new();
    let options = || DeliverOptions::new().cancel(token.clone());
    let of_honest: Vec<Outcome> =
        (0..2).map(|_| start(&dispatcher, &endpoint, options())).collect();
    let received = || stalling.iter().map(|consumer| consumer.received().len()).sum::<usize>();
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let until = Instant::now() + SOON;
        while !done() {
            assert!(Instant::now() < until, "{what}");
            std::thread::yield_now();
        }
    };
    for (number, token) in tokens[..4].iter().enumerate() {
        token.cancel();
        let served = || received() + honest.received().len() > 8 + number;
        until("a permit that came back was not given out", &served);
    }
    // In the order of arrival, the first owner would have got these too. The other owner's share is
    // two, and it waits for no more.
    assert_eq!(honest.received().len(), 2);
    assert_eq!(received(), 10);
    tokens.iter().for_each(CancelToken::cancel);
    token.cancel();
    for outcome in held.into_iter().chain(waiting).chain(of_honest) {
        assert_eq!(outcome.recv_timeout(SOON).unwrap().unwrap_err().kind(), Kind::Canceled);
    }
}

#[test]
fn a_changed_limit_keeps_the_connections() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = dispatcher(&lab, &[]);
    let before = endpoint(&dispatcher, &acme, 1);
    assert!(deliver(&dispatcher, &before).is_ok());
    assert_eq!(endpoint(&dispatcher, &acme, 2), before);
    assert!(deliver(&dispatcher, &before).unwrap().is_reused());
}

#[test]
fn limits_are_whole_numbers_from_one() {
    for limit in [0.0, -1.0, 1.5, f64::NAN, f64::INFINITY, 1e7] {
        for name in ["max_connections", "max_waiting"] {
            let fault = webhook_mtls::DispatcherOptions::new().set(name, Setting::Number(limit));
            assert_eq!(fault.unwrap_err().kind(), Kind::OptionInvalid, "{name} {limit}");
        }
        let fault = EndpointOptions::new(None).set("concurrency", Setting::Number(limit));
        assert_eq!(fault.unwrap_err().kind(), Kind::OptionInvalid, "{limit}");
    }
}
