//! Delivers every 100 ms with the identity of a SPIFFE Workload API, until the standard input ends.
//!
//! Prints a line for each event (`{"event": …}`) and each delivery (`{"failed": …}` with the error, or
//! `{"delivered": …}` with their number). `SPIFFE_ENDPOINT_SOCKET` is the API, `WMTLS_SERVER_URI` the
//! consumer. The same program exists in Python (`tests/clients`).

use std::env;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde_json::json;
use spiffe::X509Source;
use tokio::runtime::Runtime;
use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, Endpoint, EndpointOptions,
};
use workload_source::{AnyError, WorkloadSource};

fn given(name: &str) -> String {
    env::var(name).expect(name)
}

fn main() -> Result<(), AnyError> {
    let runtime = Runtime::new()?;
    let place = given("TMPDIR");
    let (source, workload) = runtime.block_on(async {
        let limit = Duration::from_secs(60);
        let source = X509Source::builder().initial_sync_timeout(limit).build().await?;
        let workload = WorkloadSource::new(&source, Some(Path::new(&place)))?;
        Ok::<_, AnyError>((source, workload))
    })?;
    let options = DispatcherOptions::new()
        .identity(workload.identity()?)
        .trust(workload.trust(None)?)
        .egress(Egress::public().allow(["127.0.0.0/8"])?)
        .reload(Some(Duration::from_millis(200)))?
        // The end of a federation is no reason to wait afterwards.
        .circuit_failures(0)?;
    let dispatcher = Dispatcher::new(options)?;
    dispatcher.on_event(|event| println!("{}", json!({ "event": event.to_json() })));
    let consumer: EndpointOptions = workload.consumer(&given("WMTLS_SERVER_URI"))?;
    let endpoint = dispatcher.endpoint("acme", &given("WMTLS_URL"), consumer)?;
    deliver(&dispatcher, &endpoint);
    if let Err(error) = workload.trust(Some("nowhere.example")) {
        println!("{}", json!({ "unknown": error.to_string() }));
    }
    drop((endpoint, dispatcher, workload));
    runtime.block_on(source.shutdown());
    let left: Vec<String> = fs::read_dir(place)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, AnyError>>()?;
    println!("{}", json!({ "left": left }));
    Ok(())
}

/// Delivers until the standard input ends.
fn deliver(dispatcher: &Dispatcher, endpoint: &Endpoint) {
    let (over, ended) = mpsc::channel();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = over.send(());
    });
    let mut delivered = 0;
    while ended.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
        let outcome = dispatcher.deliver_blocking(endpoint, "{}", DeliverOptions::new(), None);
        match outcome.expect("nothing interrupts it") {
            Ok(_) => {
                delivered += 1;
                println!("{}", json!({ "delivered": delivered }));
            }
            Err(error) => println!("{}", json!({ "failed": error.to_json() })),
        }
    }
}
