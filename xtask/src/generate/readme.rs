//! Copies the programs of `examples/` into the README byte for byte, so that the README shows
//! tested programs.
//!
//! A program is between `<!-- examples/NAME -->` and `<!-- /examples/NAME -->`, in a fence. The command
//! that links a C program is in the same form; the tests use its arguments.

use std::path::PathBuf;

use crate::command::{Failure, Result};
use crate::languages::c_library::{Flavour, static_arguments};
use crate::paths;

/// The programs, and the language tag of each one's fence.
const PROGRAMS: [(&str, &str); 4] = [
    ("examples/first_delivery.py", "python"),
    ("examples/first_delivery.mjs", "js"),
    ("examples/first_delivery.c", "c"),
    ("examples/first_delivery.rs", "rust"),
];

/// The name of the command that links a C program with the static library.
const LINK: &str = "static C program";

/// `cargo xtask readme`.
pub(crate) fn write() -> Result {
    paths::write(&page(), &current()?)?;
    println!("  wrote {}", paths::shown(&page()));
    Ok(())
}

/// Fails if a program in the README differs from its file.
pub(crate) fn check() -> Result {
    if paths::read(&page())? == current()? {
        return Ok(());
    }
    Err(Failure::new("README.md differs from examples/: run cargo xtask readme"))
}

fn page() -> PathBuf {
    paths::root().join("README.md")
}

/// The README with the current programs.
fn current() -> Result<String> {
    let mut text = paths::read(&page())?;
    for (name, language) in PROGRAMS {
        text = with_program(&text, name, language, &paths::read(&paths::root().join(name))?)?;
    }
    with_program(&text, LINK, "sh", &link_command())
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
    let missing = || Failure::new(format!("README.md has no markers for {name}"));
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
