//! The pages of the site: copies of `docs/**/*.md`, and the declarations of the C, Python and Node
//! interfaces as pages. Links that leave `docs/` lead to the repository.

use std::fmt::Write as _;
use std::path::Path;

use super::{links, markdown, navigation};
use crate::command::{Failure, Result};
use crate::paths;

/// A page of the site.
pub(super) struct Page {
    /// Its path below `docs/`.
    pub(super) name: String,
    pub(super) text: String,
}

/// The address of the repository, which the workspace's `Cargo.toml` has.
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// Files that the site shows whole: the page, its title, what it is, the file, its language.
const SHOWN: [(&str, &str, &str, &str, &str); 2] = [
    (
        "reference/header.md",
        "The C header",
        "All functions, types and constants of the C library. The conventions are at the top.",
        "include/webhook_mtls.h",
        "c",
    ),
    (
        "reference/python.md",
        "The Python types",
        "All classes and functions of the package `webhook_mtls`, with their docstrings.",
        "bindings-python/python/webhook_mtls/_native.pyi",
        "python",
    ),
];

/// Copies the pages and the files beside them into an empty directory; returns the pages.
pub(super) fn adapt(to: &Path) -> Result<Vec<Page>> {
    paths::make_empty(to)?;
    let docs = paths::root().join("docs");
    let mut pages = Vec::new();
    let about_the_site = docs.join("site");
    for file in paths::files_below(&docs, &|entry| entry == about_the_site)? {
        let name = file.strip_prefix(&docs).expect("a file of docs").to_path_buf();
        if !paths::has_extension(&name, "md") {
            paths::copy(&file, &to.join(&name))?;
            continue;
        }
        let text = adapted(&name, &paths::read(&file)?);
        pages.push(Page { name: name.display().to_string(), text });
    }
    for (name, title, about, file, language) in SHOWN {
        let shown = paths::read(&paths::root().join(file))?;
        let text = format!("# {title}\n\n{about}\n\n```{language}\n{}\n```\n", shown.trim_end());
        pages.push(Page { name: name.to_owned(), text });
    }
    for page in &pages {
        paths::write(&to.join(&page.name), &page.text)?;
    }
    Ok(pages)
}

fn adapted(name: &Path, text: &str) -> String {
    let folder = name.parent().unwrap_or(Path::new(""));
    let linked = markdown::with_links(text, |target| {
        let is_relative = !links::is_elsewhere(target) && !target.starts_with('#');
        let outside = is_relative.then(|| outside_of_docs(folder, target)).flatten()?;
        Some(format!("{REPOSITORY}/{outside}"))
    });
    markdown::with_tabs(&linked)
}

/// Returns the path in the repository of a link from a page's folder, if it leaves `docs/`.
fn outside_of_docs(folder: &Path, target: &str) -> Option<String> {
    let mut place: Vec<&str> = folder.iter().filter_map(|part| part.to_str()).collect();
    let mut parts = target.split('/').peekable();
    while parts.peek() == Some(&"..") {
        parts.next();
        if place.pop().is_none() {
            return Some(parts.collect::<Vec<_>>().join("/"));
        }
    }
    None
}

/// Returns a page of `docs/` for a package that has only some pages: links to what it lacks lead to the
/// repository.
///
/// * `page`: its path in the repository, which is also that in the package.
/// * `has`: whether the package has the file with this path.
pub(crate) fn packed(page: &str, text: &str, has: impl Fn(&str) -> bool) -> String {
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    markdown::with_links(text, |target| {
        let is_relative = !links::is_elsewhere(target) && !target.starts_with('#');
        let (path, anchor) = match target.find('#') {
            Some(at) => target.split_at(at),
            None => (target, ""),
        };
        let place = joined(folder, path);
        (is_relative && !has(&place)).then(|| format!("{REPOSITORY}/blob/main/{place}{anchor}"))
    })
}

/// Returns the path in the repository of a link from a folder.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Adds the Markdown of each page beside its HTML, and `llms.txt`, which lists them
/// (<https://llmstxt.org>).
pub(super) fn add_plain_text(site: &Path, configuration: &str, pages: &[Page]) -> Result {
    let mut list = String::from(
        "# webhook-mtls\n\n> Delivers webhooks over mutual TLS and verifies the peer, from C, Python, Node and Rust.\n\n## Pages\n\n",
    );
    for page in navigation::ordered(configuration, pages) {
        paths::write(&site.join(&page.name), &page.text)?;
        let title = markdown::title(&page.text)
            .ok_or_else(|| Failure::new(format!("docs/{} has no title", page.name)))?;
        writeln!(list, "- [{title}]({}){}", page.name, summary(&page.text)).expect("a string");
    }
    paths::write(&site.join("llms.txt"), &list)
}

/// Returns the first sentence of a page.
fn summary(text: &str) -> String {
    let prose = |(line, is_code): &(&str, bool)| {
        !is_code && line.starts_with(|first: char| first.is_alphabetic() || first == '`')
    };
    let first = markdown::lines(text).skip_while(|line| !prose(line)).take_while(prose);
    let paragraph = first.map(|(line, _)| line).collect::<Vec<_>>().join(" ");
    let sentence = paragraph.split_once(". ").map_or(&*paragraph, |(sentence, _)| sentence);
    let sentence = markdown::without_links(sentence);
    if sentence.is_empty() {
        String::new()
    } else {
        format!(": {}", sentence.trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{REPOSITORY, outside_of_docs, packed, summary};

    #[test]
    fn a_link_out_of_docs_leads_to_the_repository() {
        let from = |folder: &str, target: &str| outside_of_docs(Path::new(folder), target);
        assert_eq!(from("", "../SECURITY.md").as_deref(), Some("SECURITY.md"));
        assert_eq!(from("errors", "../../core/src").as_deref(), Some("core/src"));
        assert_eq!(from("errors", "../errors.md"), None);
        assert_eq!(from("", "trust.md"), None);
    }

    #[test]
    fn a_link_to_a_page_that_a_package_lacks_leads_to_the_repository() {
        let page = |text: &str| packed("docs/errors/a.md", text, |path| path == "docs/errors.md");
        assert_eq!(page("[b](../errors.md#b)\n"), "[b](../errors.md#b)\n");
        let wanted = format!("[b]({REPOSITORY}/blob/main/docs/pin.md#c)\n");
        assert_eq!(page("[b](../pin.md#c)\n"), wanted);
        let kept = "[b](#c), [d](https://a.example/e)\n";
        assert_eq!(page(kept), kept);
    }

    #[test]
    fn a_summary_is_the_first_sentence_without_links() {
        let page = "# A\n\nIt does [this](b.md) and\nthat. And more.\n";
        assert_eq!(summary(page), ": It does this and that");
        assert_eq!(summary("# A\n"), "");
    }
}
