//! The shape of the Rust API, read from the sources of the core.

use std::fs;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::{Path, PathBuf};

use webhook_mtls::{Kind, Pins, Trust, Verifier, VerifierOptions};

/// The most names at the root. A name that users do not write daily belongs to the module of its topic.
const MAX_ROOT_NAMES: usize = 44;

/// Returns the names that the root exports, without hidden ones.
fn root_names(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut hidden = false;
    let mut rest = source;
    while let Some(line) = rest.lines().next() {
        let item = rest;
        rest = rest[line.len()..].strip_prefix('\n').unwrap_or("");
        match line {
            "#[doc(hidden)]" => hidden = true,
            _ if line.starts_with("pub use ") => {
                let text = &item["pub use ".len()..item.find(';').expect("an end")];
                let list = text.split_once('{').map(|(_, list)| list.trim_end_matches('}'));
                let list = list.unwrap_or_else(|| text.rsplit("::").next().expect("a name"));
                let list = list.split(',').map(str::trim).filter(|name| !name.is_empty());
                assert!(!text.contains('*'), "a name that is not written cannot be counted");
                names.extend(list.filter(|_| !hidden).map(str::to_owned));
                hidden = false;
            }
            _ if line.starts_with("pub ") => {
                let name = line.trim_end_matches([';', '{', ' ']).rsplit(' ').next();
                names.extend(name.filter(|_| !hidden).map(str::to_owned));
                hidden = false;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn the_root_has_few_names() {
    let names = root_names(include_str!("../src/lib.rs"));
    assert!(names.contains(&"verify".to_owned()) && names.contains(&"Dispatcher".to_owned()));
    assert!(!names.contains(&"bindings".to_owned()), "it is hidden");
    let count = names.len();
    assert!(count <= MAX_ROOT_NAMES, "{count} names at the root: {}", names.join(", "));
}

/// A type that loses a trait of the compiler breaks programs that compiled.
#[test]
fn material_and_verifiers_cross_catch_unwind() {
    fn crosses<T: Send + Sync + UnwindSafe + RefUnwindSafe>() {}
    crosses::<Trust>();
    crosses::<Pins>();
    crosses::<Verifier>();
    crosses::<VerifierOptions>();
}

#[test]
fn root_names_are_counted_in_every_form() {
    let source = "pub mod a;\nmod b;\n#[doc(hidden)]\npub mod c {\n    pub use x::Y;\n}\n\
                  pub use d::{E,\n    F};\n#[doc(inline)]\npub use g::H;\n#[doc(hidden)]\npub use i::J;\n\
                  pub fn k() {}\n";
    assert_eq!(root_names(source)[..4], ["a", "E", "F", "H"]);
    assert_eq!(root_names(source).len(), 5);
}

/// Returns the structs of a source that the root exports without an example.
fn structs_without_example(source: &str, exported: &[String]) -> Vec<String> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(rest) = line.strip_prefix("pub struct ") else { continue };
        let name = rest.split(|letter: char| !letter.is_alphanumeric()).next().expect("a name");
        let above = lines[..at].iter().rev().take_while(|line| line.starts_with(['#', '/']));
        let has_example =
            above.into_iter().any(|line| *line == "/// ```" || line.contains("See the example of"));
        if exported.iter().any(|known| known == name) && !has_example {
            found.push(name.to_owned());
        }
    }
    found
}

#[test]
fn every_struct_at_the_root_has_an_example() {
    let exported = root_names(include_str!("../src/lib.rs"));
    let mut files = Vec::new();
    sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut files);
    let without: Vec<String> = files
        .iter()
        .flat_map(|file| {
            structs_without_example(&fs::read_to_string(file).expect("a source"), &exported)
        })
        .collect();
    assert!(without.is_empty(), "no example: {}", without.join(", "));
}

#[test]
fn a_struct_without_an_example_is_found() {
    let source = "/// A.\n///\n/// ```\n/// ```\n#[derive(Clone)]\npub struct A {}\n/// B.\npub struct B<T>(T);\n";
    assert_eq!(structs_without_example(source, &["A".into(), "B".into()]), ["B"]);
}

/// Returns each `# Errors` section of a source that names no kind of the table and refers to no other
/// function.
fn vague_error_sections(source: &str) -> Vec<String> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let sections = lines.iter().enumerate().filter(|(_, line)| **line == "/// # Errors");
    let texts = sections.map(|(at, _)| {
        let text = lines[at + 1..].iter().take_while(|line| {
            line.strip_prefix("///").is_some_and(|text| !text.starts_with(" #"))
        });
        text.map(|line| line.trim_start_matches('/').trim()).collect::<Vec<_>>().join(" ")
    });
    let names_a_kind =
        |text: &str| Kind::ALL.iter().any(|kind| text.contains(&format!("`{}`", kind.name())));
    let refers = |text: &str| {
        ["as [`", "that [`", "kind of the limit", "any kind of", "`make` fails"]
            .iter()
            .any(|reference| text.contains(reference))
    };
    texts.filter(|text| !names_a_kind(text) && !refers(text)).collect()
}

#[test]
fn every_errors_section_names_its_kinds() {
    let mut files = Vec::new();
    sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut files);
    let read = |file: &PathBuf| fs::read_to_string(file).expect("a source");
    let vague: Vec<String> =
        files.iter().flat_map(|file| vague_error_sections(&read(file))).collect();
    assert!(vague.is_empty(), "sections without a kind:\n{}", vague.join("\n"));
    let count: usize = files.iter().map(|file| read(file).matches("/// # Errors").count()).sum();
    assert!(count > 60, "{count} sections were found");
}

#[test]
fn a_vague_errors_section_is_found() {
    let source = "/// A.\n///\n/// # Errors\n///\n/// Fails if it cannot.\nfn a() {}\n\
                  /// # Errors\n///\n/// Fails with `pin_invalid`.\nfn b() {}\n";
    assert_eq!(vague_error_sections(source), [" Fails if it cannot."]);
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Returns the public enums of a source whose compatibility is not said.
fn undecided_enums(source: &str) -> Vec<String> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let mut undecided = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let words = lines[..at].iter().rev().find(|line| !line.starts_with(['#', '/']));
        let is_word_list =
            words.is_some_and(|line| line.ends_with("words! {")) && line.ends_with('{');
        let Some(name) = line.strip_prefix("pub enum ").or(is_word_list.then_some(*line)) else {
            continue;
        };
        // The macro's own line.
        if name.starts_with('$') {
            continue;
        }
        let above: Vec<&&str> =
            lines[..at].iter().rev().take_while(|line| line.starts_with(['#', '/'])).collect();
        let is_said =
            above.iter().any(|line| **line == "#[non_exhaustive]" || line.contains("Exhaustive:"));
        if !is_said {
            undecided.push(name.trim_end_matches([' ', '{']).to_owned());
        }
    }
    undecided
}

#[test]
fn every_public_enum_is_non_exhaustive_or_says_why_not() {
    let mut files = Vec::new();
    sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut files);
    let undecided: Vec<String> = files
        .iter()
        .flat_map(|file| undecided_enums(&fs::read_to_string(file).expect("a source")))
        .collect();
    assert!(undecided.is_empty(), "neither: {}", undecided.join(", "));
}

#[test]
fn an_enum_without_a_decision_is_found() {
    let source = "/// A.\npub enum A {\n}\n/// B. Exhaustive: two.\npub enum B {}\n#[non_exhaustive]\n\
                  pub enum C {}\nwords! {\n    /// D.\n    D {\n        /// E.\n        E = 1 \"e\",\n}\n}\n";
    assert_eq!(undecided_enums(source), ["A", "D"]);
}
