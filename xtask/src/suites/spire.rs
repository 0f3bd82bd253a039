//! A real SPIRE issues to both sides while four languages deliver: `tests/issuance`. It runs only if it is
//! named, and in a soak of an hour or more: the first build of SPIRE takes a quarter of an hour.
//!
//! The Rust program that follows the Workload API is a workspace of its own (`examples/spiffe`), because of
//! its dependencies. So it is also formatted and linted here.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::command::{Result, Step};
use crate::debian;
use crate::go_tool::{self, GoTool, How};
use crate::languages::Languages;
use crate::paths;
use crate::profile::Profile;
use crate::suites::issuance;
use crate::suites::passed_at_least;

const TOOLS: [GoTool; 2] = [
    GoTool {
        name: "spire-agent",
        package: "github.com/spiffe/spire/cmd/spire-agent",
        version: "v1.13.3",
        how: How::Unlisted,
    },
    GoTool {
        name: "spire-server",
        package: "github.com/spiffe/spire/cmd/spire-server",
        version: "v1.13.3",
        how: How::Unlisted,
    },
];

/// The minimum number of cases that pass. It catches a suite that loses cases.
const AT_LEAST: u32 = 4;

/// Three rotations of SVIDs that live for a minute take two minutes.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Runs the cases; returns their closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    debian::ensure(debian::ISSUANCE)?;
    let example = example()?;
    let tools = TOOLS.iter().map(go_tool::installed).collect::<Result<Vec<PathBuf>>>()?;
    let workloads = json!({ "python": issuance::follower(languages)?, "rust": [example] });
    let step = issuance::cases("spire", languages, &tools, &workloads)?.limit(LIMIT);
    passed_at_least("spire", AT_LEAST, step.run()?)
}

/// Checks the example, and returns the path of its program for the tests.
fn example() -> Result<PathBuf> {
    let home = paths::root().join("examples").join("spiffe");
    let cargo = |title: &str, arguments: &[&str]| {
        let step = Step::cargo(format!("{title}, examples/spiffe"), arguments);
        step.in_directory(&home).env("CARGO_TARGET_DIR", paths::target()).run()
    };
    cargo("cargo fmt --check", &["fmt", "--check"])?;
    cargo("cargo clippy", &["clippy", "--locked", "--all-targets", "--", "-D", "warnings"])?;
    cargo("cargo test", &["test", "--locked", "--doc"])?;
    cargo("workload (dev)", &["build", "--locked", "--example", "workload"])?;
    Ok(paths::built(Profile::Dev, "examples").join("workload"))
}
