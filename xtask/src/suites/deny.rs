//! Checks licenses, banned crates and sources against `deny.toml`.

use crate::cargo_tool;
use crate::command::{Result, Step};

const VERSION: &str = "0.20.2";

/// Checks every crate of the lock files.
pub(crate) fn run() -> Result<String> {
    let tool = cargo_tool::installed("cargo-deny", VERSION)?;
    // The second is a workspace of its own.
    for manifest in ["Cargo.toml", "examples/spiffe/Cargo.toml"] {
        // Without advisories: they would clone a repository from the network.
        Step::new(format!("cargo deny check, {manifest}"), &tool)
            .args(["--locked", "--config", "deny.toml", "--manifest-path", manifest, "check"])
            .args(["--hide-inclusion-graph", "bans", "licenses", "sources"])
            .run()?;
    }
    Ok("bans, licenses and sources ok".to_owned())
}
