//! Delivers many times, and prints the memory and descriptors of the process after a fifth of the
//! deliveries and at the end: `{"early": {"rss_kib": …, "descriptors": …}, "late": {…}}`.
//!
//! The environment is that of the client `deliver`, and `WMTLS_COUNT` is the number of deliveries.
//! Each tenth delivery goes to `WMTLS_REFUSING_URL`, where our certificate is refused. The same
//! program exists in C, Python and Node (`tests/clients`).

use std::{env, fs};

use serde_json::{Value, json};
use webhook_mtls::bindings::runtime;
use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, Endpoint, EndpointOptions, Error,
    Identity, Trust,
};

fn main() -> Result<(), Error> {
    let given = |name: &str| env::var(name).expect(name);
    let options = DispatcherOptions::new()
        .identity(Identity::from_files(given("WMTLS_CERT"), given("WMTLS_KEY"), None)?)
        .trust(Trust::from_files(given("WMTLS_CA"), None, None)?)
        .egress(Egress::public().allow(["127.0.0.0/8"])?);
    let dispatcher = Dispatcher::new(options)?;
    let endpoint =
        |name: &str, url: &str| dispatcher.endpoint(name, &given(url), EndpointOptions::new(None));
    let good = endpoint("good", "WMTLS_URL")?;
    let refusing = endpoint("refusing", "WMTLS_REFUSING_URL")?;
    let count: u32 = given("WMTLS_COUNT").parse().expect("a number");
    let mut early = Value::Null;
    for number in 1..=count {
        let refused = number % 10 == 0;
        let to = if refused { &refusing } else { &good };
        let delivery = dispatcher.deliver(to, "{\"event\":\"ping\"}", DeliverOptions::new());
        let outcome = runtime::drive(delivery, || false).expect("nothing interrupts it");
        assert_eq!(outcome.is_err(), refused, "{outcome:?}");
        // A delivery that is dropped early must free its resources.
        if number % 50 == 0 {
            runtime::drive(given_up(&dispatcher, &good), || false);
        }
        if number == count / 5 {
            early = held();
        }
    }
    println!("{}", json!({ "early": early, "late": held() }));
    Ok(())
}

/// Polls a delivery once, then drops it.
async fn given_up(dispatcher: &Dispatcher, to: &Endpoint) {
    let mut delivery = Box::pin(dispatcher.deliver(to, "{}", DeliverOptions::new()));
    std::future::poll_fn(|context| {
        let _ = delivery.as_mut().poll(context);
        std::task::Poll::Ready(())
    })
    .await;
}

fn held() -> Value {
    let status = fs::read_to_string("/proc/self/status").expect("procfs");
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let rss: u64 = rss.trim().trim_end_matches(" kB").parse().expect("a number");
    let descriptors = fs::read_dir("/proc/self/fd").expect("procfs").count();
    json!({ "rss_kib": rss, "descriptors": descriptors })
}
