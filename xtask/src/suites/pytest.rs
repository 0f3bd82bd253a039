//! A suite that pytest runs on the installed wheel.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::dev::number_before;
use crate::command::{Failure, Output, Result, Step};
use crate::languages::{Languages, python};
use crate::paths;

/// Tests of pytest in a directory of `tests/`, with a program of Node beside them.
pub(super) struct Pytest {
    /// The directory, and the name of the suite.
    pub(super) name: &'static str,
    /// The program, and the variable in which the tests find its command, as JSON.
    pub(super) program: &'static str,
    pub(super) variable: &'static str,
    pub(super) limit: Duration,
    /// The start of the lines that the suite shows.
    pub(super) shown: &'static str,
    /// The minimum number of tests that pass. It catches a suite that loses tests.
    pub(super) least: u32,
}

impl Pytest {
    /// Runs the tests; returns pytest's closing line.
    pub(super) fn run(&self, languages: &Languages) -> Result<String> {
        let output = self.step(languages)?.limit(self.limit).run()?;
        closing(&output, |line| line.starts_with(self.shown), self.least)
    }

    /// Returns a run of all tests.
    pub(super) fn step(&self, languages: &Languages) -> Result<Step> {
        let program = languages.node()?.command(self.program);
        let step = step(self.name, self.name, &languages.python()?.interpreter())
            .args(["-o", "pythonpath=.", "-rP", "."])
            .env(self.variable, json!(program).to_string());
        Ok(step)
    }
}

/// Returns a run of pytest in a directory of `tests/`, to which the caller adds the tests.
pub(super) fn step(title: &str, directory: &str, interpreter: &Path) -> Step {
    Step::new(title, interpreter)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"])
        .args(["-W", "error", "-o", "addopts=", "--rootdir=."])
        .in_directory(&paths::root().join("tests").join(directory))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .without_env("PYTHONPATH")
}

/// Shows some lines, and returns pytest's closing line. Fails if fewer than `least` tests passed.
pub(super) fn closing(
    output: &Output,
    is_shown: impl Fn(&str) -> bool,
    least: u32,
) -> Result<String> {
    for line in output.stdout.lines().filter(|line| is_shown(line)) {
        println!("  {line}");
    }
    let closing = python::counted(output);
    if number_before(&closing, " passed") < least {
        return Err(Failure::new(format!("{closing}, expected at least {least}")));
    }
    Ok(closing)
}
