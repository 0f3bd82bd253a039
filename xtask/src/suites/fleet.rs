//! Queues: `tests/fleet` delivers events through Celery, Dramatiq and BullMQ on a Redis that stores what it
//! confirms, and kills workers, the broker and consumers meanwhile.

use std::time::Duration;

use serde_json::json;

use crate::command::{Failure, Output, Result, Step};
use crate::debian;
use crate::languages::Languages;
use crate::paths;
use crate::suites::pytest::{self, Pytest};

const TESTS: Pytest = Pytest {
    name: "fleet",
    program: "tests/fleet/bullmq_app.mjs",
    variable: "FLEET_BULLMQ",
    // Two minutes are normal on two quiet cores.
    limit: Duration::from_secs(10 * 60),
    shown: "fleet: ",
    least: 3,
};

/// The time limit of a run of a million deliveries through each queue.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

/// Runs the tests; returns pytest's closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    debian::ensure(debian::FLEET)?;
    TESTS.run(languages)
}

/// The queues, as the tests name them.
pub(crate) const QUEUES: [&str; 3] = ["celery", "dramatiq", "bullmq"];

/// Delivers this number of events to this number of consumers through each of these queues, once; returns a line
/// about each.
pub(crate) fn run(
    languages: &Languages,
    events: u32,
    consumers: u32,
    queues: &[&str],
) -> Result<Vec<String>> {
    debian::ensure(debian::FLEET)?;
    let output = TESTS
        .step(languages)?
        .args(["-k", &queues.join(" or ")])
        .env("FLEET_EVENTS", events.to_string())
        .env("FLEET_CONSUMERS", consumers.to_string())
        .env("FLEET_RUNS", "1")
        .limit(LONGEST)
        .run()?;
    pytest::closing(&output, |_| false, u32::try_from(queues.len()).expect("three at most"))?;
    Ok(shown(&output))
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
    let lines = shown(&output);
    if lines.len() != 3 {
        return Err(Failure::with_output("expected a line of three queues", output.all));
    }
    Ok(lines)
}

fn shown(output: &Output) -> Vec<String> {
    let lines = output.stdout.lines().filter(|line| line.starts_with(TESTS.shown));
    lines.map(str::to_owned).collect()
}
