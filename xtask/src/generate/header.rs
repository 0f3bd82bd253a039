//! Generates the committed C headers, the reference pages, and the copies of the core's tables in the
//! bindings. A test fails if a committed file differs.

use std::path::PathBuf;

use cbindgen::{Builder, Config};

use crate::command::{Failure, Result};
use crate::generate::rows::Tables;
use crate::generate::{blocks, c, reference, versions};
use crate::packages;
use crate::paths;

/// A header, the crate whose items it declares, and whether it contains the constants of the tables.
struct Header {
    name: &'static str,
    krate: &'static str,
    has_constants: bool,
}

const HEADERS: [Header; 2] = [
    Header { name: "webhook_mtls.h", krate: "ffi", has_constants: true },
    Header { name: "webhook_mtls_testing.h", krate: "ffi/testing", has_constants: false },
];

/// `cargo xtask generate`.
pub(crate) fn write() -> Result {
    let tables = Tables::of_core()?;
    // The headers are made of sources that have generated parts.
    let mut changed = save(blocks::files(&tables)?)?;
    changed += save(pages_and_headers(&tables)?)?;
    println!("  {changed} files changed");
    Ok(())
}

/// Writes the files that differ; returns how many.
fn save(files: Vec<(PathBuf, String)>) -> Result<u32> {
    let mut changed = 0;
    for (path, text) in files {
        if paths::read(&path).is_ok_and(|found| found == text) {
            continue;
        }
        paths::write(&path, &text)?;
        println!("  wrote {}", paths::shown(&path));
        changed += 1;
    }
    Ok(changed)
}

/// `cargo xtask generate --check`.
pub(crate) fn check() -> Result<String> {
    let tables = Tables::of_core()?;
    let mut files = blocks::files(&tables)?;
    files.extend(pages_and_headers(&tables)?);
    for (path, wanted) in &files {
        let found = paths::read(path).unwrap_or_default();
        if found != *wanted {
            return Err(Failure::with_output(
                format!(
                    "{} differs from the tables of core: run cargo xtask generate",
                    paths::shown(path)
                ),
                first_difference(&found, wanted),
            ));
        }
    }
    Ok(format!("{} files, no drift", files.len()))
}

/// Returns the files that are generated as a whole.
fn pages_and_headers(tables: &Tables) -> Result<Vec<(PathBuf, String)>> {
    let mut files = reference::pages(&tables.json)?;
    files.extend(versions::files()?);
    for header in &HEADERS {
        files.push((header.path(), header.generate(tables)?));
    }
    Ok(files)
}

impl Header {
    fn path(&self) -> PathBuf {
        paths::root().join("include").join(self.name)
    }

    fn generate(&self, tables: &Tables) -> Result<String> {
        let krate = paths::root().join(self.krate);
        let file = krate.join("cbindgen.toml");
        let mut config =
            Config::from_file(&file).map_err(|error| Failure::at("cannot use", &file, &error))?;
        if self.has_constants {
            let version = c::version_macros(&packages::version()?);
            let kinds = c::constants(tables)?;
            let after = config.after_includes.take().unwrap_or_default();
            config.after_includes = Some(format!("{after}\n{version}\n{kinds}"));
        }
        let bindings = Builder::new()
            .with_crate(&krate)
            .with_config(config)
            .generate()
            .map_err(|error| Failure::at("cbindgen failed for", &krate, &error))?;
        let mut text = Vec::new();
        bindings.write(&mut text);
        String::from_utf8(text).map_err(|error| Failure::at("not UTF-8:", &krate, &error))
    }
}

/// Returns the first line in which two texts differ, with its number.
fn first_difference(found: &str, wanted: &str) -> String {
    let mut wanted_lines = wanted.lines();
    let mut found_lines = found.lines();
    let mut number = 0;
    loop {
        number += 1;
        match (found_lines.next(), wanted_lines.next()) {
            (None, None) => return "they differ in their line endings".to_owned(),
            (found, wanted) if found == wanted => {}
            (found, wanted) => {
                return format!(
                    "line {number}\n  committed: {}\n  generated: {}",
                    found.unwrap_or("(nothing)"),
                    wanted.unwrap_or("(nothing)")
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::first_difference;

    #[test]
    fn the_first_difference_is_shown_with_both_sides() {
        let shown = first_difference("a\nb\n", "a\nc\n");
        assert!(shown.contains("line 2") && shown.contains(": b") && shown.contains(": c"));
        assert!(first_difference("a\n", "").contains("(nothing)"));
    }
}
