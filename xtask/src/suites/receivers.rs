//! Receivers behind real proxies: `tests/receivers` starts both and forges requests.

use std::time::Duration;

use serde_json::json;

use crate::command::{Result, Step};
use crate::debian;
use crate::languages::Languages;
use crate::languages::{python, rust};
use crate::paths;
use crate::profile::Profile;
use crate::suites::passed_at_least;

/// The minimum number of checks that pass. It catches a suite that loses cases.
const AT_LEAST: u32 = 850;

/// The applications and the proxies start one after the other. A minute is normal; more is a hang.
const LIMIT: Duration = Duration::from_secs(4 * 60);

/// Runs every proxy in front of every application; returns the closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    debian::ensure(debian::RECEIVERS)?;
    let node = languages.node()?;
    let node = json!({
        "express": node.command("tests/receivers/express_app.mjs"),
        "fastify": node.command("tests/receivers/fastify_app.mjs"),
    });
    let sources = paths::root().join("tests").join("receivers");
    let proxies = paths::target().join("python").join("proxies");
    let requirements = sources.join("requirements.txt");
    let proxies = python::environment(&languages.toolchain.python, &proxies, &requirements)?;
    let work = paths::target().join("receivers");
    paths::make_empty(&work)?;
    let output = Step::new("receivers behind real proxies", languages.python()?.interpreter())
        .arg(sources.join("run.py"))
        .arg("--work")
        .arg(&work)
        .arg("--command")
        .arg(rust::command(Profile::Dev)?)
        .arg("--proxies")
        .arg(python::executable(&proxies, "python"))
        .arg("--node")
        .arg(node.to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .limit(LIMIT)
        .run()?;
    passed_at_least("receivers", AT_LEAST, output)
}
