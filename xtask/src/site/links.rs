//! Follows links: those of all Markdown files in the repository, as a forge resolves them, and those
//! of the built site, as a browser does. Addresses of other hosts are not tried.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::markdown;
use crate::command::{Failure, Result};
use crate::paths;

/// A page whose links are those of the npm package, where `docs/` is beside it.
const OF_PACKAGE: &str = "bindings-node/README.md";

/// Follows each relative link of the repository's Markdown files; returns how many there are.
pub(super) fn of_markdown() -> Result<usize> {
    let mut faults = Vec::new();
    let mut anchors = Anchors::default();
    let mut count = 0;
    for file in files(&paths::root(), "md")? {
        let is_of_package = file.ends_with(OF_PACKAGE);
        let root = paths::root();
        let folder =
            if is_of_package { &root } else { file.parent().expect("a file has a folder") };
        let text = paths::read(&file)?;
        markdown::with_links(&text, |target| {
            if is_elsewhere(target) {
                return None;
            }
            count += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let place = if path.is_empty() { file.clone() } else { folder.join(path) };
            let is_markdown = place.extension().is_some_and(|extension| extension == "md");
            let found = place.exists()
                && (anchor.is_empty()
                    || !is_markdown
                    || anchors.of(&place, anchor, markdown::anchors));
            if !found {
                faults.push(format!("{}: {target} leads nowhere", paths::shown(&file)));
            }
            None
        });
    }
    followed(count, &faults)
}

/// Follows each relative link of the site's pages; returns how many there are.
pub(super) fn of_site(site: &Path) -> Result<usize> {
    let mut faults = Vec::new();
    let mut anchors = Anchors::default();
    let mut count = 0;
    for file in files(site, "html")? {
        // Its links are absolute, because a server shows it at any address.
        if file.ends_with("404.html") {
            continue;
        }
        let folder = file.parent().expect("a file has a folder");
        let text = paths::read(&file)?;
        let targets = attributes(&text, "href").chain(attributes(&text, "src"));
        for target in targets.filter(|target| !is_elsewhere(target)) {
            count += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = path.split_once('?').map_or(path, |(path, _)| path);
            let place = if path.is_empty() { file.clone() } else { folder.join(path) };
            let place = if place.is_dir() { place.join("index.html") } else { place };
            let ids = |page: &str| attributes(page, "id").map(str::to_owned).collect();
            // Zensical's script adds the anchors of lines of code, `__…`, in the browser.
            let has_anchor = anchor.is_empty() || anchor.starts_with("__") || {
                place.exists() && anchors.of(&place, anchor, ids)
            };
            if !place.exists() || !has_anchor {
                let page = file.strip_prefix(site).unwrap_or(&file).display();
                faults.push(format!("{page}: {target} leads nowhere"));
            }
        }
    }
    followed(count, &faults)
}

fn followed(count: usize, faults: &[String]) -> Result<usize> {
    if faults.is_empty() { Ok(count) } else { Err(Failure::new(faults.join("\n"))) }
}

pub(super) fn is_elsewhere(target: &str) -> bool {
    target.contains("://")
        || ["mailto:", "data:", "javascript:"].iter().any(|s| target.starts_with(s))
}

/// The anchors of files, each read once.
#[derive(Default)]
struct Anchors(HashMap<PathBuf, Vec<String>>);

impl Anchors {
    fn of(&mut self, file: &Path, anchor: &str, read: impl Fn(&str) -> Vec<String>) -> bool {
        let known = self
            .0
            .entry(file.to_path_buf())
            .or_insert_with(|| paths::read(file).map(|text| read(&text)).unwrap_or_default());
        known.iter().any(|known| known == anchor)
    }
}

/// Returns the values of an attribute in a page that a program wrote.
fn attributes<'a>(page: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let before = format!(" {name}=");
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find(&before) {
        rest = &rest[at + before.len()..];
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_at(rest.find([' ', '>']).unwrap_or(rest.len())),
        };
        found.push(value);
        rest = after;
    }
    found.into_iter()
}

/// Returns the files of a directory with this extension, at any depth, but nothing that is built or
/// hidden.
fn files(directory: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let is_left_out = |entry: &Path| {
        let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_built = name == "node_modules" || entry == paths::target();
        name.starts_with('.') || is_built || entry.is_symlink()
    };
    let mut found = paths::files_below(directory, &is_left_out)?;
    found.retain(|file| paths::has_extension(file, extension));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{attributes, is_elsewhere};

    #[test]
    fn attributes_are_read_with_and_without_quotes() {
        let page = "<a href=\"x/y\" id=z><a href=q>";
        assert_eq!(attributes(page, "href").collect::<Vec<_>>(), ["x/y", "q"]);
        assert_eq!(attributes(page, "id").collect::<Vec<_>>(), ["z"]);
    }

    #[test]
    fn only_relative_links_are_followed() {
        assert!(is_elsewhere("https://a.example/") && is_elsewhere("mailto:a@b.example"));
        assert!(!is_elsewhere("../a.md") && !is_elsewhere("#b"));
    }
}
