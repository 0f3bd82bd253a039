//! Delivers every 100 ms with files that are renewed, until the standard input ends.
//!
//! Prints a line for each event (`{"event": …}`) and each failed delivery (`{"failed": …}`), and at
//! the end `{"delivered": …}`. `WMTLS_ENDPOINT_IDENTITY=1` gives the files to the endpoint instead of
//! the dispatcher, `WMTLS_SERVER_URI` is the consumer's SAN URI, instead of its name. The same program
//! exists in C, Python and Node (`tests/clients`).

use std::env;
use std::io::Read as _;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde_json::json;
use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Error, Identity, Trust,
};

fn main() -> Result<(), Error> {
    let given = |name: &str| env::var(name).expect(name);
    let identity = Identity::from_files(given("WMTLS_CERT"), given("WMTLS_KEY"), None)?;
    let reload = given("WMTLS_RELOAD_MS").parse().expect("a number");
    let mut options = DispatcherOptions::new()
        .trust(Trust::from_files(given("WMTLS_CA"), None, None)?)
        .egress(Egress::public().allow(["127.0.0.0/8"])?)
        .reload(Some(Duration::from_millis(reload)))?;
    let mut own = EndpointOptions::new(None);
    if let Ok(uri) = env::var("WMTLS_SERVER_URI") {
        own = own.server_uri(uri)?;
    }
    if env::var_os("WMTLS_ENDPOINT_IDENTITY").is_some() {
        own = own.identity(identity);
    } else {
        options = options.identity(identity);
    }
    let dispatcher = Dispatcher::new(options)?;
    dispatcher.on_event(|event| println!("{}", json!({ "event": event.to_json() })));
    let endpoint = dispatcher.endpoint("receiver", &given("WMTLS_URL"), own)?;
    let (over, ended) = mpsc::channel();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = over.send(());
    });
    let mut delivered = 0;
    while ended.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
        let outcome = dispatcher.deliver_blocking(&endpoint, "{}", DeliverOptions::new(), None);
        match outcome.expect("nothing interrupts it") {
            Ok(_) => delivered += 1,
            Err(error) => println!("{}", json!({ "failed": error.to_json() })),
        }
    }
    println!("{}", json!({ "delivered": delivered }));
    Ok(())
}
