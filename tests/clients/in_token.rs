//! Delivers with keys of a PKCS#11 token, by the signer that `docs/signer.md` shows.
//!
//! Each line of the standard input, `KEY COUNT`, asks for so many deliveries with the key, several at
//! once. They end early after a failed one. The answer is a line: `{"key": …, "delivered": …,
//! "failed": …}`, with the error or null. The same program exists in C, Python and Node
//! (`tests/clients`).

use std::env;
use std::io::stdin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use pkcs11_signer::Token;
use serde_json::{Value, json};
use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, Endpoint, EndpointOptions, Error, Trust,
};

const THREADS: usize = 4;

fn given(name: &str) -> String {
    env::var(name).expect(name)
}

fn main() -> Result<(), Error> {
    let token = Token::new(given("TOKEN_MODULE"), &given("TOKEN_LABEL"), &given("TOKEN_PIN"));
    let token = token.expect("the module");
    let options = DispatcherOptions::new()
        .trust(Trust::from_files(given("WMTLS_CA"), None, None)?)
        .egress(Egress::public().allow(["127.0.0.0/8"])?)
        // A busy machine must not fail a delivery.
        .timeout(Duration::from_secs(60))?
        .handshake_timeout(Duration::from_secs(30))?;
    let dispatcher = Dispatcher::new(options)?;
    for line in stdin().lines() {
        let line = line.expect("a line");
        let (key, count) = line.split_once(' ').expect("a key and a number");
        let cert = format!("{}/{key}.pem", given("TOKEN_CERTS"));
        let own = EndpointOptions::new(None).identity(token.identity(cert, key)?);
        let endpoint = dispatcher.endpoint(key, &given("WMTLS_URL"), own)?;
        let count = count.parse().expect("a number");
        let (delivered, failed) = deliver(&dispatcher, &endpoint, count);
        println!("{}", json!({ "key": key, "delivered": delivered, "failed": failed }));
    }
    Ok(())
}

fn deliver(dispatcher: &Dispatcher, to: &Endpoint, count: usize) -> (usize, Option<Value>) {
    let (started, delivered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failed = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while started.fetch_add(1, Ordering::Relaxed) < count {
                    let outcome =
                        dispatcher.deliver_blocking(to, "{}", DeliverOptions::new(), None);
                    if let Err(error) = outcome.expect("nothing interrupts it") {
                        *failed.lock().expect("no panic") = Some(error.to_json());
                        started.store(count, Ordering::Relaxed);
                        return;
                    }
                    delivered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    (delivered.into_inner(), failed.into_inner().expect("no panic"))
}
