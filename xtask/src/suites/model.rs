//! Makes random calls to a dispatcher during deliveries: after each call, nothing starts on values
//! that it replaced.

use std::time::UNIX_EPOCH;

use crate::command::{Result, Step};
use crate::languages::rust;

const STEPS: u32 = 100_000;

/// Runs the program with a new seed each time; returns the closing line.
pub(crate) fn test() -> Result<String> {
    let seed = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let output =
        Step::new(format!("{STEPS} random calls, seed {seed}"), rust::test_program("model")?)
            .args([STEPS.to_string(), seed.to_string()])
            .run()?;
    Ok(format!("{STEPS} random calls, seed {seed}: {}", output.stdout.trim()))
}
