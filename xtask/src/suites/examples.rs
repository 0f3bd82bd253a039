//! Runs the programs of `examples/` that the README and the pages of `docs/` show, unchanged, against
//! the embedded receiver.
//!
//! A program is in `examples/` itself, or in the folder of a page: `examples/send/` for
//! `docs/send.md`. It runs in a directory of its own with `tls.crt`, `tls.key` and `ca.pem`, as for a
//! user. It finds the receiver's URL in `WMTLS_URL`, its pin in `WMTLS_PIN` and the URI in its certificate
//! in `WMTLS_SERVER_URI`. It succeeds if it exits with 0. Programs of the page about the testing kit are
//! tests, and their runner says whether they pass. A Rust example is a program of `tests/`. `services.rs` runs
//! the folders that have a start script.

use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, Step};
use crate::generate::readme;
use crate::languages::Languages;
use crate::languages::c_programs::{self, Linkage};
use crate::languages::lab::{Consumer, Lab};
use crate::languages::rust;
use crate::paths;
use crate::profile::Profile;
use crate::suites::services;

/// The folder whose programs are tests.
const TESTS: &str = "testing";

/// The files of the lab that each program gets a copy of.
const MATERIAL: [&str; 6] =
    ["tls.crt", "tls.key", "ca.pem", "tls.crt.new", "tls.key.new", "new-ca.pem"];

/// The extensions of programs, and their languages.
const LANGUAGES: [(&str, &str); 5] =
    [("c", "c"), ("py", "python"), ("mjs", "node"), ("rs", "rust"), ("sh", "shell")];

/// A program of `examples/`.
struct Program {
    source: PathBuf,
    /// The folder below `examples/`; empty for a program of `examples/` itself.
    folder: String,
    stem: String,
    language: &'static str,
}

/// Checks that the pages show the programs, and runs all of them; returns the closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    readme::check()?;
    let programs = programs()?;
    if programs.is_empty() {
        return Err(Failure::new("examples/ has no program"));
    }
    let in_rust = |of_tests: bool| {
        let of = programs.iter().filter(|it| it.language == "rust");
        of.filter(|it| (it.folder == TESTS) == of_tests).map(Program::target).collect::<Vec<_>>()
    };
    rust::build_test_programs(&in_rust(false))?;
    let mut commands = Vec::new();
    for program in programs.iter().filter(|it| it.language != "rust" || it.folder != TESTS) {
        commands.push((program, program.command(languages)?));
    }
    let tool = rust::command(languages.profile())?;
    let tools = tool.parent().expect("it has a directory");
    let lab = Lab::start()?;
    for (program, command) in &commands {
        program.run(&lab, tools, command)?;
    }
    rust::run_tests_of_programs(&in_rust(true))?;
    let services = services::test(languages, &tool)?;
    Ok(format!("{} passed, 0 failed; with services: {services}", programs.len()))
}

/// Returns the programs of `examples/` and of the folders there. Each folder has a page, a script that
/// starts its services, or a crate, which a suite of its own runs.
fn programs() -> Result<Vec<Program>> {
    let examples = paths::root().join("examples");
    let mut folders = vec![String::new()];
    for entry in &paths::entries(&examples)? {
        let is_crate = entry.join("Cargo.toml").exists();
        if !entry.is_dir() || is_crate || services::is_example(entry) {
            continue;
        }
        let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !paths::root().join("docs").join(format!("{name}.md")).exists() {
            return Err(Failure::new(format!("examples/{name} has no page docs/{name}.md")));
        }
        folders.push(name.to_owned());
    }
    let mut programs = Vec::new();
    for (extension, language) in LANGUAGES {
        // The scripts of `examples/` itself take arguments, and have tests of their own.
        for folder in folders.iter().filter(|folder| extension != "sh" || !folder.is_empty()) {
            for source in paths::files_with_extension(&examples.join(folder), extension)? {
                let stem = source.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
                let (stem, folder) = (stem.to_owned(), folder.clone());
                programs.push(Program { source, folder, stem, language });
            }
        }
    }
    Ok(programs)
}

impl Program {
    /// The name of a Rust program's target.
    fn target(&self) -> String {
        if self.folder.is_empty() {
            return self.stem.clone();
        }
        format!("{}_{}", self.folder, self.stem)
    }

    /// Returns the command that runs it.
    fn command(&self, languages: &Languages) -> Result<Vec<String>> {
        let shown = |path: &Path| path.display().to_string();
        let source = shown(&self.source);
        Ok(match self.language {
            "c" => {
                let (toolchain, library) = (&languages.toolchain, languages.c()?);
                let linkage = Linkage::Static;
                vec![shown(&c_programs::compile(toolchain, library, &self.source, linkage)?)]
            }
            "python" => {
                let mut command = vec![shown(&languages.python()?.interpreter())];
                if self.folder == TESTS {
                    command
                        .extend(["-m", "pytest", "-q", "-p", "no:cacheprovider"].map(Into::into));
                }
                command.push(source);
                command
            }
            "node" => {
                let mut command = languages.node()?.command(&paths::shown(&self.source));
                if self.folder == TESTS {
                    command.insert(1, "--test".to_owned());
                }
                command
            }
            "shell" => vec!["sh".to_owned(), source],
            _ => vec![shown(&paths::built(Profile::Dev, &self.target()))],
        })
    }

    /// Returns the consumer that it delivers to.
    fn consumer<'a>(&self, lab: &'a Lab) -> Result<&'a Consumer> {
        match self.target().as_str() {
            // Each language has its own: it answers twice with 503.
            "send_retry" => lab.consumer(&format!("busy-{}", self.language)),
            "rotate_ca" => lab.consumer("moved"),
            _ => lab.consumer("acme-rust"),
        }
    }

    /// Runs it. Scripts find the command `webhook-mtls` in `tools`.
    fn run(&self, lab: &Lab, tools: &Path, command: &[String]) -> Result {
        let directory =
            paths::target().join("examples").join(format!("{}.{}", self.target(), self.language));
        paths::make_empty(&directory)?;
        for file in MATERIAL {
            paths::copy(&lab.material().join(file), &directory.join(file))?;
        }
        let consumer = self.consumer(lab)?;
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
        Step::new(paths::shown(&self.source), &command[0])
            .args(&command[1..])
            .in_directory(&directory)
            .env("WMTLS_URL", &consumer.url)
            .env("WMTLS_PIN", &consumer.pin)
            .env("WMTLS_SERVER_URI", format!("spiffe://lab.test/tenant/{}", consumer.name))
            .env("PATH", path)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .run()
            .map(drop)
    }
}
