//! The floors of the core, as listed in `docs/architecture.md`: no import runs upward.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules beside the floors. Every floor may use them; they import only the errors and each other.
const BESIDE: [&str; 2] = ["runtime", "process"];

#[test]
fn no_import_runs_upward() {
    let floors = floors();
    let mut faults = Vec::new();
    for file in sources(&core().join("src")) {
        let module = module(&file);
        if module == "lib" {
            continue;
        }
        let here = floors.get(module.as_str()).copied();
        let beside = BESIDE.contains(&module.as_str());
        if here.is_none() && !beside {
            faults.push(format!("{}: {module} has no floor", file.display()));
            continue;
        }
        for import in imports(&fs::read_to_string(&file).expect("a source file")) {
            let allowed = match (here, floors.get(import.as_str())) {
                (Some(here), Some(there)) => *there <= here,
                (Some(_), None) => BESIDE.contains(&import.as_str()),
                (None, _) => import == "error" || BESIDE.contains(&import.as_str()),
            };
            if !allowed {
                faults.push(format!("{}: imports crate::{import}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_listed_module_exists() {
    let src = core().join("src");
    for module in floors().keys().map(String::as_str).chain(BESIDE) {
        let exists = src.join(module).is_dir() || src.join(format!("{module}.rs")).is_file();
        assert!(exists, "docs/architecture.md lists {module}, which does not exist");
    }
}

#[test]
fn imports_are_found_outside_tests_and_comments() {
    let source = "//! See crate::testing.\nuse crate::error::Error;\nfn f() { crate::net::g() }\n\
                  #[cfg(test)]\nmod tests {\n    use crate::dispatcher;\n}\n";
    assert_eq!(imports(source), ["error", "net"]);
}

/// Returns each module's floor, from the table in the page.
fn floors() -> BTreeMap<String, u32> {
    let page = core().join("../docs/architecture.md");
    let page = fs::read_to_string(page).expect("docs/architecture.md");
    let (_, section) = page.split_once("## The floors of the core").expect("its section");
    let (section, _) = section.split_once("\n## ").expect("a section behind it");
    let mut floors = BTreeMap::new();
    for row in section.lines() {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let Some(Ok(floor)) = cells.next().map(str::parse::<u32>) else { continue };
        let modules = cells.next().expect("a cell of modules");
        for module in modules.split('`').skip(1).step_by(2) {
            floors.insert(module.to_owned(), floor);
        }
    }
    assert!(floors.len() > 10, "the table was not understood");
    floors
}

/// Returns the modules that a source file names after `crate::`, without comments and tests.
fn imports(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let mut found = Vec::new();
    for line in code {
        for (at, _) in line.match_indices("crate::") {
            let path = &line[at + "crate::".len()..];
            let word: String = path.chars().take_while(|character| is_word(*character)).collect();
            // Re-exports of the crate's root are for its users and for test modules.
            if word.starts_with(|first: char| first.is_ascii_lowercase()) {
                found.push(word);
            }
        }
    }
    found
}

fn module(file: &Path) -> String {
    let inside = file.strip_prefix(core().join("src")).expect("a file of src");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn core() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
