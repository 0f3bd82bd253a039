//! The embedded receiver: core's testing kit in its own process, with a temporary CA.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::command::{Failure, Result};
use crate::languages::rust;
use crate::paths;

/// A running lab. Dropping the value ends the process.
pub(crate) struct Lab {
    process: Child,
    material: PathBuf,
    consumers: Vec<Consumer>,
}

/// One receiver of the lab.
pub(crate) struct Consumer {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) pin: String,
}

impl Lab {
    /// Builds and starts the lab. Returns when every receiver listens.
    pub(crate) fn start() -> Result<Lab> {
        let program = rust::test_program("lab")?;
        let material = paths::target().join("lab");
        paths::make_empty(&material)?;
        let failed = |error: &dyn std::fmt::Display| Failure::at("cannot start", &program, error);
        let mut process = Command::new(&program)
            .arg(&material)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let output = process.stdout.take().expect("piped");
        let mut lab = Lab { process, material, consumers: Vec::new() };
        for line in BufReader::new(output).lines() {
            let line = line.map_err(|error| failed(&error))?;
            let line: Value = serde_json::from_str(&line).map_err(|error| failed(&error))?;
            if line["ready"] == true {
                return Ok(lab);
            }
            lab.consumers.push(Consumer::read(&line)?);
        }
        Err(failed(&"the process ended before it was ready"))
    }

    /// The directory with `tls.crt`, `tls.key` and `ca.pem`.
    pub(crate) fn material(&self) -> &Path {
        &self.material
    }

    /// Returns the receiver with this name.
    pub(crate) fn consumer(&self, name: &str) -> Result<&Consumer> {
        let found = self.consumers.iter().find(|consumer| consumer.name == name);
        found.ok_or_else(|| Failure::new(format!("the lab has no consumer {name}")))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The process ends when its standard input closes; `wait` closes it first.
        let _ = self.process.wait();
    }
}

impl Consumer {
    fn read(line: &Value) -> Result<Consumer> {
        let text = |key: &str| {
            line[key]
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| Failure::new(format!("the lab printed {line}, which has no {key}")))
        };
        Ok(Consumer { name: text("name")?, url: text("url")?, pin: text("pin")? })
    }
}
