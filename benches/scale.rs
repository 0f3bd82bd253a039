//! Measures growth: one quantity at one size in a separate process, so that the reported memory
//! belongs to this measurement. `cargo xtask scale` runs it.
//!
//! `<what> <size> <url> <directory with tls.crt, tls.key and ca.pem> <pin>`: the consumers listen
//! on `size` + 1 consecutive ports, starting with that of the URL. Prints one JSON line.

use std::fs;
use std::time::Instant;

use bytes::Bytes;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde_json::{Value, json};
use webhook_mtls::bindings::runtime;
use webhook_mtls::{
    DeliverOptions, Delivery, Dispatcher, DispatcherOptions, Egress, Endpoint, EndpointOptions,
    Error, Fanout, Identity, Pins, Trust,
};
use webhook_mtls_command::Console;

/// The number of deliveries in flight to many consumers, and the connection limit where there is
/// one.
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
        "waiting" => waiting(&world, size)?,
        "diagnoses" => diagnoses(&world, size),
        other => panic!("unknown measurement: {other}"),
    };
    println!("{told}");
    Ok(())
}

/// Measures the memory of an endpoint without deliveries, and the time of a lookup among all.
fn endpoints(world: &World, size: usize) -> Result<Value, Error> {
    let dispatcher = world.dispatcher(BOUND)?;
    let before = resident();
    let endpoints = world.endpoints(&dispatcher, size)?;
    let bytes = (resident() - before) / size as u64;
    // Not in the order of creation; the stride has no common factor with any size.
    let started = Instant::now();
    let looked_up = 10_000;
    for place in 0..looked_up {
        let number = place * 7919 % size;
        assert_eq!(world.endpoint(&dispatcher, number)?, endpoints[number]);
    }
    let nanos = u64::try_from(started.elapsed().as_nanos()).expect("fits") / looked_up as u64;
    Ok(json!({ "errors": 0, "bytes": bytes, "look_up_ns": nanos }))
}

/// Delivers twice to each of many consumers, with fewer connections than consumers.
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

/// Measures the memory of an idle connection, and the cost of a delivery over one of many.
fn connections(world: &World, size: usize) -> Result<Value, Error> {
    let dispatcher = world.dispatcher(size + AT_ONCE)?;
    let endpoints = world.endpoints(&dispatcher, size)?;
    // The first delivery includes one-time costs.
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

/// Measures the cost of a delivery with this many in flight to one consumer.
fn flight(world: &World, size: usize) -> Result<Value, Error> {
    let dispatcher = world.dispatcher(size)?;
    let mut options = world.options(0)?;
    options = options.concurrency(size)?;
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

/// Measures the memory of a delivery that waits for its turn, as a caller with its own loop submits it.
fn waiting(world: &World, size: usize) -> Result<Value, Error> {
    let dispatcher = world.dispatcher(BOUND)?;
    // The first delivery takes the turn of a quarter of an hour.
    let options = world.options(0)?.rate(0.001)?;
    let endpoint = dispatcher.endpoint("0", &world.url(0), options)?;
    let errors = deliver(&dispatcher, std::slice::from_ref(&endpoint), 1, &mut || {});
    let body = Bytes::from(vec![b'x'; 1024]);
    let run: Fanout<usize> = Fanout::in_line(&dispatcher);
    let before = resident();
    for number in 0..size {
        let delivery = Delivery::new(&endpoint, body.clone(), DeliverOptions::new());
        run.try_submit(delivery, number).expect("it has room");
    }
    while run.progress().waiting + run.progress().in_flight < size {
        std::thread::yield_now();
    }
    let bytes = (resident() - before) / size as u64;
    Ok(json!({ "errors": errors, "bytes": bytes }))
}

/// Diagnoses a fleet with the command, which makes a request of each consumer and one without a
/// certificate.
fn diagnoses(world: &World, size: usize) -> Value {
    use std::fmt::Write as _;
    let file = |name: &str| format!("{}/{name}", world.directory);
    let mut fleet = format!(
        "[defaults]\ncert = {:?}\nkey = {:?}\nca = {:?}\nallow = [\"127.0.0.0/8\"]\npin = [{:?}]\n",
        file("tls.crt"),
        file("tls.key"),
        file("ca.pem"),
        world.pin
    );
    for number in 0..size {
        let url = world.url(number);
        let _ = write!(fleet, "[[endpoint]]\nconsumer = \"consumer-{number}\"\nurl = {url:?}\n");
    }
    let config = std::env::temp_dir().join(format!("wmtls-fleet-{}.toml", std::process::id()));
    fs::write(&config, fleet).expect("a file");
    let words = ["webhook-mtls", "diagnose", "--json", "--request", "options", "--config"];
    let words = words.into_iter().map(Into::into).chain([config.clone().into_os_string()]);
    let mut output = Vec::new();
    let mut console = Console::new(std::io::empty(), &mut output, std::io::stderr(), |_| None);
    let before = resident();
    // Forgets the peak so far.
    fs::write("/proc/self/clear_refs", "5").expect("procfs");
    let (started, used) = (Instant::now(), cpu());
    let code = webhook_mtls_command::run(words, &mut console);
    let elapsed = started.elapsed();
    let (peak, used) = (peak(), used.micros(size));
    drop(console);
    fs::remove_file(&config).expect("removed");
    let report: Value = serde_json::from_slice(&output).expect("JSON");
    let rows = report["endpoints"].as_array().map_or(0, Vec::len);
    json!({
        "errors": usize::from(code != 0) + size - rows,
        "elapsed_ms": u64::try_from(elapsed.as_millis()).expect("fits"),
        "cpu_us": used,
        "peak_kib": peak.saturating_sub(before) / 1024,
    })
}

/// Delivers once to each endpoint, and calls `watch` after each. Returns the number of failures.
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

/// The consumers, and our identity.
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
        options = options.max_connections(connections)?;
        Dispatcher::new(options)
    }

    fn endpoints(&self, dispatcher: &Dispatcher, size: usize) -> Result<Vec<Endpoint>, Error> {
        (0..size).map(|number| self.endpoint(dispatcher, number)).collect()
    }

    fn endpoint(&self, dispatcher: &Dispatcher, number: usize) -> Result<Endpoint, Error> {
        let consumer = format!("consumer-{number}");
        dispatcher.endpoint(&consumer, &self.url(number), self.options(number)?)
    }

    /// Unique pins per consumer: the key that it shows, and one for later.
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

/// Returns the memory of this process, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/smaps_rollup").expect("procfs");
    let rss = status.lines().find_map(|line| line.strip_prefix("Rss:")).expect("Rss");
    rss.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Returns the peak of the memory of this process since it was last forgotten, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("procfs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    peak.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") * 1024
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("procfs").count()
}

/// The CPU time of this process, in microseconds.
struct Cpu(i64);

fn cpu() -> Cpu {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("it counts");
    Cpu(usage.user_time().num_microseconds() + usage.system_time().num_microseconds())
}

impl Cpu {
    /// Returns the CPU time since then, per delivery.
    fn micros(&self, of: usize) -> i64 {
        (cpu().0 - self.0) / i64::try_from(of).expect("small")
    }
}
