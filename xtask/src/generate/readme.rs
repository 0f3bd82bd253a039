//! Copies the programs of `examples/` into the README and the pages byte for byte, so that they show
//! tested programs.
//!
//! A program is between `<!-- examples/NAME -->` and `<!-- /examples/NAME -->`, in a fence. The command
//! that links a C program is in the same form; the tests use its arguments.

use std::path::PathBuf;

use crate::command::{Failure, Result};
use crate::languages::c_library::{Flavour, static_arguments};
use crate::paths;

/// The pages with the programs that each shows, and the language tag of each program's fence.
const PAGES: [(&str, &[(&str, &str)]); 2] = [
    (
        README,
        &[
            ("examples/first_delivery.py", "python"),
            ("examples/first_delivery.mjs", "js"),
            ("examples/first_delivery.c", "c"),
            ("examples/first_delivery.rs", "rust"),
        ],
    ),
    ("docs/circuit.md", &[("examples/circuit_hint.py", "python")]),
];

const README: &str = "README.md";

/// The name of the command that links a C program with the static library.
const LINK: &str = "static C program";

/// `cargo xtask readme`.
pub(crate) fn write() -> Result {
    for (page, programs) in PAGES {
        paths::write(&file(page), &current(page, programs)?)?;
        println!("  wrote {page}");
    }
    Ok(())
}

/// Fails if a program in a page differs from its file.
pub(crate) fn check() -> Result {
    for (page, programs) in PAGES {
        if paths::read(&file(page))? != current(page, programs)? {
            let why = format!("{page} differs from examples/: run cargo xtask readme");
            return Err(Failure::new(why));
        }
    }
    Ok(())
}

fn file(page: &str) -> PathBuf {
    paths::root().join(page)
}

/// Returns the page with the current programs.
fn current(page: &str, programs: &[(&str, &str)]) -> Result<String> {
    let mut text = paths::read(&file(page))?;
    for (name, language) in programs {
        text = with_program(&text, name, language, &paths::read(&file(name))?)?;
    }
    if page == README { with_program(&text, LINK, "sh", &link_command()) } else { Ok(text) }
}

/// The command with the arguments that the tests use, for a program in the current directory.
fn link_command() -> String {
    let dist = "target/c/shipped";
    let (include, lib) = (format!("{dist}/include"), format!("{dist}/lib"));
    let arguments =
        static_arguments(&include, "program.c", "program", &lib, Flavour::Production).join(" ");
    let (ours, system) = arguments.split_once(" -lutil").expect("what Rust asks of the system");
    format!("cc {ours} \\\n    -lutil{system}")
}

fn with_program(text: &str, name: &str, language: &str, program: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let missing = || Failure::new(format!("no page has markers for {name}"));
    let (before, rest) = text.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    if program.contains("```") {
        return Err(Failure::new(format!("{name} contains a code fence")));
    }
    Ok(format!("{before}{begin}```{language}\n{}\n```\n{end}{after}", program.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::with_program;

    const PAGE: &str = "a\n<!-- x.py -->\nold\n<!-- /x.py -->\nb\n";

    #[test]
    fn a_program_replaces_only_the_text_between_its_markers() {
        let page = with_program(PAGE, "x.py", "python", "print()\n").unwrap();
        assert_eq!(page, "a\n<!-- x.py -->\n```python\nprint()\n```\n<!-- /x.py -->\nb\n");
        assert_eq!(with_program(&page, "x.py", "python", "print()\n").unwrap(), page);
    }

    #[test]
    fn a_page_without_the_markers_is_refused() {
        assert!(with_program(PAGE, "y.py", "python", "").err().unwrap().what().contains("y.py"));
        assert!(with_program(PAGE, "x.py", "python", "```").is_err());
    }
}
