//! Files that rotate under deliveries, in every way and for long, and reloads at flat memory and
//! descriptors.

use crate::command::{Result, Step};
use crate::languages::rust;
use crate::suites::leak_check;

/// For how long each way is gone.
const SECONDS: u32 = 60;

const RELOADS: u32 = 10_000;

/// Runs the program; returns the closing line.
pub(crate) fn test() -> Result<String> {
    let output = Step::new(
        format!("rotation, {SECONDS} s a way, and {RELOADS} reloads"),
        rust::test_program("rotate")?,
    )
    .args([SECONDS.to_string(), RELOADS.to_string()])
    .run()?;
    let told = leak_check::told("rotate", &output)?;
    leak_check::judge(&format!("{RELOADS} reloads"), &told["reloads"])
}
