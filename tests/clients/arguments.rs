//! Passes one wrong argument after the other, and prints one JSON line for each: `{"case": …,
//! "error": …}`.
//!
//! The same cases, spelled in another way, exist in C, Node and Python; `tests/misconfigurations` has
//! what each must say. The compiler refuses those that are missing here.

use std::env;
use std::time::Duration;

use serde_json::json;
use webhook_mtls::bindings::runtime;
use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, EndpointOptions, Error, Identity, Pins, Proxy,
    Trust,
};

const URL: &str = "https://hooks.acme.test/in";

fn main() -> Result<(), Error> {
    let of = |name: &str| env::var(name).unwrap_or_else(|_| panic!("set {name}"));
    let (cert, key) = (of("WMTLS_CERT"), of("WMTLS_KEY"));
    let options = DispatcherOptions::new()
        .identity(Identity::from_files(&cert, &key, None)?)
        .trust(Trust::from_files(of("WMTLS_CA"), None, None)?);
    let dispatcher = Dispatcher::new(options)?;
    let endpoint = |url: &str| dispatcher.endpoint("acme", url, EndpointOptions::new(None));
    let deliver = |value: &str| {
        let header = ("x-a".to_owned(), value.to_owned());
        let options = DeliverOptions::new().headers(vec![header]);
        let delivery = dispatcher.deliver(&endpoint(URL)?, "{}", options);
        runtime::drive(delivery, || false).expect("nothing interrupts it")
    };
    told("timeout zero", DispatcherOptions::new().timeout(Duration::ZERO).err());
    told("proxy without port", Proxy::new("http://proxy.acme.test").err());
    told("fingerprint", Pins::new(["ab".repeat(32)]).err());
    told("url http", endpoint("http://hooks.acme.test/in").err());
    told("file missing", Identity::from_files("/nowhere/tls.crt", &key, None).err());
    told("pkcs12 as pem", Identity::from_files(of("WMTLS_PKCS12"), &key, None).err());
    told("path as content", Trust::from_pem(b"/etc/acme/ca.pem", None, &[]).err());
    told("line break", deliver("1\r\nx-b: 2").err());
    let made = endpoint(URL)?;
    runtime::drive(dispatcher.close(Duration::ZERO), || false);
    let late = dispatcher.deliver(&made, "{}", DeliverOptions::new());
    told("closed", runtime::drive(late, || false).expect("nothing interrupts it").err());
    Ok(())
}

fn told(case: &str, error: Option<Error>) {
    println!("{}", json!({ "case": case, "error": error.map(|error| error.to_json()) }));
}
