//! The docstrings of the Python stub, copied from the doc comments of the binding's Rust files. A
//! type checker and an editor show them; the native module has the same at run time, and a test of
//! the Python suite compares both.
//!
//! The Rust files are read line by line, because rustfmt fixes their form: an item starts at the
//! first column, a method or field at the fifth.

use std::collections::BTreeMap;

use crate::command::Result;
use crate::paths;

/// Docstrings by their name in Python: `Class`, `Class.member` or `function`.
pub(crate) type Docs = BTreeMap<String, String>;

/// Reads the doc comments of the binding and of its testing kit.
pub(crate) fn of_binding() -> Result<Docs> {
    let mut docs = Docs::new();
    for directory in ["bindings-python/src", "bindings-python/testing/src"] {
        for path in paths::files_with_extension(&paths::root().join(directory), "rs")? {
            docs.append(&mut of_source(&paths::read(&path)?));
        }
    }
    Ok(docs)
}

/// What stands before an item: its doc comment and its attributes.
#[derive(Default)]
struct Before {
    doc: Vec<String>,
    attributes: String,
}

impl Before {
    fn has(&self, attribute: &str) -> bool {
        self.attributes.contains(attribute)
    }

    /// Returns whether an attribute continues on the current line.
    fn is_open(&self) -> bool {
        self.attributes.matches('[').count() > self.attributes.matches(']').count()
    }

    /// Returns the name that an attribute sets, or the name in Rust.
    fn name<'a>(&'a self, rust: &'a str) -> &'a str {
        let after = |start| self.attributes.split_once(start).map(|(_, rest)| rest);
        let set = after("(name = \"").or_else(|| after(", name = \""));
        set.and_then(|rest| rest.split('"').next()).unwrap_or(rust)
    }

    fn text(&self) -> Option<String> {
        let text = self.doc.join("\n").trim().to_owned();
        if text.is_empty() { None } else { Some(text) }
    }
}

/// The item that contains the current line.
enum Container {
    /// Methods of a class.
    Methods(String),
    /// Fields of a class, and whether all are attributes in Python.
    Fields(String, bool),
    Other,
}

fn of_source(source: &str) -> Docs {
    let mut docs = Docs::new();
    // The Python name of each class, by its Rust name.
    let mut classes: BTreeMap<String, String> = BTreeMap::new();
    let (mut container, mut before) = (Container::Other, Before::default());
    for line in source.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let Some(doc) = text.strip_prefix("///") {
            before.doc.push(doc.strip_prefix(' ').unwrap_or(doc).to_owned());
            continue;
        }
        if text.starts_with("//") || text.is_empty() {
            continue;
        }
        if before.is_open() {
            before.attributes += text;
            continue;
        }
        let item = text.strip_prefix("pub(super) ").or_else(|| text.strip_prefix("pub "));
        let item = item.unwrap_or(text);
        let named = |start| item.strip_prefix(start).map(word);
        match indent {
            0 if named("struct ").is_some() => {
                let rust = named("struct ").unwrap_or_default();
                let name = before.name(rust).to_owned();
                classes.insert(rust.to_owned(), name.clone());
                if before.has("#[pyclass") {
                    docs.extend(before.text().map(|doc| (name.clone(), doc)));
                    container = Container::Fields(name, before.has("get_all"));
                }
                before = Before::default();
            }
            0 if item.starts_with("impl ") => {
                let rust = named("impl ").unwrap_or_default();
                let class = classes.get(rust).map_or(rust, String::as_str).to_owned();
                let is_python = before.has("#[pymethods]");
                container = if is_python { Container::Methods(class) } else { Container::Other };
                before = Before::default();
            }
            0 if named("fn ").is_some() => {
                if before.has("#[pyfunction") {
                    let name = before.name(named("fn ").unwrap_or_default()).to_owned();
                    docs.extend(before.text().map(|doc| (name, doc)));
                }
                (container, before) = (Container::Other, Before::default());
            }
            4 => {
                let member = match &container {
                    Container::Methods(class) => named("fn ").map(|name| (class, name)),
                    Container::Fields(class, all) if *all || before.has("#[pyo3(get)]") => {
                        item.split_once(": ").map(|(name, _)| (class, name))
                    }
                    Container::Fields(..) | Container::Other => None,
                };
                match member {
                    Some((class, name)) => {
                        let name = format!("{class}.{}", before.name(name));
                        docs.extend(before.text().map(|doc| (name, doc)));
                        before = Before::default();
                    }
                    None if text.starts_with('#') => before.attributes += text,
                    None => before = Before::default(),
                }
            }
            0 if text.starts_with('#') => before.attributes += text,
            _ => {}
        }
    }
    docs
}

/// Returns the identifier at the start of a text.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

/// Replaces the docstrings of a stub. A definition without a doc comment keeps what it has.
pub(crate) fn fill(stub: &str, docs: &Docs) -> String {
    let lines: Vec<&str> = stub.lines().collect();
    let mut filled = String::new();
    let (mut class, mut definition) = (String::new(), None);
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let (0, Some(rest)) = (indent, text.strip_prefix("class ")) {
            word(rest).clone_into(&mut class);
            definition = Some((class.clone(), indent));
        } else if let Some(rest) = text.strip_prefix("def ") {
            let name = word(rest);
            let qualified = if indent == 0 { name.to_owned() } else { format!("{class}.{name}") };
            definition = Some((qualified, indent));
        }
        let is_end =
            text.starts_with("class ") || text.starts_with("def ") || text.starts_with(')');
        let ends = is_end && (line.ends_with(": ...") || line.ends_with(':'));
        let open = definition.take_if(|(_, of)| ends && *of == indent);
        let doc = open.as_ref().and_then(|(name, of)| Some((docs.get(name)?, *of)));
        let Some((doc, indent)) = doc else {
            filled += line;
            filled.push('\n');
            continue;
        };
        filled += line.trim_end_matches(" ...");
        filled.push('\n');
        if lines.get(at).is_some_and(|next| is_docstring(next)) {
            while lines.get(at).is_some_and(|next| !ends_docstring(next)) {
                at += 1;
            }
            at += 1;
        }
        filled += &docstring(doc, indent + 4);
        // The formatter puts an empty line between a class docstring and the members.
        if text.starts_with("class ") && lines.get(at).is_some_and(|next| !next.is_empty()) {
            filled.push('\n');
        }
    }
    filled
}

fn is_docstring(line: &str) -> bool {
    let text = line.trim_start();
    text.starts_with("\"\"\"") || text.starts_with("r\"\"\"")
}

/// Returns whether a line of a docstring is its last one.
fn ends_docstring(line: &str) -> bool {
    let text = line.trim().trim_start_matches('r');
    text == "\"\"\"" || (text.ends_with("\"\"\"") && (text.len() > 5 || !is_docstring(line)))
}

fn docstring(doc: &str, indent: usize) -> String {
    let raw = if doc.contains('\\') { "r" } else { "" };
    let mut lines: Vec<String> = doc.lines().map(str::to_owned).collect();
    lines[0].insert_str(0, &format!("{raw}\"\"\""));
    match &mut lines[..] {
        [only] => only.push_str("\"\"\""),
        _ => lines.push("\"\"\"".to_owned()),
    }
    let pad = " ".repeat(indent);
    let padded = |line: String| if line.is_empty() { line } else { format!("{pad}{line}") };
    lines.into_iter().map(padded).collect::<Vec<_>>().join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::{fill, of_source};

    const SOURCE: &str = r#"
/// A key.
///
/// It opens \d doors.
#[pyclass(frozen, name = "Key", module = "doors")]
pub struct Metal {
    /// Its number.
    #[pyo3(get)]
    number: u32,
    /// Private.
    hidden: u32,
}

#[pymethods]
impl Metal {
    #[new]
    fn new() -> Self {}

    /// Opens a door.
    #[pyo3(
        signature = (door, *, twice = None),
        text_signature = "($self, door, *, name=None)"
    )]
    fn open(&self) {
        /// Not this.
        let never = 1;
    }

    /// Tells.
    #[pyo3(name = "_tell")]
    fn tell(&self) {}
}

impl Metal {
    /// Of Rust only.
    fn rust(&self) {}
}

/// Makes one.
#[pyfunction(name = "make")]
#[pyo3(
    signature = (),
)]
pub fn made() {}
"#;

    #[test]
    fn doc_comments_are_found_by_their_python_name() {
        let docs = of_source(SOURCE);
        let names: Vec<&str> = docs.keys().map(String::as_str).collect();
        assert_eq!(names, ["Key", "Key._tell", "Key.number", "Key.open", "make"]);
        assert_eq!(docs["Key"], "A key.\n\nIt opens \\d doors.");
        assert_eq!(docs["Key.open"], "Opens a door.");
    }

    #[test]
    fn docstrings_are_replaced_and_a_second_run_changes_nothing() {
        let stub = "class Key:\n    number: int\n    def open(\n        self,\n        # How:\n        \
                    door: int,\n    ) -> None: ...\n    def shut(self) -> None: ...\n\ndef make() -> \
                    Key:\n    \"\"\"Old\n\n    text.\n    \"\"\"\n\ndef other() -> Key:\n    \
                    \"\"\"By hand.\"\"\"\n";
        let filled = fill(stub, &of_source(SOURCE));
        let expected = "class Key:\n    r\"\"\"A key.\n\n    It opens \\d doors.\n    \"\"\"\n\n    \
                        number: int\n    def open(\n        self,\n        # How:\n        door: \
                        int,\n    ) -> None:\n        \"\"\"Opens a door.\"\"\"\n    def shut(self) \
                        -> None: ...\n\ndef make() -> Key:\n    \"\"\"Makes one.\"\"\"\n\ndef \
                        other() -> Key:\n    \"\"\"By hand.\"\"\"\n";
        assert_eq!(filled, expected);
        assert_eq!(fill(&filled, &of_source(SOURCE)), expected);
    }
}
