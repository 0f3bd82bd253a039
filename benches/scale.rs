//! How ours grows: one measurement at one size in a process of its own, so that the memory it tells
//! of is its own. Run by `cargo xtask scale`.
//!
//! `<what> <size> <url> <directory with tls.crt, tls.key and ca.pem> <pin>`; consumers listen on as
//! many ports as the size says and one more, from that of the URL on. Prints one JSON line.

use std::fs;
use std::time::Instant;

use bytes::Bytes;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde_json::{Value, json};
use webhook_mtls::{
    DeliverOptions, Delivery, Dispatcher, DispatcherOptions, Egress, Endpoint, EndpointOptions,
    Error, Identity, Pins, Setting, Trust, runtime,
};

/// How many deliveries are under way at once to many consumers, and how many connections may be
/// open where they are bounded.
const AT_ONCE: usize = 64;
const BOUND: usize = 256;

fn main() -> Result<(), Error> {
    let mut given = std::env::args().skip(1);
    let mut next = || given.next().expect("<what> <size> <url> <directory> <pin>");
    let (what, size) = (next(), next().parse().expect("a number"));
    let port = next().split(['/', ':']).find_map(|part| part.parse().ok()).expect("a port");
    let world = World { port, directory: next(), pin: next() };
    let told = match what.as_str() {
        "endpoints" => endpoints(&world, size)?,
        "consumers" => consumers(&world, size)?,
        "connections" => connections(&world, size)?,
        "flight" => flight(&world, size)?,
        other => panic!("no such measurement: {other}"),
    };
    println!("{told}");
    Ok(())
}

/// Memory of an endpoint that was never delivered to, and the time of a look-up among them all.
fn endpoints(world: &World, size: usize) -> Result<Value, Error> {
    let dispatcher = world.dispatcher(BOUND)?;
    let before = resident();
    let endpoints = world.endpoints(&dispatcher, size)?;
    let bytes = (resident() - before) / size as u64;
    // In another order than they were made in; the stride has no factor in common with any size.
    let started = Instant::now();
    let looked_up = 10_000;
    for place in 0..looked_up {
        let number = place * 7919 % size;
        assert_eq!(world.endpoint(&dispatcher, number)?, endpoints[number]);
    }
    let nanos = u64::try_from(started.elapsed().as_nanos()).expect("fits") / looked_up as u64;
    Ok(json!({ "errors": 0, "bytes": bytes, "look_up_ns": nanos }))
}

/// A delivery to each of many consumers, then once more, with fewer connections than consumers.
fn consumers(world: &World, size: usize) -> Result<Value, Error> {
    let dispatcher = world.dispatcher(BOUND)?;
    let endpoints = world.endpoints(&dispatcher, size)?;
    let before = descriptors();
    let started = cpu();
    let mut most = 0;
    let mut watch = || most = most.max(descriptors());
    let errors = deliver(&dispatcher, &endpoints, AT_ONCE, &mut watch);
    let first = started.micros(size);
    let started = cpu();
    let errors = errors + deliver(&dispatcher, &endpoints, AT_ONCE, &mut watch);
    let again = started.micros(size);
    Ok(json!({
        "errors": errors,
        "cpu_us": first,
        "cpu_again_us": again,
        "descriptors": most - before,
    }))
}

/// Memory of an idle connection, and what a delivery over one costs among so many.
fn connections(world: &World, size: usize) -> Result<Value, Error> {
    let dispatcher = world.dispatcher(size + AT_ONCE)?;
    let endpoints = world.endpoints(&dispatcher, size)?;
    // What a first delivery needs once.
    let mut nothing = || {};
    let warm = world.endpoint(&dispatcher, size)?;
    let mut errors = deliver(&dispatcher, &[warm], 1, &mut nothing);
    let before = resident();
    let open = descriptors();
    errors += deliver(&dispatcher, &endpoints, 1, &mut nothing);
    let bytes = (resident() - before) / size as u64;
    let open = descriptors() - open;
    let started = cpu();
    errors += deliver(&dispatcher, &endpoints, 1, &mut nothing);
    Ok(json!({
        "errors": errors,
        "bytes": bytes,
        "descriptors": open,
        "cpu_us": started.micros(size),
    }))
}

/// What a delivery costs with so many in flight to one consumer.
fn flight(world: &World, size: usize) -> Result<Value, Error> {
    let dispatcher = world.dispatcher(size)?;
    let mut options = world.options(0)?;
    options.set("concurrency", Setting::Number(f64::from(u32::try_from(size).expect("small"))))?;
    let endpoint = dispatcher.endpoint("0", &world.url(0), options)?;
    let deliveries = 8192;
    let endpoints = vec![endpoint; deliveries];
    let mut nothing = || {};
    let mut errors = deliver(&dispatcher, &endpoints[..4 * size], size, &mut nothing);
    let before = descriptors();
    let started = cpu();
    errors += deliver(&dispatcher, &endpoints, size, &mut nothing);
    Ok(json!({
        "errors": errors,
        "cpu_us": started.micros(deliveries),
        "more_descriptors": descriptors().saturating_sub(before),
    }))
}

/// One delivery to each; `watch` is called when one has ended. How many failed.
fn deliver(
    dispatcher: &Dispatcher,
    to: &[Endpoint],
    at_once: usize,
    watch: &mut dyn FnMut(),
) -> usize {
    let body = Bytes::from(vec![b'x'; 1024]);
    let deliveries: Vec<Delivery> =
        to.iter().map(|to| Delivery::new(to, body.clone(), DeliverOptions::new())).collect();
    let run = dispatcher.deliver_many(deliveries, Some(at_once));
    let mut outcomes = run.expect("a run can start");
    let mut errors = 0;
    let all = async {
        while let Some((_, outcome)) = outcomes.next().await {
            if let Err(error) = outcome {
                errors += 1;
                eprintln!("{error}");
            }
            watch();
        }
    };
    runtime::drive(all, || false).expect("nothing interrupts it");
    errors
}

/// The consumers, and who we are to them.
struct World {
    port: usize,
    directory: String,
    pin: String,
}

impl World {
    fn dispatcher(&self, connections: usize) -> Result<Dispatcher, Error> {
        let file = |name: &str| format!("{}/{name}", self.directory);
        let mut options = DispatcherOptions::new()
            .identity(Identity::from_files(file("tls.crt"), file("tls.key"), None)?)
            .trust(Trust::from_files(file("ca.pem"), None, None)?)
            .egress(Egress::public().allow(["127.0.0.0/8"])?);
        let connections = f64::from(u32::try_from(connections).expect("small"));
        options.set("max_connections", Setting::Number(connections))?;
        Dispatcher::new(options)
    }

    fn endpoints(&self, dispatcher: &Dispatcher, size: usize) -> Result<Vec<Endpoint>, Error> {
        (0..size).map(|number| self.endpoint(dispatcher, number)).collect()
    }

    fn endpoint(&self, dispatcher: &Dispatcher, number: usize) -> Result<Endpoint, Error> {
        let consumer = format!("consumer-{number}");
        dispatcher.endpoint(&consumer, &self.url(number), self.options(number)?)
    }

    /// Pins that no other consumer has: the key it shows, and one of its own for later.
    fn options(&self, number: usize) -> Result<EndpointOptions, Error> {
        use base64::Engine as _;
        let mut next = [0; 32];
        next[..8].copy_from_slice(&number.to_be_bytes());
        let next = base64::prelude::BASE64_STANDARD.encode(next);
        Ok(EndpointOptions::new(Some(Pins::with_next([&self.pin], [&next])?)))
    }

    fn url(&self, number: usize) -> String {
        format!("https://127.0.0.1:{}/in", self.port + number)
    }
}

/// The memory of this process, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/smaps_rollup").expect("procfs");
    let rss = status.lines().find_map(|line| line.strip_prefix("Rss:")).expect("Rss");
    rss.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("procfs").count()
}

/// CPU that this process has used, in microseconds.
struct Cpu(i64);

fn cpu() -> Cpu {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("it counts");
    Cpu(usage.user_time().num_microseconds() + usage.system_time().num_microseconds())
}

impl Cpu {
    /// Since then, for each of so many.
    fn micros(&self, of: usize) -> i64 {
        (cpu().0 - self.0) / i64::try_from(of).expect("small")
    }
}
