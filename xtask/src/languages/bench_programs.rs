//! Builds the clients of `benches/`, and returns the command of each.

use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, Step};
use crate::languages::Languages;
use crate::languages::c_programs::{self, Linkage};
use crate::languages::python;
use crate::languages::rust;
use crate::paths;
use crate::toolchain::Toolchain;

/// Returns a client's program and its first arguments; the common arguments follow.
pub(crate) fn command(languages: &Languages, client: &str) -> Result<Vec<String>> {
    let toolchain = &languages.toolchain;
    let sources = paths::root().join("benches");
    let home = paths::target().join("bench");
    let words = match client {
        "floor" => vec![rust::bench_program("bench_floor")?],
        "rust" => vec![rust::bench_program("bench_ours")?],
        "c" => {
            let source = sources.join("ours.c");
            vec![c_programs::compile(toolchain, languages.c()?, &source, Linkage::Static)?]
        }
        "python" => vec![languages.python()?.interpreter(), sources.join("ours.py")],
        "node" => return Ok(languages.node()?.command("benches/ours.mjs")),
        "hyper" => vec![rust::bench_program("bench_hyper")?],
        "libcurl" => vec![libcurl(toolchain, &sources, &home)?],
        "pycurl" => vec![with_peers(toolchain, &sources, &home)?, sources.join("pycurl_client.py")],
        "fresh" => {
            vec![languages.python()?.interpreter(), sources.join("fresh.py"), "webhook_mtls".into()]
        }
        "fresh_pycurl" => {
            let python = with_peers(toolchain, &sources, &home)?;
            vec![python, sources.join("fresh.py"), "pycurl".into()]
        }
        "start" | "start_python" | "start_node" => start(languages, &sources, client)?,
        "undici" => vec![toolchain.node.clone(), undici(&sources, &home)?],
        other => return Err(Failure::new(format!("benches/ has no client {other}"))),
    };
    Ok(words.iter().map(|word| word.display().to_string()).collect())
}

/// Returns the measurement of a start of the command: the program's, or that of a package beside its
/// interpreter.
fn start(languages: &Languages, sources: &Path, client: &str) -> Result<Vec<PathBuf>> {
    let python = languages.python()?.interpreter();
    let measured = match client {
        "start_python" => vec![python.with_file_name("webhook-mtls"), python.clone()],
        "start_node" => {
            vec![languages.node()?.installed_command(), languages.toolchain.node.clone()]
        }
        _ => vec![rust::command(languages.profile())?],
    };
    let first = [python, sources.join("start.py")];
    Ok(first.into_iter().chain(measured).chain(["--".into()]).collect())
}

fn libcurl(toolchain: &Toolchain, sources: &Path, home: &Path) -> Result<PathBuf> {
    let program = home.join("libcurl");
    paths::make_directory(home)?;
    Step::new("compile libcurl.c", &toolchain.cc)
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2"])
        .arg(sources.join("libcurl.c"))
        .arg("-o")
        .arg(&program)
        .arg("-lcurl")
        .run()?;
    Ok(program)
}

/// Returns the interpreter of a virtual environment that has the peers in Python.
fn with_peers(toolchain: &Toolchain, sources: &Path, home: &Path) -> Result<PathBuf> {
    let requirements = sources.join("requirements.txt");
    let environment = python::environment(&toolchain.python, &home.join("python"), &requirements)?;
    Ok(python::executable(&environment, "python"))
}

/// Returns the directory with the packages of the peers in Python, for `PYTHONPATH`.
pub(crate) fn peers_in_python(toolchain: &Toolchain) -> Result<PathBuf> {
    let home = paths::target().join("bench");
    let python = with_peers(toolchain, &paths::root().join("benches"), &home)?;
    let ask = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let output = Step::new("place of the packages", python).args(["-c", ask]).ask()?;
    Ok(PathBuf::from(output.stdout.trim()))
}

/// Returns the directory with the packages of the peer in Node.
pub(crate) fn peers_in_node() -> Result<PathBuf> {
    let home = paths::target().join("bench");
    let program = undici(&paths::root().join("benches"), &home)?;
    Ok(program.with_file_name("node_modules"))
}

/// Installs undici beside a copy of its program, because Node resolves packages from there.
fn undici(sources: &Path, home: &Path) -> Result<PathBuf> {
    let home = home.join("node");
    for name in ["undici.mjs", "measure.mjs", "package.json", "package-lock.json"] {
        paths::copy(&sources.join(name), &home.join(name))?;
    }
    if !home.join("node_modules").join("undici").exists() {
        Step::new("npm ci undici", "npm")
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
            .in_directory(&home)
            .run()?;
    }
    Ok(home.join("undici.mjs"))
}
