//! Finds the required tools: cargo, a C compiler, Python and Node. The search runs before any
//! build, and the failure names all missing tools with the versions found.

use std::env;
use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, Step};
use crate::paths;
use crate::terminal;

const CARGO: Version = Version(1, 88);
const PYTHON: Version = Version(3, 11);
const NODE: Version = Version(20, 0);

/// The programs of the build.
#[derive(Clone)]
pub(crate) struct Toolchain {
    /// A C11 compiler.
    pub(crate) cc: PathBuf,
    /// A CPython that can make virtual environments.
    pub(crate) python: PathBuf,
    /// Node; npm is beside it.
    pub(crate) node: PathBuf,
    found: Vec<String>,
}

impl Toolchain {
    /// Finds all tools. The failure lists every missing one.
    pub(crate) fn find() -> Result<Toolchain> {
        let searches = [cargo(), compiler(), python(), node(), npm()];
        let missing: Vec<String> =
            searches.iter().filter_map(|search| search.as_ref().err().cloned()).collect();
        if !missing.is_empty() {
            let list: Vec<String> = missing.iter().map(|line| format!("  - {line}")).collect();
            return Err(Failure::new(format!(
                "the build needs missing tools:\n{}",
                list.join("\n")
            )));
        }
        let [cargo, cc, python, node, npm] =
            searches.map(|search| search.expect("none is missing"));
        let found = [&cargo, &cc, &python, &node, &npm].map(|tool| tool.shown.clone()).to_vec();
        Ok(Toolchain { cc: cc.path, python: python.path, node: node.path, found })
    }

    /// Prints the tools in use.
    pub(crate) fn show(&self) {
        terminal::headline("This machine");
        for line in &self.found {
            println!("  {line}");
        }
    }
}

/// A program that was found, and its version text.
struct Tool {
    path: PathBuf,
    shown: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

impl Version {
    /// Returns the first `major.minor` in a text.
    fn seen_in(text: &str) -> Option<Version> {
        text.split(|c: char| !(c.is_ascii_digit() || c == '.')).find_map(|word| {
            let mut numbers = word.split('.');
            Some(Version(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
        })
    }
}

fn cargo() -> std::result::Result<Tool, String> {
    let version_text = first_line(Path::new("cargo"), &["--version"])
        .ok_or_else(|| "cargo >= 1.88: not found (https://rustup.rs)".to_owned())?;
    match Version::seen_in(&version_text) {
        Some(version) if version >= CARGO => Ok(Tool { path: "cargo".into(), shown: version_text }),
        _ => Err(format!("cargo >= 1.88: found only {version_text}")),
    }
}

fn compiler() -> std::result::Result<Tool, String> {
    let chosen = env::var("CC").ok();
    let names = chosen.as_deref().into_iter().chain(["cc", "gcc", "clang"]);
    for path in names.filter_map(located) {
        if let Some(shown) = first_line(&path, &["--version"]) {
            return Ok(Tool { path, shown });
        }
    }
    Err("a C compiler: neither $CC nor cc, gcc or clang was found (Debian: gcc libc6-dev)".into())
}

fn python() -> std::result::Result<Tool, String> {
    let ask = "import sys; print('Python %d.%d.%d' % sys.version_info[:3]); import ensurepip, venv";
    let mut seen = Vec::new();
    for name in ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python"] {
        let Some(path) = located(name) else { continue };
        match first_line(&path, &["-c", ask]) {
            Some(shown) if Version::seen_in(&shown) >= Some(PYTHON) => {
                return Ok(Tool { path, shown });
            }
            Some(shown) => seen.push(format!("{name} is {shown}")),
            None => seen.push(format!("{name} does not start, or has no venv module")),
        }
    }
    let seen = if seen.is_empty() { "not found".to_owned() } else { seen.join("; ") };
    Err(format!("Python >= 3.11 with venv: {seen} (Debian: python3 python3-venv)"))
}

fn node() -> std::result::Result<Tool, String> {
    let path = located("node")
        .ok_or_else(|| "Node >= 20: node was not found (https://nodejs.org)".to_owned())?;
    let version_text = first_line(&path, &["--version"]).unwrap_or_default();
    match Version::seen_in(&version_text) {
        Some(version) if version >= NODE => {
            Ok(Tool { path, shown: format!("Node {version_text}") })
        }
        _ => Err(format!("Node >= 20: found only {version_text}")),
    }
}

fn npm() -> std::result::Result<Tool, String> {
    let path = located("npm").ok_or_else(|| "npm: not found; it comes with Node".to_owned())?;
    let version_text =
        first_line(&path, &["--version"]).ok_or_else(|| "npm: it does not start".to_owned())?;
    Ok(Tool { path, shown: format!("npm {version_text}") })
}

fn located(name: &str) -> Option<PathBuf> {
    if name.contains('/') { Some(PathBuf::from(name)) } else { paths::program(name) }
}

/// Returns the first line that a program prints, if it starts and succeeds.
fn first_line(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Step::new("version", program).args(arguments).ask().ok()?;
    Some(output.stdout.lines().next()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn the_version_is_read_from_each_program_s_format() {
        for (version_text, version) in [
            ("cargo 1.95.0 (f2d3ce0bd 2026-03-21)", Version(1, 95)),
            ("v20.20.2", Version(20, 20)),
            ("Python 3.11.7", Version(3, 11)),
        ] {
            assert!(Version::seen_in(version_text) == Some(version), "{version_text}");
        }
        assert!(Version::seen_in("no number here").is_none());
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(Version(3, 9) < Version(3, 11));
        assert!(Version(4, 0) > Version(3, 11));
    }
}
