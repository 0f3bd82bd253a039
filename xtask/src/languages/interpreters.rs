//! The versions of CPython that the machine has, in which the tests of the wheel run.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::Step;
use crate::paths;

/// The minor versions of CPython 3 that the wheel supports.
const MINORS: [u32; 4] = [11, 12, 13, 14];

/// An interpreter that can make virtual environments.
pub(crate) struct Interpreter {
    /// Its version, such as `3.12.1`.
    pub(crate) version: String,
    pub(crate) path: PathBuf,
}

/// Returns an interpreter of each minor version: on `PATH`, or one of pyenv's.
pub(crate) fn all() -> Vec<Interpreter> {
    MINORS.iter().filter_map(|minor| of_minor(*minor)).collect()
}

/// Returns the minor versions, such as `3.14`, of which the machine has none.
pub(crate) fn absent(found: &[Interpreter]) -> Vec<String> {
    let names = MINORS.iter().map(|minor| format!("3.{minor}"));
    names.filter(|name| !found.iter().any(|found| is_of(&found.version, name))).collect()
}

/// Returns whether a version belongs to a minor version.
pub(crate) fn is_of(version: &str, minor: &str) -> bool {
    version.strip_prefix(minor).is_some_and(|rest| rest.starts_with('.'))
}

fn of_minor(minor: u32) -> Option<Interpreter> {
    let name = format!("3.{minor}");
    let on_path = paths::program(&format!("python{name}"));
    // A shim of pyenv is on PATH also if its version is not selected, and then it fails.
    on_path.into_iter().chain(of_pyenv(&name)).find_map(|path| checked(&name, path))
}

fn of_pyenv(name: &str) -> Vec<PathBuf> {
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".pyenv")));
    let Some(versions) = root.and_then(|root| fs::read_dir(root.join("versions")).ok()) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = versions
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|version| is_of(version, name)))
        .map(|entry| entry.path().join("bin").join("python"))
        .collect();
    found.sort();
    found
}

/// Starts an interpreter. Returns `None` if it has another version, or cannot make environments.
fn checked(name: &str, path: PathBuf) -> Option<Interpreter> {
    const ASK: &str = "import sys, ensurepip, venv; print('%d.%d.%d' % sys.version_info[:3])";
    let answer = Step::new("version", &path).args(["-c", ASK]).ask().ok()?;
    let version = answer.stdout.trim().to_owned();
    is_of(&version, name).then_some(Interpreter { version, path })
}

#[cfg(test)]
mod tests {
    use super::{Interpreter, absent, is_of};

    #[test]
    fn a_version_belongs_to_one_minor_version() {
        assert!(is_of("3.12.1", "3.12"));
        assert!(!is_of("3.1.1", "3.12"));
        assert!(!is_of("3.12.1", "3.1"));
        let found = Interpreter { version: "3.12.1".to_owned(), path: "python".into() };
        assert_eq!(absent(&[found]), ["3.11", "3.13", "3.14"]);
    }
}
