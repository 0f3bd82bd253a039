//! Cargo subcommands that a verb needs. Each is built once, below the target directory.

use std::path::PathBuf;
use std::time::Duration;

use crate::command::{Result, Step};
use crate::paths;

/// The time limit of a build of a large tool on two busy cores.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// Returns the path of a cargo subcommand in this version, and installs it if it is missing.
pub(crate) fn installed(name: &str, version: &str) -> Result<PathBuf> {
    let home = paths::target().join("tools").join(format!("{name}-{version}"));
    let binary = home.join("bin").join(name);
    if !binary.exists() {
        // An unoptimized build takes half the time and still answers in a second.
        Step::cargo(
            format!("cargo install {name} {version} (once)"),
            &["install", "--locked", "--debug", "--version", version, name, "--root"],
        )
        .arg(&home)
        .arg("--target-dir")
        .arg(home.join("build"))
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .limit(LIMIT)
        .run()?;
    }
    Ok(binary)
}
