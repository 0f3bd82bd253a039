//! Checks licenses, banned crates and sources against `deny.toml`.

use std::path::PathBuf;

use crate::command::{Result, Step};
use crate::paths;

const VERSION: &str = "0.20.2";

/// Checks every crate of the lock file. Builds the tool once, below the target directory.
pub(crate) fn run() -> Result<String> {
    let tool = tool()?;
    // Without advisories: they would clone a repository from the network.
    let step =
        Step::new("cargo deny check", tool).args(["--locked", "check", "--hide-inclusion-graph"]);
    step.args(["bans", "licenses", "sources"]).run()?;
    Ok("bans, licenses and sources ok".to_owned())
}

fn tool() -> Result<PathBuf> {
    let home = paths::target().join("tools");
    let binary = home.join("bin").join("cargo-deny");
    if !binary.exists() {
        // An unoptimized build takes half the time and still answers in a second.
        Step::cargo(
            format!("cargo install cargo-deny {VERSION} (once)"),
            &["install", "--locked", "--debug", "--version", VERSION, "cargo-deny", "--root"],
        )
        .arg(&home)
        .arg("--target-dir")
        .arg(home.join("build"))
        .run()?;
    }
    Ok(binary)
}
