//! The copies of the version, which `Cargo.toml` says once. The Rust crates need none, and the wheels
//! need none of their own: their build reads it there.

use std::path::PathBuf;

use crate::command::{Failure, Result};
use crate::packages;
use crate::paths;

/// A line that repeats the version: the file, the beginning of the line, and its end.
const COPIES: [(&str, &str, &str); 6] = [
    ("bindings-python/pyproject.toml", "testing = [\"webhook-mtls-testing==", "\"]"),
    ("bindings-python/testing/pyproject.toml", "dependencies = [\"webhook-mtls==", "\"]"),
    ("ffi/packaging/debian/changelog", "webhook-mtls (", "-1) UNRELEASED; urgency=medium"),
    ("bindings-node/package.json", "  \"version\": \"", "\","),
    ("bindings-node/package-lock.json", "  \"version\": \"", "\","),
    ("bindings-node/package-lock.json", "      \"version\": \"", "\","),
];

/// Returns every file that repeats the version, with its current text.
pub(crate) fn files() -> Result<Vec<(PathBuf, String)>> {
    let version = packages::version()?;
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for (name, start, end) in COPIES {
        let path = paths::root().join(name);
        // A file may repeat it more than once.
        let text = match files.iter().position(|(known, _)| *known == path) {
            Some(at) => files.remove(at).1,
            None => paths::read(&path)?,
        };
        let changed = changed(&text, start, end, &version)
            .ok_or_else(|| Failure::new(format!("{name} has no line {start}…{end}")))?;
        files.push((path, changed));
    }
    Ok(files)
}

/// Replaces the version in the first line with this beginning and end.
fn changed(text: &str, start: &str, end: &str, version: &str) -> Option<String> {
    let is_copy = |line: &&str| line.starts_with(start) && line.ends_with(end);
    let line = text.lines().find(is_copy)?;
    Some(text.replacen(line, &format!("{start}{version}{end}"), 1))
}

#[cfg(test)]
mod tests {
    use super::changed;

    #[test]
    fn only_the_line_of_the_version_changes() {
        let text = "{\n  \"name\": \"a\",\n  \"version\": \"0.1.0\",\n  \"b\": \"0.1.0\"\n}\n";
        let wanted = "{\n  \"name\": \"a\",\n  \"version\": \"0.2.0\",\n  \"b\": \"0.1.0\"\n}\n";
        assert_eq!(changed(text, "  \"version\": \"", "\",", "0.2.0").unwrap(), wanted);
        assert!(changed("{}", "  \"version\": \"", "\",", "0.2.0").is_none());
    }
}
