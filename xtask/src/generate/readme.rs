//! Copies the programs of `examples/` into the README and the pages of `docs/` byte for byte, so that they
//! show tested programs.
//!
//! A program is between `<!-- examples/NAME -->` and `<!-- /examples/NAME -->`, in a fence. The command
//! that links a C program is in the same form; the tests use its arguments.

use std::path::{Path, PathBuf};

use crate::command::{Failure, Result};
use crate::languages::c_library::{Flavour, static_arguments};
use crate::paths;

/// The name of the command that links a C program with the static library, and its page.
const LINK: (&str, &str) = ("static C program", "docs/c.md");

/// `cargo xtask readme`.
pub(crate) fn write() -> Result {
    for (page, current) in stale()? {
        paths::write(&page, &current)?;
        println!("  wrote {}", paths::shown(&page));
    }
    Ok(())
}

/// Fails if a program in a page differs from its file.
pub(crate) fn check() -> Result {
    let Some((page, _)) = stale()?.into_iter().next() else { return Ok(()) };
    let page = paths::shown(&page);
    Err(Failure::new(format!("{page} differs from examples/: run cargo xtask readme")))
}

/// Returns the pages that do not show the current programs, and their current texts.
fn stale() -> Result<Vec<(PathBuf, String)>> {
    let mut stale = Vec::new();
    for page in pages()? {
        let shown = paths::read(&page)?;
        let current = current(&page, &shown)?;
        if current != shown {
            stale.push((page, current));
        }
    }
    Ok(stale)
}

/// Returns the README and the pages of `docs/`.
fn pages() -> Result<Vec<PathBuf>> {
    let mut pages = paths::files_below(&paths::root().join("docs"), &|_| false)?;
    pages.retain(|page| paths::has_extension(page, "md"));
    pages.push(paths::root().join("README.md"));
    Ok(pages)
}

/// Returns the text of a page with the current programs.
fn current(page: &Path, text: &str) -> Result<String> {
    let mut text = text.to_owned();
    for name in programs(&text) {
        let program = paths::read(&paths::root().join(&name))?;
        text = with_program(&text, &name, language(&name)?, &program)?;
    }
    let (link, of) = LINK;
    if page.ends_with(of) { with_program(&text, link, "sh", &link_command()) } else { Ok(text) }
}

/// Returns the programs that a page shows.
fn programs(page: &str) -> Vec<String> {
    let name = |line: &str| {
        let name = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
        name.starts_with("examples/").then(|| name.to_owned())
    };
    page.lines().filter_map(name).collect()
}

/// Returns the tag of a program's fence.
fn language(program: &str) -> Result<&'static str> {
    let extension = program.rsplit('.').next().unwrap_or_default();
    Ok(match extension {
        "c" => "c",
        "mjs" => "js",
        "py" => "python",
        "rs" => "rust",
        "sh" => "sh",
        _ => return Err(Failure::new(format!("{program} is in no known language"))),
    })
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
    use super::{language, programs, with_program};

    const PAGE: &str = "a\n<!-- x.py -->\nold\n<!-- /x.py -->\nb\n";

    #[test]
    fn a_program_replaces_only_the_text_between_its_markers() {
        let page = with_program(PAGE, "x.py", "python", "print()\n").unwrap();
        assert_eq!(page, "a\n<!-- x.py -->\n```python\nprint()\n```\n<!-- /x.py -->\nb\n");
        assert_eq!(with_program(&page, "x.py", "python", "print()\n").unwrap(), page);
    }

    #[test]
    fn a_page_names_its_programs() {
        let page = "<!-- examples/a/x.py -->\n<!-- /examples/a/x.py -->\n<!-- test: y -->\n";
        assert_eq!(programs(page), ["examples/a/x.py"]);
        assert_eq!(language("examples/a/x.py").unwrap(), "python");
        assert!(language("examples/a/x.zig").is_err());
    }

    #[test]
    fn a_page_without_the_markers_is_refused() {
        assert!(with_program(PAGE, "y.py", "python", "").err().unwrap().what().contains("y.py"));
        assert!(with_program(PAGE, "x.py", "python", "```").is_err());
    }
}
