//! Common parts of the Rust clients: the arguments, and the printed line.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde_json::json;

/// The number of deliveries in flight, in modes with many.
pub(crate) const IN_FLIGHT: usize = 32;

/// The number of consumers of a fleet, each on its own port.
const FLEET: usize = 504;

/// `<mode> <n> <url> <directory with tls.crt, tls.key and ca.pem> <pin>`.
pub(crate) struct Arguments {
    pub(crate) mode: String,
    pub(crate) n: usize,
    pub(crate) url: String,
    pub(crate) material: String,
    // The floor checks only the chain.
    #[allow(dead_code)]
    pub(crate) pin: String,
}

impl Arguments {
    pub(crate) fn read() -> Self {
        let mut given = std::env::args().skip(1);
        let mut next = || given.next().expect("<mode> <n> <url> <directory> <pin>");
        Self {
            mode: next(),
            n: next().parse().expect("a number"),
            url: next(),
            material: next(),
            pin: next(),
        }
    }

    pub(crate) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.material)
    }

    /// Returns the URLs that the deliveries use in rotation: one, or those of the fleet.
    pub(crate) fn urls(&self) -> Vec<String> {
        if !matches!(self.mode.as_str(), "fleet" | "again" | "idle") {
            return vec![self.url.clone()];
        }
        let (start, rest) = self.url.rsplit_once(':').expect("a port");
        let (first, path) = rest.split_once('/').expect("a path");
        let first: usize = first.parse().expect("a number");
        (first..first + FLEET).map(|port| format!("{start}:{port}/{path}")).collect()
    }

    /// Returns the number of deliveries before the measured ones.
    pub(crate) fn before(&self) -> usize {
        match self.mode.as_str() {
            "again" => FLEET,
            "fleet" | "idle" => 4,
            mode if mode.starts_with("cold") => 4,
            _ => 4 * IN_FLIGHT,
        }
    }
}

/// Measures CPU, wall-clock time and memory from its creation on.
pub(crate) struct Measure {
    started: Instant,
    user: f64,
    system: f64,
    resident: i64,
}

impl Measure {
    pub(crate) fn start() -> Self {
        let (user, system) = used();
        Self { started: Instant::now(), user, system, resident: resident() }
    }

    /// Prints the line.
    pub(crate) fn say(&self, client: &str, arguments: &Arguments, errors: usize) {
        let (user, system) = used();
        let line = json!({
            "client": client,
            "mode": arguments.mode,
            "n": arguments.n,
            "user_s": user - self.user,
            "sys_s": system - self.system,
            "wall_s": self.started.elapsed().as_secs_f64(),
            "rss_kib": resident() - self.resident,
            "errors": errors,
        });
        println!("{line}");
    }
}

/// Returns the CPU time of the process in user space and in the kernel, in seconds.
fn used() -> (f64, f64) {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("it counts");
    let seconds = |micros: i64| {
        Duration::from_micros(u64::try_from(micros).expect("not negative")).as_secs_f64()
    };
    (seconds(usage.user_time().num_microseconds()), seconds(usage.system_time().num_microseconds()))
}

/// Returns the resident memory of the process, in KiB.
fn resident() -> i64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("it is Linux");
    let pages: i64 = pages.split(' ').nth(1).expect("a second number").parse().expect("a number");
    pages * 4
}
