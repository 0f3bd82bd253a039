//! Many deliveries at once. Run with `--features testing`.
#![cfg(feature = "testing")]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use webhook_mtls::bindings::runtime;
use webhook_mtls::dispatcher::{Completed, FanoutProgress};
use webhook_mtls::testing::{Answer, Consumer, Lab, Misbehavior};
use webhook_mtls::{
    DeliverOptions, Delivery, Dispatcher, Endpoint, EndpointOptions, Fanout, Kind, ProbeOptions,
    Sent,
};

const SOON: Duration = Duration::from_secs(10);

fn wait<T>(work: impl Future<Output = T>) -> T {
    runtime::drive(work, || false).expect("never interrupted")
}

fn endpoint(dispatcher: &Dispatcher, consumer: &Consumer) -> Endpoint {
    let options = EndpointOptions::new(None);
    dispatcher.endpoint(consumer.name(), &consumer.url(), options).unwrap()
}

fn several(lab: &Lab, dispatcher: &Dispatcher, count: usize) -> (Vec<Consumer>, Vec<Endpoint>) {
    let consumers: Vec<Consumer> =
        (0..count).map(|number| lab.consumer(&format!("c{number}")).unwrap()).collect();
    let endpoints = consumers.iter().map(|consumer| endpoint(dispatcher, consumer)).collect();
    (consumers, endpoints)
}

fn delivery(endpoint: &Endpoint, body: &Bytes, id: usize) -> Delivery {
    Delivery::new(endpoint, body.clone(), DeliverOptions::new().id(id.to_string()))
}

#[test]
fn each_delivery_has_one_outcome_and_all_share_one_body() {
    let lab = Lab::start().unwrap();
    let dispatcher = lab.dispatcher();
    let (consumers, endpoints) = several(&lab, &dispatcher, 10);
    let body = Bytes::from(vec![b'x'; 100_000]);
    let deliveries = (0..300).map(|number| delivery(&endpoints[number % 10], &body, number));
    let mut outcomes = dispatcher.deliver_many(deliveries, None).unwrap();
    let mut ids = Vec::new();
    while let Some((delivery, outcome)) = wait(outcomes.next()) {
        assert_eq!(delivery.body.as_ptr(), body.as_ptr(), "it was not copied");
        ids.push(outcome.unwrap().id().unwrap().parse::<usize>().unwrap());
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..300).collect::<Vec<_>>());
    let progress = FanoutProgress { done: 300, ..FanoutProgress::default() };
    assert_eq!(outcomes.progress(), progress);
    assert!(wait(outcomes.next()).is_none(), "a finished run stays finished");
    assert!(consumers.iter().all(|consumer| consumer.received()[0].body == body));
}

#[test]
fn a_waiting_thread_gets_all_outcomes_and_may_stop_early() {
    let lab = Lab::start().unwrap();
    let dispatcher = lab.dispatcher();
    let (_consumers, endpoints) = several(&lab, &dispatcher, 3);
    let body = Bytes::from_static(b"{}");
    let deliveries = |n: usize| {
        let (endpoints, body) = (endpoints.clone(), body.clone());
        (0..n).map(move |number| delivery(&endpoints[number % 3], &body, number))
    };
    let mut outcomes = dispatcher.deliver_many(deliveries(300), Some(8)).unwrap().blocking();
    let received = outcomes.by_ref().filter(|(_, outcome)| outcome.is_ok()).count();
    assert_eq!((received, outcomes.next().is_none()), (300, true));
    assert_eq!(outcomes.progress(), FanoutProgress { done: 300, ..FanoutProgress::default() });
    let mut left = dispatcher.deliver_many(deliveries(300), Some(8)).unwrap().blocking();
    assert!(left.next().is_some_and(|(_, outcome)| outcome.is_ok()));
    drop(left);
    assert_eq!(dispatcher.deliver_many(deliveries(0), None).unwrap().blocking().count(), 0);
}

#[test]
fn a_wait_for_the_next_outcome_may_have_any_limit() {
    let lab = Lab::start().unwrap();
    let (dispatcher, acme) = (lab.dispatcher(), lab.consumer("acme").unwrap());
    let fanout = Fanout::unbounded(&dispatcher).waited_for();
    assert!(fanout.next_within(Some(Duration::MAX)).unwrap().is_none(), "nothing is in flight");
    assert_eq!(fanout.unfinished(), 0);
    let delivery = delivery(&endpoint(&dispatcher, &acme), &Bytes::from_static(b"{}"), 0);
    for limit in [None, Some(Duration::MAX), Some(SOON)] {
        fanout.submit(delivery.clone(), ());
        let ((), outcome) = fanout.next_within(limit).unwrap().expect("one is in flight");
        assert_eq!(outcome.unwrap().status(), 200);
    }
    acme.misbehave(Misbehavior::Stall, 1);
    fanout.submit(delivery, ());
    assert_eq!(fanout.unfinished(), 1, "the consumer does not answer");
}

#[test]
fn deliveries_are_taken_on_demand() {
    let lab = Lab::start().unwrap();
    let dispatcher = lab.dispatcher();
    let (_consumers, endpoints) = several(&lab, &dispatcher, 5);
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = taken.clone();
    let body = Bytes::from_static(b"{}");
    let deliveries = (0..100).map(|number| {
        counted.fetch_add(1, Ordering::Relaxed);
        delivery(&endpoints[number % 5], &body, number)
    });
    let mut outcomes = dispatcher.deliver_many(deliveries, Some(4)).unwrap();
    for given in 1..=100 {
        assert!(wait(outcomes.next()).unwrap().1.is_ok());
        let progress = outcomes.progress();
        assert!(progress.in_flight <= 4, "{progress:?}");
        let most = given + 3 + usize::try_from(progress.done).unwrap();
        assert!(taken.load(Ordering::Relaxed) <= most.min(100), "{progress:?}");
    }
    assert!(wait(outcomes.next()).is_none());
}

#[test]
fn a_slow_consumer_delays_no_other() {
    let lab = Lab::start().unwrap();
    let dispatcher = lab.dispatcher();
    let (slow, quick) = (lab.consumer("slow").unwrap(), lab.consumer("quick").unwrap());
    slow.misbehave(Misbehavior::Stall, 0);
    let (stalled, well) = (endpoint(&dispatcher, &slow), endpoint(&dispatcher, &quick));
    let body = Bytes::from_static(b"{}");
    let deliveries =
        (0..600).map(|number| delivery(if number < 500 { &stalled } else { &well }, &body, number));
    let mut outcomes = dispatcher.deliver_many(deliveries, Some(32)).unwrap();
    for _ in 0..100 {
        let (delivery, outcome) = wait(outcomes.next()).unwrap();
        assert_eq!(delivery.endpoint, well);
        assert!(outcome.is_ok());
    }
    let progress = outcomes.progress();
    assert_eq!((progress.done, progress.in_flight, progress.waiting), (100, 8, 492));
    drop(outcomes);
    // Nothing remains of the dropped run, so closing has nothing to wait for or to cancel.
    wait(dispatcher.close(SOON));
    assert!(slow.connections() <= 8);
}

#[test]
fn a_failure_is_an_outcome_and_ends_no_other_delivery() {
    let lab = Lab::start().unwrap();
    let dispatcher = lab.dispatcher();
    let acme = lab.consumer("acme").unwrap();
    acme.respond(Answer::status(500), 1);
    let endpoint = endpoint(&dispatcher, &acme);
    let other = lab.dispatcher();
    let foreign = other.endpoint("acme", &acme.url(), EndpointOptions::new(None)).unwrap();
    let body = Bytes::from_static(b"{}");
    let deliveries = vec![
        delivery(&endpoint, &body, 0),
        delivery(&endpoint, &body, 1),
        delivery(&foreign, &body, 2),
        Delivery::new(&endpoint, body.clone(), DeliverOptions::new().id("a\nb")),
    ];
    let mut outcomes = dispatcher.deliver_many(deliveries, Some(1)).unwrap();
    let mut kinds = Vec::new();
    while let Some((_, outcome)) = wait(outcomes.next()) {
        if let Err(error) = outcome {
            assert_eq!(error.consumer(), Some("acme"));
            kinds.push((error.kind(), error.sent()));
        }
    }
    kinds.sort_by_key(|(kind, _)| kind.number());
    assert_eq!(
        kinds,
        [
            (Kind::OptionInvalid, Sent::Nothing),
            (Kind::HeaderInvalid, Sent::Nothing),
            (Kind::HttpStatus, Sent::All),
        ]
    );
    let progress = outcomes.progress();
    assert_eq!((progress.done, progress.failed), (4, 3));
}

#[test]
fn an_idle_run_ends_at_once_and_a_bad_bound_is_refused() {
    let dispatcher = Lab::start().unwrap().dispatcher();
    let mut outcomes = dispatcher.deliver_many(Vec::new(), None).unwrap();
    assert!(wait(outcomes.next()).is_none());
    for bound in [0, 1_000_001] {
        let fault = dispatcher.deliver_many(Vec::new(), Some(bound)).unwrap_err();
        assert_eq!(fault.kind(), Kind::OptionInvalid);
    }
}

#[test]
fn a_run_in_line_refuses_no_delivery_because_others_wait() {
    let lab = Lab::start().unwrap();
    let dispatcher = lab.dispatcher();
    let acme = lab.consumer("acme").unwrap();
    let endpoint = endpoint(&dispatcher, &acme);
    let run = Fanout::in_line(&dispatcher).waited_for();
    let body = Bytes::from_static(b"{}");
    // One owner may have 1024 waiting deliveries outside a run.
    for number in 0..2000 {
        run.try_submit(delivery(&endpoint, &body, number), number).unwrap();
    }
    let mut done = 0;
    while let Some((_, outcome)) = run.next_within(None).unwrap() {
        outcome.unwrap();
        done += 1;
    }
    assert_eq!((done, run.unfinished()), (2000, 0));
}

#[test]
fn a_run_takes_probes_reloads_and_the_close_and_the_close_ends_last() {
    let lab = Lab::start().unwrap();
    let dispatcher = lab.dispatcher();
    let (consumers, endpoints) = several(&lab, &dispatcher, 2);
    let run: Fanout<&str, Completed> = Fanout::with_operations_in_line(&dispatcher).waited_for();
    let body = Bytes::from_static(b"{}");
    consumers[0].misbehave(Misbehavior::Stall, 1);
    run.try_submit(delivery(&endpoints[0], &body, 0), "stalled").unwrap();
    run.try_submit(delivery(&endpoints[1], &body, 1), "delivery").unwrap();
    run.submit_probe(&endpoints[1], ProbeOptions::new(), "probe").unwrap();
    run.submit_reload("reload").unwrap();
    let mut before = Vec::new();
    while before.len() < 3 {
        let (tag, outcome) = run.next_within(Some(SOON)).unwrap().expect("an outcome");
        match outcome.unwrap() {
            Completed::Delivered(receipt) => assert_eq!((tag, receipt.status()), ("delivery", 200)),
            Completed::Probed(probe) => assert_eq!((tag, probe.consumer()), ("probe", "c1")),
            Completed::Reloaded(events) => assert_eq!((tag, events.len()), ("reload", 0)),
            other => panic!("{tag}: {other:?}"),
        }
        before.push(tag);
    }
    run.submit_close(Duration::ZERO, "close").unwrap();
    let (tag, outcome) = run.next_within(Some(SOON)).unwrap().expect("an outcome");
    assert_eq!((tag, outcome.unwrap_err().kind()), ("stalled", Kind::Canceled));
    let (tag, outcome) = run.next_within(Some(SOON)).unwrap().expect("an outcome");
    assert!(tag == "close" && matches!(outcome, Ok(Completed::Closed)), "{tag}: {outcome:?}");
    assert!(run.is_idle());
}

#[test]
fn the_payloads_of_a_run_are_bounded_by_their_bytes() {
    const MIB: usize = 1024 * 1024;
    let lab = Lab::start().unwrap();
    let dispatcher = lab.dispatcher();
    let acme = lab.consumer("acme").unwrap();
    acme.misbehave(Misbehavior::Stall, u32::MAX);
    // All but the first wait for a turn.
    let options = EndpointOptions::new(None).concurrency(1).unwrap();
    let endpoint = dispatcher.endpoint("acme", &acme.url(), options).unwrap();
    let one = Bytes::from(vec![0; 8 * MIB]);
    // Zeroed pages that nothing writes take no memory.
    let own = |_| Bytes::from(vec![0; 8 * MIB]);
    let shares = |_| one.clone();
    let bodies: [(&dyn Fn(usize) -> Bytes, usize); 2] = [(&own, 32), (&shares, 100)];
    for (body, expected) in bodies {
        let taken = AtomicUsize::new(0);
        let deliveries = (0..100).map(|number| {
            taken.fetch_add(1, Ordering::SeqCst);
            delivery(&endpoint, &body(number), number)
        });
        let mut outcomes = dispatcher.deliver_many(deliveries, Some(200)).unwrap();
        let mut next = pin!(outcomes.next());
        let is_pending = poll_fn(|context| Poll::Ready(next.as_mut().poll(context).is_pending()));
        assert!(wait(is_pending), "no delivery ends");
        assert_eq!(taken.load(Ordering::SeqCst), expected);
    }
}
