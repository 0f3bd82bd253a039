//! The dialects in which users compile the headers: each C standard since C11, and C++20, with two
//! compilers.

use std::path::PathBuf;

use crate::command::{Result, Step};
use crate::languages::c_library::CLibrary;
use crate::languages::c_programs::WARNINGS;
use crate::paths;

/// Compilers of C and of C++ from the packages of `debian::C`.
const COMPILERS: [(&str, &str); 2] = [("gcc", "g++"), ("clang", "clang++")];

/// `c2x` is the name of C23 that old and new compilers know.
const STANDARDS: [&str; 3] = ["-std=c11", "-std=c17", "-std=c2x"];

/// The arguments that make a compiler read a C file as C++20.
pub(crate) const CPLUSPLUS: [&str; 3] = ["-std=c++20", "-x", "c++"];

/// Returns the path of a compiler.
pub(crate) fn compiler(name: &str) -> PathBuf {
    paths::program(name).unwrap_or_else(|| name.into())
}

/// Checks all programs, and so the headers, in every dialect. Returns the number of dialects.
pub(crate) fn check(library: &CLibrary, programs: &[PathBuf]) -> Result<u32> {
    let mut checked = 0;
    for (c, cplusplus) in COMPILERS {
        for standard in STANDARDS {
            syntax(c, &[standard], library, programs)?;
            checked += 1;
        }
        syntax(cplusplus, &CPLUSPLUS, library, programs)?;
        checked += 1;
    }
    Ok(checked)
}

fn syntax(name: &str, dialect: &[&str], library: &CLibrary, programs: &[PathBuf]) -> Result {
    let shown = dialect[0].trim_start_matches("-std=");
    Step::new(format!("{} C programs as {shown}, {name}", programs.len()), compiler(name))
        .args(dialect)
        .args(WARNINGS)
        .arg("-fsyntax-only")
        .arg("-DSHARED_LIBRARY=\"\"")
        .arg("-I")
        .arg(library.include())
        .args(programs)
        .run()
        .map(drop)
}
