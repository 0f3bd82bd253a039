//! Queues: `tests/fleet` delivers events through Celery, Dramatiq and BullMQ on a Redis that stores what it
//! confirms, and kills workers, the broker and consumers meanwhile.

use std::time::Duration;

use crate::command::Result;
use crate::debian;
use crate::languages::Languages;
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
