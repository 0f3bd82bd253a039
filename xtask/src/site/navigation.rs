//! The navigation of the site: which page is where. It is written in `docs/site/zensical.toml`. A
//! folder whose pages are made from a table stands there as `"errors/*.md"`.

use std::path::Path;

use super::pages::Page;
use crate::command::{Failure, Result};

/// Returns the configuration with the names of pages in place of each `"FOLDER/*.md"`. Fails if a
/// page is missing in the navigation, or is there twice.
pub(super) fn expanded(configuration: &str, pages: &[Page]) -> Result<String> {
    let names: Vec<&str> = pages.iter().map(|page| page.name.as_str()).collect();
    let mut result = String::with_capacity(configuration.len());
    for line in configuration.lines() {
        match line.trim().trim_end_matches(',').trim_matches('"').strip_suffix("/*.md") {
            None => result.push_str(line),
            Some(folder) => {
                let of_folder = |name: &&&str| {
                    Path::new(name).parent() == Some(Path::new(folder))
                        && !configuration.contains(&quoted(name))
                };
                let listed = names.iter().filter(of_folder).map(|name| quoted(name));
                result.push_str(&listed.collect::<Vec<_>>().join(", "));
                result.push(',');
            }
        }
        result.push('\n');
    }
    let faults: Vec<String> = names
        .iter()
        .filter_map(|name| match result.matches(&quoted(name)).count() {
            1 => None,
            0 => Some(format!("docs/site/zensical.toml does not list {name}")),
            _ => Some(format!("docs/site/zensical.toml lists {name} more than once")),
        })
        .collect();
    if faults.is_empty() { Ok(result) } else { Err(Failure::new(faults.join("\n"))) }
}

/// Returns the pages in the order of the navigation.
pub(super) fn ordered<'a>(configuration: &str, pages: &'a [Page]) -> Vec<&'a Page> {
    let mut ordered: Vec<&Page> = pages.iter().collect();
    ordered.sort_by_key(|page| configuration.find(&quoted(&page.name)));
    ordered
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

#[cfg(test)]
mod tests {
    use super::{Page, expanded, ordered};

    fn pages(names: &[&str]) -> Vec<Page> {
        names.iter().map(|name| Page { name: (*name).to_owned(), text: String::new() }).collect()
    }

    #[test]
    fn a_folder_stands_for_its_pages_that_are_not_listed() {
        let pages = pages(&["a.md", "errors/README.md", "errors/x.md", "errors/y.md"]);
        let configuration = "\"errors/README.md\",\n\"errors/*.md\",\n\"a.md\",\n";
        let all = expanded(configuration, &pages).unwrap();
        assert_eq!(all, "\"errors/README.md\",\n\"errors/x.md\", \"errors/y.md\",\n\"a.md\",\n");
        assert_eq!(ordered(&all, &pages).last().unwrap().name, "a.md");
    }

    #[test]
    fn a_page_is_listed_exactly_once() {
        let pages = pages(&["a.md"]);
        assert!(expanded("\n", &pages).err().unwrap().what().contains("does not list a.md"));
        assert!(expanded("\"a.md\" \"a.md\"", &pages).err().unwrap().what().contains("once"));
    }
}
