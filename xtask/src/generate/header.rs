//! Generates the committed C headers and the reference pages of the tables. A test fails if a
//! committed file differs.

use std::fmt::Write as _;
use std::path::PathBuf;

use cbindgen::{Builder, Config};
use serde_json::Value;

use crate::command::{Failure, Result, Step};
use crate::generate::reference;
use crate::languages::rust;
use crate::paths;

/// A header, the crate whose items it declares, and whether it contains the table of kinds.
struct Header {
    name: &'static str,
    krate: &'static str,
    has_kinds: bool,
}

const HEADERS: [Header; 2] = [
    Header { name: "webhook_mtls.h", krate: "ffi", has_kinds: true },
    Header { name: "webhook_mtls_testing.h", krate: "ffi/testing", has_kinds: false },
];

/// `cargo xtask header`.
pub(crate) fn write() -> Result {
    for (path, text) in generated()? {
        paths::write(&path, &text)?;
        println!("  wrote {}", paths::shown(&path));
    }
    Ok(())
}

/// `cargo xtask header --check`.
pub(crate) fn check() -> Result<String> {
    let files = generated()?;
    for (path, wanted) in &files {
        let found = paths::read(path).unwrap_or_default();
        if found != *wanted {
            return Err(Failure::with_output(
                format!("{} differs from the crates: run cargo xtask header", paths::shown(path)),
                first_difference(&found, wanted),
            ));
        }
    }
    Ok(format!("{} files, no drift", files.len()))
}

/// Returns every generated file with its text.
fn generated() -> Result<Vec<(PathBuf, String)>> {
    let tables = tables()?;
    let mut files = Vec::from(reference::pages(&tables)?);
    for header in &HEADERS {
        files.push((header.path(), header.generate(&tables)?));
    }
    Ok(files)
}

impl Header {
    fn path(&self) -> PathBuf {
        paths::root().join("include").join(self.name)
    }

    fn generate(&self, tables: &Value) -> Result<String> {
        let krate = paths::root().join(self.krate);
        let file = krate.join("cbindgen.toml");
        let mut config =
            Config::from_file(&file).map_err(|error| Failure::at("cannot use", &file, &error))?;
        if self.has_kinds {
            let kinds = kind_constants(tables)?;
            let after = config.after_includes.take().unwrap_or_default();
            config.after_includes = Some(format!("{after}\n{kinds}"));
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

/// Returns the tables of core.
fn tables() -> Result<Value> {
    let output = Step::new("tables of core", rust::test_program("tables")?).run()?;
    serde_json::from_str(&output.stdout).map_err(|error| {
        Failure::with_output(format!("the tables are not JSON: {error}"), output.all)
    })
}

/// Returns one `#define` for each kind, with its meaning above it.
fn kind_constants(tables: &Value) -> Result<String> {
    let kinds = tables["kinds"].as_array().filter(|kinds| !kinds.is_empty());
    let kinds = kinds.ok_or_else(|| Failure::new("the tables have no kinds"))?;
    let mut text = String::from("/* Success. */\n#define WMTLS_OK 0\n");
    for kind in kinds {
        let (Some(name), Some(number)) = (kind["name"].as_str(), kind["number"].as_u64()) else {
            return Err(Failure::new(format!("this kind has no name or no number: {kind}")));
        };
        text.push('\n');
        if let Some(title) = kind["title"].as_str() {
            writeln!(text, "/* {title} */").expect("writing to a String succeeds");
        }
        writeln!(text, "#define WMTLS_{} {number}", name.to_uppercase())
            .expect("writing to a String succeeds");
    }
    Ok(text)
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
    use super::{first_difference, kind_constants};
    use serde_json::json;

    #[test]
    fn each_kind_becomes_a_constant_with_its_number() {
        let tables = json!({"kinds": [
            {"name": "url_invalid", "number": 102, "title": "The URL cannot be used."},
            {"name": "canceled", "number": 203},
        ]});
        assert_eq!(
            kind_constants(&tables).unwrap(),
            "/* Success. */\n#define WMTLS_OK 0\n\
             \n/* The URL cannot be used. */\n#define WMTLS_URL_INVALID 102\n\
             \n#define WMTLS_CANCELED 203\n"
        );
    }

    #[test]
    fn tables_without_kinds_are_refused() {
        assert!(kind_constants(&json!({"kinds": []})).is_err());
        assert!(kind_constants(&json!({"kinds": [{"name": "canceled"}]})).is_err());
    }

    #[test]
    fn the_first_difference_is_shown_with_both_sides() {
        let shown = first_difference("a\nb\n", "a\nc\n");
        assert!(shown.contains("line 2") && shown.contains(": b") && shown.contains(": c"));
        assert!(first_difference("a\n", "").contains("(nothing)"));
    }
}
