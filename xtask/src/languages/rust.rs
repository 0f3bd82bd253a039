//! The Rust build: formatting, lints, tests, and the Rust programs of `tests/` and `benches/`.

use std::path::PathBuf;

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::paths;
use crate::profile::Profile;
use crate::suites::dev::number_before;

/// These crates are shared objects for an interpreter, which runs their tests.
const FOR_INTERPRETERS: [&str; 3] =
    ["webhook-mtls-python", "webhook-mtls-python-testing", "webhook-mtls-node"];

/// The feature of the peer of the bench, which other programs there do not need.
const PEER: &str = "webhook-mtls-benches/hyper";

/// The prefix of the line with the reason why a test did not run.
const SKIPPED: &str = "SKIPPED: ";

pub(crate) fn format() -> Result<String> {
    Step::cargo("cargo fmt --check", &["fmt", "--all", "--check"]).run()?;
    Ok("formatted".to_owned())
}

pub(crate) fn lint() -> Result<String> {
    // A second run lints the features that add the testing kit. An extension module has no tests.
    let arguments = ["clippy", "--locked", "--workspace", "--all-targets", "--features", PEER];
    Step::cargo("cargo clippy", &arguments).args(["--", "-D", "warnings"]).run()?;
    Step::cargo(
        "cargo clippy, with the testing kit",
        &[
            "clippy",
            "--locked",
            "--package",
            "webhook-mtls",
            "--all-features",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    )
    .run()?;
    Ok("no warnings".to_owned())
}

pub(crate) fn test() -> Result<String> {
    let mut arguments = vec!["test", "--locked", "--workspace", "--all-features"];
    for name in FOR_INTERPRETERS {
        arguments.extend(["--exclude", name]);
    }
    debian::ensure(debian::KIT)?;
    let output = Step::cargo("cargo test", &arguments).run()?;
    let count = Count::of(&output.all);
    if count.passed == 0 {
        return Err(Failure::with_output("cargo test ran no test", output.all));
    }
    let closing =
        format!("{} passed, {} failed, {} ignored", count.passed, count.failed, count.ignored);
    // A test that cannot run here prints this past the harness, which hides the output of passing
    // tests.
    let skipped: Vec<&str> =
        output.all.lines().filter_map(|line| line.strip_prefix(SKIPPED)).collect();
    if skipped.is_empty() {
        return Ok(closing);
    }
    Err(Failure::skipped(format!("{}; {closing}", skipped.join("; "))))
}

/// Builds a program of `tests/` and returns its path.
pub(crate) fn test_program(name: &str) -> Result<PathBuf> {
    program("webhook-mtls-test-programs", name, Profile::Dev)
}

/// Builds programs of `tests/` in one run of cargo.
pub(crate) fn build_test_programs(names: &[String]) -> Result {
    let mut arguments = vec!["build", "--locked", "--package", "webhook-mtls-test-programs"];
    for name in names {
        arguments.extend(["--bin", name]);
    }
    Step::cargo("the Rust programs (dev)", &arguments).run().map(drop)
}

/// Builds and runs test targets of `tests/`.
pub(crate) fn run_tests_of_programs(names: &[String]) -> Result {
    let mut arguments = vec!["test", "--locked", "--package", "webhook-mtls-test-programs"];
    for name in names {
        arguments.extend(["--test", name]);
    }
    Step::cargo("the Rust tests (dev)", &arguments).run().map(drop)
}

/// Builds an example of a crate, and returns its path.
pub(crate) fn example(package: &str, name: &str) -> Result<PathBuf> {
    let arguments = ["build", "--locked", "--package", package, "--example", name];
    Step::cargo(format!("{name} (dev)"), &arguments).run()?;
    Ok(paths::built(Profile::Dev, "examples").join(name))
}

/// Builds the command `webhook-mtls`, and returns its path.
pub(crate) fn command(profile: Profile) -> Result<PathBuf> {
    program("webhook-mtls-command", "webhook-mtls", profile)
}

/// Builds a program of `benches/` with the profile of the packages, and returns its path.
pub(crate) fn bench_program(name: &str) -> Result<PathBuf> {
    let features: &[&str] = if name == "bench_hyper" { &["--features", PEER] } else { &[] };
    program_with("webhook-mtls-benches", name, Profile::Shipped, features)
}

fn program(package: &str, name: &str, profile: Profile) -> Result<PathBuf> {
    program_with(package, name, profile, &[])
}

fn program_with(package: &str, name: &str, profile: Profile, features: &[&str]) -> Result<PathBuf> {
    let arguments =
        ["build", "--locked", "--profile", profile.name(), "--package", package, "--bin", name];
    let step = Step::cargo(format!("{name} ({})", profile.name()), &arguments).args(features);
    profile.apply(step).run()?;
    Ok(paths::built(profile, name))
}

/// The sum of the results of all `cargo test` binaries.
#[derive(Debug, Default, PartialEq)]
struct Count {
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl Count {
    fn of(output: &str) -> Count {
        let mut count = Count::default();
        for line in output.lines().filter(|line| line.starts_with("test result:")) {
            count.passed += number_before(line, " passed");
            count.failed += number_before(line, " failed");
            count.ignored += number_before(line, " ignored");
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::Count;

    #[test]
    fn the_results_of_all_binaries_are_added() {
        let output = "\
running 2 tests
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: FAILED. 40 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out
";
        assert_eq!(Count::of(output), Count { passed: 42, failed: 1, ignored: 3 });
    }
}
