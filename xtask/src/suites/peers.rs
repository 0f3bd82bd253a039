//! Real servers: `tests/peers` starts them and runs the four clients against them.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::command::{Result, Step};
use crate::debian;
use crate::languages::Languages;
use crate::languages::rust;
use crate::paths;
use crate::suites::passed_at_least;

/// The minimum number of results that pass. It catches a suite that loses cases.
const AT_LEAST: u32 = 390;

/// Some three hundred deliveries in new processes, and a PKI. Two minutes are normal; more is a
/// hang.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// Runs the matrix; returns its closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    debian::ensure(debian::PEERS)?;
    let clients = languages.clients()?;
    let commands: Map<String, Value> =
        clients.iter().map(|client| (client.name.to_owned(), json!(client.command))).collect();
    let work = paths::target().join("peers");
    paths::make_empty(&work)?;
    let output = Step::new("real peers", &languages.toolchain.python)
        .arg(paths::root().join("tests").join("peers").join("run.py"))
        .arg("--work")
        .arg(&work)
        .arg("--node")
        .arg(&languages.toolchain.node)
        .arg("--clients")
        .arg(Value::Object(commands).to_string())
        .arg("--rotate")
        .arg(rust::test_program("rotate_at")?)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .limit(LIMIT)
        .run()?;
    println!("\n{}", output.stdout.trim_end());
    passed_at_least("peers", AT_LEAST, output)
}
