//! The slow proofs of `cargo xtask package --all`: parts that each compile for minutes. A part can be
//! repeated alone by its name. After a failed part, the others still run.

use crate::command::{Failure, Result};
use crate::packages::Order;
use crate::paths;
use crate::reports::soak;

/// A slow proof of the packages of one language.
pub(crate) struct Part {
    /// Its name after `--all`.
    pub(crate) name: &'static str,
    /// Returns its result as a line for `docs/packages.md`.
    pub(crate) run: fn(&Order) -> Result<String>,
}

/// The results of one run.
#[derive(Default)]
pub(crate) struct Results {
    failed: Vec<String>,
}

impl Results {
    /// Adds the result of a part to the page, with the date, or shows its failure.
    pub(crate) fn add(&mut self, name: &str, result: Result<String>) -> Result {
        let result = match result {
            Ok(line) => return record(&format!("{name}: {line}")),
            Err(failure) => failure,
        };
        result.show();
        if !result.is_skipped() {
            self.failed.push(name.to_owned());
        }
        Ok(())
    }

    /// Fails with the names of the failed parts.
    pub(crate) fn end(self) -> Result {
        if self.failed.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!("these parts failed: {}", self.failed.join(", "))))
    }
}

/// The page of the results, from the root of the workspace.
pub(super) const PAGE: &str = "docs/packages.md";

fn record(result: &str) -> Result {
    let page = paths::root().join(PAGE);
    let line = format!("- {}: {result}\n", soak::today()?);
    print!("\n{line}");
    paths::write(&page, &(paths::read(&page)? + &line))
}

#[cfg(test)]
mod tests {
    use super::Results;
    use crate::command::Failure;

    #[test]
    fn a_failed_part_is_named_at_the_end_and_a_skipped_one_is_not() {
        let mut results = Results::default();
        results.add("musl", Err(Failure::skipped("no apt-get"))).unwrap();
        results.add("semver", Err(Failure::new("a function is gone"))).unwrap();
        let failure = results.end().err().unwrap();
        assert!(failure.what().contains("semver") && !failure.what().contains("musl"));
        assert!(Results::default().end().is_ok());
    }
}
