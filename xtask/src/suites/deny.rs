//! Checks licenses, banned crates and sources against `deny.toml`.

use crate::cargo_tool;
use crate::command::{Result, Step};

const VERSION: &str = "0.20.2";

/// Checks every crate of the lock file.
pub(crate) fn run() -> Result<String> {
    let tool = cargo_tool::installed("cargo-deny", VERSION)?;
    // Without advisories: they would clone a repository from the network.
    let step =
        Step::new("cargo deny check", tool).args(["--locked", "check", "--hide-inclusion-graph"]);
    step.args(["bans", "licenses", "sources"]).run()?;
    Ok("bans, licenses and sources ok".to_owned())
}
