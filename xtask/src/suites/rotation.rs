//! Rotates files during deliveries, with each rotation method and for a long time, and checks that
//! many reloads do not grow memory and descriptors.

use crate::command::{Result, Step};
use crate::languages::rust;
use crate::suites::leak_check;

/// The duration of each rotation method.
const SECONDS: u32 = 60;

const RELOADS: u32 = 10_000;

/// Runs the program; returns the closing line.
pub(crate) fn test() -> Result<String> {
    let output = Step::new(
        format!("rotation, {SECONDS} s per method, and {RELOADS} reloads"),
        rust::test_program("rotate")?,
    )
    .args([SECONDS.to_string(), RELOADS.to_string()])
    .run()?;
    let report = leak_check::report("rotate", &output)?;
    leak_check::check_growth(&format!("{RELOADS} reloads"), &report["reloads"])
}
