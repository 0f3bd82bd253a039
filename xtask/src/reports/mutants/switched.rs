//! Many mutants in one program: a function that has mutants keeps its bodies side by side, and an
//! environment variable says which one runs. So the core is compiled once, not once per mutant.
//!
//! Some mutants cannot be had this way, such as those of a constant function, and some compile in no
//! way. The compiler names their lines, and they are taken out again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::Mutant;
use crate::command::{Failure, Result};
use crate::paths;

/// The environment variable with the number of the mutant that runs. Without it, none runs.
pub(super) const VARIABLE: &str = "WMTLS_MUTANT";

/// What the functions ask. It stands at the end of the root of the core.
const SWITCH: &str = r#"
/// Returns whether the tests run the mutant of this number.
pub(crate) fn mutant_runs(number: usize) -> bool {
    static RUNS: std::sync::LazyLock<Option<usize>> = std::sync::LazyLock::new(|| {
        std::env::var("VARIABLE").ok().and_then(|number| number.parse().ok())
    });
    *RUNS == Some(number)
}
"#;

const ROOT: &str = "core/src/lib.rs";

/// A file in which functions have several bodies.
#[derive(Debug, PartialEq)]
pub(super) struct Written {
    text: String,
    /// The lines of each mutant's function and body, by the number of the mutant.
    lines: Vec<(usize, Lines)>,
}

#[derive(Debug, PartialEq)]
struct Lines {
    function: RangeInclusive<usize>,
    body: RangeInclusive<usize>,
}

impl Written {
    /// Returns the numbers of its mutants.
    pub(super) fn numbers(&self) -> impl Iterator<Item = usize> {
        self.lines.iter().map(|(number, _)| *number)
    }
}

/// Writes the mutants into the files of a tree, and the switch into its root. Returns the files by
/// their path, for `blamed`. Mutants whose function cannot have several bodies are left out.
pub(super) fn write(
    tree: &Path,
    mutants: &[(usize, &Mutant)],
) -> Result<BTreeMap<String, Written>> {
    let mut files: BTreeMap<String, Vec<(usize, &Mutant)>> = BTreeMap::new();
    for &(number, mutant) in mutants {
        files.entry(mutant.file.clone()).or_default().push((number, mutant));
    }
    let mut all = BTreeMap::new();
    for (file, mutants) in files {
        let path = tree.join(&file);
        let written = with_bodies(&paths::read(&path)?, &mutants);
        paths::write(&path, &written.text)?;
        all.insert(file, written);
    }
    let root = tree.join(ROOT);
    let switch = SWITCH.replace("VARIABLE", VARIABLE);
    paths::write(&root, &(paths::read(&root)? + &switch))?;
    Ok(all)
}

/// Reads the compiler's errors; returns the numbers of the mutants to take out. An error in the body of a
/// mutant takes out this one. An error elsewhere in a function takes out all mutants of the function. Fails
/// if an error is in no function with a mutant.
pub(super) fn blamed(files: &BTreeMap<String, Written>, errors: &str) -> Result<BTreeSet<usize>> {
    let mut blamed = BTreeSet::new();
    for (file, line) in errors.lines().filter_map(place_of_error) {
        let known = files.get(file).map_or(&[][..], |written| &written.lines);
        let of = |lines: fn(&Lines) -> &RangeInclusive<usize>| -> Vec<usize> {
            let here = known.iter().filter(|(_, all)| lines(all).contains(&line));
            here.map(|(number, _)| *number).collect()
        };
        let mut here = of(|lines| &lines.body);
        if here.is_empty() {
            here = of(|lines| &lines.function);
        }
        if here.is_empty() {
            return Err(Failure::with_output("an error that is no mutant's", errors));
        }
        blamed.extend(here);
    }
    if blamed.is_empty() {
        return Err(Failure::with_output("the mutants do not compile", errors));
    }
    Ok(blamed)
}

/// Reads `core/src/net/url.rs:12:9: error[E0308]: mismatched types`.
fn place_of_error(line: &str) -> Option<(&str, usize)> {
    let (place, _) = line.split_once(": error")?;
    let mut parts = place.split(':');
    Some((parts.next()?, parts.next()?.parse().ok()?))
}

fn with_bodies(text: &str, mutants: &[(usize, &Mutant)]) -> Written {
    let mut functions: BTreeMap<(usize, usize), Vec<(usize, &Mutant)>> = BTreeMap::new();
    for &(number, mutant) in mutants {
        let Some((start, end)) = mutant.function else { continue };
        let span = (offset(text, start), offset(text, end));
        functions.entry(span).or_default().push((number, mutant));
    }
    let mut written = Written { text: String::new(), lines: Vec::new() };
    let mut done = 0;
    for ((start, end), mutants) in functions {
        // A function inside a function would be written twice.
        if start < done {
            continue;
        }
        written.text.push_str(&text[done..start]);
        done = end;
        let Some((head, body)) = head_and_body(&text[start..end]) else {
            written.text.push_str(&text[start..end]);
            continue;
        };
        let line = |text: &str| text.lines().count().max(1);
        let first = line(&written.text);
        written.text.push_str(&head);
        written.text.push_str("{\n");
        let mut bodies = Vec::new();
        for (number, mutant) in mutants {
            let (from, to) = (offset(text, mutant.span.0), offset(text, mutant.span.1));
            let changed = [&text[start..from], &mutant.replacement, &text[to..end]].concat();
            let Some((_, changed)) = head_and_body(&changed) else { continue };
            let _ = writeln!(written.text, "if crate::mutant_runs({number})");
            let from = line(&written.text) + 1;
            written.text.push_str(&changed);
            bodies.push((number, from..=line(&written.text)));
            written.text.push_str("\nelse ");
        }
        written.text.push('\n');
        written.text.push_str(&body);
        written.text.push_str("\n}");
        let function = first..=line(&written.text);
        let whole = |(number, body)| (number, Lines { function: function.clone(), body });
        written.lines.extend(bodies.into_iter().map(whole));
    }
    written.text.push_str(&text[done..]);
    written
}

/// Splits a function before the braces of its body.
fn head_and_body(function: &str) -> Option<(String, String)> {
    let mut tokens: Vec<TokenTree> = function.parse::<TokenStream>().ok()?.into_iter().collect();
    match tokens.pop()? {
        TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
            let head: TokenStream = tokens.into_iter().collect();
            Some((head.to_string(), body.to_string()))
        }
        _ => None,
    }
}

/// Returns the offset in bytes of a line and a column, both of which count from one.
fn offset(text: &str, (line, column): (usize, usize)) -> usize {
    let before: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = text[before..].char_indices().nth(column - 1);
    rest.map_or(text.len(), |(at, _)| before + at)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{blamed, offset, with_bodies};
    use crate::reports::mutants::Mutant;

    const TEXT: &str =
        "/// Doc.\npub fn is_late(at: u32) -> bool {\n    at > 3 && at != 9\n}\nconst A: u8 = 1;\n";

    fn mutant(replacement: &str, span: ((usize, usize), (usize, usize))) -> Mutant {
        let function = Some(((2, 1), (4, 2)));
        let file = "core/src/late.rs".to_owned();
        let replacement = replacement.to_owned();
        Mutant { name: String::new(), patch: String::new(), file, function, span, replacement }
    }

    #[test]
    fn a_function_has_a_body_for_each_mutant_and_its_own() {
        let (one, two) = (mutant("<", ((3, 8), (3, 9))), mutant("true", ((3, 5), (3, 22))));
        let written = with_bodies(TEXT, &[(7, &one), (9, &two)]);
        let expected = "/// Doc.\npub fn is_late (at : u32) -> bool{\nif crate::mutant_runs(7)\n\
                        { at < 3 && at != 9 }\nelse if crate::mutant_runs(9)\n{ true }\nelse \n\
                        { at > 3 && at != 9 }\n}\nconst A: u8 = 1;\n";
        assert_eq!(written.text, expected);
        let files = BTreeMap::from([("core/src/late.rs".to_owned(), written)]);
        let of = |line: u32| blamed(&files, &format!("core/src/late.rs:{line}:9: error[E1]: no"));
        assert_eq!(of(4).unwrap(), BTreeSet::from([7]));
        assert_eq!(of(6).unwrap(), BTreeSet::from([9]));
        assert_eq!(of(8).unwrap(), BTreeSet::from([7, 9]));
        assert!(of(10).is_err());
        assert!(blamed(&files, "error: linking failed").is_err());
    }

    #[test]
    fn a_column_counts_characters() {
        assert_eq!(offset("a\nµs = 1\n", (2, 2)), 4);
        assert_eq!(offset("a\n", (2, 1)), 2);
    }
}
