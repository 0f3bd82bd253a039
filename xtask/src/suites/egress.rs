//! Misleading name servers: `tests/egress` builds a network in a namespace with a name server of
//! our own, and runs the four clients in it. Needs permission to make namespaces.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::languages::Languages;
use crate::paths;
use crate::suites::passed_at_least;

/// The minimum number of deliveries that pass. It catches a suite that loses cases.
const AT_LEAST: u32 = 200;

const LIMIT: Duration = Duration::from_secs(5 * 60);

/// Runs the cases; returns their closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    debian::ensure(debian::PEERS)?;
    let apart = ["--mount", "--net"];
    if Step::new("a namespace", "unshare").args(apart).arg("true").ask().is_err() {
        let why = "this user cannot make namespaces (unshare --mount --net)";
        return Err(Failure::skipped(why));
    }
    let clients = languages.clients()?;
    let commands: Map<String, Value> =
        clients.iter().map(|client| (client.name.to_owned(), json!(client.command))).collect();
    let work = paths::target().join("egress");
    paths::make_empty(&work)?;
    let tests = paths::root().join("tests");
    let output = Step::new("names and addresses", "unshare")
        .args(apart)
        .arg(&languages.toolchain.python)
        .arg(tests.join("egress").join("run.py"))
        .arg("--work")
        .arg(&work)
        .arg("--clients")
        .arg(Value::Object(commands).to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONPATH", tests.join("peers"))
        .limit(LIMIT)
        .run()?;
    println!("\n{}", output.stdout.trim_end());
    passed_at_least("egress", AT_LEAST, output)
}
