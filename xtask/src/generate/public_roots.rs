//! Generates `core/src/material/public_roots.txt`, the digests of the web roots that core refuses, and
//! `core/tests/public_roots.tsv`, their names. `xtask/public_roots.py` collects the roots.

use std::time::Duration;

use crate::command::{Result, Step};
use crate::paths;
use crate::toolchain::Toolchain;

/// The time for a first run, which downloads two gigabytes.
const LIMIT: Duration = Duration::from_secs(3600);

/// `cargo xtask public-roots`.
pub(crate) fn write() -> Result {
    let toolchain = Toolchain::find()?;
    let output = Step::new("public roots", &toolchain.python)
        .arg(paths::root().join("xtask").join("public_roots.py"))
        .arg(paths::target().join("public-roots"))
        .limit(LIMIT)
        .run()?;
    print!("{}", output.stdout);
    Ok(())
}
