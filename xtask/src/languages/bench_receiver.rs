//! nginx, to which the clients of `benches/` deliver, and how one of them is run.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::command::{Failure, Output, Result, Step};
use crate::paths;
use crate::toolchain::Toolchain;

/// A client does less than ten seconds of work, and callgrind makes it fifty times as long.
const LIMIT: Duration = Duration::from_secs(120);

/// What one run of a client is told.
pub(crate) struct Errand<'a> {
    pub(crate) mode: &'a str,
    pub(crate) n: u32,
    /// Which of the receiver's ports: the word that `benches/receiver.py` has for it.
    pub(crate) port: &'a str,
}

/// A running nginx, by `benches/receiver.py`. Dropping it ends it.
pub(crate) struct Receiver {
    process: Child,
    said: Value,
}

impl Receiver {
    pub(crate) fn start(toolchain: &Toolchain) -> Result<Receiver> {
        Self::start_with(toolchain, 0)
    }

    /// With so many consumers more, each on a port of its own.
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
        let mut receiver = Receiver { process, said: Value::Null };
        BufReader::new(output).read_line(&mut line).map_err(|error| failed(&error))?;
        receiver.said = serde_json::from_str(&line).map_err(|error| failed(&error))?;
        Ok(receiver)
    }

    /// Runs a client to its end, on the core that the receiver does not use; fails unless it
    /// delivered all. Its JSON line is the last of its standard output.
    pub(crate) fn run(
        &self,
        title: impl Into<String>,
        command: &[String],
        errand: &Errand,
    ) -> Result<Output> {
        let words = on_core("0");
        let said = |key: &str| self.said[key].as_str().unwrap_or_default();
        let (url, material, pin) = (said(errand.port), said("material"), said("pin"));
        let output = Step::new(title, &words[0])
            .args(&words[1..])
            .args(command)
            .args([errand.mode, &errand.n.to_string(), url, material, pin])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // Its start is the same each time, so that the difference of two runs is the work alone.
            .env("PYTHONHASHSEED", "0")
            .limit(LIMIT)
            .run()?;
        if told(&output)["errors"] == 0 {
            return Ok(output);
        }
        Err(Failure::with_output(
            format!("in mode {} a client did not deliver all", errand.mode),
            output.all,
        ))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Its standard input is its leash: it ends when that closes, which waiting does first.
        let _ = self.process.wait();
    }
}

/// What a client told in its line.
pub(crate) fn told(output: &Output) -> Value {
    let line = output.stdout.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_default()
}

/// A client and its receiver do not share a core where there are two.
fn on_core(core: &str) -> Vec<String> {
    let several = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    match paths::program("taskset").filter(|_| several) {
        Some(taskset) => vec![taskset.display().to_string(), "-c".to_owned(), core.to_owned()],
        None => vec!["env".to_owned()],
    }
}
