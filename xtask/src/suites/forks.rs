//! Forks processes with eight busy threads in Rust, C and Python, and checks that no child hangs.
//! Node cannot fork without exec.

use std::time::Duration;

use crate::command::{Result, Step};
use crate::languages::Languages;
use crate::languages::c_programs::{self, Linkage};
use crate::paths;

/// The number of children per language.
const FORKS: u32 = 20_000;

/// The longest run in one language.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// Runs the fork test of each language; returns the closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    let forks = FORKS.to_string();
    let title = |language: &str| format!("{FORKS} forks, {language}");
    let arguments = ["test", "--release", "--features", "testing", "--test", "fork"];
    Step::cargo(title("Rust"), &arguments).env("FORKS", &forks).limit(LIMIT).run()?;
    let source = paths::root().join("tests").join("c").join("fork.c");
    let program =
        c_programs::compile(&languages.toolchain, languages.c()?, &source, Linkage::Static)?;
    Step::new(title("C"), program).env("FORKS", &forks).limit(LIMIT).run()?;
    Step::new(title("Python"), languages.python()?.interpreter())
        .args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider", "tests/test_fork.py"])
        .in_directory(&paths::root().join("bindings-python"))
        .env("FORKS", &forks)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .without_env("PYTHONPATH")
        .limit(LIMIT)
        .run()?;
    Ok(format!("{FORKS} forks in each of 3 languages, no child hung"))
}
