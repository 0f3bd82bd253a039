//! `cargo xtask test python|node|c --dev`: the loop of a maintainer who changes the core. It
//! rebuilds one binding incrementally, places it beside copies of its sources below the target
//! directory, and runs the quick tests. It makes no wheel and no tarball, and runs no linter and no
//! memory checker.
//!
//! A name after `--dev` selects the tests whose name contains it, slow ones included.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::command::{Failure, Result, Step, shown_duration};
use crate::languages::{c_programs, node, python};
use crate::paths;
use crate::profile::Profile;
use crate::toolchain::Toolchain;

/// The suites that have a quick form.
const LANGUAGES: [&str; 3] = ["c", "python", "node"];

/// A file of C or Node tests with these words is slow, and runs only if it is named. Python marks
/// single tests as slow.
const SLOW: &str = "--dev` leaves this file out";

/// Runs the quick form of the named suites.
pub(crate) fn run(languages: &[&str], name: Option<&str>) -> Result {
    if languages.is_empty() || languages.iter().any(|language| !LANGUAGES.contains(language)) {
        return Err(Failure::new(format!("--dev needs one of {}", LANGUAGES.join(", "))));
    }
    let toolchain = Toolchain::find()?;
    for &language in languages {
        let started = Instant::now();
        let passed = match language {
            "c" => c_programs::test_quickly(&toolchain, name)?,
            "python" => python::test_quickly(&toolchain, name)?,
            _ => node::test_quickly(&toolchain, name)?,
        };
        if passed == 0 {
            return Err(Failure::new(format!("{language}: no test has this name")));
        }
        let took = shown_duration(started.elapsed());
        println!("\n{language}: built and {passed} passed, 0 failed, in {took}");
    }
    Ok(())
}

/// Keeps the files that are not slow. Keeps all if a name selects tests.
pub(crate) fn keep_quick(files: &mut Vec<PathBuf>, name: Option<&str>) -> Result {
    for at in (0..files.len()).rev() {
        if name.is_none() && paths::read(&files[at])?.contains(SLOW) {
            files.remove(at);
        }
    }
    Ok(())
}

/// Builds the shared library of one package and returns its path. The incremental cache makes the
/// build after a small change several times faster.
pub(crate) fn library(package: &str, built_as: &str) -> Result<PathBuf> {
    let arguments = ["rustc", "--locked", "--lib", "--crate-type", "cdylib", "--package", package];
    Step::cargo(format!("rebuild {package}"), &arguments).env("CARGO_INCREMENTAL", "1").run()?;
    let name = format!("{built_as}{}", std::env::consts::DLL_SUFFIX);
    Ok(paths::built(Profile::Dev, &name))
}

/// Returns how many processes run tests at once. Most tests wait, so there are two for each core.
pub(crate) fn workers() -> usize {
    2 * thread::available_parallelism().map_or(1, usize::from)
}

/// Runs `test` for every item, several at once, and adds what it counts. Returns the first failure
/// after all have finished.
pub(crate) fn in_parallel<T: Sync>(
    items: &[T],
    test: impl Fn(&T) -> Result<u32> + Sync,
) -> Result<u32> {
    with_workers(workers(), items, test)
}

/// Does the same with this many at once.
pub(crate) fn with_workers<T: Sync>(
    workers: usize,
    items: &[T],
    test: impl Fn(&T) -> Result<u32> + Sync,
) -> Result<u32> {
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Ok(0));
    thread::scope(|scope| {
        for _ in 0..workers.min(items.len()) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let counted = test(item);
                    let mut total = total.lock().expect("no holder panics");
                    *total = match (std::mem::replace(&mut *total, Ok(0)), counted) {
                        (Ok(sum), Ok(count)) => Ok(sum + count),
                        (Err(first), _) | (Ok(_), Err(first)) => Err(first),
                    };
                }
            });
        }
    });
    total.into_inner().expect("no holder panics")
}

/// Returns the number before a word, or 0.
pub(crate) fn number_before(line: &str, word: &str) -> u32 {
    let Some(end) = line.find(word) else { return 0 };
    line[..end].rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{in_parallel, number_before, run};
    use crate::command::Failure;

    #[test]
    fn counts_are_added_and_a_failure_is_kept() {
        assert_eq!(in_parallel(&[1, 2, 3], |&count| Ok(count)).unwrap(), 6);
        let failed = in_parallel(&[1, 2, 3], |&count| match count {
            2 => Err(Failure::new("two failed")),
            count => Ok(count),
        });
        assert_eq!(failed.unwrap_err().what(), "two failed");
    }

    #[test]
    fn the_closing_line_of_pytest_has_the_count() {
        assert_eq!(number_before("395 passed, 12 deselected in 8.1s", " passed"), 395);
        assert_eq!(number_before("no tests ran in 0.01s", " passed"), 0);
    }

    #[test]
    fn only_bindings_have_a_quick_form() {
        assert!(run(&["peers"], None).unwrap_err().what().contains("python"));
        assert!(run(&[], None).is_err());
    }
}
