//! What an operator sees: `tests/health` runs a real Prometheus beside workers of Celery and a cluster of
//! Node, the rules of `docs/operate`, and a thousand consumers of which many break.

use std::time::Duration;

use crate::command::Result;
use crate::debian;
use crate::languages::Languages;
use crate::suites::pytest::Pytest;

const TESTS: Pytest = Pytest {
    name: "health",
    program: "tests/health/cluster.mjs",
    variable: "HEALTH_CLUSTER",
    // A minute is normal on two quiet cores.
    limit: Duration::from_secs(8 * 60),
    shown: "healthy deliveries",
    least: 10,
};

/// Runs the tests; returns pytest's closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    debian::ensure(debian::HEALTH)?;
    TESTS.run(languages)
}
