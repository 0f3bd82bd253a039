//! The examples that are services: folders of `examples/` with a `start.sh`. `tests/examples` starts them as a
//! user does.

use std::path::Path;
use std::time::Duration;

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::languages::Languages;
use crate::languages::c_library::Flavour;
use crate::packages::c_install::{Places, install};
use crate::paths;
use crate::profile::Profile;
use crate::suites::pytest;

/// The name of the script that starts all services of an example.
const SCRIPT: &str = "start.sh";

/// Half a minute is normal on two quiet cores.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// The minimum number of tests that pass. It catches a suite that loses tests.
const AT_LEAST: u32 = 18;

/// Returns whether a folder of `examples/` is such an example.
pub(super) fn is_example(folder: &Path) -> bool {
    folder.join(SCRIPT).exists()
}

/// Runs the tests; returns pytest's closing line.
///
/// * `command`: the program `webhook-mtls`.
pub(super) fn test(languages: &Languages, command: &Path) -> Result<String> {
    debian::ensure(debian::SERVICES)?;
    // A build may take longer than a test may wait. The start script builds it again, which does nothing.
    let axum = ["build", "--locked", "--package", "webhook-mtls-example-axum"];
    Step::cargo("the example with axum (dev)", &axum).run()?;
    let python = languages.python()?.interpreter();
    let node = languages.node()?.command("examples");
    let examples = node.last().ok_or_else(|| Failure::new("Node has no command"))?;
    // The directories of other programs stay behind: that of Node may have a Rust of Debian, too.
    let programs = [&python, command].map(|program| {
        let folder = program.parent().unwrap_or(Path::new("/"));
        folder.display().to_string()
    });
    let path = format!("{}:{}", programs.join(":"), std::env::var("PATH").unwrap_or_default());
    let output = pytest::step("examples with services", "examples", &python)
        .args(["--durations=5", "."])
        .env("EXAMPLES_NODE", examples)
        .env("EXAMPLES_RELAY", paths::built(Profile::Dev, "axum_sender"))
        .env("PATH", path)
        .env("EXAMPLES_PKG_CONFIG", pkg_config(languages)?)
        .limit(LIMIT)
        .run()?;
    pytest::closing(&output, |line| line.contains("s call "), AT_LEAST)
}

/// Installs the C library as for a user; returns the directory of its pkg-config files.
fn pkg_config(languages: &Languages) -> Result<String> {
    let prefix = paths::target().join("examples").join("prefix");
    paths::make_empty(&prefix)?;
    let libdir = prefix.join("lib");
    let found = libdir.join("pkgconfig").display().to_string();
    let places = Places { destdir: Path::new("").to_path_buf(), prefix, libdir };
    install(languages.c()?, languages.profile(), &places, &[Flavour::Production])?;
    Ok(found)
}
