//! Certificate paths through the public API: x509-limbo, which lies beside the checkout, PKITS, which a
//! package of PyPI ships, and generated chains, whose verdicts are compared with other verifiers.

use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, Step};
use crate::languages::python::{environment, executable};
use crate::languages::rust;
use crate::paths;
use crate::suites::passed_at_least;
use crate::toolchain::Toolchain;

/// The least numbers of agreeing cases. They catch a lost corpus.
const LIMBO_AT_LEAST: u32 = 174;
const PKITS_AT_LEAST: u32 = 162;

const REQUIREMENTS: &str = "requirements.txt";

/// The number of generated chains, and their seed. Each change of a chain occurs alone, then in pairs.
const CHAINS: u32 = 300;
const SEED: u32 = 1;

/// Runs both corpora and the generated chains; returns the closing line. Skipped without x509-limbo.
pub(crate) fn test(toolchain: &Toolchain) -> Result<String> {
    let program = rust::test_program("paths")?;
    let run = |corpus: &'static str, place: &Path, least| {
        let step = Step::new(corpus, &program).arg(corpus).arg(place);
        passed_at_least(corpus, least, step.run()?)
    };
    let python = environment(
        &toolchain.python,
        &paths::target().join("paths"),
        &folder().join(REQUIREMENTS),
    )?;
    let python = executable(&python, "python");
    let pkits = run("pkits", &pkits(&python)?, PKITS_AT_LEAST)?;
    let differential = Step::new(format!("{CHAINS} generated chains"), &python)
        .arg(folder().join("differential.py"))
        .arg(&program)
        .args([CHAINS.to_string(), SEED.to_string()])
        .run()?;
    let differential = passed_at_least("differential", CHAINS, differential)?;
    let limbo = limbo();
    if !limbo.exists() {
        return Err(Failure::skipped(format!(
            "the corpus x509-limbo is not beside this checkout; PKITS: {pkits}; \
             generated: {differential}"
        )));
    }
    let limbo = run("limbo", &limbo, LIMBO_AT_LEAST)?;
    Ok(format!("x509-limbo: {limbo}; PKITS: {pkits}; generated: {differential}"))
}

fn limbo() -> PathBuf {
    let corpora = paths::root().join("..").join("shared").join("vectors");
    corpora.join("x509-limbo").join("limbo-core.json")
}

fn folder() -> PathBuf {
    paths::root().join("tests").join("paths")
}

/// Returns the folder of PKITS in the installed package.
fn pkits(python: &Path) -> Result<PathBuf> {
    let ask = "import pathlib, cryptography_vectors; \
               print(pathlib.Path(cryptography_vectors.__file__).parent)";
    let folder = Step::new("PKITS", python).args(["-c", ask]).ask()?.stdout;
    Ok(Path::new(folder.trim()).join("x509").join("PKITS_data"))
}
