//! A thousand consumers in one dispatcher, each with its own key, certificate and pins. Run with
//! `--features testing`.
#![cfg(all(feature = "testing", target_os = "linux"))]

use std::fs;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use webhook_mtls::bindings::runtime;
use webhook_mtls::testing::{Consumer, Lab};
use webhook_mtls::{DeliverOptions, Delivery, Dispatcher, Endpoint, EndpointOptions, Pins};

const CONSUMERS: usize = 1000;
const CONNECTIONS: u32 = 64;
const ENDPOINTS: u64 = 20_000;

fn endpoint(dispatcher: &Dispatcher, name: &str, url: &str, pin: &str) -> Endpoint {
    let options = EndpointOptions::new(Some(Pins::new([pin]).unwrap()));
    dispatcher.endpoint(name, url, options).unwrap()
}

/// Returns the number of open descriptors. The receivers use two thousand of them.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Returns the memory of this process, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
    rss.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

// One test for both, because memory held by one would count in the other.
#[test]
fn many_endpoints_take_little_memory_and_consumers_few_connections() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let lab = Lab::start().unwrap();
    an_idle_endpoint_takes_less_than_two_kibibytes(&lab);
    a_thousand_consumers_are_reached_over_few_connections(&lab);
}

fn an_idle_endpoint_takes_less_than_two_kibibytes(lab: &Lab) {
    let dispatcher = lab.dispatcher();
    let pin = lab.consumer("acme").unwrap().pin();
    let before = resident();
    for number in 0..ENDPOINTS {
        let name = format!("consumer-{number}");
        endpoint(&dispatcher, &name, &format!("https://{name}.test/webhooks"), &pin);
    }
    let each = (resident() - before) / ENDPOINTS;
    assert!((200..2048).contains(&each), "{each} bytes for each endpoint");
}

fn a_thousand_consumers_are_reached_over_few_connections(lab: &Lab) {
    let mut options = lab.dispatcher_options();
    options = options.max_connections(CONNECTIONS as usize).unwrap();
    let dispatcher = Dispatcher::new(options).unwrap();
    let consumers: Vec<Consumer> =
        (0..CONSUMERS).map(|number| lab.consumer(&format!("c{number}")).unwrap()).collect();
    let endpoints: Vec<Endpoint> = consumers
        .iter()
        .map(|consumer| endpoint(&dispatcher, consumer.name(), &consumer.url(), &consumer.pin()))
        .collect();
    let before = descriptors();
    let mut most = 0;
    for _ in 0..2 {
        let to = endpoints.clone().into_iter();
        let deliveries = to.map(|to| Delivery::new(&to, "{}", DeliverOptions::new()));
        // More in flight than connections are allowed.
        let at_once = 2 * CONNECTIONS as usize;
        let mut outcomes = dispatcher.deliver_many(deliveries, Some(at_once)).unwrap();
        let next = || runtime::drive(outcomes.next(), || false).unwrap();
        for (_, outcome) in std::iter::from_fn(next) {
            outcome.unwrap();
            most = most.max(descriptors());
        }
    }
    assert!(consumers.iter().all(|consumer| consumer.received().len() == 2));
    // Both ends are in this process, and the other end may lag behind a little.
    let bound = before + 3 * CONNECTIONS as usize;
    assert!(most <= bound, "{most} descriptors, {before} before");
}
