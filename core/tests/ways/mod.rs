//! Every way to deliver, and a probe, with one signature.

use std::sync::mpsc;
use std::time::Duration;

use webhook_mtls::bindings::runtime;
use webhook_mtls::{
    DeliverOptions, Delivery, Dispatcher, DispatcherOptions, Endpoint, EndpointOptions, Error,
    Fanout, ProbeOptions,
};

const LONG: Duration = Duration::from_secs(20);

/// A way to deliver by a dispatcher to one endpoint, with a total deadline.
pub(crate) type Way = fn(&Dispatcher, &Endpoint, DeliverOptions) -> Result<(), Error>;

pub(crate) const WAYS: [(&str, Way); 7] = [
    ("blocking", |dispatcher, endpoint, options| {
        dispatcher.deliver_blocking(endpoint, "{}", options, None).unwrap().map(drop)
    }),
    ("blocking, with an interrupt", |dispatcher, endpoint, options| {
        let mut never = || false;
        dispatcher.deliver_blocking(endpoint, "{}", options, Some(&mut never)).unwrap().map(drop)
    }),
    ("blocking, inside another runtime", |dispatcher, endpoint, options| {
        let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = other.enter();
        dispatcher.deliver_blocking(endpoint, "{}", options, None).unwrap().map(drop)
    }),
    ("async", |dispatcher, endpoint, options| {
        runtime::drive(dispatcher.deliver(endpoint, "{}", options), || false).unwrap().map(drop)
    }),
    ("start", |dispatcher, endpoint, options| {
        let (tell, told) = mpsc::channel();
        let done = move |outcome: Result<_, _>| tell.send(outcome.map(drop)).unwrap();
        dispatcher.start(endpoint, "{}", options, done)?;
        told.recv_timeout(LONG).unwrap()
    }),
    ("many", |dispatcher, endpoint, options| {
        let delivery = Delivery::new(endpoint, "{}", options);
        let mut outcomes = dispatcher.deliver_many([delivery], None).unwrap().blocking();
        outcomes.next().unwrap().1.map(drop)
    }),
    ("submit", |dispatcher, endpoint, options| {
        let run = Fanout::unbounded(dispatcher);
        run.submit(Delivery::new(endpoint, "{}", options), ());
        run.next_within(Some(LONG)).unwrap().unwrap().1.map(drop)
    }),
];

/// Probes the endpoint.
pub(crate) fn probe(
    dispatcher: &Dispatcher,
    endpoint: &Endpoint,
    options: ProbeOptions,
) -> Result<(), Error> {
    runtime::drive(dispatcher.probe(endpoint, options), || false).unwrap().map(drop)
}

/// Delivers once, with a dispatcher for this delivery.
pub(crate) fn once(
    url: &str,
    dispatcher: DispatcherOptions,
    options: DeliverOptions,
) -> Result<(), Error> {
    let delivering =
        webhook_mtls::deliver(url, "{}", dispatcher, EndpointOptions::new(None), options);
    runtime::drive(delivering, || false).unwrap().map(drop)
}
