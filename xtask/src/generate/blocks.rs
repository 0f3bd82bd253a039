//! Fills the generated parts of files that are otherwise written by hand. A part stands between two
//! comments; the first names what to write:
//!
//! ```text
//! // generated: begin properties endpoint
//! …
//! // generated: end
//! ```

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::command::{Failure, Result};
use crate::generate::rows::Tables;
use crate::generate::{c, docstrings, node, python};
use crate::paths;

/// Directories with files that may have generated parts, and the extension of such files.
const PLACES: [(&str, &str); 8] = [
    ("bindings-python/python/webhook_mtls", "py"),
    ("bindings-python/python/webhook_mtls", "pyi"),
    ("bindings-python/src", "rs"),
    ("bindings-python/testing/src", "rs"),
    ("bindings-python/testing/python/webhook_mtls_testing", "pyi"),
    ("bindings-node/ts", "ts"),
    ("ffi/src", "rs"),
    ("tests/c", "h"),
];

const BEGIN: &str = "generated: begin ";
const END: &str = "generated: end";

/// Returns every file that has generated parts, with its current text.
pub(crate) fn files(tables: &Tables) -> Result<Vec<(PathBuf, String)>> {
    let mut filled = Vec::new();
    for (directory, extension) in PLACES {
        for path in paths::files_with_extension(&paths::root().join(directory), extension)? {
            let text = paths::read(&path)?;
            let is_stub = extension == "pyi";
            if text.contains(BEGIN) || is_stub {
                let mut text = fill(&path, &text, tables)?;
                if is_stub {
                    text = docstrings::fill(&text, &docstrings::of_binding()?);
                }
                filled.push((path.clone(), text));
            }
        }
    }
    Ok(filled)
}

/// Replaces the text of every part.
fn fill(path: &Path, text: &str, tables: &Tables) -> Result<String> {
    let at = |number: usize| format!("{}:{number}", paths::shown(path));
    let mut filled = String::new();
    let mut open: Option<usize> = None;
    for (index, line) in text.lines().enumerate() {
        let is_end = line.trim_end().trim_end_matches("*/").trim_end().ends_with(END);
        match (open, line.split_once(BEGIN)) {
            (Some(begin), Some(_)) => {
                return Err(Failure::new(format!("{}: this part has no end", at(begin))));
            }
            (None, Some((_, what))) => {
                open = Some(index + 1);
                filled += line;
                filled.push('\n');
                let indent = line.len() - line.trim_start().len();
                let what = what.trim_end().trim_end_matches("*/").trim_end();
                let lines = part(path, what, tables, indent).map_err(|failure| {
                    Failure::new(format!("{}: {}", at(index + 1), failure.what()))
                })?;
                for part in lines {
                    let indent = if part.is_empty() { "" } else { &line[..indent] };
                    writeln!(filled, "{indent}{part}").expect("writing to a String succeeds");
                }
            }
            (None, None) if is_end => {
                return Err(Failure::new(format!("{}: no part begins before this", at(index + 1))));
            }
            (Some(_), None) if !is_end => {}
            _ => {
                open = None;
                filled += line;
                filled.push('\n');
            }
        }
    }
    match open {
        Some(begin) => Err(Failure::new(format!("{}: this part has no end", at(begin)))),
        None => Ok(filled),
    }
}

/// Returns a text without its generated parts.
#[cfg(test)]
pub(crate) fn by_hand(text: &str) -> String {
    let mut kept = String::new();
    let mut is_generated = false;
    for line in text.lines() {
        is_generated = line.contains(BEGIN) || (is_generated && !line.contains(END));
        if !is_generated {
            kept += line;
            kept.push('\n');
        }
    }
    kept
}

/// Returns the lines of one part.
fn part(path: &Path, what: &str, tables: &Tables, indent: usize) -> Result<Vec<String>> {
    let (form, subject) = what.split_once(' ').unwrap_or((what, ""));
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let is_stub = extension == "pyi";
    match (extension, form) {
        ("py" | "pyi", "kinds") => Ok(python::kinds(tables)),
        ("py", "words") => python::words(tables, subject),
        ("pyi", "aliases") => python::aliases(tables, subject),
        ("py" | "pyi", "keywords") => python::keywords(tables, subject, is_stub, indent),
        ("py", "collect") => python::collect(tables, subject),
        ("rs", "text_signature") => python::text_signature(tables, subject),
        ("rs", "arguments") => python::arguments(tables, subject, indent),
        ("ts", "kinds") => Ok(node::kinds(tables)),
        ("ts", "unions") => node::unions(tables, subject),
        ("ts", "properties") => node::properties(tables, subject, indent),
        ("rs", "setter") => c::setter(tables, subject),
        ("h", "kinds") => Ok(c::kind_table(tables)),
        ("h", "words") => c::word_tables(tables),
        ("h", "options") => Ok(c::option_table(tables)),
        _ => Err(Failure::new(format!("no generator writes \"{what}\" into .{extension}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::fill;
    use crate::generate::rows::Tables;
    use serde_json::json;
    use std::path::Path;

    fn tables() -> Tables {
        let option = json!({"of": "probe", "name": "idle_timeout", "kind": "duration", "words": "",
            "default": "5000", "doc": "The time limit."});
        let value = json!({"name": "later", "number": 1, "doc": "Again."});
        Tables::read(json!({
            "options": [option],
            "enums": [{"name": "retry", "doc": "Whether.", "values": [value]}],
            "kinds": [{"name": "odd"}],
        }))
        .unwrap()
    }

    #[test]
    fn only_the_text_of_a_part_is_replaced_and_a_second_run_changes_nothing() {
        let text = "interface Probe {\n  // generated: begin properties probe\n  old\n  \
                    // generated: end\n  signal?: AbortSignal\n}\n";
        let path = Path::new("probe.ts");
        let filled = fill(path, text, &tables()).unwrap();
        assert!(!filled.contains("old"), "{filled}");
        assert!(
            filled.contains("  idleTimeoutMs?: number | undefined\n  // generated: end"),
            "{filled}"
        );
        assert!(filled.ends_with("  signal?: AbortSignal\n}\n"), "{filled}");
        assert_eq!(fill(path, &filled, &tables()).unwrap(), filled);
    }

    #[test]
    fn a_part_without_an_end_or_with_an_unknown_name_is_refused() {
        for (text, why) in [
            ("// generated: begin kinds\n", "no end"),
            ("// generated: begin kinds\n// generated: begin kinds\n", "no end"),
            ("// generated: end\n", "no part begins"),
            ("// generated: begin properties ship\n// generated: end\n", "ship"),
            ("// generated: begin poems\n// generated: end\n", "poems"),
        ] {
            let failure = fill(Path::new("a.ts"), text, &tables()).unwrap_err();
            assert!(failure.what().contains(why), "{}", failure.what());
        }
    }
}
