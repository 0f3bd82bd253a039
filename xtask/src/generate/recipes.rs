//! Holds the recipes of CONTRIBUTING.md to the tree. The recipe of a kind, and that of an option,
//! follows a real one: it names every product file that contains its name outside generated parts.

use std::collections::BTreeSet;
use std::path::Path;

use crate::generate::blocks;
use crate::generate::rows::pascal;
use crate::paths;

/// The heads of the recipes, each with the name that it follows.
const RECIPES: [(&str, &str); 2] =
    [("**An error kind.**", "response_too_large"), ("**An option.**", "write_timeout")];

/// The sources of the product. Files of tests are not among them: any test may use any name.
const PRODUCT: [&str; 6] = [
    "core/src",
    "ffi/src",
    "bindings-python/src",
    "bindings-python/python",
    "bindings-node/src",
    "bindings-node/ts",
];

#[test]
fn a_recipe_names_every_file_of_its_example() {
    let page = paths::read(&paths::root().join("CONTRIBUTING.md")).unwrap();
    for (head, name) in RECIPES {
        let (_, rest) = page.split_once(head).unwrap_or_else(|| panic!("no recipe {head}"));
        let recipe = rest.split_once("\n\n**").expect("another recipe follows").0;
        assert!(recipe.contains(&format!("`{name}`")), "{head} does not follow {name}");
        let product = containing(name);
        assert!(product.len() > 1, "{product:?}");
        let named = named_files(recipe);
        let missing: Vec<&String> = product.difference(&named).collect();
        assert!(missing.is_empty(), "{head} does not name {missing:?}");
        for file in named {
            let text = paths::read(&paths::root().join(&file)).unwrap_or_else(|_| {
                panic!("{head} names {file}, which does not exist");
            });
            assert!(has_name(&text, name), "{head} names {file}, without {name} in it");
        }
    }
}

#[test]
fn a_name_is_found_in_each_spelling_and_only_whole() {
    for text in ["x.write_timeout(", "'writeTimeoutMs'", "Kind::WriteTimeout,"] {
        assert!(has_name(text, "write_timeout"), "{text}");
    }
    assert!(!has_name("overwrite_timeouts", "write_timeout"));
}

/// Returns the paths in code font.
fn named_files(recipe: &str) -> BTreeSet<String> {
    let code = recipe.split('`').skip(1).step_by(2);
    code.filter(|text| text.contains('/') && !text.contains(' ')).map(str::to_owned).collect()
}

/// Returns the files of the product that have the name outside generated parts.
fn containing(name: &str) -> BTreeSet<String> {
    let below = |place| paths::files_below(&paths::root().join(place), &|_| false).unwrap();
    PRODUCT
        .into_iter()
        .flat_map(below)
        .filter(|path| {
            let file = paths::shown(path);
            !file.ends_with("tests.rs") && !file.contains("/testing/") && names(path, name)
        })
        .map(|path| paths::shown(&path))
        .collect()
}

/// Returns whether the part of a file that is written by hand has the name.
fn names(path: &Path, name: &str) -> bool {
    // A file that is not text has no recipe.
    let Ok(text) = paths::read(path) else { return false };
    let mut by_hand = blocks::by_hand(&text);
    if paths::has_extension(path, "pyi") {
        by_hand = without_docstrings(&by_hand);
    }
    has_name(&by_hand, name)
}

/// Returns a stub without its docstrings, which are generated, too.
fn without_docstrings(stub: &str) -> String {
    stub.split("\"\"\"").step_by(2).collect()
}

/// Returns whether a text has the name as a whole word, in the spelling of any language.
fn has_name(text: &str, name: &str) -> bool {
    let upper = pascal(name);
    let camel = format!("{}{}", &name[..1], &upper[1..]);
    let words: BTreeSet<&str> = text.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    [name, &upper, &camel, &format!("{camel}Ms")].iter().any(|word| words.contains(word))
}
