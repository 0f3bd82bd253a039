//! A dispatcher that delivers to more endpoints than it may have connections. Run with `--features
//! testing`.
#![cfg(feature = "testing")]

use std::time::Duration;

use webhook_mtls::bindings::runtime;
use webhook_mtls::event::EventName;
use webhook_mtls::testing::{Consumer, Lab};
use webhook_mtls::{DeliverOptions, Dispatcher, Endpoint, EndpointOptions};

#[test]
fn thrashed_connections_are_an_event() {
    let lab = Lab::start().unwrap();
    let options = lab.dispatcher_options().max_connections(2).unwrap();
    let dispatcher = Dispatcher::new(options).unwrap();
    let consumers: Vec<Consumer> =
        ["a", "b", "c"].iter().map(|name| lab.consumer(name).unwrap()).collect();
    let endpoints: Vec<Endpoint> = consumers
        .iter()
        .map(|it| dispatcher.endpoint(it.name(), &it.url(), EndpointOptions::new(None)).unwrap())
        .collect();
    let events = dispatcher.events();
    let deliver = |to: &Endpoint| {
        let delivery = dispatcher.deliver(to, "{}", DeliverOptions::new());
        runtime::drive(delivery, || false).unwrap().unwrap();
    };
    // Two endpoints fit: their connections stay open.
    (0..40).for_each(|number| deliver(&endpoints[number % 2]));
    assert!(events.next(Duration::ZERO).is_none());
    assert_eq!(consumers[0].connections() + consumers[1].connections(), 2);
    (0..30).for_each(|number| deliver(&endpoints[number % 3]));
    let event = events.next(Duration::from_secs(20)).unwrap();
    assert_eq!(event.name(), EventName::ConnectionsThrashed);
    assert_eq!(event.fields()["closed"], 16);
    assert_eq!(event.fields()["max_connections"], 2);
    assert!(event.fields()["remedy"].as_str().unwrap().starts_with("Raise max_connections"));
    assert!(events.next(Duration::ZERO).is_none(), "once an hour");
}
