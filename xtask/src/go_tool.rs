//! Programs written in Go, built once into `target/tools` with the Go of the machine. Go keeps what it has
//! compiled in the cache of the user.

use std::path::PathBuf;
use std::time::Duration;

use crate::command::{Failure, Result, Step};
use crate::paths;

/// The oldest Go that builds them. Debian 12 has one that is too old, so nothing is installed.
const GO: u32 = 25;

/// A program of a Go module, at one version.
pub(crate) struct GoTool {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    pub(crate) how: How,
}

pub(crate) enum How {
    /// By name and version. Nothing of it is in C.
    Listed,
    /// In a module of its own: `go install PACKAGE@VERSION` asks for the list of all versions, which the
    /// proxy refuses. A part of it is in C.
    Unlisted,
}

/// The first build of the largest takes a quarter of an hour.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// Builds a program if it is not there, and returns its path.
pub(crate) fn installed(tool: &GoTool) -> Result<PathBuf> {
    let GoTool { name, package, version, how } = tool;
    let place = paths::target().join("tools").join(format!("{name}-{version}"));
    let program = place.join(name);
    if program.exists() {
        return Ok(program);
    }
    let go = go(name)?;
    let released = format!("{package}@{version}");
    let install = |what: &str| {
        let step = Step::new(format!("go install {released}"), &go).args(["install", what]);
        step.env("GOBIN", &place).limit(LIMIT)
    };
    match how {
        How::Listed => install(&released).env("CGO_ENABLED", "0").run()?,
        How::Unlisted => {
            let home = place.join("module");
            paths::make_empty(&home)?;
            paths::write(&home.join("go.mod"), "module tools\n")?;
            let get =
                Step::new(format!("go get {released}"), &go).args(["get", "-tool", &released]);
            get.in_directory(&home).limit(LIMIT).run()?;
            // The tests need no fast SQLite.
            let step = install(package).in_directory(&home).env("CGO_ENABLED", "1");
            step.env("CGO_CFLAGS", "-O1").run()?
        }
    };
    Ok(program)
}

fn go(of: &str) -> Result<PathBuf> {
    let why = || Failure::skipped(format!("{of} needs Go 1.{GO} or later on PATH"));
    let go = paths::program("go").ok_or_else(why)?;
    let version = Step::new("go version", &go).args(["env", "GOVERSION"]).ask()?;
    match minor(version.stdout.trim()) {
        Some(minor) if minor >= GO => Ok(go),
        _ => Err(why()),
    }
}

/// Reads `go1.26.8`.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("go1.")?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::minor;

    #[test]
    fn the_version_of_go_is_read() {
        assert_eq!(minor("go1.26.8"), Some(26));
        assert_eq!(minor("go1.25"), Some(25));
        assert_eq!(minor("devel go1.27-abc"), None);
    }
}
