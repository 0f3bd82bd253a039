//! The command: `tests/command` runs it beside openssl, curl, Node and Python, and at a terminal.

use std::time::Duration;

use crate::command::{Result, Step};
use crate::debian;
use crate::languages::Languages;
use crate::languages::rust;
use crate::packages::command::pages;
use crate::paths;
use crate::profile::Profile;
use crate::suites::passed_at_least;

/// The minimum number of cases that pass. It catches a suite that loses cases.
const AT_LEAST: u32 = 40;

/// The cases take half a minute.
const LIMIT: Duration = Duration::from_secs(2 * 60);

/// Runs the cases; returns their closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    debian::ensure(debian::COMMAND)?;
    debian::ensure(debian::BROWSER)?;
    let program = rust::command(Profile::Dev)?;
    let work = paths::target().join("command");
    paths::make_empty(&work)?;
    let made = work.join("pages");
    pages(&made)?;
    let output = Step::new("the command", &languages.toolchain.python)
        .arg(paths::root().join("tests").join("command").join("run.py"))
        .arg("--command")
        .arg(program)
        .arg("--node")
        .arg(&languages.toolchain.node)
        .arg("--pages")
        .arg(&made)
        .arg("--work")
        .arg(&work)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .limit(LIMIT)
        .run()?;
    passed_at_least("command", AT_LEAST, output)
}
