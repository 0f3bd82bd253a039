//! Starts nginx, the receiver of the `benches/` clients, and runs one client.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::command::{Failure, Output, Result, Step};
use crate::paths;
use crate::toolchain::Toolchain;

/// A client does less than ten seconds of work; callgrind makes it fifty times slower.
const LIMIT: Duration = Duration::from_secs(120);

/// The arguments of one run of a client.
pub(crate) struct ClientRun<'a> {
    pub(crate) mode: &'a str,
    pub(crate) n: u32,
    /// The receiver's port, by its name in `benches/receiver.py`.
    pub(crate) port: &'a str,
}

/// A running nginx, started by `benches/receiver.py`. Dropping the value stops it.
pub(crate) struct Receiver {
    process: Child,
    settings: Value,
}

impl Receiver {
    pub(crate) fn start(toolchain: &Toolchain) -> Result<Receiver> {
        Self::start_with(toolchain, 0)
    }

    /// Starts nginx with this many additional consumers, each on its own port.
    pub(crate) fn start_with(toolchain: &Toolchain, consumers: u32) -> Result<Receiver> {
        let script = paths::root().join("benches").join("receiver.py");
        let work = paths::target().join("bench").join("receiver");
        paths::make_empty(&work)?;
        let failed = |error: &dyn std::fmt::Display| Failure::at("cannot start", &script, error);
        let words = on_core("1");
        let mut process = Command::new(&words[0])
            .args(&words[1..])
            .arg(&toolchain.python)
            .args([&script, &work])
            .arg(consumers.to_string())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let mut line = String::new();
        let output = process.stdout.take().expect("piped");
        let mut receiver = Receiver { process, settings: Value::Null };
        BufReader::new(output).read_line(&mut line).map_err(|error| failed(&error))?;
        receiver.settings = serde_json::from_str(&line).map_err(|error| failed(&error))?;
        Ok(receiver)
    }

    /// Returns a URL of the receiver by its name in `benches/receiver.py`, or the directory `material`.
    pub(crate) fn setting(&self, key: &str) -> &str {
        self.settings[key].as_str().unwrap_or_default()
    }

    /// Runs a client to its end, on the core that the receiver does not use. Fails unless the
    /// client made all deliveries. The client's JSON line is the last line of its standard output.
    pub(crate) fn run(
        &self,
        title: impl Into<String>,
        command: &[String],
        run: &ClientRun,
    ) -> Result<Output> {
        let words = on_core("0");
        let [url, material, pin] = [run.port, "material", "pin"].map(|key| self.setting(key));
        let output = Step::new(title, &words[0])
            .args(&words[1..])
            .args(command)
            .args([run.mode, &run.n.to_string(), url, material, pin])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // A fixed hash seed makes each start equal, so that the difference of two runs is only
            // the work.
            .env("PYTHONHASHSEED", "0")
            .limit(LIMIT)
            .run()?;
        if report(&output)["errors"] == 0 {
            return Ok(output);
        }
        Err(Failure::with_output(
            format!("in mode {} a client did not make all deliveries", run.mode),
            output.all,
        ))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // The process ends when its standard input closes; `wait` closes it first.
        let _ = self.process.wait();
    }
}

/// Returns the JSON that a client printed.
pub(crate) fn report(output: &Output) -> Value {
    let line = output.stdout.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_default()
}

/// Returns the prefix that binds a command to a core, so that client and receiver share none.
fn on_core(core: &str) -> Vec<String> {
    let several = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    match paths::program("taskset").filter(|_| several) {
        Some(taskset) => vec![taskset.display().to_string(), "-c".to_owned(), core.to_owned()],
        None => vec!["env".to_owned()],
    }
}
