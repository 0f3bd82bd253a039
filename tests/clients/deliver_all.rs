//! Delivers to every case of a `cases.json` and prints one JSON line per delivery: the case, the
//! delivery's number, its duration, the receipt or the error, and the error as this language shows
//! it.
//!
//! The same program exists in C, Python and Node (`tests/clients`); `tests/outcomes` compares the
//! reports with the receivers' records.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _, stdout};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use serde_json::{Value, json};
use webhook_mtls::MinTls;
use webhook_mtls::bindings::SetByName as _;
use webhook_mtls::bindings::{Setting, runtime};
use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Error, Identity, Pins,
    Receipt, Trust,
};

/// Most cases only wait, for a deadline or for a response that never comes.
const AT_ONCE: usize = 24;

fn main() -> ExitCode {
    let Some(path) = env::args().nth(1) else {
        eprintln!("usage: deliver_all <cases.json>");
        return ExitCode::from(2);
    };
    let file = fs::read_to_string(path).expect("cases");
    let cases: Value = serde_json::from_str(&file).expect("JSON");
    let waiting: VecDeque<Value> =
        cases["cases"].as_array().expect("cases").iter().cloned().collect();
    let waiting = Mutex::new(waiting);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(case) = waiting.lock().expect("no panic").pop_front() else { return };
                    deliver_all(&case).expect("a dispatcher and an endpoint");
                }
            });
        }
    });
    ExitCode::SUCCESS
}

fn deliver_all(case: &Value) -> Result<(), Error> {
    let text = |key: &str| case[key].as_str().expect("a text");
    let mut options = DispatcherOptions::new()
        .identity(Identity::from_files(text("cert"), text("key"), None)?)
        .trust(Trust::from_files(text("ca"), None, None)?)
        .egress(Egress::public().allow(["127.0.0.0/8"])?)
        // A receiver sees all deliveries of its case, whatever they end in.
        .circuit_failures(0)?;
    for (name, millis) in case["timeouts"].as_object().expect("timeouts") {
        options = options.set(name, Setting::Millis(millis.as_f64().expect("milliseconds")))?;
    }
    let dispatcher = Dispatcher::new(options)?;
    let endpoint = |cert: &str, key: &str| {
        let mut chosen = EndpointOptions::new(Some(Pins::new([text("pin")])?))
            .identity(Identity::from_files(cert, key, None)?);
        chosen = chosen.min_tls(MinTls::from_name(text("min_tls")).expect("a version"));
        dispatcher.endpoint(text("case"), text("url"), chosen)
    };
    let former = case["former"][0].as_str().zip(case["former"][1].as_str());
    let (cert, key) = former.unwrap_or((text("cert"), text("key")));
    let made = endpoint(cert, key)?;
    let mut body = b"body-hunter2-".to_vec();
    body.resize(usize::try_from(case["body_bytes"].as_u64().expect("a size")).expect("fits"), b'x');
    for number in 1..=case["deliveries"].as_u64().expect("a number") {
        if number > 1
            && let Some(gate) = case["gate"].as_u64()
        {
            pass(u16::try_from(gate).expect("a port"));
        }
        if number == 2 && former.is_some() {
            endpoint(text("cert"), text("key"))?;
        }
        let total = Duration::from_millis(case["timeout"].as_u64().expect("milliseconds"));
        let delivery = DeliverOptions::new()
            .id(format!("{}-{number}", text("case")))
            .headers(vec![("x-token".into(), "header-hunter2".into())])
            .timeout(total)?;
        let started = Instant::now();
        let delivery = dispatcher.deliver(&made, body.clone(), delivery);
        let outcome = runtime::drive(delivery, || false).expect("nothing interrupts it");
        say(text("case"), number, started.elapsed(), &outcome);
    }
    runtime::drive(dispatcher.close(Duration::ZERO), || false);
    Ok(())
}

/// Waits until the receiver closes the connection to its gate.
fn pass(port: u16) {
    let mut gate = TcpStream::connect(("127.0.0.1", port)).expect("a gate");
    let _ = gate.read_to_end(&mut Vec::new());
}

fn say(case: &str, number: u64, took: Duration, outcome: &Result<Receipt, Error>) {
    let mut line = json!({
        "case": case,
        "delivery": number,
        "elapsed_ms": u64::try_from(took.as_millis()).expect("fits"),
    });
    match outcome {
        Ok(receipt) => line["receipt"] = receipt.to_json(),
        Err(error) => {
            line["error"] = error.to_json();
            line["text"] = json!(format!("{error} {error:?} {}", error.public()));
        }
    }
    let mut out = stdout().lock();
    writeln!(out, "{line}").expect("standard output");
}
