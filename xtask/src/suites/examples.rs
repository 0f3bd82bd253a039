//! Runs each program of `examples/` unchanged against the embedded receiver.
//!
//! An example runs in a directory with `tls.crt`, `tls.key` and `ca.pem`, as for a user. It finds
//! the receiver's URL in `WMTLS_URL` and its pin in `WMTLS_PIN`. It succeeds if it exits with 0. A
//! Rust example belongs to core, with its file in `examples/`.

use std::path::Path;

use crate::command::{Failure, Result, Step};
use crate::generate::readme;
use crate::languages::Languages;
use crate::languages::c_programs::{self, Linkage};
use crate::languages::lab::{Consumer, Lab};
use crate::languages::rust;
use crate::paths;

/// Checks that the pages show the programs, and runs all of them; returns the closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    readme::check()?;
    let directory = paths::root().join("examples");
    let mut programs = Vec::new();
    for extension in ["c", "py", "mjs", "rs"] {
        for source in paths::files_with_extension(&directory, extension)? {
            programs.push((command(languages, &source, extension)?, source));
        }
    }
    if programs.is_empty() {
        return Err(Failure::new("examples/ has no program"));
    }
    let lab = Lab::start()?;
    let consumer = lab.consumer("acme-rust")?;
    for (command, source) in &programs {
        run(&lab, consumer, &paths::shown(source), command)?;
    }
    Ok(format!("{} passed, 0 failed", programs.len()))
}

fn command(languages: &Languages, source: &Path, extension: &str) -> Result<Vec<String>> {
    let shown = |path: &Path| path.display().to_string();
    Ok(match extension {
        "c" => {
            let library = languages.c()?;
            let toolchain = &languages.toolchain;
            vec![shown(&c_programs::compile(toolchain, library, source, Linkage::Static)?)]
        }
        "py" => vec![shown(&languages.python()?.interpreter()), shown(source)],
        "mjs" => languages.node()?.command(&paths::shown(source)),
        _ => {
            let name = source.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            vec![shown(&rust::test_program(name)?)]
        }
    })
}

fn run(lab: &Lab, consumer: &Consumer, name: &str, command: &[String]) -> Result {
    Step::new(name, &command[0])
        .args(&command[1..])
        .in_directory(lab.material())
        .env("WMTLS_URL", &consumer.url)
        .env("WMTLS_PIN", &consumer.pin)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .run()
        .map(drop)
}
