//! Queues: `tests/fleet` delivers events through Celery, Dramatiq and BullMQ on a Redis that stores what it
//! confirms, and kills workers, the broker and consumers meanwhile.

use std::time::Duration;

use serde_json::json;

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::languages::Languages;
use crate::paths;
use crate::suites::pytest::Pytest;

const TESTS: Pytest = Pytest {
    name: "fleet",
    program: "tests/fleet/bullmq_app.mjs",
    variable: "FLEET_BULLMQ",
    // Two minutes are normal on two quiet cores.
    limit: Duration::from_secs(10 * 60),
    shown: "fleet: ",
    least: 3,
};

/// Runs the tests; returns pytest's closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    debian::ensure(debian::FLEET)?;
    TESTS.run(languages)
}

/// Delivers through each queue for some minutes; returns a line about each. Fails if a process grows.
pub(crate) fn soak(languages: &Languages, minutes: u64) -> Result<Vec<String>> {
    debian::ensure(debian::FLEET)?;
    let program = languages.node()?.command(TESTS.program);
    let output = Step::new("fleet, soak", languages.python()?.interpreter())
        .arg(paths::root().join("tests").join("fleet").join("soak.py"))
        .arg(minutes.to_string())
        .env(TESTS.variable, json!(program).to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .limit(TESTS.limit + Duration::from_secs(minutes * 60))
        .run()?;
    let lines = output.stdout.lines().filter(|line| line.starts_with(TESTS.shown));
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    if lines.len() != 3 {
        return Err(Failure::with_output("expected a line of three queues", output.all));
    }
    Ok(lines)
}
