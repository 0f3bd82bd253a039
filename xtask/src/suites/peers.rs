//! Real servers: `tests/peers` starts them and runs the four clients against them.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::command::{Result, Step};
use crate::debian;
use crate::languages::Languages;
use crate::languages::rust;
use crate::paths;
use crate::profile::Profile;
use crate::suites::passed_at_least;

/// The minimum number of results that pass. It catches a suite that loses cases.
const AT_LEAST: u32 = 450;

/// The versions of Node beside that of the machine, by their names in `package.json`.
const OTHER_NODES: [&str; 2] = ["node-22", "node-24"];

/// Some five hundred deliveries in new processes, rotations, and a PKI. Two minutes are normal; more is
/// a hang.
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
        .arg("--command")
        .arg(rust::command(Profile::Dev)?)
        .arg("--rotate")
        .arg(rust::test_program("rotate_at")?)
        .arg("--post-quantum")
        .arg(rust::test_program("post_quantum")?)
        .args(more_servers()?)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .limit(LIMIT)
        .run()?;
    println!("\n{}", output.stdout.trim_end());
    passed_at_least("peers", AT_LEAST, output)
}

/// Returns the arguments for the servers that not every machine has: other versions of Node, which npm
/// has for Linux on x86-64, and Go.
fn more_servers() -> Result<Vec<String>> {
    let mut arguments = Vec::new();
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        let home = paths::target().join("other-nodes");
        let sources = paths::root().join("tests").join("peers");
        for name in ["package.json", "package-lock.json"] {
            paths::copy(&sources.join(name), &home.join(name))?;
        }
        let node = |name: &str| home.join("node_modules").join(name).join("bin").join("node");
        if !OTHER_NODES.iter().all(|name| node(name).exists()) {
            Step::new("npm ci: other versions of Node", "npm")
                .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
                .in_directory(&home)
                .run()?;
        }
        for name in OTHER_NODES {
            arguments.extend([format!("--{name}"), node(name).display().to_string()]);
        }
    }
    if let Some(go) = paths::program("go") {
        arguments.extend(["--go".to_owned(), go.display().to_string()]);
    }
    Ok(arguments)
}
