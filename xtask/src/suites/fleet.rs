//! Queues: `tests/fleet` delivers events through Celery and BullMQ on a Redis that stores what it confirms,
//! and kills workers, the broker and consumers meanwhile.

use std::time::Duration;

use serde_json::json;

use crate::command::{Result, Step};
use crate::debian;
use crate::languages::Languages;
use crate::paths;

/// A minute is normal on two quiet cores.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Runs the tests; returns pytest's closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    debian::ensure(debian::FLEET)?;
    let app = languages.node()?.command("tests/fleet/bullmq_app.mjs");
    let output = Step::new("fleet", languages.python()?.interpreter())
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"])
        .args(["-W", "error", "-o", "addopts=", "-o", "pythonpath=.", "--rootdir=.", "-rP", "."])
        .in_directory(&paths::root().join("tests").join("fleet"))
        .env("FLEET_BULLMQ", json!(app).to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .without_env("PYTHONPATH")
        .limit(LIMIT)
        .run()?;
    for line in output.stdout.lines().filter(|line| line.starts_with("fleet: ")) {
        println!("  {line}");
    }
    Ok(output.last_line().trim_matches(['=', ' ']).to_owned())
}
