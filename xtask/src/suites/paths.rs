//! Public corpora of certificate paths, through the public API: x509-limbo, which lies beside the
//! checkout, and PKITS, which a package of PyPI ships.

use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, Step};
use crate::languages::python::{environment, executable};
use crate::languages::rust;
use crate::paths;
use crate::suites::passed_at_least;
use crate::toolchain::Toolchain;

/// The least numbers of agreeing cases. They catch a lost corpus.
const LIMBO_AT_LEAST: u32 = 172;
const PKITS_AT_LEAST: u32 = 162;

/// Runs both corpora; returns the closing line. Skipped without x509-limbo.
pub(crate) fn test(toolchain: &Toolchain) -> Result<String> {
    let program = rust::test_program("paths")?;
    let run = |corpus: &'static str, place: &Path, least| {
        let step = Step::new(corpus, &program).arg(corpus).arg(place);
        passed_at_least(corpus, least, step.run()?)
    };
    let pkits = run("pkits", &pkits(toolchain)?, PKITS_AT_LEAST)?;
    let limbo = limbo();
    if !limbo.exists() {
        return Err(Failure::skipped(format!(
            "the corpus x509-limbo is not beside this checkout; PKITS: {pkits}"
        )));
    }
    let limbo = run("limbo", &limbo, LIMBO_AT_LEAST)?;
    Ok(format!("x509-limbo: {limbo}; PKITS: {pkits}"))
}

fn limbo() -> PathBuf {
    let corpora = paths::root().join("..").join("shared").join("vectors");
    corpora.join("x509-limbo").join("limbo-core.json")
}

/// Installs the package with PKITS and returns the folder of its data.
fn pkits(toolchain: &Toolchain) -> Result<PathBuf> {
    let requirements = paths::root().join("tests").join("paths").join("requirements.txt");
    let home = environment(toolchain, &paths::target().join("paths"), &requirements)?;
    let ask = "import pathlib, cryptography_vectors; \
               print(pathlib.Path(cryptography_vectors.__file__).parent)";
    let folder = Step::new("PKITS", executable(&home, "python")).args(["-c", ask]).ask()?.stdout;
    Ok(Path::new(folder.trim()).join("x509").join("PKITS_data"))
}
