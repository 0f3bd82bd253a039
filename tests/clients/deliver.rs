//! Makes one delivery, described by environment variables, and prints one JSON line: `{"receipt":
//! …}` or `{"error": …}`.
//!
//! The same program exists in C, Python and Node (`tests/clients`). The demo and the peers suite
//! run all four. Exits with 0 in both cases, and with 2 if arguments are missing.

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use webhook_mtls::MinTls;
use webhook_mtls::bindings::runtime;
use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Error, Identity, Pins,
    Proxy, Receipt, Trust,
};

fn main() -> ExitCode {
    let Some(errand) = Errand::from_environment() else {
        eprintln!("deliver: set WMTLS_URL, WMTLS_CERT, WMTLS_KEY, WMTLS_CA and WMTLS_PIN");
        return ExitCode::from(2);
    };
    println!("{}", told(errand.run()));
    ExitCode::SUCCESS
}

struct Errand {
    url: String,
    cert: String,
    key: String,
    ca: String,
    pin: String,
    body: String,
    min_tls: String,
    proxy: Option<String>,
    egress: String,
    allow: String,
    deny: String,
    nat64: String,
    hold_payload: bool,
    timeout: Duration,
}

impl Errand {
    fn from_environment() -> Option<Self> {
        let needed = |name: &str| env::var(name).ok();
        let or = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
        Some(Errand {
            url: needed("WMTLS_URL")?,
            cert: needed("WMTLS_CERT")?,
            key: needed("WMTLS_KEY")?,
            ca: needed("WMTLS_CA")?,
            pin: needed("WMTLS_PIN")?,
            body: or("WMTLS_BODY", r#"{"event":"ping"}"#),
            min_tls: or("WMTLS_MIN_TLS", "1.3"),
            proxy: needed("WMTLS_PROXY"),
            egress: or("WMTLS_EGRESS", "public"),
            allow: or("WMTLS_ALLOW", "127.0.0.0/8,::1/128"),
            deny: or("WMTLS_DENY", ""),
            nat64: or("WMTLS_NAT64", ""),
            hold_payload: or("WMTLS_HOLD_PAYLOAD", "false") == "true",
            timeout: Duration::from_millis(or("WMTLS_TIMEOUT_MS", "10000").parse().ok()?),
        })
    }

    fn run(self) -> Result<Receipt, Error> {
        let egress = Egress::preset(&self.egress)?;
        let egress = egress.allow(networks(&self.allow))?.deny(networks(&self.deny))?;
        let mut options = DispatcherOptions::new()
            .identity(Identity::from_files(&self.cert, &self.key, None)?)
            .trust(Trust::from_files(&self.ca, None, None)?)
            .egress(egress.nat64(networks(&self.nat64))?)
            .timeout(self.timeout)?;
        if let Some(proxy) = &self.proxy {
            options = options.proxy(Proxy::new(proxy)?);
        }
        let dispatcher = Dispatcher::new(options)?;
        let pins = match self.pin.as_str() {
            "none" => None,
            pin => Some(Pins::new([pin])?),
        };
        let mut options = EndpointOptions::new(pins);
        options = options.min_tls(MinTls::from_name(&self.min_tls).expect("a version"));
        options = options.hold_payload(self.hold_payload);
        let endpoint = dispatcher.endpoint("consumer", &self.url, options)?;
        let delivery = dispatcher.deliver(&endpoint, self.body, DeliverOptions::new());
        let outcome = runtime::drive(delivery, || false).expect("nothing interrupts it");
        runtime::drive(dispatcher.close(Duration::ZERO), || false);
        outcome
    }
}

fn networks(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|network| !network.is_empty())
}

fn told(outcome: Result<Receipt, Error>) -> Value {
    match outcome {
        Ok(receipt) => json!({ "receipt": receipt.to_json() }),
        Err(error) => json!({ "error": error.to_json() }),
    }
}
