//! Tests of the kit from the other end of a real socket.

mod client;
mod handshakes;
mod lab;
mod requests;

use std::future::Future;
use std::time::Duration;

use tokio::runtime;

use super::{Consumer, Lab};

/// A deadline that only a failed test reaches.
const LONG: Duration = Duration::from_secs(20);
const OK: &str = "{\"ok\":true}";

fn lab() -> (Lab, Consumer) {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    (lab, acme)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(LONG, future).await.expect("must end before the deadline")
    })
}
