//! What an operator sees: `tests/health` runs a real Prometheus beside workers of Celery and a cluster of
//! Node, the rules of `docs/operate`, and a thousand consumers of which many break.

use std::time::Duration;

use serde_json::json;

use crate::command::{Result, Step};
use crate::debian;
use crate::languages::Languages;
use crate::paths;

/// A minute is normal on two quiet cores.
const LIMIT: Duration = Duration::from_secs(8 * 60);

/// Runs the tests; returns pytest's closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    debian::ensure(debian::HEALTH)?;
    let cluster = languages.node()?.command("tests/health/cluster.mjs");
    let output = Step::new("health", languages.python()?.interpreter())
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"])
        .args(["-W", "error", "-o", "addopts=", "--rootdir=.", "-rP", "."])
        .in_directory(&paths::root().join("tests").join("health"))
        .env("HEALTH_CLUSTER", json!(cluster).to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .without_env("PYTHONPATH")
        .limit(LIMIT)
        .run()?;
    for line in output.stdout.lines().filter(|line| line.starts_with("healthy deliveries")) {
        println!("  {line}");
    }
    Ok(output.last_line().trim_matches(['=', ' ']).to_owned())
}
