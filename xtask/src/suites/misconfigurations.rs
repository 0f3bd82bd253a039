//! Misconfigurations: `tests/misconfigurations` makes each with real files and servers, and compares
//! what the library says with what it must say. Needs permission to make namespaces.

use std::time::Duration;

use serde_json::{Value, json};

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::languages::Languages;
use crate::languages::c_programs::{self, Linkage};
use crate::languages::rust;
use crate::paths;
use crate::profile::Profile;
use crate::suites::passed_at_least;
use crate::toolchain::Toolchain;

/// The minimum number of cases that pass. It catches a suite that loses cases.
const AT_LEAST: u32 = 880;

/// The cases take half a minute, and those of the command 20 s.
const LIMIT: Duration = Duration::from_secs(3 * 60);

/// Own names, addresses and ports; the end of the process that runs the cases ends all others.
const APART: [&str; 6] = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// `cargo xtask misconfigurations`: runs the cases, and writes the page of what was said.
pub(crate) fn write() -> Result {
    let languages = Languages::new(Toolchain::find()?, Profile::Dev);
    let closing = run(&languages, true)?;
    println!("\n{closing}");
    Ok(())
}

/// Runs the cases; returns their closing line. Fails if the page in `docs/` shows another run.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    run(languages, false)
}

fn run(languages: &Languages, writes: bool) -> Result<String> {
    debian::ensure(debian::PEERS)?;
    if Step::new("a namespace", "unshare").args(APART).arg("true").ask().is_err() {
        let why = "this user cannot make namespaces (unshare --mount --net --pid)";
        return Err(Failure::skipped(why));
    }
    let work = paths::target().join("misconfigurations");
    paths::make_empty(&work)?;
    let tests = paths::root().join("tests");
    let places = ["misconfigurations", "peers", "egress"].map(|place| tests.join(place));
    let path = std::env::join_paths(&places)
        .map_err(|error| Failure::new(format!("the tests cannot be found: {error}")))?;
    let mut step = Step::new("misconfigurations", "unshare")
        .args(APART)
        .arg(languages.python()?.interpreter())
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"])
        .args(["-W", "error", "--tb=short", "-c", "/dev/null", "--rootdir"])
        .arg(&places[0])
        .arg(&places[0])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONPATH", path)
        .env("WMTLS_WORK", &work)
        .env("WMTLS_NODE", &languages.toolchain.node)
        .env("WMTLS_CLIENTS", clients(languages)?.to_string())
        .env("WMTLS_COMMAND", rust::command(Profile::Dev)?)
        .limit(LIMIT);
    if writes {
        step = step.env("WMTLS_WRITE_PAGE", "1");
    }
    passed_at_least("misconfigurations", AT_LEAST, step.run()?)
}

/// Returns the command of each language's program with wrong arguments. The cases have those of
/// Python themselves.
fn clients(languages: &Languages) -> Result<Value> {
    let source = paths::root().join("tests").join("clients").join("arguments.c");
    let c = c_programs::compile(&languages.toolchain, languages.c()?, &source, Linkage::Static)?;
    Ok(json!({
        "c": [c],
        "node": languages.node()?.command("tests/clients/arguments.mjs"),
        "rust": [rust::test_program("arguments")?],
    }))
}
